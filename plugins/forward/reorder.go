package forward

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// reorder is answer for what cannot be copied as it is: the records are decoded,
// chosen and encoded again.
func reorder(q *server.Query, packet []byte, from wire.Name) error {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if m.Rcode > 0xF {
		return fmt.Errorf("rcode %d", m.Rcode)
	}
	chosen, last, found := chain(m.Answer, q.Name.String(), q.Type)
	negative := !found && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError)
	name, err := wire.ParseName(last)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	r := &dns.Msg{Answer: chosen}
	r.Rcode, r.RecursionDesired = m.Rcode, wire.Flags(q.Packet)&wire.FlagRD != 0
	soa, ns := false, false
	for _, rr := range m.Ns {
		soa = soa || rr.Header().Rrtype == dns.TypeSOA
		ns = ns || rr.Header().Rrtype == dns.TypeNS
		owner, err := wire.ParseName(rr.Header().Name)
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		if wanted(owner, rr.Header().Rrtype, name, from, negative, q.EDNS.DO) {
			r.Ns = append(r.Ns, rr)
		}
	}
	if isReferral(negative && len(chosen) == 0, uint8(m.Rcode), soa, ns) {
		return errReferral
	}
	if err := q.SetMsg(r); err != nil {
		return err
	}
	recursed(q, wire.Flags(packet))
	return nil
}

// chain chooses from an answer section the records of a name and of the aliases it
// leads to, in their order, with their signatures. last is where the aliases end,
// and found says that there are records of the type.
func chain(section []dns.RR, qname string, qtype uint16) (chosen []dns.RR, last string, found bool) {
	last = qname
	for range maxChain {
		var own []dns.RR
		var alias *dns.CNAME
		for _, rr := range section {
			h := rr.Header()
			if h.Class != dns.ClassINET {
				continue
			}
			if d, ok := rr.(*dns.DNAME); ok && isBelow(last, h.Name) {
				own = append(append(own, d), signatures(section, h.Name, dns.TypeDNAME)...)
			}
			if !strings.EqualFold(h.Name, last) {
				continue
			}
			c, isAlias := rr.(*dns.CNAME)
			switch {
			case h.Rrtype == qtype || qtype == dns.TypeANY:
				own, found = append(own, rr), true
			case isAlias && alias == nil:
				own, alias = append(own, rr), c
			}
		}
		if found {
			own = append(own, signatures(section, last, qtype)...)
		} else if alias != nil {
			own = append(own, signatures(section, last, dns.TypeCNAME)...)
		}
		chosen = append(chosen, own...)
		if found || alias == nil {
			break
		}
		last = alias.Target
	}
	return chosen, last, found
}

// signatures are those of one type at one owner.
func signatures(section []dns.RR, owner string, covered uint16) (all []dns.RR) {
	for _, rr := range section {
		if s, ok := rr.(*dns.RRSIG); ok && s.TypeCovered == covered && strings.EqualFold(s.Hdr.Name, owner) {
			all = append(all, rr)
		}
	}
	return all
}

func isBelow(name, zone string) bool {
	return dns.IsSubDomain(zone, name) && !strings.EqualFold(zone, name)
}
