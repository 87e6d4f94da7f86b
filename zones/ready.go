package zones

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// readyAnswer is an answer on its way from what is known since the zone was
// compiled: its parts are copied, none is worked out. The path of the name asked
// for is no part of it, as that would move to the heap with the reply.
type readyAnswer struct {
	zone  *Zone
	buf   []byte
	limit int
	// signed says that the client takes DNSSEC records, and the zone has them.
	signed bool
	flags  uint16
	count  [3]uint16 // answer, authority, additional
}

// ready answers from what is known since the zone was compiled. It returns false
// if that is not enough; reply is as it was then.
func (s *Set) ready(reply []byte, p *path, q Question, limit int) ([]byte, Result, bool) {
	if q.Type == dns.TypeDS || q.Type == dns.TypeANY || q.Type == dns.TypeRRSIG {
		return reply, Result{}, false
	}
	e := s.find(p, false)
	if e == nil || e.zone == nil {
		return reply, Result{NotLoaded: e != nil && !e.ceded}, true
	}
	z := e.zone
	a := readyAnswer{zone: z, buf: reply, limit: limit, signed: q.DO && z.denial != nil}
	if !a.find(p, q.Type) {
		return reply, Result{}, false
	}
	wire.SetFlags(a.buf, wire.Flags(a.buf)|a.flags)
	wire.SetCount(a.buf, wire.CountAN, a.count[answer])
	wire.SetCount(a.buf, wire.CountNS, a.count[authority])
	wire.SetCount(a.buf, wire.CountAR, a.count[additional])
	return a.buf, Result{Zone: z, Label: e.label}, true
}

// find looks the name up and puts the answer together.
func (a *readyAnswer) find(p *path, qtype uint16) bool {
	z := a.zone
	match, what := z.lookup(p)
	switch what {
	case foundCut:
		return a.template(p, z.find(match, dns.TypeNS).ready, match)
	case foundNothing:
		a.flags = dns.RcodeNameError
		return a.template(p, z.negative, 0) && (!a.signed || a.denyName(p, match))
	case foundDNAME:
		return false
	}
	set := z.find(match, qtype)
	switch {
	case set == nil:
		return z.nodes[match].flags&nodeCNAME == 0 && a.template(p, z.negative, 0) && (!a.signed || a.denyType(p, match, what))
	case flat(set.rrtype):
		a.flags = wire.FlagAA
		if !a.copy(answer, set) || a.signed && !a.copySignatures(answer, match, set.rrtype) {
			return false
		}
	default:
		if !a.template(p, set.ready, match) {
			return false
		}
	}
	return !a.signed || what != foundWildcard || a.denyOwn(p, match)
}

// copy puts a set of a flat type into a section, under the name asked for.
func (a *readyAnswer) copy(sec section, set *rrset) bool {
	if int(set.ready) > a.limit-len(a.buf) {
		return false
	}
	a.buf = append(a.buf, a.zone.arena[set.data:set.data+set.ready]...)
	a.count[sec] += uint16(set.count)
	return true
}

// copySignatures puts the signatures of the set of a type at node i behind it.
func (a *readyAnswer) copySignatures(sec section, i uint32, rrtype uint16) bool {
	sets := a.zone.setsOf(i)
	for j := range sets {
		if s := &sets[j]; s.rrtype == dns.TypeRRSIG && s.covers == rrtype && !a.copy(sec, s) {
			return false
		}
	}
	return true
}

// template puts in a template that was made for the name of node i: the pointers
// in it move by as much as the question is longer.
func (a *readyAnswer) template(p *path, at, i uint32) bool {
	if at == 0 {
		return false
	}
	t := a.zone.templates[at:]
	if a.signed {
		t = t[templateSize(t):]
	}
	size := int(binary.BigEndian.Uint16(t[templateLen:]))
	if size == 0 || size > a.limit-len(a.buf) {
		return false
	}
	pointers := t[templateHeader : templateHeader+2*int(binary.BigEndian.Uint16(t[templatePointers:]))]
	body := len(a.buf)
	a.buf = append(a.buf, t[templateHeader+len(pointers):][:size]...)
	if longer := len(p.name) - int(a.zone.nodes[i].nameLen); longer > 0 {
		sections := a.buf[body:]
		for ; len(pointers) >= 2; pointers = pointers[2:] {
			pointer := sections[binary.BigEndian.Uint16(pointers):]
			binary.BigEndian.PutUint16(pointer, binary.BigEndian.Uint16(pointer)+uint16(longer))
		}
	}
	a.flags |= binary.BigEndian.Uint16(t[templateFlags:])
	for sec := range a.count {
		a.count[sec] = binary.BigEndian.Uint16(t[templateCounts+2*sec:])
	}
	return true
}

// denyName proves that the name does not exist.
func (a *readyAnswer) denyName(p *path, encloser uint32) bool {
	var ps proofs
	ps.nameError(a.zone, p, encloser)
	return a.prove(p, &ps)
}

// denyType proves that the node that was found has no records of the type.
func (a *readyAnswer) denyType(p *path, match uint32, what outcome) bool {
	var ps proofs
	ps.noData(a.zone, p, match, what)
	return a.prove(p, &ps)
}

// denyOwn proves of an answer made from a wildcard that the name itself does not
// exist.
func (a *readyAnswer) denyOwn(p *path, match uint32) bool {
	var ps proofs
	ps.synthesis(a.zone, p, match, foundWildcard)
	return a.prove(p, &ps)
}

// prove puts proofs, with their signatures, at the end of the authority section,
// which must be the end of the message.
func (a *readyAnswer) prove(p *path, ps *proofs) bool {
	if ps.n > 0 && a.count[additional] > 0 {
		return false
	}
	for i := range ps.list[:ps.n] {
		needed := &ps.list[i]
		owner := 0
		if !a.copyFor(p, a.zone.find(needed.node, needed.rrtype), needed.node, &owner) {
			return false
		}
		sets := a.zone.setsOf(needed.node)
		for j := range sets {
			if s := &sets[j]; s.rrtype == dns.TypeRRSIG && s.covers == needed.rrtype && !a.copyFor(p, s, needed.node, &owner) {
				return false
			}
		}
	}
	return true
}

// copyFor puts a set of a flat type at node i into the authority section. owner is
// where the node's name stands, 0 if it does not yet.
func (a *readyAnswer) copyFor(p *path, set *rrset, i uint32, owner *int) bool {
	rest := a.zone.arena[set.data : set.data+set.ready]
	for range set.count {
		n := rrHeader + int(binary.BigEndian.Uint16(rest[rrHeader-2:]))
		if n > a.limit-len(a.buf) {
			return false
		}
		if *owner != 0 {
			a.buf = binary.BigEndian.AppendUint16(a.buf, 0xC000|uint16(*owner))
		} else {
			*owner = a.owner(p, a.zone.name(i))
		}
		a.buf = append(a.buf, rest[2:n]...)
		rest = rest[n:]
	}
	a.count[authority] += uint16(set.count)
	return len(a.buf) <= a.limit
}

// owner appends a name of the zone, as a pointer into the question from where they
// are the same, and returns where it can be pointed to, 0 if no pointer reaches it.
func (a *readyAnswer) owner(p *path, name wire.Name) int {
	labels, k := name.Labels(), a.zone.labels
	shared := len(a.zone.origin)
	for k < min(labels, p.labels()) {
		next := p.suffix(k + 1)
		if len(next) > len(name) || string(name[len(name)-len(next):]) != string(next) {
			break
		}
		k, shared = k+1, len(next)
	}
	start := len(a.buf)
	pointed := wire.HeaderLen + len(p.name) - shared
	if shared == len(name) {
		start = pointed
	} else {
		a.buf = append(a.buf, name[:len(name)-shared]...)
	}
	if shared == 1 {
		a.buf = append(a.buf, 0)
	} else {
		a.buf = binary.BigEndian.AppendUint16(a.buf, 0xC000|uint16(pointed))
	}
	if start > maxPointer {
		return 0
	}
	return start
}
