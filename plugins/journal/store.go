package journal

import (
	"strconv"
	"sync/atomic"
	"time"
)

// chunkLen is how many entries are copied while a ring's lock is held.
const chunkLen = 32

// journal is the last queries of all workers. It outlives reloads.
//
// Entries are numbered without gaps by the order in which their queries ended, over
// all rings. Each ring has room for as many entries as the journal keeps, so the last
// ones are all there however the workers share them.
type journal struct {
	rings    []ring
	ids      atomic.Uint64
	size     atomic.Uint64
	zoneName func(uint32) string
	// epoch tells this journal from that of a server before, which numbered its
	// entries alike.
	epoch string
	// streams has a place for each client that follows.
	streams chan struct{}
	pace    pace
}

func newJournal(workers int, o options, zoneName func(uint32) string) *journal {
	j := &journal{
		rings: make([]ring, workers), zoneName: zoneName,
		epoch:   strconv.FormatInt(time.Now().UnixMilli(), 36),
		streams: make(chan struct{}, maxStreams),
		pace:    defaultPace(),
	}
	for i := range j.rings {
		r := &j.rings[i]
		r.ids, r.slots, r.oneIn = &j.ids, make([]slot, o.size), 1
	}
	j.adopt(o)
	return j
}

// adopt takes up the options of a configuration.
func (j *journal) adopt(o options) {
	for i := range j.rings {
		r := &j.rings[i]
		r.resize(o.size)
		r.mu.Lock()
		r.setRate(o.rate)
		r.mu.Unlock()
	}
	j.size.Store(uint64(o.size))
}

// span is the ids of the entries that are kept: those above floor up to top.
func (j *journal) span() (floor, top uint64) {
	top = j.ids.Load()
	return top - min(top, j.size.Load()), top
}

// counts are what became of the queries. Their sum is that of one moment for each
// worker.
type counts struct {
	seen, skipped uint64
	// from and to are when queries were left out, as nanoseconds since 1970: the
	// episodes that end at or after the time asked for. 0 is never.
	from, to int64
}

// count sums over the workers.
func (j *journal) count(since int64) (c counts) {
	for i := range j.rings {
		r := &j.rings[i]
		r.mu.Lock()
		c.seen += r.seen
		c.skipped += r.skipped
		if r.to != 0 && r.to >= since {
			if c.from == 0 || r.from < c.from {
				c.from = r.from
			}
			c.to = max(c.to, r.to)
		}
		r.mu.Unlock()
	}
	return c
}

// oldest is when the oldest entry that is kept came, as nanoseconds since 1970; 0
// if there is none.
func (j *journal) oldest() (received int64) {
	floor, top := j.span()
	j.walk().up(floor, top, func(s *slot) bool {
		received = s.received
		return false
	})
	return received
}

// walk reads the rings as one, in the order of ids. It may be used again, by one
// goroutine at a time.
func (j *journal) walk() *walk {
	return &walk{journal: j, legs: make([]leg, len(j.rings))}
}

type walk struct {
	journal *journal
	legs    []leg
}

// leg is the way through one ring.
type leg struct {
	at    uint64 // the number to go on at
	chunk []slot // nil until there is something to copy
	rest  []slot // of chunk, to be visited
	done  bool
}

// up visits the entries with ids above floor and up to top, the oldest first, until
// visit returns false. Entries that are overwritten before it gets there are not
// visited. The slot is valid until visit returns.
func (w *walk) up(floor, top uint64, visit func(*slot) bool) {
	w.begin(floor + 1)
	for {
		next := w.nearest((*ring).copyUp, func(a, b uint64) bool { return a < b })
		if next == nil || next.rest[0].id > top || !visit(&next.rest[0]) {
			return
		}
		next.rest = next.rest[1:]
	}
}

// down is up from top to floor.
func (w *walk) down(floor, top uint64, visit func(*slot) bool) {
	w.begin(top + 1)
	for {
		next := w.nearest((*ring).copyDown, func(a, b uint64) bool { return a > b })
		if next == nil || next.rest[0].id <= floor || !visit(&next.rest[0]) {
			return
		}
		next.rest = next.rest[1:]
	}
}

// begin goes, in each ring, to the first entry with the id, or to where it would be.
func (w *walk) begin(id uint64) {
	for i := range w.legs {
		l := &w.legs[i]
		l.at, l.rest, l.done = w.journal.rings[i].find(id), nil, false
	}
}

// nearest is the leg whose next entry comes before those of all others, nil if none
// has one.
func (w *walk) nearest(more func(*ring, uint64, []slot) (int, uint64), before func(a, b uint64) bool) *leg {
	var best *leg
	for i := range w.legs {
		l := &w.legs[i]
		if len(l.rest) == 0 && !l.done {
			if l.chunk == nil {
				l.chunk = make([]slot, chunkLen)
			}
			var n int
			n, l.at = more(&w.journal.rings[i], l.at, l.chunk)
			l.rest, l.done = l.chunk[:n], n == 0
		}
		if len(l.rest) > 0 && (best == nil || before(l.rest[0].id, best.rest[0].id)) {
			best = l
		}
	}
	return best
}
