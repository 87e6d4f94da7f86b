package fault

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// edit makes a fault on the reply of others; false means that there was nothing to
// make it on. The reply may come from a forwarder, so nothing in it is trusted.
func (r *rule) edit(q *server.Query) bool {
	switch r.kind {
	case truncate:
		cut(q)
	case lame:
		return clearAA(q.Reply)
	case oversize:
		return r.oversize(q)
	case staleSerial:
		return age(q.Reply, q.QuestionEnd, r.behind)
	case noGlue:
		return dropGlue(q)
	case wrongNS:
		return r.replaceNS(q)
	}
	return true
}

func setAA(reply []byte) { wire.SetFlags(reply, wire.Flags(reply)|wire.FlagAA) }

func clearAA(reply []byte) bool {
	flags := wire.Flags(reply)
	wire.SetFlags(reply, flags&^wire.FlagAA)
	return flags&wire.FlagAA != 0
}

// cut takes all records out and sets TC.
func cut(q *server.Query) {
	q.Reply = q.Reply[:q.QuestionEnd]
	wire.SetFlags(q.Reply, wire.Flags(q.Reply)|wire.FlagTC)
	for _, section := range [...]int{wire.CountAN, wire.CountNS, wire.CountAR} {
		wire.SetCount(q.Reply, section, 0)
	}
}

// oversize makes the reply as long as the rule says. One that is longer already does as
// it is, if it is longer than the client takes.
func (r *rule) oversize(q *server.Query) bool {
	if !grow(q, r.size-r.noteLen(q)) {
		q.Unmangle(server.Oversized)
		if len(q.Reply) <= q.Limit() {
			return false
		}
		q.Mangle(server.Oversized)
	}
	r.tell(q)
	return true
}

// fillerHead is the length of a record without its data, whose owner is the question's
// name.
const fillerHead = 12

// grow brings the reply, once the server has closed it, to a size with a TXT record in
// the additional section.
func grow(q *server.Query, size int) bool {
	closing := dns.MaxMsgSize - q.Limit() // Limit is that of TCP for oversized replies
	room := size - closing - len(q.Reply) - fillerHead
	if room < 1 || q.QuestionEnd <= wire.HeaderLen {
		return false
	}
	p := append(q.Reply, 0xC0, wire.HeaderLen)
	p = binary.BigEndian.AppendUint16(p, dns.TypeTXT)
	p = binary.BigEndian.AppendUint16(p, dns.ClassINET)
	p = binary.BigEndian.AppendUint32(p, 0)
	p = binary.BigEndian.AppendUint16(p, uint16(room))
	for room > 0 {
		n := min(room-1, 255)
		p = append(p, byte(n))
		for range n {
			p = append(p, 'x')
		}
		room -= n + 1
	}
	wire.SetCount(p, wire.CountAR, wire.Count(p, wire.CountAR)+1)
	q.Reply = p
	return true
}

// record is where one record lies in a message.
type record struct {
	section          int // wire.CountAN, wire.CountNS, wire.CountAR
	rrtype           uint16
	start, data, end int
}

// walk calls f with each record behind the question; false means that the message
// does not hold as many as it says. f returns false to stop, and may not change
// where records lie.
func walk(m []byte, at int, f func(rr record) bool) bool {
	if len(m) < wire.HeaderLen || at < wire.HeaderLen || at > len(m) {
		return false
	}
	for _, section := range [...]int{wire.CountAN, wire.CountNS, wire.CountAR} {
		for range wire.Count(m, section) {
			behind, ok := wire.SkipName(m, at)
			if !ok || behind+10 > len(m) {
				return false
			}
			rr := record{section: section, rrtype: binary.BigEndian.Uint16(m[behind:]), start: at, data: behind + 10}
			rr.end = rr.data + int(binary.BigEndian.Uint16(m[behind+8:]))
			if rr.end > len(m) {
				return false
			}
			if !f(rr) {
				return true
			}
			at = rr.end
		}
	}
	return true
}

// age lowers the serials of all SOA records, in serial number arithmetic (RFC 1982).
func age(m []byte, at int, behind uint32) (found bool) {
	walk(m, at, func(rr record) bool {
		if rr.rrtype != dns.TypeSOA {
			return true
		}
		off, ok := wire.SkipName(m[:rr.end], rr.data)
		if ok {
			off, ok = wire.SkipName(m[:rr.end], off)
		}
		if ok && off+20 == rr.end {
			binary.BigEndian.PutUint32(m[off:], binary.BigEndian.Uint32(m[off:])-behind)
			found = true
		}
		return true
	})
	return found
}

// dropGlue takes addresses, and their signatures, out of the additional section of
// what has NS records.
func dropGlue(q *server.Query) bool {
	first, ns, glue, others := 0, false, false, false
	whole := walk(q.Reply, q.QuestionEnd, func(rr record) bool {
		if rr.section != wire.CountAR {
			ns = ns || rr.rrtype == dns.TypeNS
			return true
		}
		if first == 0 {
			first = rr.start
		}
		switch {
		case isAddress(rr.rrtype):
			glue = true
		case rr.rrtype == dns.TypeRRSIG && rr.end-rr.data >= 2 && isAddress(binary.BigEndian.Uint16(q.Reply[rr.data:])):
		default:
			others = true
		}
		return true
	})
	if !whole || !ns || !glue {
		return false
	}
	if others {
		// What stays may have names that point into what goes.
		return rewrite(q, func(m *dns.Msg) { m.Extra = withoutGlue(m.Extra) })
	}
	q.Reply = q.Reply[:first]
	wire.SetCount(q.Reply, wire.CountAR, 0)
	return true
}

func isAddress(rrtype uint16) bool { return rrtype == dns.TypeA || rrtype == dns.TypeAAAA }

// withoutGlue is the records but for addresses and their signatures.
func withoutGlue(records []dns.RR) (rest []dns.RR) {
	for _, rr := range records {
		sig, signed := rr.(*dns.RRSIG)
		if !isAddress(rr.Header().Rrtype) && !(signed && isAddress(sig.TypeCovered)) {
			rest = append(rest, rr)
		}
	}
	return rest
}

// replaceNS puts the rule's name servers in the place of each NS set.
func (r *rule) replaceNS(q *server.Query) bool {
	found := false
	if !walk(q.Reply, q.QuestionEnd, func(rr record) bool {
		found = found || rr.section != wire.CountAR && rr.rrtype == dns.TypeNS
		return true
	}) || !found {
		return false
	}
	return rewrite(q, func(m *dns.Msg) {
		m.Answer, m.Ns, m.Extra = r.withServers(m.Answer), r.withServers(m.Ns), withoutGlue(m.Extra)
	})
}

// withServers is the records with other NS sets.
func (r *rule) withServers(records []dns.RR) (changed []dns.RR) {
	done := make(map[string]bool)
	for _, rr := range records {
		owner := rr.Header().Name
		switch {
		case rr.Header().Rrtype != dns.TypeNS:
			changed = append(changed, rr)
		case !done[owner]:
			done[owner] = true
			for _, n := range r.servers {
				changed = append(changed, &dns.NS{Hdr: *rr.Header(), Ns: n.String()})
			}
		}
	}
	return changed
}

// rewrite changes the reply decoded. A reply that cannot be stays as it is.
func rewrite(q *server.Query, f func(m *dns.Msg)) bool {
	m, err := q.Msg()
	if err != nil {
		return false
	}
	m.Rcode = int(q.RCode())
	f(m)
	return q.SetMsg(m) == nil
}
