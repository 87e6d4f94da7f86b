package server

import (
	"testing"
	"time"
)

// Few queries are timed exactly; a large batch takes no more readings of the clock.
func TestBatchClock(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 7: 2, 32: 2} {
		var c batchClock
		begun := c.start(n)
		read, last := 0, begun
		for range n {
			for !time.Now().After(last) {
			}
			took := c.since(begun)
			if c.read != last {
				last = c.read
				read++
			}
			if took != last.Sub(begun) {
				t.Errorf("%d queries: took %s, the last reading is %s behind", n, took, last.Sub(begun))
			}
		}
		if read != want {
			t.Errorf("%d queries: %d readings, want %d", n, read, want)
		}
	}
}
