//go:build linux

package main

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"
)

// findings are what went wrong, by kind: all are counted, some of each are kept
// as they are. They may be used by any number of goroutines.
type findings struct {
	mu     sync.Mutex
	kinds  []string // in order of appearance
	counts map[string]int
	kept   map[string][]string
	tell   func(string) // is told the first of a kind
}

// keptFindings is how many of a kind are kept.
const keptFindings = 5

func newFindings(tell func(string)) *findings {
	return &findings{counts: make(map[string]int), kept: make(map[string][]string), tell: tell}
}

func (f *findings) add(kind, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind]++
	if f.counts[kind] == 1 {
		f.kinds = append(f.kinds, kind)
		f.tell("finding: " + kind + ": " + text)
	}
	if len(f.kept[kind]) < keptFindings {
		f.kept[kind] = append(f.kept[kind], text)
	}
}

func (f *findings) addf(kind, format string, args ...any) { f.add(kind, fmt.Sprintf(format, args...)) }

// total is how many there are.
func (f *findings) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, count := range f.counts {
		n += count
	}
	return n
}

func (f *findings) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, kind := range f.kinds {
		fmt.Fprintf(&b, "%s: %d\n", kind, f.counts[kind])
		for _, text := range f.kept[kind] {
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(text, "\n", "\n    "))
		}
	}
	return b.String()
}

// histogram counts durations in buckets that are a sixteenth of their octave
// wide, from a microsecond on.
type histogram struct {
	buckets [64 * 16]uint64
	count   uint64
	most    time.Duration
}

func (h *histogram) add(d time.Duration) {
	us := uint64(max(1, d/time.Microsecond))
	octave := bits.Len64(us) - 1
	part := us << 4 >> octave & 15
	h.buckets[octave<<4|int(part)]++
	h.count++
	h.most = max(h.most, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.most = max(h.most, other.most)
}

// quantile is the lower bound of the bucket that the q-th part of all is in.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(h.count)), uint64(0)
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen > rank {
			octave, part := i>>4, uint64(i&15)
			return time.Duration((16+part)<<octave>>4) * time.Microsecond
		}
	}
	return h.most
}

// median of values, which are sorted by it; 0 where there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
