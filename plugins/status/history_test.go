package status

import (
	"math"
	"testing"
	"time"
)

// noon is when the tests begin, at the start of a step.
func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// asked are n queries by delegation that are answered and took 1.5 * 2^10 ns.
func asked(n uint64) *counts {
	c := new(counts)
	c.paths[0], c.rcodes[0], c.buckets[11] = n, n, n
	return c
}

// TestHistory has seconds make steps.
func TestHistory(t *testing.T) {
	var h history
	h.begin(noon())
	for second := range 30 {
		h.add(asked(uint64(second/10+1)), noon().Add(time.Duration(second)*time.Second))
	}
	h.add(asked(0), noon().Add(30*time.Second))
	doc := h.last(6)
	if !doc.From.Equal(noon().Add(-30*time.Second)) || doc.StepSeconds != 10 {
		t.Errorf("from %s", doc.From)
	}
	for i, want := range []float64{-1, -1, -1, 1, 2, 3} {
		for _, got := range []*float64{doc.Paths["iterative"][i], doc.RCodes["NOERROR"][i]} {
			if want < 0 != (got == nil) || got != nil && *got != want {
				t.Errorf("step %d: %v, want %v", i, got, want)
			}
		}
		if got := doc.Paths["direct"][i]; want < 0 != (got == nil) || got != nil && *got != 0 {
			t.Errorf("step %d: %v of another path", i, got)
		}
		if got := doc.Latency["p50"][i]; want < 0 != (got == nil) || got != nil && *got != 1.54 {
			t.Errorf("step %d: half of the queries took %v µs", i, got)
		}
	}
	if len(doc.Paths) != pathCount || len(doc.RCodes) != rcodeCount || len(doc.Latency) != 2 {
		t.Errorf("%+v", doc)
	}
}

// TestHistoryQuiet: time without queries is nothing, not unknown, and has no latency.
func TestHistoryQuiet(t *testing.T) {
	var h history
	h.begin(noon())
	h.add(asked(10), noon().Add(time.Second))
	h.add(asked(0), noon().Add(41*time.Second)) // a reload held the ticks up
	doc := h.last(4)
	for i, want := range []float64{1, 0, 0, 0} {
		if got := doc.Paths["iterative"][i]; got == nil || *got != want {
			t.Errorf("step %d: %v, want %v", i, got, want)
		}
		if got := doc.Latency["p99"][i]; (got == nil) != (want == 0) {
			t.Errorf("step %d: latency %v", i, got)
		}
	}
}

// TestHistoryTurns: the ring goes round, and has the last hour at all times.
func TestHistoryTurns(t *testing.T) {
	var h history
	h.begin(noon())
	for n := range int64(3*stepCount + 7) {
		h.add(asked(uint64(n+1)*stepSeconds), noon().Add(time.Duration(n*stepSeconds)*time.Second))
	}
	doc := h.last(stepCount)
	const last = 3*stepCount + 6
	for i := range stepCount {
		if got, want := doc.Paths["iterative"][i], float64(last-stepCount+i+1); got == nil || *got != want {
			t.Fatalf("step %d: %v, want %v", i, got, want)
		}
	}
}

// TestHistoryClock has the clock jump: nothing breaks, and nothing takes long.
func TestHistoryClock(t *testing.T) {
	var h history
	h.begin(noon())
	h.add(asked(10), noon().Add(time.Second))
	h.add(asked(10), noon().Add(-time.Hour))
	h.add(asked(10), noon().Add(10*time.Second))
	if got := h.last(1).Paths["iterative"][0]; got == nil || *got != 2 {
		t.Errorf("after the clock went back: %v", got)
	}
	h.add(asked(10), noon().AddDate(100, 0, 0))
	for i, v := range h.last(stepCount).Paths["iterative"] {
		if v != nil {
			t.Fatalf("after a century: step %d is %v", i, *v)
		}
	}
	h.add(asked(0), noon().AddDate(100, 0, 0).Add(10*time.Second))
	if got := h.last(1).Paths["iterative"][0]; got == nil || *got != 1 {
		t.Errorf("the step after it: %v", got)
	}
}

// TestHistoryWithoutClock begins where a machine begins that has no clock, and sets it.
func TestHistoryWithoutClock(t *testing.T) {
	for _, begin := range []time.Time{time.Unix(0, 0), time.Unix(-12345, 0), {}} {
		var h history
		h.begin(begin)
		h.add(asked(10), begin.Add(time.Second))
		h.add(asked(10), begin.Add(11*time.Second))
		if got := h.last(stepCount).Paths["iterative"][stepCount-1]; got == nil || *got != 1 {
			t.Errorf("from %s: %v", begin, got)
		}
		h.add(asked(0), noon())
		h.last(stepCount)
	}
}

// TestQuantile reads times from buckets.
func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		buckets  map[int]uint64
		p50, p99 float64 // microseconds
	}{
		{nil, 0, 0},
		{map[int]uint64{11: 100}, 1.536, 2.0378},                   // 1024 to 2048 ns
		{map[int]uint64{11: 98, 21: 2}, 1.546, 1572.864},           // two of a hundred take a millisecond
		{map[int]uint64{0: 1}, 0.0005, 0.00099},                    // less than a nanosecond
		{map[int]uint64{39: 1}, 412316860.416 / 1000, 547029.0387}, // minutes
	} {
		c := new(counts)
		for i, n := range tc.buckets {
			c.buckets[i] = n
		}
		for q, want := range map[float64]float64{.5: tc.p50, .99: tc.p99} {
			if tc.buckets[39] > 0 {
				want *= 1000
			}
			if got := float64(c.quantile(q)); math.Abs(got-want) > want/100 {
				t.Errorf("%v: quantile %v is %v, want %v", tc.buckets, q, got, want)
			}
		}
	}
}
