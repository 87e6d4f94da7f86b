package zones

import (
	"crypto/sha1"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// proofs are the NSEC and NSEC3 record sets that an answer is to have in its
// authority section, noted while it is made: an alias made from a wildcard needs
// its proof there, when there is more to come in the answer section. Zones that
// are not signed, or have no chain, add none.
type proofs struct {
	list [8]proof
	n    int
}

// proof is one NSEC or NSEC3 record set.
type proof struct {
	zone   *Zone
	node   uint32
	rrtype uint16
}

// add notes that the NSEC or NSEC3 of a node is needed.
func (ps *proofs) add(z *Zone, node uint32, rrtype uint16) {
	p := proof{z, node, rrtype}
	for _, noted := range ps.list[:ps.n] {
		if noted == p {
			return
		}
	}
	if ps.n < len(ps.list) {
		ps.list[ps.n] = p
		ps.n++
	}
}

// addHash notes the NSEC3 that matches or covers a hash.
func (ps *proofs) addHash(z *Zone, h [sha1.Size]byte) {
	c := z.denial.nsec3
	at, _ := c.search(h)
	ps.add(z, c.hashes[at].node, dns.TypeNSEC3)
}

// nameError proves that neither the name exists nor a wildcard for it (RFC 4035
// section 3.1.3.2, RFC 5155 section 7.2.2).
func (ps *proofs) nameError(z *Zone, name *path, encloser uint32) {
	if !z.denies() {
		return
	}
	d := z.denial
	if d.nsec3 != nil {
		encloser = ps.encloser(z, name, encloser)
	}
	// The name is longer than the encloser by a label, so there is room.
	var star [wire.MaxName]byte
	n := copy(star[:], "\x01*")
	n += copy(star[n:], z.name(encloser))
	if d.nsec3 != nil {
		ps.addHash(z, d.nsec3.hash(star[:n]))
		return
	}
	ps.add(z, d.covering(z, name.name), dns.TypeNSEC)
	ps.add(z, d.covering(z, star[:n]), dns.TypeNSEC)
}

// noData proves that the node that was found has no records of the type (RFC 4035
// sections 3.1.3.1 and 3.1.3.4, RFC 5155 sections 7.2.3 to 7.2.5).
func (ps *proofs) noData(z *Zone, name *path, match uint32, what outcome) {
	if !z.denies() {
		return
	}
	d := z.denial
	if d.nsec3 == nil {
		// An empty non-terminal has no NSEC of its own: the one that covers it
		// shows by its next name that there is something below.
		ps.add(z, d.covering(z, z.name(match)), dns.TypeNSEC)
		ps.synthesis(z, name, match, what)
		return
	}
	own := d.nsec3.own[match]
	if what == foundWildcard || own == 0 && match != 0 {
		ps.encloser(z, name, z.nodes[match].parent)
	}
	switch {
	case own != 0:
		ps.add(z, d.nsec3.hashes[own-1].node, dns.TypeNSEC3)
	case what == foundWildcard:
		// Opt-out left a wildcard that is an empty non-terminal without NSEC3: the
		// next best is the one that covers it.
		ps.addHash(z, d.nsec3.hash(z.name(match)))
	}
}

// synthesis proves of an answer made from a wildcard that the name itself does not
// exist (RFC 4035 section 3.1.3.3, RFC 5155 section 7.2.6).
func (ps *proofs) synthesis(z *Zone, name *path, match uint32, what outcome) {
	switch {
	case what != foundWildcard || !z.denies():
	case z.denial.nsec3 == nil:
		ps.add(z, z.denial.covering(z, name.name), dns.TypeNSEC)
	default:
		ps.nextCloser(z, name, z.nodes[match].parent)
	}
}

// encloser is the closest encloser proof (RFC 5155 section 7.2.1) for a name: the
// NSEC3 of the closest ancestor that has one, from the given one upward (with
// opt-out, some have none), and the one that covers the name one label longer. It
// returns the ancestor.
func (ps *proofs) encloser(z *Zone, name *path, encloser uint32) uint32 {
	c := z.denial.nsec3
	for c.own[encloser] == 0 && encloser != 0 {
		encloser = z.nodes[encloser].parent
	}
	if own := c.own[encloser]; own != 0 {
		ps.add(z, c.hashes[own-1].node, dns.TypeNSEC3)
	}
	ps.nextCloser(z, name, encloser)
	return encloser
}

// nextCloser proves that the name one label longer than the encloser does not
// exist, or with opt-out that it is not signed.
func (ps *proofs) nextCloser(z *Zone, name *path, encloser uint32) {
	if k := z.name(encloser).Labels() + 1; k <= name.labels() {
		ps.addHash(z, z.denial.nsec3.hash(name.suffix(k)))
	}
}

// writeProofs adds the proofs noted since it was called last to the authority
// section. It returns false if they do not fit.
func (r *resolution) writeProofs() bool {
	last := r.zone
	fits := true
	for ; fits && r.numWritten < r.proofs.n; r.numWritten++ {
		p := &r.proofs.list[r.numWritten]
		var s suffixes
		s.set(p.zone.name(p.node))
		set := p.zone.find(p.node, p.rrtype)
		r.zone = p.zone
		fits = r.put(authority, owner{name: &s, k: s.n}, p.node, set, p.zone.ttl(set))
	}
	r.zone = last
	return fits
}

// proveSynthesis is proofs.synthesis for the current name, if the client asked for
// proofs.
func (r *resolution) proveSynthesis(match uint32, what outcome) {
	if r.q.DO {
		p := r.name.path()
		r.proofs.synthesis(r.zone, &p, match, what)
	}
}

// proveDelegation adds the DS of a cut, or proves that there is none (RFC 4035
// section 3.1.4, RFC 5155 section 7.2.7). It returns false if that does not fit.
func (r *resolution) proveDelegation(cut uint32) bool {
	z := r.zone
	if !r.q.DO || z.denial == nil {
		return true
	}
	if ds := z.find(cut, dns.TypeDS); ds != nil {
		return r.put(authority, r.ancestor(z.name(cut).Labels()), cut, ds, z.ttl(ds)) && r.writeProofs()
	}
	p := r.name.path()
	r.proofs.noData(z, &p, cut, foundName)
	return r.writeProofs()
}
