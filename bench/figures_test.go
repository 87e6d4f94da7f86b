//go:build linux

package main

import (
	"math"
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{4, 1, 2, 100}, spread{3, 1, 100}},
	} {
		given := slices.Clone(tc.values)
		if got := spreadOf(tc.values); got != tc.want {
			t.Errorf("spread of %v: %v, want %v", tc.values, got, tc.want)
		}
		if !slices.Equal(given, tc.values) {
			t.Errorf("spread of %v changed its argument to %v", given, tc.values)
		}
	}
}

// TestRatios: a ratio is taken round by round, not of the medians.
func TestRatios(t *testing.T) {
	got := ratios([]float64{10, 30, 20, 7}, []float64{20, 30, 10})
	if want := []float64{0.5, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("ratios %v, want %v", got, want)
	}
	for _, r := range ratios([]float64{1}, []float64{0}) {
		t.Errorf("a ratio to nothing is %v", r)
	}
	if s := spreadOf(ratios(nil, nil)); math.IsNaN(s.Median) {
		t.Error("no ratios at all make NaN, which JSON cannot hold")
	}
}

func TestQuantile(t *testing.T) {
	var values []int
	for i := 1; i <= 1000; i++ {
		values = append(values, i)
	}
	for q, want := range map[float64]int{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
}
