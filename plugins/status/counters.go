package status

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// The closed sets that queries are counted by.
const (
	pathCount  = 3 // server.PathIterative and those behind it
	rcodeCount = 8
	// bucketCount is the number of buckets of the time that queries took: bucket n has
	// those of 2^(n-1) nanoseconds or more that are below 2^n. The last has the rest.
	bucketCount = 40
)

func pathNames() [pathCount]string { return [...]string{"iterative", "forwarded", "direct"} }

const (
	rcodeOther = iota + 6
	rcodeDropped
)

func rcodeNames() [rcodeCount]string {
	return [...]string{"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "other", "dropped"}
}

func rcodeIndex(q *server.Query) int {
	if q.Verdict() != server.Answered {
		return rcodeDropped
	}
	switch q.RCode() {
	case dns.RcodeSuccess:
		return 0
	case dns.RcodeNameError:
		return 1
	case dns.RcodeServerFailure:
		return 2
	case dns.RcodeRefused:
		return 3
	case dns.RcodeFormatError:
		return 4
	case dns.RcodeNotImplemented:
		return 5
	}
	return rcodeOther
}

// counts are the queries of some time.
type counts struct {
	paths   [pathCount]uint64
	rcodes  [rcodeCount]uint64
	buckets [bucketCount]uint64
}

func (c *counts) add(o *counts) {
	for i, n := range o.paths {
		c.paths[i] += n
	}
	for i, n := range o.rcodes {
		c.rcodes[i] += n
	}
	for i, n := range o.buckets {
		c.buckets[i] += n
	}
}

// worker is what one goroutine group counted since it was last asked. Workers share no
// cache line, so the lock is nearly always free.
type worker struct {
	_  [64]byte
	mu sync.Mutex
	counts
	_ [64]byte
}

func (w *worker) count(q *server.Query) {
	rcode, bucket := rcodeIndex(q), min(bits.Len64(uint64(q.Took())), bucketCount-1)
	path := int(q.Path) - int(server.PathIterative)
	w.mu.Lock()
	if path >= 0 && path < pathCount {
		w.paths[path]++
	}
	w.rcodes[rcode]++
	w.buckets[bucket]++
	w.mu.Unlock()
}

// take returns what was counted, and begins anew.
func (w *worker) take() counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.counts
	w.counts = counts{}
	return c
}

// observer is what outlives reloads.
type observer struct {
	since   time.Time
	workers []worker
	history history
	ticks   atomic.Pointer[ticks]
	columns columns
}

func newObserver(workers int, now time.Time) *observer {
	o := &observer{since: now, workers: make([]worker, workers)}
	o.history.begin(now)
	o.columns.begin()
	o.ticks.Store(newTicks(nil, ".", 0, 0))
	return o
}

// tick takes over what the workers counted.
func (o *observer) tick(now time.Time) {
	var sum counts
	for i := range o.workers {
		part := o.workers[i].take()
		sum.add(&part)
	}
	o.history.add(&sum, now)
	o.columns.renew(now.Unix())
}
