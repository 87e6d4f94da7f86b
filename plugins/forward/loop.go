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
		mu  sync.Mutex
		all map[uint64]flight
	}
}

// flight is one question that is being forwarded.
type flight struct {
	n    int        // for so many queries
	from netip.Addr // who sent the first of them
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].all = make(map[uint64]flight)
	}
	return f
}

func (f *flights) key(name wire.Name, rrtype uint16) uint64 {
	var key [wire.MaxName + 2]byte
	n := copy(key[:], name)
	key[n], key[n+1] = byte(rrtype>>8), byte(rrtype)
	return maphash.Bytes(f.seed, key[:n+2])
}

// maxSame is how often the same question may be under way. There is a cache in front as
// a rule, where queries wait for one; without it, each more would be one more chance to
// forge the answer (RFC 5452 section 5).
const maxSame = 128

// enter counts a question of a client as under way, and returns what leave takes; false
// says that it is too often.
func (f *flights) enter(name wire.Name, rrtype uint16, from netip.Addr) (key uint64, ok bool) {
	key = f.key(name, rrtype)
	s := &f.shards[key%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	fl := s.all[key]
	switch fl.n {
	case 0:
		fl.from = from
	case maxSame:
		return key, false
	}
	fl.n++
	s.all[key] = fl
	return key, true
}

func (f *flights) leave(key uint64) {
	s := &f.shards[key%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	fl := s.all[key]
	if fl.n--; fl.n <= 0 {
		delete(s.all, key)
		return
	}
	s.all[key] = fl
}

// trips is how often a question may be under way that all comes from one address, a
// forwarder's. It may go round between the two, or clients on the forwarder's host, as
// on loopback, ask the same at the same time: only that it goes on and on tells.
const trips = 16

// returns says whether a query for key from an upstream's address is one that came
// back: somebody else has asked it, or it went round a few times.
func (f *flights) returns(key uint64, from netip.Addr) bool {
	s := &f.shards[key%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	fl, ok := s.all[key]
	return ok && (fl.from != from || fl.n >= trips)
}

// loops says whether a query is one of our own that came back: from the address of
// a server that we ask, with a question that we are asking.
func (e *engine) loops(q *server.Query) bool {
	from := q.Remote.Addr()
	return e.isUpstream(from) && e.flights.returns(e.flights.key(q.Name, q.Type), from)
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
