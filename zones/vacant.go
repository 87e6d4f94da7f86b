package zones

import (
	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Signed says whether the zone has keys or signatures at its apex: an answer that is
// not signed would be bogus there (RFC 4035 section 5).
func (z *Zone) Signed() bool { return z.denial != nil || z.find(0, dns.TypeDNSKEY) != nil }

// Vacant says whether nothing in the zone decides about a name and those below it: no
// record stands there, and no cut or DNAME is above. That a wildcard would have an
// answer does not count. The name, lower-cased, lies below the zone's origin.
func (z *Zone) Vacant(name wire.Name) bool {
	var names suffixes
	names.set(name)
	p := names.path()
	if _, ok := z.node(&p, p.labels()); ok {
		return false
	}
	encloser := z.closestEncloser(&p)
	_, _, covered := z.covered(encloser)
	return !covered && z.nodes[encloser].flags&nodeDNAME == 0
}

// SOA is the zone's SOA record. Its slices are the zone's own: read-only.
func (z *Zone) SOA() Record {
	return Record{Owner: z.origin, Type: dns.TypeSOA, TTL: z.ttl(&z.soa), Data: z.rdata(&z.soa)}
}
