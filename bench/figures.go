//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
)

// spread is a median with the least and the most that were measured.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf is the spread of the values; it is zero without any.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0],
		Max:    sorted[n-1],
	}
}

// format writes the spread with so many decimals.
func (s spread) format(decimals int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// scale is the spread in another unit, of which one is so many.
func (s spread) scale(by float64) spread { return spread{by * s.Median, by * s.Min, by * s.Max} }

// ratios divides round by round. Where one series is longer, its rest is left
// out: only what was measured in the same round is compared.
func ratios(values, base []float64) []float64 {
	var out []float64
	for i := range min(len(values), len(base)) {
		if base[i] > 0 {
			out = append(out, values[i]/base[i])
		}
	}
	return out
}

// quantile is the value that the share q of the sorted values does not exceed.
func quantile[T any](sorted []T, q float64) T {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
