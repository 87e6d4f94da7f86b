package forward

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// iterKind is what a server's message is good for.
type iterKind uint8

const (
	// iterUseless: lame, broken or lying; another server may know better.
	iterUseless iterKind = iota
	iterAnswer
	// iterAlias: aliases that lead to a name which is to be asked for next.
	iterAlias
	iterReferral
	iterNoData
	iterNameError
	// iterTooLong: a DNAME makes a name that is too long (RFC 6672 section 2.2).
	iterTooLong
)

// iterReply is what a server of a zone said to a question.
type iterReply struct {
	kind iterKind
	// answer is the aliases from the question's name on, and the records behind
	// them. Of aliases made by a DNAME, the CNAMEs are our own.
	answer []dns.RR
	// authority is the SOA of a negative answer, and the proofs of DNSSEC.
	authority []dns.RR
	target    wire.Name // of iterAlias
	cut       *zoneCut  // of iterReferral
}

// classify says what m, which a server of zone gave for name and rrtype, is good
// for. It takes from m only what such a server may know: records in the zone,
// referrals from it down to the name, and glue of name servers in it. name lies
// in zone. m may be anything that can be decoded.
func classify(m *dns.Msg, name wire.Name, rrtype uint16, zone wire.Name, do bool) iterReply {
	if !m.Response || m.Opcode != dns.OpcodeQuery || m.Truncated {
		return iterReply{}
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
	default:
		return iterReply{}
	}
	r := replyReader{name: name, rrtype: rrtype, zone: zone, do: do, records: ownersIn(m.Answer, zone)}
	r.chain()
	switch {
	case r.kind != iterUseless && !m.Authoritative:
		return iterReply{}
	case r.kind != iterUseless:
		if do {
			r.authority = proofs(m.Ns, zone)
		}
		return r.iterReply
	case len(m.Answer) > 0 || m.Rcode == dns.RcodeYXDomain:
		return iterReply{}
	}
	soa := soaOf(m.Ns, name, zone)
	if m.Rcode == dns.RcodeSuccess && soa == nil {
		if r.cut = r.referral(m); r.cut != nil {
			r.kind = iterReferral
			return r.iterReply
		}
	}
	if !m.Authoritative {
		return iterReply{}
	}
	r.kind = iterNoData
	if m.Rcode == dns.RcodeNameError {
		r.kind = iterNameError
	}
	if soa != nil {
		r.authority = append(r.authority, soa)
	}
	if do {
		r.authority = append(r.authority, proofs(m.Ns, zone)...)
	}
	return r.iterReply
}

// owned is a record with its owner as names are compared.
type owned struct {
	owner wire.Name
	rr    dns.RR
}

// ownersIn are the records of class IN whose owners lie in zone.
func ownersIn(rrs []dns.RR, zone wire.Name) []owned {
	var in []owned
	for _, rr := range rrs {
		if rr.Header().Class != dns.ClassINET {
			continue
		}
		if owner, err := wire.ParseName(rr.Header().Name); err == nil && owner.Within(zone) {
			in = append(in, owned{owner, rr})
		}
	}
	return in
}

// replyReader follows the aliases of an answer section.
type replyReader struct {
	iterReply
	name    wire.Name // the question's, or what an alias leads to
	rrtype  uint16
	zone    wire.Name
	do      bool
	records []owned
}

// chain goes from alias to alias as far as the message and the zone reach. kind
// stays iterUseless where nothing is there of the name.
func (r *replyReader) chain() {
	for range maxAliases {
		target, done := r.step()
		if done {
			return
		}
		r.kind, r.target = iterAlias, target
		if !target.Within(r.zone) {
			return
		}
		r.name = target
	}
}

// step takes what there is of the current name. It returns the target of an
// alias, or done.
func (r *replyReader) step() (target wire.Name, done bool) {
	if i := slices.IndexFunc(r.records, r.isDNAMEAbove); i >= 0 {
		return r.redirect(r.records[i])
	}
	if r.take(r.name, func(rrtype uint16) bool { return rrtype == r.rrtype || r.rrtype == dns.TypeANY }) > 0 {
		r.kind = iterAnswer
		return nil, true
	}
	i := slices.IndexFunc(r.records, func(o owned) bool {
		return o.rr.Header().Rrtype == dns.TypeCNAME && bytes.Equal(o.owner, r.name)
	})
	if i < 0 {
		return nil, true
	}
	cname, ok := r.records[i].rr.(*dns.CNAME)
	if !ok {
		return nil, true
	}
	if target, err := wire.ParseName(cname.Target); err == nil {
		r.answer = append(r.answer, cname)
		r.signatures(r.name, dns.TypeCNAME)
		return target, false
	}
	return nil, true
}

func (r *replyReader) isDNAMEAbove(o owned) bool {
	return o.rr.Header().Rrtype == dns.TypeDNAME && len(o.owner) < len(r.name) && r.name.Within(o.owner)
}

// redirect takes a DNAME above the current name, and the CNAME that it makes.
func (r *replyReader) redirect(o owned) (target wire.Name, done bool) {
	dname, ok := o.rr.(*dns.DNAME)
	if !ok {
		return nil, true
	}
	to, err := wire.ParseName(dname.Target)
	if err != nil {
		return nil, true
	}
	if !slices.Contains(r.answer, o.rr) { // a name may meet one again
		r.answer = append(r.answer, dname)
		r.signatures(o.owner, dns.TypeDNAME)
	}
	prefix := len(r.name) - len(o.owner)
	if prefix+len(to) > wire.MaxName {
		r.kind = iterTooLong
		return nil, true
	}
	target = append(append(make(wire.Name, 0, prefix+len(to)), r.name[:prefix]...), to...)
	r.answer = append(r.answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: r.name.String(), Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: dname.Hdr.Ttl},
		Target: target.String(),
	})
	if r.rrtype == dns.TypeCNAME || r.rrtype == dns.TypeANY {
		r.kind = iterAnswer
		return nil, true
	}
	return target, false
}

// take adds the records of the wanted types at a name to the answer, and the
// signatures of the type asked for. It returns how many there were.
func (r *replyReader) take(name wire.Name, wanted func(rrtype uint16) bool) (n int) {
	for _, o := range r.records {
		if wanted(o.rr.Header().Rrtype) && bytes.Equal(o.owner, name) {
			r.answer = append(r.answer, o.rr)
			n++
		}
	}
	if n > 0 && r.rrtype != dns.TypeANY {
		r.signatures(name, r.rrtype)
	}
	return n
}

// signatures adds those of the set of a type at a name, if they are asked for.
func (r *replyReader) signatures(name wire.Name, rrtype uint16) {
	if !r.do {
		return
	}
	for _, o := range r.records {
		if sig, ok := o.rr.(*dns.RRSIG); ok && sig.TypeCovered == rrtype && bytes.Equal(o.owner, name) {
			r.answer = append(r.answer, sig)
		}
	}
}

// soaOf is the SOA record of a negative answer for name, nil if there is none: it
// is of a zone at or above the name, and in the zone that was asked.
func soaOf(rrs []dns.RR, name, zone wire.Name) dns.RR {
	for _, o := range ownersIn(rrs, zone) {
		if _, ok := o.rr.(*dns.SOA); ok && name.Within(o.owner) {
			return o.rr
		}
	}
	return nil
}

// proofs are the records of DNSSEC in an authority section.
func proofs(rrs []dns.RR, zone wire.Name) (found []dns.RR) {
	for _, o := range ownersIn(rrs, zone) {
		switch rr := o.rr.(type) {
		case *dns.NSEC, *dns.NSEC3:
			found = append(found, rr)
		case *dns.RRSIG:
			if c := rr.TypeCovered; c == dns.TypeNSEC || c == dns.TypeNSEC3 || c == dns.TypeSOA {
				found = append(found, rr)
			}
		}
	}
	return found
}

// referral is the cut that m refers to, nil if it is no referral of ours: the cut
// lies below the zone, so that each one leads further down, and at or above the
// name. A DS is asked for above its zone's cut (RFC 4035 section 3.1.4.1).
func (r *replyReader) referral(m *dns.Msg) *zoneCut {
	var cut *zoneCut
	for _, o := range ownersIn(m.Ns, r.zone) {
		ns, ok := o.rr.(*dns.NS)
		if !ok || len(o.owner) <= len(r.zone) || !r.name.Within(o.owner) || r.rrtype == dns.TypeDS && len(o.owner) == len(r.name) {
			continue
		}
		switch {
		case cut == nil || len(o.owner) > len(cut.zone):
			cut = &zoneCut{zone: o.owner, ttl: ns.Hdr.Ttl}
		case len(o.owner) < len(cut.zone):
			continue
		}
		cut.ttl = min(cut.ttl, ns.Hdr.Ttl)
		server, err := wire.ParseName(ns.Ns)
		known := slices.ContainsFunc(cut.servers, func(s cutServer) bool { return bytes.Equal(s.name, server) })
		if err == nil && !known && len(cut.servers) < maxCutServers {
			cut.servers = append(cut.servers, cutServer{name: server})
		}
	}
	if cut == nil || len(cut.servers) == 0 {
		return nil
	}
	for _, o := range ownersIn(m.Extra, r.zone) {
		for i := range cut.servers {
			s := &cut.servers[i]
			if !bytes.Equal(s.name, o.owner) || len(s.addrs) == maxServerAddrs {
				continue
			}
			if addr, ok := addressOf(o.rr); ok {
				s.addrs = append(s.addrs, addr)
				cut.ttl = min(cut.ttl, o.rr.Header().Ttl)
			}
		}
	}
	return cut
}

// addressOf is the address of a name server that an A or AAAA record holds.
func addressOf(rr dns.RR) (netip.Addr, bool) {
	var octets []byte
	switch rr := rr.(type) {
	case *dns.A:
		octets = rr.A.To4()
	case *dns.AAAA:
		octets = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(octets)
	return addr, ok && isServerAddr(addr)
}
