package interop

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// What a server can have in its additional section that we have not, or we that
// it has not, as the table in docs/rfc.md calls it.
const (
	addedForApex     = "the zone's name servers with a positive answer"
	addedNoAddress   = "records other than addresses in the additional section"
	addedByWildcard  = "an address that a wildcard would make"
	addedBelowCut    = "an address below a cut that is no glue"
	addedAtOwner     = "a service at its owner"
	addedForTarget   = "addresses for AFSDB, KX, RT, SVCB and HTTPS"
	addedForThirteen = "addresses of more than 13 targets"
)

// additionalIs says whether each server's additional section differs from ours
// over TCP in ways that have a name, and this one is the first of them.
func (d *dispute) additionalIs(what string) bool {
	if d.part != partAdditional || !d.q.tcp && !d.sameAsWhole() {
		return false
	}
	first := ""
	for _, other := range d.others {
		for _, name := range d.additions(other) {
			if name == "" {
				return false
			}
			if first == "" || first == addedForApex {
				first = name
			}
		}
	}
	return first == what
}

// sameAsWhole says whether all replies over UDP have all that they have over TCP.
func (d *dispute) sameAsWhole() bool {
	whole := d.ask(d.whole())
	return d.ours.facts[partAdditional] == whole[0].facts[partAdditional] &&
		!slices.ContainsFunc(d.others, func(r reply) bool {
			i := slices.IndexFunc(whole, func(w reply) bool { return w.server == r.server })
			return whole[i].facts[partAdditional] != r.facts[partAdditional]
		})
}

// additions names the differences between another server's additional section and
// ours, one by one; "" is one without a name.
func (d *dispute) additions(other reply) (names []string) {
	ours, theirs := addressesIn(d.ours.msg), addressesIn(other.msg)
	for _, rr := range without(theirs, ours) {
		names = append(names, d.theirAddition(other, theirs, rr))
	}
	for _, rr := range without(ours, theirs) {
		names = append(names, d.ourAddition(theirs, rr))
	}
	return names
}

// without is the records of a section that another has not.
func without(section, other []dns.RR) (rest []dns.RR) {
	for _, rr := range section {
		if !slices.ContainsFunc(other, func(o dns.RR) bool { return line(o) == line(rr) }) {
			rest = append(rest, rr)
		}
	}
	return rest
}

// theirAddition names a record that we have not.
func (d *dispute) theirAddition(other reply, theirs []dns.RR, rr dns.RR) string {
	owner := dns.CanonicalName(rr.Header().Name)
	if d.owners[cutOf(other.msg)] != nil && pointedTo(other.msg.Ns, owner) && !pointedTo(other.msg.Answer, owner) {
		return addedForApex
	}
	if !isAddress(rr) {
		return addedNoAddress
	}
	if d.atOwner(owner) {
		return addedAtOwner
	}
	if slices.ContainsFunc(theirs, func(via dns.RR) bool { return !isAddress(via) && targetOf(via) == owner }) {
		return addedNoAddress
	}
	if !d.owned(d.zoneOf(owner), owner, false) || strings.HasPrefix(owner, "*.") && !pointedTo(d.ours.msg.Answer, owner) {
		return addedByWildcard
	}
	if len(d.ours.msg.Answer) > 0 && d.zoneOf(owner) != d.zoneOf(d.qname()) {
		return addedBelowCut
	}
	q := question{name: owner, typ: dns.TypeA, tcp: true}
	if replies, ok := d.settled(q); ok && !replies[0].msg.Authoritative && len(d.ours.msg.Answer) > 0 {
		return addedBelowCut
	}
	return ""
}

// ourAddition names a record that they have not.
func (d *dispute) ourAddition(theirs []dns.RR, rr dns.RR) string {
	owner := dns.CanonicalName(rr.Header().Name)
	if d.atOwner(owner) {
		return addedAtOwner
	}
	for _, in := range d.ours.msg.Answer {
		typ := in.Header().Rrtype
		service := typ == dns.TypeSVCB || typ == dns.TypeHTTPS
		if (service || typ == dns.TypeAFSDB || typ == dns.TypeKX || typ == dns.TypeRT) && targetOf(in) == owner {
			return addedForTarget
		}
	}
	if pointedTo(d.ours.msg.Answer, owner) && len(d.ours.msg.Answer) > 13 && len(theirs) == 0 {
		return addedForThirteen
	}
	return ""
}

// atOwner says whether our answer has a service whose target "." stands for owner.
func (d *dispute) atOwner(owner string) bool {
	return slices.ContainsFunc(d.ours.msg.Answer, func(rr dns.RR) bool {
		typ := rr.Header().Rrtype
		return (typ == dns.TypeSVCB || typ == dns.TypeHTTPS) && targetOf(rr) == "." && dns.CanonicalName(rr.Header().Name) == owner
	})
}

// pointedTo says whether a record of a section has name as its target.
func pointedTo(section []dns.RR, name string) bool {
	return slices.ContainsFunc(section, func(rr dns.RR) bool { return targetOf(rr) == name })
}

// targetOf is the name that a record points to, "" for none.
func targetOf(rr dns.RR) string {
	target := ""
	switch rr := rr.(type) {
	case *dns.NS:
		target = rr.Ns
	case *dns.CNAME:
		target = rr.Target
	case *dns.MX:
		target = rr.Mx
	case *dns.AFSDB:
		target = rr.Hostname
	case *dns.KX:
		target = rr.Exchanger
	case *dns.RT:
		target = rr.Host
	case *dns.SRV:
		target = rr.Target
	case *dns.SVCB:
		target = rr.Target
	case *dns.HTTPS:
		target = rr.Target
	default:
		return ""
	}
	return dns.CanonicalName(target)
}

// isAddress says whether a record is of an address or signs one.
func isAddress(rr dns.RR) bool {
	typ := rr.Header().Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		typ = sig.TypeCovered
	}
	return typ == dns.TypeA || typ == dns.TypeAAAA
}
