package delegation

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// history remembers what was asked lately and what became of it: a table of fixed
// size in which a source's question has its place in one of a few entries, and
// the oldest of them makes room. It may be used by many goroutines.
//
// A busy worker passes over most questions that tell nothing but how soon one comes
// again: it looks at those of one name in refetchOneIn, always the same.
type history struct {
	shards []shard
	open   atomic.Int64 // entries whose reply was not replyOK
	passed atomic.Int64 // when a question was passed over last, to the second
}

type shard struct {
	mu   sync.Mutex
	_    [56]byte
	sets [setsOfShard][entriesOfSet]entry
}

const (
	setsOfShard  = 32
	entriesOfSet = 4
)

// entry is the last of the queries of one source for one name and type.
type entry struct {
	key   uint64 // 0: empty
	at    int64  // when it was received, in nanoseconds since 1970
	ttl   uint32 // of the answer, 0 for none
	slot  uint16
	ns    uint8
	reply replyKind
}

// patience is how long a resolver is given to ask again, over TCP or at the other
// server.
const patience = int64(10 * time.Second)

// newHistory makes one of so many shards, a power of two.
func newHistory(shards int) *history { return &history{shards: make([]shard, shards)} }

// refetchOneIn is a power of two.
const refetchOneIn = 16

// question is what a source's question is found by.
func (o *observer) question(qtype uint16, name wire.Name, src source) uint64 {
	return mix(o.hashName(name, src), uint64(qtype)) | 1
}

// chosen says whether the question is one that a busy worker looks at, too.
func chosen(key uint64) bool { return key>>8%refetchOneIn == 0 }

// passOver says whether the question need not be looked at. w.mu is held.
func (h *history) passOver(w *worker, key uint64, f *facts) bool {
	if !w.pace.busy || chosen(key) || f.reply != replyOK || h.open.Load() > 0 {
		return false
	}
	if w.passed++; f.now-w.pace.noted > second {
		w.pace.noted = f.now
		h.passed.Store(f.now)
	}
	return true
}

// see adds a query, and counts what it means after those before it. w.mu is held;
// r are the counts of the query's slot in w.
func (h *history) see(o *observer, w *worker, slot int, r *resolverCounts, q *server.Query, f *facts) {
	key := o.question(q.Type, q.Name, f.src)
	if h.passOver(w, key, f) {
		if f.tcp != 0 { // no reply with TC waits for it
			r.tcpWithoutTC++
		}
		return
	}
	s := &h.shards[key>>32&uint64(len(h.shards)-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &s.sets[key>>48%setsOfShard]
	e := &set[0]
	for i := range set {
		if set[i].key == key {
			e = &set[i]
			break
		}
		if set[i].at < e.at {
			e = &set[i]
		}
	}
	if e.key != key {
		if e.late(f.now) {
			w.resolver(int(e.slot)).unretried++
		}
		h.opened(e.reply, replyOK)
		*e = entry{}
	}
	gapless := chosen(key) || e.at > h.passed.Load()+second
	if !e.follow(w, r, f, gapless) {
		return
	}
	h.opened(e.reply, f.reply)
	e.key, e.at, e.ns, e.slot, e.ttl, e.reply = key, f.now, f.ns, uint16(slot), f.ttl, f.reply
}

// opened counts that an entry's reply becomes another one.
func (h *history) opened(before, after replyKind) {
	switch {
	case before == replyOK && after != replyOK:
		h.open.Add(1)
	case before != replyOK && after == replyOK:
		h.open.Add(-1)
	}
}

// late says whether the resolver has had its time to ask again over TCP.
func (e *entry) late(now int64) bool { return e.reply == replyCut && now-e.at > patience }

// follow counts what f, the same question again, means, and says whether f takes
// the entry's place. Without gapless there may have been others between the two.
func (e *entry) follow(w *worker, r *resolverCounts, f *facts, gapless bool) bool {
	since := f.now - e.at
	if e.key == 0 {
		since = patience + 1
	}
	if since < 0 {
		// The reply to the earlier query was held back.
		if f.reply == replyFault && f.ns != e.ns && -since <= patience {
			w.failOver(r, f.ns, e.ns, -since)
		}
		return false
	}
	soon := since <= patience
	switch {
	case f.tcp != 0 && e.reply == replyCut && soon:
		r.tcpAfterTC++
		return true
	case f.tcp != 0:
		r.tcpWithoutTC++
	case e.reply != replyOK && f.reply == e.reply && (f.ns == e.ns || e.reply == replyCut) && soon:
		// The time runs from the first. Who cannot come over TCP asks both servers
		// over and over again (Unbound: every 3 s).
		return false
	case e.late(f.now):
		r.unretried++
	}
	if e.reply == replyFault && f.ns != e.ns && soon {
		w.failOver(r, e.ns, f.ns, since)
	}
	if e.ttl > 0 && gapless {
		r.refetch.observe(float64(since)/float64(e.ttl)/1e9, ratioBounds())
	}
	return true
}

// failOver counts that the same question came to another server after a fault.
func (w *worker) failOver(r *resolverCounts, from, to uint8, delay int64) {
	r.failover[from][to]++
	w.delays.observe(float64(delay)/1e9, delayBounds())
}

// sweep closes the entries that nobody followed in time. It returns how many of them
// had TC, by slot.
func (h *history) sweep(now int64) map[uint16]uint64 {
	found := make(map[uint16]uint64)
	if h.open.Load() == 0 {
		return found
	}
	h.each(func(e *entry) {
		switch {
		case e.late(now):
			found[e.slot]++
			h.opened(e.reply, replyOK)
			*e = entry{}
		case e.reply != replyOK && now-e.at > patience:
			h.opened(e.reply, replyOK)
			e.reply = replyOK
		}
	})
	return found
}

// forget takes the slot from the entries that have it: it is about to be another
// resolver's.
func (h *history) forget(slot uint16) {
	h.each(func(e *entry) {
		if e.slot == slot {
			e.slot = otherSlot
		}
	})
}

func (h *history) each(f func(*entry)) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		for j := range s.sets {
			for k := range s.sets[j] {
				f(&s.sets[j][k])
			}
		}
		s.mu.Unlock()
	}
}
