package zones

import (
	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Question is what a Set answers. Name is lower-cased and read-only.
type Question struct {
	Name wire.Name
	Type uint16
	// DO says that the client takes DNSSEC records (RFC 3225).
	DO bool
	// Stream says that the answer goes over TCP: ANY is answered in full there
	// (RFC 8482 section 4.4).
	Stream bool
}

// Result says where an answer came from.
type Result struct {
	// Zone is the zone that the question's name lies in, nil if none of ours.
	Zone *Zone
	// Label is what the Zone was put into the Store with.
	Label uint32
	// NotLoaded says that there is no Zone because the one that the name lies in
	// could not be loaded.
	NotLoaded bool
}

// maxChase is the most CNAMEs and DNAMEs followed for one question: as many as
// BIND follows. The client goes on from the last one if it wants to.
const maxChase = 16

// Answer answers q by RFC 1034 section 4.3.2. reply holds header and question
// as they are to be sent; the sections are appended, and the header's counts,
// AA, TC and RCODE set. The reply grows to limit octets at most: optional
// additional records are left out first, then TC is set, or over a stream, where
// there is no larger answer to be had, the RCODE is SERVFAIL. If no zone of ours
// holds the name, or that zone is not loaded, reply comes back as it was and
// Result.Zone is nil.
//
// Answer does not allocate as long as reply has the room.
func (s *Set) Answer(reply []byte, q Question, limit int) ([]byte, Result) {
	var short shortPath
	if p, ok := short.set(q.Name); ok {
		if whole, result, ok := s.ready(reply, &p, q, limit); ok {
			return whole, result
		}
	}
	return s.resolve(reply, q, limit)
}

// resolve is Answer for all there is to answer.
func (s *Set) resolve(reply []byte, q Question, limit int) ([]byte, Result) {
	r := resolution{set: s, q: q, off: wire.HeaderLen, flags: wire.FlagAA}
	r.name.set(q.Name)
	r.shared = r.name.n
	p := r.name.path()
	e := s.find(&p, q.Type == dns.TypeDS)
	if e == nil || e.zone == nil {
		return reply, Result{NotLoaded: e != nil && !e.ceded}
	}
	r.zone = e.zone
	r.w.buf, r.w.limit = reply, limit
	for range maxChase {
		if r.step() {
			break
		}
	}
	if !r.writeProofs() {
		r.flags |= wire.FlagTC
	}
	if q.Stream && r.flags&wire.FlagTC != 0 {
		r.w.back(mark{len: len(reply)})
		r.flags = dns.RcodeServerFailure
	}
	return r.w.finish(r.flags), Result{Zone: e.zone, Label: e.label}
}

// resolution is the state of answering one question. It stays on the stack.
type resolution struct {
	set  *Set
	q    Question
	w    writer
	zone *Zone    // that the current name lies in
	name suffixes // the current name: the question's, or what an alias leads to
	off  int      // where the current name is written
	// shared is the number of the question's last labels that names may point
	// to: all of them, but for a template, which serves other questions too.
	shared int
	flags  uint16 // header flags and RCODE
	// chased are the offsets of the names that aliases have led away from.
	chased    [maxChase]uint16
	numChased int
	// added are the nodes whose addresses are in the additional section.
	added    [16]uint32
	numAdded int
	// Of the proofs, the first numWritten are in the authority section.
	proofs     proofs
	numWritten int
	// dnames are the DNAMEs in the answer section: a name may meet one again.
	dnames    [maxChase]*rrset
	numDNAMEs int
}

// owner is how to write the current name.
func (r *resolution) owner() owner { return owner{name: &r.name, k: r.name.n, off: r.off} }

// ancestor is how to write the last k labels of the current name: as a part of
// the question, as long as no alias was followed.
func (r *resolution) ancestor(k int) owner {
	o := owner{name: &r.name, k: k, moves: true}
	if r.numChased == 0 && k > 0 {
		o.off = wire.HeaderLen + int(r.name.off[k])
	}
	return o
}

// know lets the writer point to the question's names. Before the first alias,
// the current name is the question's.
func (r *resolution) know() {
	if r.numChased == 0 && r.w.numKnown == 0 {
		r.w.learnQuestion(&r.name, r.shared)
	}
}

// step goes one alias further; it returns true when the answer is complete.
func (r *resolution) step() (done bool) {
	z := r.zone
	p := r.name.path()
	match, what := z.lookup(&p)
	switch what {
	case foundCut:
		// The DS RRset lives at the parent's side of the cut (RFC 4035
		// section 3.1.4.1).
		if r.q.Type != dns.TypeDS || int(z.nodes[match].nameLen) != r.name.len {
			r.refer(match)
			return true
		}
		if ds := z.find(match, dns.TypeDS); ds != nil {
			return r.positive(match, foundName, ds)
		}
		return r.noData(match, foundName)
	case foundDNAME:
		return r.redirect(match)
	case foundNothing:
		return r.nameError(match)
	}
	switch r.q.Type {
	case dns.TypeANY:
		return r.any(match, what)
	case dns.TypeRRSIG:
		return r.signatures(match, what)
	}
	if set := z.find(match, r.q.Type); set != nil {
		// A DNAME that led here is in the answer already.
		return what == foundName && !r.isNewDNAME(set) || r.positive(match, what, set)
	}
	// NSEC stands beside a CNAME (RFC 4034 section 4): not to have it is no
	// reason to look elsewhere.
	if z.nodes[match].flags&nodeCNAME != 0 && r.q.Type != dns.TypeNSEC {
		return r.alias(match, what)
	}
	return r.noData(match, what)
}

// put appends an RRset of node i, with its signatures if the client takes them
// (RFC 4035 section 3.1.1): all of it or nothing. It returns false if it does
// not fit.
func (r *resolution) put(sec section, o owner, i uint32, set *rrset, ttl uint32) bool {
	m := r.w.mark()
	if r.w.set(sec, o, r.zone, set, ttl) && r.sign(sec, o, i, set.rrtype, ttl) {
		return true
	}
	r.w.back(m)
	return false
}

// sign adds the signatures of the set of a type at node i, if the client takes
// them. It returns false if they do not fit.
func (r *resolution) sign(sec section, o owner, i uint32, rrtype uint16, ttl uint32) bool {
	if !r.q.DO || r.zone.denial == nil {
		return true
	}
	sets := r.zone.setsOf(i)
	for j := range sets {
		if sets[j].rrtype == dns.TypeRRSIG && sets[j].covers == rrtype && !r.w.set(sec, o, r.zone, &sets[j], ttl) {
			return false
		}
	}
	return true
}

// positive answers with a set of the node that was found, and the addresses that
// its records point to.
func (r *resolution) positive(match uint32, what outcome, set *rrset) bool {
	if !flat(set.rrtype) || r.q.DO {
		r.know()
	}
	r.proveSynthesis(match, what)
	if !r.put(answer, r.owner(), match, set, r.zone.ttl(set)) || !r.writeProofs() {
		r.flags |= wire.FlagTC
		return true
	}
	rest := r.zone.arena[set.data:]
	for range set.count {
		var data []byte
		data, rest = nextRData(rest)
		target := targetOf(set.rrtype, data)
		if target == nil {
			continue
		}
		// A service at "." is one at the owner itself (RFC 9460 section 2.5.2).
		if target[0] == 0 && isService(set.rrtype) {
			if !r.wasAdded(match) && !r.addAddresses(match, r.owner()) {
				break
			}
		} else if !r.addresses(target, set.rrtype == dns.TypeNS) {
			break
		}
	}
	return true
}

// any answers QTYPE ANY with one RRset, or over a stream with all of them
// (RFC 8482 sections 4.1 and 4.4).
func (r *resolution) any(match uint32, what outcome) bool {
	sets := r.zone.setsOf(match)
	if len(sets) == 0 {
		return r.noData(match, what)
	}
	r.know()
	if !r.q.Stream {
		if !r.put(answer, r.owner(), match, &sets[0], r.zone.ttl(&sets[0])) {
			r.flags |= wire.FlagTC
		}
		r.proveSynthesis(match, what)
		return true
	}
	for i := range sets {
		if !r.w.set(answer, r.owner(), r.zone, &sets[i], r.zone.ttl(&sets[i])) {
			r.flags |= wire.FlagTC
			break
		}
	}
	r.proveSynthesis(match, what)
	return true
}

// signatures answers QTYPE RRSIG: the signatures of all sets of the node.
func (r *resolution) signatures(match uint32, what outcome) bool {
	sets, found := r.zone.setsOf(match), false
	for i := range sets {
		if sets[i].rrtype != dns.TypeRRSIG {
			continue
		}
		found = true
		if !r.w.set(answer, r.owner(), r.zone, &sets[i], r.zone.ttl(&sets[i])) {
			r.flags |= wire.FlagTC
			return true
		}
	}
	if !found {
		return r.noData(match, what)
	}
	r.proveSynthesis(match, what)
	return true
}

// nameError answers that the name, whose closest encloser is given, does not
// exist. After aliases the RCODE is the last name's (RFC 6604).
func (r *resolution) nameError(encloser uint32) bool {
	r.flags |= dns.RcodeNameError
	if r.q.DO {
		p := r.name.path()
		r.proofs.nameError(r.zone, &p, encloser)
	}
	return r.soa()
}

// noData answers that the node that was found has no records of the type.
func (r *resolution) noData(match uint32, what outcome) bool {
	if r.q.DO {
		p := r.name.path()
		r.proofs.noData(r.zone, &p, match, what)
	}
	return r.soa()
}

// soa adds the SOA that a negative answer has (RFC 2308 section 3), and ends it.
func (r *resolution) soa() bool {
	z := r.zone
	r.know()
	if !r.put(authority, r.ancestor(z.labels), 0, &z.soa, z.negTTL) {
		r.flags |= wire.FlagTC
	}
	return true
}
