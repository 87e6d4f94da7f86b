package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// tidyEvery is how often the runner looks at what was allocated.
	tidyEvery = 5 * time.Second
	// largeLoad is what a load allocates at least to be worth a clean-up.
	largeLoad = 64 << 20
)

// tidier finds the time after large loads: answering from zones allocates
// nothing, loading about three times the memory that the zones lie in.
type tidier struct {
	before  uint64 // allocated until the last look, in octets
	pending uint64 // allocated since the last clean-up by what was loading
}

// look takes what was allocated since the program began and says whether it is
// time for a clean-up: much was, and no more is.
func (t *tidier) look(allocated uint64) bool {
	grown := allocated - t.before
	t.before = allocated
	if grown >= largeLoad/8 {
		t.pending += grown
		return false
	}
	due := t.pending >= largeLoad
	t.pending = 0
	return due
}

// tidyUp gives memory back to the system after large loads, until done is closed:
// by itself, the Go runtime keeps about as much as the zones lie in.
func tidyUp(done <-chan struct{}) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	t := tidier{before: sample[0].Value.Uint64()}
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if metrics.Read(sample); t.look(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}
