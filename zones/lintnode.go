package zones

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// apex judges what the zone's own name must have.
func (l *linter) apex() {
	soa, soas := l.first(0, dns.TypeSOA)
	server, servers := l.first(0, dns.TypeNS)
	var none Pos
	switch {
	case len(l.b.files) > 0:
		none.File = l.b.files[0]
	case len(l.b.outside) > 0:
		none.File = l.b.outside[0].Pos.File
	}
	switch {
	case soas == 0:
		l.report(Error, none, "no-soa", "zone %s has no SOA record", l.b.origin)
	case checkData(dns.TypeSOA, soa.Data) == nil:
		l.timers(&soa)
	}
	switch {
	case servers == 0:
		l.report(Error, none, "no-ns", "zone %s has no NS record at its apex", l.b.origin)
	case servers == 1:
		l.warnf(&server, "single-ns", "zone %s has one name server only: RFC 2182 section 5 asks for two or more", l.b.origin)
	}
}

// first is the first record of a type at node i, and how many there are.
func (l *linter) first(i int32, rrtype uint16) (r Record, n int) {
	b := l.b
	for at := b.nodes[i].first; at >= 0; at = b.recs[at].next {
		if b.recs[at].rrtype != rrtype {
			continue
		}
		if n++; n == 1 {
			r = b.record(i, at)
		}
	}
	return r, n
}

// timers judges the timers of the SOA (RFC 1912 section 2.2).
func (l *linter) timers(soa *Record) {
	t := soa.Data[len(soa.Data)-20:]
	refresh, retry, expire := binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:]), binary.BigEndian.Uint32(t[12:])
	if refresh < retry {
		l.warnf(soa, "soa-timers", "SOA refresh %d is below retry %d: a secondary that fails should try sooner, not later", refresh, retry)
	}
	if expire < refresh {
		l.warnf(soa, "soa-timers", "SOA expire %d is below refresh %d: secondaries would drop the zone before they ask again", expire, refresh)
	}
}

// places judges records by where their owner stands.
func (l *linter) places(i int32, recs []Record) {
	n := &l.nodes[i]
	if n.dname >= 0 {
		l.errorf(&recs[0], "data-below-dname", "%s lies below the DNAME of %s, which redirects all names below it (RFC 6672 section 2.4)",
			recs[0].ownerText(), l.b.name(n.dname))
	}
	wildcard := recs[0].Owner[0] == 1 && recs[0].Owner[1] == '*'
	for j := range recs {
		r := &recs[j]
		switch r.Type {
		case dns.TypeSOA:
			if i > 0 {
				l.errorf(r, "soa-not-at-apex", "SOA at %s: only the zone's own name %s can have one", r.ownerText(), l.b.origin)
			}
		case dns.TypeNS, dns.TypeDNAME:
			if wildcard {
				l.warnf(r, "wildcard-"+lowerType(r.Type), "%s at the wildcard %s: what it means is not defined (RFC 4592 section 4)", typeName(r.Type), r.ownerText())
			}
		case dns.TypeDS:
			if i == 0 {
				l.warnf(r, "ds-at-apex", "DS at the apex: it belongs into the parent zone (RFC 4034 section 5)")
			} else if n.has&hasNS == 0 {
				l.warnf(r, "ds-without-ns", "%s has DS but no NS: DS stands beside a delegation", r.ownerText())
			}
		case dns.TypeA, dns.TypeAAAA:
			if n.cut < 0 && !isHostName(r.Owner) {
				l.warnf(r, "owner-not-a-host-name", "%s has an address but is no host name: letters, digits and hyphens (RFC 952)", r.ownerText())
			}
		}
	}
	if n.cut >= 0 {
		l.occluded(i, recs)
	}
}

func lowerType(rrtype uint16) string {
	b := []byte(typeName(rrtype))
	wire.Lower(b)
	return string(b)
}

// isHostName checks owners of addresses as BIND does: a wildcard is one, and so
// are the names that Active Directory puts below _msdcs.
func isHostName(name []byte) bool {
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		label := name[i+1 : i+1+int(name[i])]
		if string(label) == "_msdcs" || i == 0 && string(label) == "*" {
			continue
		}
		for j, c := range label {
			letter := c-'a' < 26 || c-'A' < 26 || c-'0' < 10
			if !letter && (c != '-' || j == 0 || j == len(label)-1) {
				return false
			}
		}
	}
	return true
}

// occluded judges records at a cut or below it: all but NS, DS, the records of
// DNSSEC and glue are never seen.
func (l *linter) occluded(i int32, recs []Record) {
	n := &l.nodes[i]
	for j := range recs {
		r := &recs[j]
		switch r.Type {
		case dns.TypeA, dns.TypeAAAA:
			if n.has&isGlue != 0 {
				continue
			}
		case dns.TypeNS, dns.TypeDS, dns.TypeNSEC, dns.TypeRRSIG:
			if n.cut == i {
				continue
			}
		}
		if n.cut == i {
			l.warnf(r, "cut-and-other-data", "%s is delegated by its NS records: the %s record beside them is never served", r.ownerText(), typeName(r.Type))
		} else {
			l.warnf(r, "occluded", "%s lies below the delegation of %s and is no glue: it is never served", r.ownerText(), l.b.name(n.cut))
		}
		return
	}
}

// singletons judges what an owner can have only once, or only by itself.
func (l *linter) singletons(recs []Record) {
	var first [4]*Record
	for j := range recs {
		r := &recs[j]
		var at **Record
		switch r.Type {
		case dns.TypeCNAME:
			at = &first[0]
		case dns.TypeDNAME:
			at = &first[1]
		case dns.TypeSOA:
			at = &first[2]
		case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeKEY:
			continue // RFC 4034 section 3, RFC 2535 section 2.3.5
		default:
			at = &first[3]
		}
		if *at == nil {
			*at = r
		} else if at != &first[3] && compareData(r.Type, r.Data, (*at).Data) != 0 {
			l.errorf(r, "multiple-"+lowerType(r.Type), "%s has several %s records, there can be one (the first is in %s)", r.ownerText(), typeName(r.Type), (*at).Pos)
			return
		}
	}
	cname := first[0]
	if cname == nil {
		return
	}
	for _, other := range first[1:] {
		if other != nil {
			l.errorf(cname, "cname-and-other-data", "%s has a CNAME and other data (%s in %s): an alias can have nothing else (RFC 1034 section 3.6.2)",
				cname.ownerText(), typeName(other.Type), other.Pos)
			return
		}
	}
}

// sets judges the RRsets of an owner: one TTL each, no record twice. It puts the
// records in order.
func (l *linter) sets(recs []Record) {
	if len(recs) == 1 {
		return
	}
	slices.SortStableFunc(recs, func(x, y Record) int {
		if x.Type != y.Type {
			return int(x.Type) - int(y.Type)
		}
		return compareData(x.Type, x.Data, y.Data)
	})
	first, told := 0, false
	for j := 1; j < len(recs); j++ {
		r, before := &recs[j], &recs[j-1]
		if r.Type != before.Type {
			first, told = j, false
			continue
		}
		if compareData(r.Type, r.Data, before.Data) == 0 {
			l.warnf(r, "duplicate-record", "%s %s is there twice: it counts once (the other is in %s)", r.ownerText(), typeName(r.Type), before.Pos)
		}
		if r.TTL != recs[first].TTL && !told && r.Type != dns.TypeRRSIG {
			told = true
			l.warnf(r, "ttl-mismatch", "%s %s has TTL %d, and %d in %s: a set has one TTL (RFC 2181 section 5.2), the lowest is served",
				r.ownerText(), typeName(r.Type), r.TTL, recs[first].TTL, recs[first].Pos)
		}
	}
}

// messageSpace is the room that a reply has for the records of an RRset: a message
// has 65535 octets (RFC 1035 section 4.2.2), and holds the header, the question
// behind its name, and the OPT record too.
const messageSpace = 65535 - wire.HeaderLen - 4 - wire.OPTLen

// sizes judges whether each RRset fits a message: one that does not can never be
// sent whole, and an RRset is sent whole or not at all (RFC 2181 section 5). The
// records are in the order that sets leaves them in.
func (l *linter) sizes(recs []Record) {
	for len(recs) > 0 {
		first, size, n := &recs[0], len(recs[0].Owner), 0
		for ; n < len(recs) && recs[n].Type == first.Type; n++ {
			r := &recs[n]
			if n == 0 || compareData(r.Type, r.Data, recs[n-1].Data) != 0 {
				size += 12 + len(r.Data) // a pointer to the owner, type, class, TTL, length
			}
		}
		if size > messageSpace {
			l.errorf(first, "rrset-too-large", "%s %s: its %d records do not fit a message, of 65535 octets at most, and could never be sent",
				first.ownerText(), typeName(first.Type), n)
		}
		recs = recs[n:]
	}
}

// compareData orders data of one type in canonical form: octet by octet, with the
// names in it in lower case (RFC 4034 section 6.2).
func compareData(rrtype uint16, a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	for _, f := range layoutOf(rrtype) {
		n, errA := fieldLen(f, a)
		m, errB := fieldLen(f, b)
		if errA != nil || errB != nil {
			break
		}
		compare := bytes.Compare
		if f == fieldName {
			compare = compareFolded
		}
		if c := compare(a[:n], b[:m]); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return bytes.Compare(a, b)
}

// compareFolded is bytes.Compare of what wire.Lower makes of a and b.
func compareFolded(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x-'A' < 26 {
			x |= 0x20
		}
		if y-'A' < 26 {
			y |= 0x20
		}
		if x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}
