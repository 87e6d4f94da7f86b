package delegation

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// observer is what outlives reloads, so that counters only go up.
type observer struct {
	since   time.Time
	seed    maphash.Seed
	workers []worker
	table   atomic.Pointer[table]
	sketch  *sketch
	// known has what resolvers asked, strangers what all others did: a flood of
	// these does not make the server forget those.
	known, strangers *history
	contest          atomic.Int64 // when a source last contested another one's place

	// mu is held by whoever changes table. What a worker adds up and what a
	// table says change together under the worker's lock.
	mu      sync.Mutex
	decayed time.Time

	names struct {
		sync.Mutex
		ns    []string // at most maxNS
		zones []uint32 // labels of the zones that are counted for each resolver
	}
	watched [maxZones + 1]atomic.Uint32 // 1 + index in names.zones

	hidden hidden
}

// Numbers of name servers and zones that are told apart.
const (
	maxNS      = 6
	maxZones   = 1000
	maxWatched = 8
)

func newObserver(workers int) *observer {
	o := &observer{since: time.Now(), seed: maphash.MakeSeed(), workers: make([]worker, workers), sketch: newSketch()}
	o.known, o.strangers = newHistory(64), newHistory(8)
	for i := range o.workers {
		o.workers[i].seed = rand.Uint64()
	}
	t := &table{number: 1, learned: make(map[source]uint16)}
	t.put(&resolver{Resolver: server.Resolver{Name: otherName}})
	o.table.Store(t)
	return o
}

// nsNumber numbers the labels of name servers. A number, once given, stays;
// labels beyond the first few share the last number.
func (o *observer) nsNumber(label string) uint8 {
	o.names.Lock()
	defer o.names.Unlock()
	i := slices.Index(o.names.ns, label)
	switch n := len(o.names.ns); {
	case i >= 0:
		return uint8(i)
	case n < maxNS-1:
		o.names.ns = append(o.names.ns, label)
		return uint8(n)
	case n == maxNS-1:
		o.names.ns = append(o.names.ns, otherName)
	}
	return maxNS - 1
}

// nsNames are the labels by number.
func (o *observer) nsNames() []string {
	o.names.Lock()
	defer o.names.Unlock()
	return slices.Clone(o.names.ns)
}

// watch has a zone counted for each resolver, if there is room for one more.
func (o *observer) watch(zone uint32) {
	o.names.Lock()
	defer o.names.Unlock()
	if zone == 0 || zone >= maxZones || len(o.names.zones) == maxWatched || slices.Contains(o.names.zones, zone) {
		return
	}
	o.names.zones = append(o.names.zones, zone)
	o.watched[zone].Store(uint32(len(o.names.zones)))
}

// hash is the hash of a network.
func (o *observer) hash(s source) uint64 { return maphash.Comparable(o.seed, s) }

// hashName is the hash of a name that a source asks for.
func (o *observer) hashName(name wire.Name, s source) uint64 {
	n := s.network()
	return mix(maphash.Bytes(o.seed, name)^n.hi, n.lo)
}

// Limits of learning.
const (
	// enough queries make a source a resolver that need not ask iteratively.
	enough = 16
	// contestInterval is how often a source may contest another one's place, at
	// most: to work out who asks least takes time, and a flood of sources must not
	// turn the table over and over.
	contestInterval = int64(time.Second)
)

// meet takes notice of a source that t does not know, and returns what it is from
// now on.
func (o *observer) meet(t *table, s source, iterative bool, now int64) *resolver {
	n := s.network()
	seen := o.sketch.add(o.hash(n))
	full := len(t.learned) >= t.most
	if seen < enough && (full || !iterative) {
		return t.slots[otherSlot]
	}
	if full {
		last := o.contest.Load()
		if now-last < contestInterval || !o.contest.CompareAndSwap(last, now) {
			return t.slots[otherSlot]
		}
	}
	// A query does not wait for somebody else who changes the table.
	if !o.mu.TryLock() {
		return t.slots[otherSlot]
	}
	defer o.mu.Unlock()
	return o.learn(n, uint64(seen))
}

// learn makes a network a learned resolver, if it is busier than the least busy
// one where there is no room. mu is held.
func (o *observer) learn(n source, seen uint64) *resolver {
	old := o.table.Load()
	if slot := old.slot(n); slot != otherSlot {
		return old.slots[slot]
	}
	t := old.next()
	var loser *resolver
	if len(t.learned) >= t.most {
		loser = o.idlest(old)
		if loser == nil || o.weigh(loser) >= seen {
			return old.slots[otherSlot]
		}
		delete(t.learned, loser.source)
	}
	r := &resolver{Resolver: server.Resolver{Name: n.String(), Learned: true}, source: n, weight: seen, probes: new(probes)}
	t.put(r)
	if loser != nil {
		t.slots[loser.slot] = nil
	}
	o.table.Store(t)
	if loser != nil {
		o.fold(loser.slot)
	}
	return r
}

// weigh is how much a learned resolver has asked lately. mu is held.
func (o *observer) weigh(r *resolver) uint64 {
	return r.weight + o.asked(r.slot) - r.base
}

// asked is how many queries were counted in a slot.
func (o *observer) asked(slot int) uint64 {
	var n uint64
	for i := range o.workers {
		w := &o.workers[i]
		w.mu.Lock()
		if slot < len(w.resolvers) && w.resolvers[slot] != nil {
			n += w.resolvers[slot].total()
		}
		w.mu.Unlock()
	}
	return n
}

// idlest is the learned resolver that has asked least lately. mu is held.
func (o *observer) idlest(t *table) *resolver {
	var least *resolver
	var weight uint64
	for _, slot := range t.learned {
		if w := o.weigh(t.slots[slot]); least == nil || w < weight {
			least, weight = t.slots[slot], w
		}
	}
	return least
}

// Weights halve in about eleven minutes.
const decayInterval = time.Minute

// decay has what was asked long ago count less.
func (o *observer) decay(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.decayed) < decayInterval {
		return
	}
	o.decayed = now
	t := o.table.Load()
	for _, slot := range t.learned {
		r := t.slots[slot]
		total := o.asked(r.slot)
		r.weight, r.base = (r.weight+total-r.base)*15/16, total
	}
}

// fold adds the counts of a slot, which no table has any more, to those of all
// others, so that the sums stay. mu is held.
//
// A worker reads the table under its lock: with the lock in our hands, it has
// counted all that it will ever count in the slot.
func (o *observer) fold(slot int) {
	for i := range o.workers {
		w := &o.workers[i]
		w.mu.Lock()
		if slot < len(w.resolvers) && w.resolvers[slot] != nil {
			w.resolver(otherSlot).add(w.resolvers[slot])
			w.resolvers[slot] = nil
		}
		w.mu.Unlock()
	}
	o.known.forget(uint16(slot))
}

// configure has the named resolvers be those of c. Names that are there already
// keep their counts; those of names that are gone are folded into the others'.
func (o *observer) configure(c *config) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.table.Load()
	t := old.next()
	t.most = c.learns()
	var gone []int
	var named []*resolver
	had := make(map[string]*resolver)
	for _, r := range old.slots {
		if r != nil && !r.Learned && r.slot != otherSlot {
			had[r.Name] = r
		}
	}
	for _, name := range c.names {
		r := &resolver{Resolver: server.Resolver{Name: name}, networks: c.named[name], probes: new(probes)}
		if before := had[name]; before != nil {
			r.slot, r.probes = before.slot, before.probes
			t.slots[r.slot] = r
			delete(had, name)
		} else {
			t.put(r)
		}
		named = append(named, r)
	}
	for _, r := range had {
		gone = append(gone, r.slot)
	}
	t.name(named)
	gone = append(gone, o.unlearn(old, t)...)
	for _, slot := range gone {
		t.slots[slot] = nil
	}
	o.table.Store(t)
	for _, slot := range gone {
		o.fold(slot)
	}
}

// unlearn takes out the learned resolvers that have a name now, and the least
// busy of those that there is no room for. It returns their slots. mu is held.
func (o *observer) unlearn(old, t *table) (gone []int) {
	for s, slot := range old.learned {
		if t.slot(s) != slot {
			delete(t.learned, s)
			gone = append(gone, int(slot))
		}
	}
	for len(t.learned) > t.most {
		r := o.idlest(t)
		delete(t.learned, r.source)
		gone = append(gone, r.slot)
	}
	return gone
}
