package forward

import (
	"fmt"
	"slices"
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
	chosen, last, found, err := chain(m.Answer, q.Name.String(), q.Type)
	if err != nil {
		return err
	}
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
// leads to, in their order, with their signatures: each once, so that no answer
// grows by it. last is where the aliases end, and found says that there are records
// of the type.
func chain(section []dns.RR, qname string, qtype uint16) (chosen []dns.RR, last string, found bool, err error) {
	c := chooser{section: section, taken: make([]bool, len(section))}
	last = qname
	for range maxChain {
		if c.take(func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeDNAME && isBelow(last, rr.Header().Name) }) > 0 {
			c.take(func(rr dns.RR) bool { return signs(rr, dns.TypeDNAME) && isBelow(last, rr.Header().Name) })
		}
		own := func(rr dns.RR) bool { return strings.EqualFold(rr.Header().Name, last) }
		if c.take(func(rr dns.RR) bool { return (rr.Header().Rrtype == qtype || qtype == dns.TypeANY) && own(rr) }) > 0 {
			c.take(func(rr dns.RR) bool { return signs(rr, qtype) && own(rr) })
			return c.chosen, last, true, nil
		}
		alias := slices.IndexFunc(section, func(rr dns.RR) bool {
			_, ok := rr.(*dns.CNAME)
			return ok && rr.Header().Class == dns.ClassINET && own(rr)
		})
		switch {
		case alias < 0:
			return c.chosen, last, false, nil
		case c.taken[alias]:
			return nil, "", false, fmt.Errorf("%w: the aliases are a loop", errMalformed)
		}
		c.taken[alias], c.chosen = true, append(c.chosen, section[alias])
		c.take(func(rr dns.RR) bool { return signs(rr, dns.TypeCNAME) && own(rr) })
		last = section[alias].(*dns.CNAME).Target
	}
	return nil, "", false, fmt.Errorf("%w: more than %d aliases", errMalformed, maxChain)
}

// chooser chooses records of a section, each at most once.
type chooser struct {
	section []dns.RR
	taken   []bool
	chosen  []dns.RR
}

// take chooses what is wanted and returns how many records that are.
func (c *chooser) take(wanted func(rr dns.RR) bool) (n int) {
	for i, rr := range c.section {
		if !c.taken[i] && rr.Header().Class == dns.ClassINET && wanted(rr) {
			c.taken[i], c.chosen = true, append(c.chosen, rr)
			n++
		}
	}
	return n
}

// signs says whether rr is a signature of a set of the type covered.
func signs(rr dns.RR, covered uint16) bool {
	s, ok := rr.(*dns.RRSIG)
	return ok && s.TypeCovered == covered
}

func isBelow(name, zone string) bool {
	return dns.IsSubDomain(zone, name) && !strings.EqualFold(zone, name)
}
