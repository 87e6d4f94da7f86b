package delegation

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
)

// source is the address that a query came from; IPv4 in mapped form (RFC 4291
// section 2.5.5.2), which the server never has otherwise.
type source struct{ hi, lo uint64 }

const mapped = 0xffff

func sourceOf(a netip.Addr) source {
	if a.Is4() {
		b := a.As4()
		return source{lo: mapped<<32 | uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return source{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (s source) is4() bool { return s.hi == 0 && s.lo>>32 == mapped }

// network is what a source is learned and counted by: an IPv4 address, or the
// /64 of an IPv6 address, in which a host may take any.
func (s source) network() source {
	if s.is4() || s == (source{0, 1}) {
		return s
	}
	return source{hi: s.hi}
}

// loopback says whether only this host can have the address.
func (s source) loopback() bool { return s.is4() && s.lo>>24&0xff == 127 || s == (source{0, 1}) }

// mask is the source with nothing but its first n bits, of 128.
func (s source) mask(n int) source {
	if n <= 64 {
		return source{hi: s.hi &^ (1<<(64-n) - 1)}
	}
	return source{s.hi, s.lo &^ (1<<(128-n) - 1)}
}

// addr is the address again.
func (s source) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.hi)
	binary.BigEndian.PutUint64(b[8:], s.lo)
	return netip.AddrFrom16(b).Unmap()
}

// String is the network that the source is learned by, without a length where
// that is one address.
func (s source) String() string {
	if n := s.network(); n.lo != 0 {
		return n.addr().String()
	}
	return netip.PrefixFrom(s.network().addr(), 64).String()
}

// resolver is one value of the label resolver. Each has a slot, by which the
// workers find its counts.
type resolver struct {
	server.Resolver
	slot     int
	networks []netip.Prefix // of a named one
	source   source         // of a learned one
	probes   *probes        // what it may have asked in place of the full name

	// Of a learned one, under observer.mu: how much it has asked lately, and how
	// much in all when that was worked out.
	weight, base uint64
}

// otherSlot is the slot of all that have none of their own.
const otherSlot = 0

// table says who is who. It is immutable; each change makes a new one.
type table struct {
	number  uint32
	most    int // that are learned
	slots   []*resolver
	lengths []prefixes // named networks, the longest first
	learned map[source]uint16
}

// prefixes are the named networks of one length.
type prefixes struct {
	bits  int // of 128
	slots map[source]uint16
}

// slot is that of a source.
func (t *table) slot(s source) uint16 {
	for i := range t.lengths {
		if t.lengths[i].bits < 96 && s.is4() {
			break // networks of IPv6 from here on
		}
		if slot, ok := t.lengths[i].slots[s.mask(t.lengths[i].bits)]; ok {
			return slot
		}
	}
	return t.learned[s.network()] // otherSlot if it is not there
}

// next is a copy of the table that the caller may change.
func (t *table) next() *table {
	n := &table{number: t.number + 1, most: t.most, slots: slices.Clone(t.slots), lengths: t.lengths,
		learned: make(map[source]uint16, len(t.learned)+1)}
	for s, slot := range t.learned {
		n.learned[s] = slot
	}
	return n
}

// put gives r a slot that nobody has.
func (t *table) put(r *resolver) {
	r.slot = slices.Index(t.slots, nil)
	if r.slot < 0 {
		r.slot = len(t.slots)
		t.slots = append(t.slots, nil)
	}
	t.slots[r.slot] = r
	if r.Learned {
		t.learned[r.source] = uint16(r.slot)
	}
}

// name makes the look-up of the named networks.
func (t *table) name(all []*resolver) {
	byLength := make(map[int]map[source]uint16)
	for _, r := range all {
		for _, p := range r.networks {
			n := p.Bits()
			if p.Addr().Is4() {
				n += 96
			}
			if byLength[n] == nil {
				byLength[n] = make(map[source]uint16)
			}
			byLength[n][sourceOf(p.Addr()).mask(n)] = uint16(r.slot)
		}
	}
	t.lengths = nil
	for n, m := range byLength {
		t.lengths = append(t.lengths, prefixes{n, m})
	}
	slices.SortFunc(t.lengths, func(a, b prefixes) int { return b.bits - a.bits })
}

// cached is what a worker remembers of a source. It is written with the worker's lock
// held, and peeked at without: an odd version says that somebody is writing, and one
// that has changed that somebody was.
type cached struct {
	version atomic.Uint32
	slot    atomic.Uint32
	number  atomic.Uint32 // of the table that slot is from; 0 for an empty place
	hi, lo  atomic.Uint64 // the source
	met     uint8         // name servers at which the source has been counted, as bits
}

// cacheSize is the number of sources that a worker remembers, a power of two.
const cacheSize = 1 << 11

// place is where the worker may remember a source.
func (w *worker) place(s source) *cached { return &w.cache[mix(s.hi^w.seed, s.lo)%cacheSize] }

// peek is the slot of a source, without a lock: each query asks for it on its way in.
func (w *worker) peek(t *table, s source) uint16 {
	e := w.place(s)
	version := e.version.Load()
	slot := e.slot.Load()
	if version&1 == 0 && e.hi.Load() == s.hi && e.lo.Load() == s.lo && e.number.Load() == t.number && e.version.Load() == version {
		return uint16(slot)
	}
	return t.slot(s)
}

// find is what the worker remembers of a source; w.mu is held.
func (w *worker) find(t *table, s source) *cached {
	e := w.place(s)
	same := e.hi.Load() == s.hi && e.lo.Load() == s.lo
	if same && e.number.Load() == t.number {
		return e
	}
	if !same {
		e.met = 0
	}
	e.version.Add(1)
	e.hi.Store(s.hi)
	e.lo.Store(s.lo)
	e.number.Store(t.number)
	e.slot.Store(uint32(t.slot(s)))
	e.version.Add(1)
	return e
}

// mix is a hash of two numbers.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9E3779B97F4A7C15, b^0xD6E8FEB86659FD93)
	return hi ^ lo
}
