package zones

import (
	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// alias answers with the CNAME of the node that was found and goes on with its
// target; true means that there is nowhere to go.
func (r *resolution) alias(match uint32, what outcome) bool {
	r.know()
	set := r.zone.find(match, dns.TypeCNAME)
	data := r.zone.rdata(set)
	ttl := r.zone.ttl(set)
	off, ok := r.cname(ttl, data)
	r.proveSynthesis(match, what)
	if !ok || !r.sign(answer, r.owner(), match, dns.TypeCNAME, ttl) {
		r.flags |= wire.FlagTC
		return true
	}
	return r.follow(off, data)
}

// redirect answers with the DNAME at node match and the CNAME made of it, and
// goes on with the CNAME's target (RFC 6672 section 3.1).
func (r *resolution) redirect(match uint32) bool {
	z := r.zone
	set := z.find(match, dns.TypeDNAME)
	above := z.name(match)
	r.know()
	if r.isNewDNAME(set) && !r.put(answer, r.ancestor(above.Labels()), match, set, z.ttl(set)) {
		r.flags |= wire.FlagTC
		return true
	}
	prefix := r.name.len - len(above)
	to := z.rdata(set)
	if prefix+len(to) > wire.MaxName {
		r.flags |= dns.RcodeYXDomain
		return true
	}
	var target [wire.MaxName]byte
	n := copy(target[:], r.name.name[:prefix])
	n += copy(target[n:], to)
	off, ok := r.cname(z.ttl(set), target[:n])
	if !ok {
		r.flags |= wire.FlagTC
		return true
	}
	if r.q.Type == dns.TypeCNAME {
		return true
	}
	return r.follow(off, target[:n])
}

// cname adds a CNAME of the current name and returns where its target is written.
func (r *resolution) cname(ttl uint32, target []byte) (off int, ok bool) {
	m := r.w.mark()
	off, ok = r.w.record(answer, r.owner(), dns.TypeCNAME, ttl, target)
	if !ok {
		r.w.back(m)
	}
	return off, ok
}

// isNewDNAME says whether the answer has no such DNAME yet, and notes that it has.
// Other sets are always new.
func (r *resolution) isNewDNAME(set *rrset) bool {
	if set.rrtype != dns.TypeDNAME {
		return true
	}
	for _, seen := range r.dnames[:r.numDNAMEs] {
		if seen == set {
			return false
		}
	}
	r.dnames[r.numDNAMEs] = set
	r.numDNAMEs++
	return true
}

// follow makes target, written at off, the current name. It returns true if it
// leads out of our zones or back to a name that was asked for before.
func (r *resolution) follow(off int, target []byte) bool {
	r.chased[r.numChased] = uint16(r.off)
	r.numChased++
	r.name.set(target)
	r.off = off
	for _, before := range r.chased[:r.numChased] {
		if r.w.equalAt(int(before), r.name.whole()) {
			return true
		}
	}
	p := r.name.path()
	e := r.set.find(&p, r.q.Type == dns.TypeDS)
	if e == nil || e.zone == nil {
		return true
	}
	r.zone = e.zone
	return false
}
