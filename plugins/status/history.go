package status

import (
	"sync"
	"time"
)

// The history has this many steps of this many seconds: an hour.
const (
	stepSeconds = 10
	stepCount   = 360
)

// step is what is kept of ten seconds.
type step struct {
	observed bool // whether anybody looked
	paths    [pathCount]uint32
	rcodes   [rcodeCount]uint32
	p50, p99 float32 // microseconds; 0 where there was no query
}

// history is a ring of steps. Steps are numbered by the time since 1970; a step's
// place is its number modulo their count.
type history struct {
	mu      sync.Mutex
	steps   [stepCount]step
	current int64  // the step that is not over yet
	sum     counts // of that one
	started int64  // the step in which the observation began
}

func stepOf(t time.Time) int64 { return t.Unix() / stepSeconds }

// at is the place of step n; the clock of a machine without one begins in 1970.
func (h *history) at(n int64) *step { return &h.steps[(n%stepCount+stepCount)%stepCount] }

// begin begins the observation.
func (h *history) begin(now time.Time) { h.current, h.started = stepOf(now), stepOf(now) }

// add adds what was counted until now. A clock that goes back has no effect but that
// the step under way is longer.
func (h *history) add(c *counts, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n, moved := stepOf(now), 0; h.current < n; h.current++ {
		if moved++; moved > stepCount {
			// The clock was set, or the machine slept, for longer than the history is.
			h.steps = [stepCount]step{}
			h.current, h.sum = n, counts{}
			break
		}
		*h.at(h.current) = h.sum.step()
		h.sum = counts{}
	}
	h.sum.add(c)
}

// step is what is kept of the counts.
func (c *counts) step() step {
	s := step{observed: true}
	for i, n := range c.paths {
		s.paths[i] = uint32(n)
	}
	for i, n := range c.rcodes {
		s.rcodes[i] = uint32(n)
	}
	s.p50, s.p99 = c.quantile(.5), c.quantile(.99)
	return s
}

// quantile is the time in microseconds that a part q of the queries did not exceed. In
// its bucket queries are taken to be spread evenly.
func (c *counts) quantile(q float64) float32 {
	total := uint64(0)
	for _, n := range c.buckets {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank, below := q*float64(total), 0.0
	for i, n := range c.buckets {
		if n == 0 {
			continue
		}
		if below+float64(n) < rank {
			below += float64(n)
			continue
		}
		low, high := 0.0, float64(uint64(1)<<i)
		if i > 0 {
			low = high / 2
		}
		nanoseconds := low + (high-low)*(rank-below)/float64(n)
		return float32(nanoseconds / float64(time.Microsecond))
	}
	return 0
}

// historyDoc is the answer of the API.
type historyDoc struct {
	StepSeconds int                   `json:"step_seconds"`
	From        time.Time             `json:"from"`
	Paths       map[string][]*float64 `json:"paths"`
	RCodes      map[string][]*float64 `json:"rcodes"`
	Latency     map[string][]*float64 `json:"latency_us"`
}

// last are the last n steps that are over.
func (h *history) last(n int) historyDoc {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.current - int64(n)
	doc := historyDoc{
		StepSeconds: stepSeconds, From: time.Unix(first*stepSeconds, 0).UTC(),
		Paths: make(map[string][]*float64), RCodes: make(map[string][]*float64), Latency: make(map[string][]*float64),
	}
	put := func(to map[string][]*float64, name string, value func(*step) float64) {
		values := make([]float64, n) // one allocation for all
		list := make([]*float64, n)
		for i := range list {
			s := h.at(first + int64(i))
			if first+int64(i) < h.started || !s.observed {
				continue
			}
			if values[i] = value(s); values[i] >= 0 {
				list[i] = &values[i]
			}
		}
		to[name] = list
	}
	for p, name := range pathNames() {
		put(doc.Paths, name, func(s *step) float64 { return float64(s.paths[p]) / stepSeconds })
	}
	for r, name := range rcodeNames() {
		put(doc.RCodes, name, func(s *step) float64 { return float64(s.rcodes[r]) / stepSeconds })
	}
	put(doc.Latency, "p50", func(s *step) float64 { return positive(s.p50) })
	put(doc.Latency, "p99", func(s *step) float64 { return positive(s.p99) })
	return doc
}

// positive is a time, rounded for people, or a negative number where there is none.
func positive(microseconds float32) float64 {
	if microseconds <= 0 {
		return -1
	}
	return float64(int64(microseconds*100+.5)) / 100
}
