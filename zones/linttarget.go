package zones

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// targets judges the names that records point to.
func (l *linter) targets(i int32, recs []Record) {
	for j := range recs {
		r := &recs[j]
		off := targetOffset(r.Type)
		if off < 0 || len(r.Data) == off+1 { // "." says that there is none
			continue
		}
		target := l.lower(r.Data[off:])
		if l.looksLikeAddress(target) {
			l.warnf(r, "address-as-name", "%s: the %s record points to a name that looks like an address: it takes the name of a host", r.ownerText(), typeName(r.Type))
			continue
		}
		if n := &l.nodes[i]; n.dname >= 0 || n.cut >= 0 && n.cut != i || !target.Within(l.b.origin) {
			continue
		}
		switch r.Type {
		case dns.TypeNS, dns.TypeMX, dns.TypeSRV, dns.TypeSOA:
			l.hostTarget(i, r, target)
		case dns.TypeCNAME:
			if at, cut := l.resolve(target); at < 0 && cut < 0 {
				l.warnf(r, "dangling-cname", "%s is an alias of %s, which does not exist", r.ownerText(), target)
			}
		}
	}
}

// targetOffset says where in its data a record names a host, -1 for nowhere.
func targetOffset(rrtype uint16) int {
	switch rrtype {
	case dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypeSOA:
		return 0
	case dns.TypeMX:
		return 2
	case dns.TypeSRV:
		return 6
	}
	return -1
}

// hostTarget judges a name in the zone that must have an address.
func (l *linter) hostTarget(i int32, r *Record, target wire.Name) {
	at, cut := l.resolve(target)
	what := typeName(r.Type)
	if r.Type == dns.TypeSOA {
		what = "MNAME of the SOA"
	}
	switch {
	case at >= 0 && l.nodes[at].has&hasAddress != 0:
	case cut >= 0 && (cut != i || r.Type != dns.TypeNS):
		// The answer is in the zone that is delegated there.
	case cut >= 0:
		l.warnf(r, "missing-glue", "%s is delegated to %s, whose address is asked in that same zone: add its A or AAAA record here (RFC 9471)", r.ownerText(), target)
	case at >= 0 && l.nodes[at].has&hasCNAME != 0 && r.Type != dns.TypeSOA:
		l.warnf(r, "target-is-cname", "%s: the %s record points to %s, which is an alias: point to the name itself (RFC 2181 section 10.3)", r.ownerText(), what, target)
	case r.Type == dns.TypeNS:
		l.warnf(r, "ns-without-address", "%s: the name server %s has neither A nor AAAA in this zone", r.ownerText(), target)
	case r.Type == dns.TypeSOA:
		l.warnf(r, "mname-without-address", "%s, the MNAME of the SOA, has neither A nor AAAA in this zone", target)
	default:
		l.warnf(r, "target-without-address", "%s: the %s record points to %s, which has neither A nor AAAA in this zone", r.ownerText(), what, target)
	}
}

// resolve finds the node that answers for a name in the zone: its own, or the
// wildcard's that covers it (RFC 4592 section 3.3.1), -1 for none; and the node
// at or above it that sends the question elsewhere, a cut or a DNAME, -1 for none.
func (l *linter) resolve(name wire.Name) (node, cut int32) {
	l.names.set(name)
	k := l.names.n
	node = l.b.find(&l.names, k)
	if node >= 0 {
		return node, l.nodes[node].cut
	}
	for node < 0 {
		k--
		node = l.b.find(&l.names, k)
	}
	n := &l.nodes[node]
	switch {
	case n.cut >= 0:
		return -1, n.cut
	case n.has&hasDNAME != 0:
		return -1, node
	}
	encloser := l.names.suffix(k)
	if len(encloser)+2 > wire.MaxName {
		return -1, -1
	}
	return l.find(append(wire.Name{1, '*'}, encloser...)), -1
}

// States of the search for CNAME loops.
const (
	loopUnseen = iota
	loopWalking
	loopDone
)

// loop follows the aliases from node i on, and tells of a circle among them. Each
// alias is followed once.
func (l *linter) loop(i int32) {
	walked := l.walked[:0]
	for i >= 0 && l.nodes[i].has&hasCNAME != 0 && l.nodes[i].seen == loopUnseen {
		l.nodes[i].seen = loopWalking
		walked = append(walked, i)
		i = l.aliasOf(i)
	}
	l.walked = walked
	if i >= 0 && l.nodes[i].seen == loopWalking {
		r, _ := l.cname(i)
		l.warnf(&r, "cname-loop", "%s is an alias of itself (CNAME records in the circle: %d)", r.ownerText(), len(walked)-slices.Index(walked, i))
	}
	for _, w := range walked {
		l.nodes[w].seen = loopDone
	}
}

// aliasOf is the node that the CNAME of node i leads to, -1 for none in the zone.
func (l *linter) aliasOf(i int32) int32 {
	r, ok := l.cname(i)
	if !ok {
		return -1
	}
	target := l.lower(r.Data)
	if !target.Within(l.b.origin) {
		return -1
	}
	at, _ := l.resolve(target)
	return at
}

// cname is the first valid CNAME of a node.
func (l *linter) cname(i int32) (r Record, ok bool) {
	b := l.b
	for at := b.nodes[i].first; at >= 0; at = b.recs[at].next {
		rec := &b.recs[at]
		if rec.rrtype == dns.TypeCNAME && checkData(rec.rrtype, b.data(rec)) == nil {
			return b.record(i, at), true
		}
	}
	return Record{}, false
}

// looksLikeAddress says whether a name is four numbers up to 255, by itself or in
// the zone where the last dot was forgotten.
func (l *linter) looksLikeAddress(name wire.Name) bool {
	for range 4 {
		n := int(name[0])
		if _, ok := parseUint(name[1:1+n], 255); !ok {
			return false
		}
		name = name[n+1:]
	}
	if len(name) == 1 {
		return true
	}
	arpa := []byte("\x04arpa\x00")
	return string(name) == string(l.b.origin) && !slices.Equal(name[max(0, len(name)-len(arpa)):], arpa)
}
