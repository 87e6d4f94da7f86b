package forward

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// flights are the questions that are being forwarded, by a hash that nobody outside
// can foresee.
type flights struct {
	seed   maphash.Seed
	shards [16]struct {
		mu sync.Mutex
		n  map[uint64]int
	}
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].n = make(map[uint64]int)
	}
	return f
}

func (f *flights) key(name wire.Name, rrtype uint16) uint64 {
	var key [wire.MaxName + 2]byte
	n := copy(key[:], name)
	key[n], key[n+1] = byte(rrtype>>8), byte(rrtype)
	return maphash.Bytes(f.seed, key[:n+2])
}

// enter counts a question as under way, and returns what leave takes.
func (f *flights) enter(name wire.Name, rrtype uint16) uint64 {
	key := f.key(name, rrtype)
	s := &f.shards[key%16]
	s.mu.Lock()
	s.n[key]++
	s.mu.Unlock()
	return key
}

func (f *flights) leave(key uint64) {
	s := &f.shards[key%16]
	s.mu.Lock()
	if s.n[key]--; s.n[key] <= 0 {
		delete(s.n, key)
	}
	s.mu.Unlock()
}

func (f *flights) has(key uint64) bool {
	s := &f.shards[key%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n[key] > 0
}

// loops says whether a query is one of our own that came back: from the address of
// a server that we ask, with a question that we are asking.
func (e *engine) loops(q *server.Query) bool {
	return e.isUpstream(q.Remote.Addr()) && e.flights.has(e.flights.key(q.Name, q.Type))
}

// isUpstream says whether some upstream has the address.
func (e *engine) isUpstream(a netip.Addr) bool {
	all := e.hosts.Load()
	if all == nil {
		return false
	}
	_, ok := (*all)[a]
	return ok
}

// loopLogEvery is how often loops are logged.
const loopLogEvery = time.Minute

// tellLoop counts a loop and says so in the log, once in a while.
func (e *engine) tellLoop(q *server.Query) {
	e.counters.loops.Add(1)
	now, last := e.now(), e.loopLogged.Load()
	if (last == 0 || now-last >= int64(loopLogEvery)) && e.loopLogged.CompareAndSwap(last, max(now, 1)) {
		e.log.Warn("forwarding loop: a forwarder asks this server what it was asked; take one of the two forwarders out",
			"forwarder", q.Remote.Addr(), "name", q.Name.String())
	}
}
