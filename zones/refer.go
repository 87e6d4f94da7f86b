package zones

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// refer answers with the delegation at cut and its glue, without AA unless an
// alias of ours led there (RFC 1034 section 4.3.2 step 3b).
func (r *resolution) refer(cut uint32) {
	z := r.zone
	if r.numChased == 0 {
		r.flags &^= wire.FlagAA
	}
	name := z.name(cut)
	set := z.find(cut, dns.TypeNS)
	r.know()
	if !r.w.set(authority, r.ancestor(name.Labels()), z, set, z.ttl(set)) || !r.proveDelegation(cut) {
		r.flags |= wire.FlagTC
		return
	}
	// Glue of name servers inside the delegation is not optional (RFC 9471
	// section 3.1), so it comes first; that of siblings is (section 3.2).
	for _, inside := range [...]bool{true, false} {
		rest := z.arena[set.data:]
		for range set.count {
			var data []byte
			data, rest = nextRData(rest)
			if r.glue(data, name, inside) {
				continue
			}
			if inside {
				r.flags |= wire.FlagTC
			}
			return
		}
	}
}

// glue adds the addresses of a name server if it lies inside the delegation, or
// outside, as asked. It returns false if they do not fit.
func (r *resolution) glue(target []byte, cut wire.Name, inside bool) bool {
	var s suffixes
	s.set(target)
	return s.whole().Within(cut) != inside || r.addressesOf(&s, true)
}

// addresses adds the addresses of a target that the zone holds; those below a
// cut, which are not the zone's to vouch for, only where glue is asked for. It
// returns false if they do not fit.
func (r *resolution) addresses(target []byte, glue bool) bool {
	var s suffixes
	s.set(target)
	return r.addressesOf(&s, glue)
}

func (r *resolution) addressesOf(s *suffixes, glue bool) bool {
	z := r.zone
	if !s.whole().Within(z.origin) {
		return true
	}
	p := s.path()
	i, ok := z.node(&p, s.n)
	// No two NS records of a set have one target.
	if !ok || !glue && r.wasAdded(i) {
		return true
	}
	if _, what, covered := z.covered(i); covered && (what == foundDNAME || !glue) {
		return true
	}
	return r.addAddresses(i, owner{name: s, k: s.n})
}

// addAddresses adds the addresses at node i. It returns false if they do not fit.
func (r *resolution) addAddresses(i uint32, o owner) bool {
	sets := r.zone.setsOf(i)
	for j := range sets {
		if sets[j].rrtype != dns.TypeA && sets[j].rrtype != dns.TypeAAAA {
			continue
		}
		if !r.put(additional, o, i, &sets[j], r.zone.ttl(&sets[j])) {
			return false
		}
	}
	return true
}

// wasAdded says whether the addresses of node i are in the reply already, and
// notes that they are now. When there is no room to note any more, the answer is
// long enough.
func (r *resolution) wasAdded(i uint32) bool {
	for _, seen := range r.added[:r.numAdded] {
		if seen == i {
			return true
		}
	}
	if r.numAdded == len(r.added) {
		return true
	}
	r.added[r.numAdded] = i
	r.numAdded++
	return false
}

// isService says whether a type's data begins with a priority and a target that
// may be "." for the owner (RFC 9460 section 2.2).
func isService(rrtype uint16) bool { return rrtype == dns.TypeSVCB || rrtype == dns.TypeHTTPS }

// hasTarget says whether targetOf finds a name in the data of a type.
func hasTarget(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeNS, dns.TypeMX, dns.TypeAFSDB, dns.TypeRT, dns.TypeKX, dns.TypeSRV, dns.TypeSVCB, dns.TypeHTTPS:
		return true
	}
	return false
}

// targetOf is the name in the rdata of a type whose addresses a client will
// want next (RFC 1035 section 3.3, RFC 2782, RFC 9460 section 4.1), or nil.
func targetOf(rrtype uint16, data []byte) []byte {
	switch rrtype {
	case dns.TypeNS:
		return data
	case dns.TypeMX, dns.TypeAFSDB, dns.TypeRT, dns.TypeKX:
		return data[2:]
	case dns.TypeSRV:
		return data[6:]
	case dns.TypeSVCB, dns.TypeHTTPS:
		// Priority 0 and "." says that there is no service.
		if binary.BigEndian.Uint16(data) == 0 && data[2] == 0 {
			return nil
		}
		return data[2:]
	}
	return nil
}
