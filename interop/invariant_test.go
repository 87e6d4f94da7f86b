package interop

import (
	"fmt"

	"github.com/miekg/dns"
)

// broken says what is wrong with our reply by itself, whatever the others say, or
// "": the question comes back as sent (RFC 4343 section 4.1), the reply is no
// longer than it may be, and holds whole RRsets of the one over TCP, even where it
// is truncated (RFC 2181 sections 5 and 9). whole asks for that one.
func (q question) broken(r reply, whole func() reply) string {
	asked := q.message().Question[0]
	if len(r.msg.Question) != 1 || onWire(r.msg.Question[0].Name) != onWire(asked.Name) ||
		r.msg.Question[0].Qtype != asked.Qtype || r.msg.Question[0].Qclass != asked.Qclass {
		return fmt.Sprintf("the question came back as %v", r.msg.Question)
	}
	if q.tcp {
		return ""
	}
	const opt = 11
	if most := q.limit() + opt; len(r.packet) > most || q.size == 0 && len(r.packet) > 512 {
		return fmt.Sprintf("the reply has %d octets, %d at most are allowed", len(r.packet), most)
	}
	if !r.msg.Truncated || q.typ == dns.TypeANY {
		return ""
	}
	w := whole().msg
	for i, section := range [][]dns.RR{r.msg.Answer, r.msg.Ns, addressesIn(r.msg)} {
		if set := partOf(section, [][]dns.RR{w.Answer, w.Ns, addressesIn(w)}[i]); set != "" {
			return "the truncated reply has a part of the RRset " + set
		}
	}
	return ""
}

// partOf is an RRset of which a section has some, but not all records that the
// whole section has, "" if there is none.
func partOf(section, whole []dns.RR) string {
	here, there := map[string]int{}, map[string]int{}
	key := func(rr dns.RR) string {
		return fmt.Sprintf("%s %s", setOf(rr), dns.Type(rr.Header().Rrtype))
	}
	for _, rr := range section {
		here[key(rr)]++
	}
	for _, rr := range whole {
		there[key(rr)]++
	}
	for set, n := range here {
		if n != there[set] {
			return set
		}
	}
	return ""
}
