// Package zones holds DNS data: it loads zones, compiles them, looks names up
// and answers questions from them. It has no sockets and no clock of its own.
//
//	Source ─Collect─► Builder ─Check, Compile─► Zone ─Store.Put─► Set ─Answer─► octets
//
// Load decides, queries look: compiling finds empty non-terminals, wildcards,
// cuts and what lies below them once, so that a query only follows numbers. A
// Zone and a Set never change; a Store publishes a new Set with one atomic
// pointer, and readers never lock.
package zones

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Zone is the compiled data of one zone. It is immutable, and safe for use by
// any number of goroutines.
type Zone struct {
	origin wire.Name
	labels int // of the origin
	arena  []byte
	nodes  []node
	sets   []rrset
	index  index
	count  int // records
	serial uint32
	soa    rrset
	negTTL uint32
	denial *denial // nil if the zone is not signed
	// templates are answers; negative is the offset of that to names and types
	// that do not exist.
	templates []byte
	negative  uint32
}

// node is an owner or an empty non-terminal. Nodes stand behind their parents,
// the apex first.
type node struct {
	name    uint32 // offset in arena
	sets    uint32 // first in Zone.sets
	wild    uint32 // 1 + the node of "*" right below, 0 for none
	cover   uint32 // 1 + the node whose cut or DNAME decides, 0 for none
	parent  uint32
	numSets uint16
	nameLen uint8
	flags   nodeFlags
}

type nodeFlags uint8

const (
	// nodeCut has NS and is not the apex: a delegation (RFC 1034 section 4.2.1).
	nodeCut nodeFlags = 1 << iota
	// nodeDNAME has a DNAME: names below it are redirected (RFC 6672).
	nodeDNAME
	// nodeCNAME has a CNAME.
	nodeCNAME
	// nodeHash has NSEC3 and nothing else: the hash of a name, not a name
	// (RFC 5155 section 7.2.8).
	nodeHash
)

// rrset is the records of one type at one owner: so many, from data on in the
// arena, as a reply has them where a pointer to the question is their owner.
type rrset struct {
	data  uint32
	count uint32
	// ready is for answers that need no more work: of a flat type the octets of
	// all records together, of another the offset of a template, 0 for none.
	ready  uint32
	rrtype uint16
	covers uint16 // of RRSIG, which has a set for each type it covers
}

// rrHeader is the length of what stands before the rdata of a record in the
// arena: a pointer to the question, type, class, TTL and length.
const rrHeader = 12

// Origin is the name of the zone.
func (z *Zone) Origin() wire.Name { return z.origin }

// Serial is the serial of the zone's SOA.
func (z *Zone) Serial() uint32 { return z.serial }

// Len is the number of records in the zone.
func (z *Zone) Len() int { return z.count }

// Compile makes the immutable zone. Check must have found no Error: Compile
// takes for granted that there is one SOA, at the apex.
func (b *Builder) Compile() *Zone { return new(compiler).compile(b) }

// compiler is the memory that compiling needs, beside the Zone's own.
type compiler struct {
	recs []*buildRec // of the node in hand
	sets []rrset
	templates
}

func (c *compiler) compile(b *Builder) *Zone {
	z := &Zone{
		labels: b.origin.Labels(),
		arena:  make([]byte, 0, len(b.arena)+rrHeader*len(b.recs)),
		nodes:  make([]node, len(b.nodes)),
		sets:   slices.Grow(c.sets[:0], len(b.nodes)),
		index:  b.takeIndex(),
	}
	for i := range b.nodes {
		from := &b.nodes[i]
		recs := c.recs[:0]
		for r := from.first; r >= 0; r = b.recs[r].next {
			recs = append(recs, &b.recs[r])
		}
		c.recs = recs
		b.sort(recs)
		n := node{name: uint32(len(z.arena)), nameLen: from.nameLen, sets: uint32(len(z.sets))}
		z.arena = append(z.arena, b.name(int32(i))...)
		z.addSets(b, recs)
		n.numSets = uint16(min(len(z.sets)-int(n.sets), math.MaxUint16))
		if i > 0 {
			n.parent = uint32(from.parent)
		}
		z.nodes[i] = n
		z.alignSignatures(uint32(i))
		z.classify(uint32(i))
	}
	z.origin = z.name(0)
	c.sets = z.sets
	z.sets = slices.Clone(z.sets) // as many as there are, not as append made room for
	if soa := z.find(0, dns.TypeSOA); soa != nil {
		z.soa = *soa
		data := z.rdata(soa)
		z.serial = binary.BigEndian.Uint32(data[len(data)-20:])
		// RFC 2308 section 3: a negative answer lives as long as the lesser of
		// the SOA's TTL and its minimum.
		z.negTTL = min(z.ttl(soa), binary.BigEndian.Uint32(data[len(data)-4:]))
	}
	z.denial = z.compileDenial()
	c.templates.compile(z)
	return z
}

// sort orders the records of one owner by type and rdata, so that what is the
// same twice stands side by side.
func (b *Builder) sort(recs []*buildRec) {
	slices.SortFunc(recs, func(x, y *buildRec) int {
		if x.rrtype != y.rrtype {
			return int(x.rrtype) - int(y.rrtype)
		}
		return compareData(x.rrtype, b.data(x), b.data(y))
	})
}

// addSets appends the RRsets of sorted records. A record that is there twice
// counts once, and the lowest TTL holds for the set (RFC 2181 sections 5, 5.2).
func (z *Zone) addSets(b *Builder, recs []*buildRec) {
	for len(recs) > 0 {
		first := recs[0]
		set := rrset{data: uint32(len(z.arena)), rrtype: first.rrtype, covers: b.covers(first)}
		n, ttl := 0, first.ttl
		for ; n < len(recs) && recs[n].rrtype == set.rrtype && b.covers(recs[n]) == set.covers; n++ {
			ttl = min(ttl, recs[n].ttl)
		}
		for i, r := range recs[:n] {
			if i > 0 && compareData(r.rrtype, b.data(recs[i-1]), b.data(r)) == 0 {
				continue
			}
			set.count++
			z.arena = append(z.arena, 0xC0, wire.HeaderLen, byte(r.rrtype>>8), byte(r.rrtype), 0, byte(dns.ClassINET))
			z.arena = binary.BigEndian.AppendUint32(z.arena, ttl)
			z.arena = binary.BigEndian.AppendUint16(z.arena, r.dataLen)
			z.arena = append(z.arena, b.data(r)...)
			z.count++
		}
		if flat(set.rrtype) {
			set.ready = uint32(len(z.arena)) - set.data
		}
		z.sets = append(z.sets, set)
		recs = recs[n:]
	}
}

// alignSignatures gives the signatures at node i the TTL of the set that they cover
// (RFC 4035 section 2.2).
func (z *Zone) alignSignatures(i uint32) {
	for _, s := range z.setsOf(i) {
		if s.covers == 0 {
			continue
		}
		covered := z.find(i, s.covers)
		if covered == nil {
			continue
		}
		rest := z.arena[s.data:]
		for range s.count {
			binary.BigEndian.PutUint32(rest[rrHeader-6:], z.ttl(covered))
			_, rest = nextRData(rest)
		}
	}
}

// covers is the type that an RRSIG signs, 0 for other records.
func (b *Builder) covers(r *buildRec) uint16 {
	if r.rrtype != dns.TypeRRSIG || r.dataLen < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b.data(r))
}

// classify finds out what node i is. Its parent has been classified before.
func (z *Zone) classify(i uint32) {
	n := &z.nodes[i]
	hashOnly := n.numSets > 0
	for _, s := range z.setsOf(i) {
		hashOnly = hashOnly && (s.rrtype == dns.TypeNSEC3 || s.covers == dns.TypeNSEC3)
		switch s.rrtype {
		case dns.TypeNS:
			if i > 0 {
				n.flags |= nodeCut
			}
		case dns.TypeDNAME:
			n.flags |= nodeDNAME
		case dns.TypeCNAME:
			n.flags |= nodeCNAME
		}
	}
	if i == 0 {
		return
	}
	parent := &z.nodes[n.parent]
	parent.flags &^= nodeHash
	if hashOnly {
		n.flags |= nodeHash
	}
	if z.arena[n.name] == 1 && z.arena[n.name+1] == '*' {
		parent.wild = i + 1
	}
	// What is highest decides: below a cut nothing is ours but glue, below a
	// DNAME nothing is (RFC 6672 section 2.4).
	switch {
	case parent.cover != 0:
		n.cover = parent.cover
	case parent.flags&nodeDNAME != 0:
		n.cover = n.parent + 1
	case n.flags&nodeCut != 0:
		n.cover = i + 1
	}
}

func (z *Zone) name(i uint32) wire.Name {
	n := &z.nodes[i]
	return wire.Name(z.arena[n.name : n.name+uint32(n.nameLen)])
}

func (z *Zone) setsOf(i uint32) []rrset {
	n := &z.nodes[i]
	return z.sets[n.sets : n.sets+uint32(n.numSets)]
}

// find returns the RRset of a type at node i, nil if there is none.
func (z *Zone) find(i uint32, rrtype uint16) *rrset {
	sets := z.setsOf(i)
	for j := range sets {
		if sets[j].rrtype == rrtype {
			return &sets[j]
		}
	}
	return nil
}

// rdata is the first record's rdata of a set.
func (z *Zone) rdata(s *rrset) []byte {
	data, _ := nextRData(z.arena[s.data:])
	return data
}

// ttl is the TTL of the records of a set, in seconds.
func (z *Zone) ttl(s *rrset) uint32 { return binary.BigEndian.Uint32(z.arena[s.data+rrHeader-6:]) }

// nextRData splits the first rdata off the packed records of a set.
func nextRData(b []byte) (data, rest []byte) {
	n := rrHeader + int(binary.BigEndian.Uint16(b[rrHeader-2:]))
	return b[rrHeader:n:n], b[n:]
}

// Records yields all records: the apex's SOA, the rest of the apex, then every
// owner in canonical order (RFC 4034 section 6.1), its sets by type. The slices
// of a record are the zone's own: read-only.
func (z *Zone) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		if !z.yieldSet(0, &z.soa, yield) {
			return
		}
		order := make([]uint32, len(z.nodes))
		for i := range order {
			order[i] = uint32(i)
		}
		slices.SortFunc(order, func(x, y uint32) int { return wire.Compare(z.name(x), z.name(y)) })
		for _, i := range order {
			for _, s := range z.setsOf(i) {
				if s.rrtype == dns.TypeSOA {
					continue
				}
				if !z.yieldSet(i, &s, yield) {
					return
				}
			}
		}
	}
}

func (z *Zone) yieldSet(i uint32, s *rrset, yield func(Record) bool) bool {
	rest := z.arena[s.data:]
	for range s.count {
		var data []byte
		data, rest = nextRData(rest)
		if !yield(Record{Owner: z.name(i), Type: s.rrtype, TTL: z.ttl(s), Data: data}) {
			return false
		}
	}
	return true
}
