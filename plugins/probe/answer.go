package probe

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// timeForm is RFC 3339 with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// maxString is the longest character string of a TXT record (RFC 1035 section 3.3).
const maxString = 255

// answer makes the reply to a probe, and notes that it was asked.
func (h *handler) answer(q *server.Query, p place) {
	q.Zone = p.number
	wire.SetFlags(q.Reply, wire.Flags(q.Reply)|wire.FlagAA)
	nonce := nonceOf(q.Name, p.root)
	if nonce == nil { // an empty non-terminal
		noData(q, p)
		return
	}
	s := see(q)
	if recordable(nonce) {
		h.record.see(string(nonce), s)
	}
	addr := q.Remote.Addr()
	switch {
	case q.Type == dns.TypeTXT || q.Type == dns.TypeANY: // ANY: RFC 8482 section 4.1
		appendTXT(q, facts(s, nonce, p))
	case q.Type == dns.TypeA && addr.Is4():
		b := addr.As4()
		appendRecord(q, dns.TypeA, b[:])
	case q.Type == dns.TypeAAAA && addr.Is6():
		b := addr.As16()
		appendRecord(q, dns.TypeAAAA, b[:])
	default:
		noData(q, p)
	}
}

// nonceOf is the label right below root, nil where name is root itself. A resolver that
// minimises names (RFC 9156) asks for it first, also where there are more labels.
func nonceOf(name, root wire.Name) []byte {
	for i, end := 0, len(name)-len(root); i < end; {
		next := i + int(name[i]) + 1
		if next == end {
			return name[i+1 : next]
		}
		i = next
	}
	return nil
}

// appendRecord appends a record of the question's name to the answer section. Nobody may
// keep it: TTL 0 (RFC 1035 section 3.2.1).
func appendRecord(q *server.Query, rrtype uint16, data []byte) {
	q.Reply = append(q.Reply, 0xC0, wire.HeaderLen, byte(rrtype>>8), byte(rrtype), 0, dns.ClassINET, 0, 0, 0, 0)
	q.Reply = binary.BigEndian.AppendUint16(q.Reply, uint16(len(data)))
	q.Reply = append(q.Reply, data...)
	wire.SetCount(q.Reply, wire.CountAN, 1)
}

// noData makes the reply say that the name is there and has nothing of the type. The
// SOA's TTL is 0, and so is that of the answer (RFC 2308 section 5).
func noData(q *server.Query, p place) {
	soa := p.zone.SOA()
	if origin := len(q.Name) - len(soa.Owner); len(soa.Owner) == 1 {
		q.Reply = append(q.Reply, 0)
	} else {
		q.Reply = binary.BigEndian.AppendUint16(q.Reply, 0xC000|uint16(wire.HeaderLen+origin))
	}
	q.Reply = append(q.Reply, 0, byte(dns.TypeSOA), 0, dns.ClassINET, 0, 0, 0, 0)
	q.Reply = binary.BigEndian.AppendUint16(q.Reply, uint16(len(soa.Data)))
	q.Reply = append(q.Reply, soa.Data...)
	wire.SetCount(q.Reply, wire.CountNS, 1)
}

// see is what there is to see of a query.
func see(q *server.Query) sighting {
	asked := q.Packet[wire.HeaderLen : wire.HeaderLen+len(q.Name)]
	s := sighting{
		at: q.Received, source: netip.AddrPortFrom(q.Remote.Addr().WithZone(""), q.Remote.Port()),
		path: q.Path, rd: wire.Flags(q.Packet)&wire.FlagRD != 0, transport: q.Transport,
		edns: "none", mixed: string(asked) != string(q.Name), rrtype: q.Type, name: string(wire.AppendText(nil, asked)),
	}
	if labels := q.Block().NSLabels(); int(q.NS) < len(labels) {
		s.ns = labels[q.NS]
	}
	if q.Resolver != nil {
		s.resolver = q.Resolver.Name
	}
	if s.path == server.PathUnknown {
		// Nobody looked who asks: RD tells as much as it does by itself.
		s.path = server.PathDirect
		if !s.rd {
			s.path = server.PathIterative
		}
	}
	if e := &q.EDNS; e.Present {
		do := byte('0')
		if e.DO {
			do = '1'
		}
		s.edns = string(append(strconv.AppendUint([]byte("0 size="), uint64(e.Size), 10), " do="...)) + string(do)
	}
	return s
}

// fact is one string of the answer.
type fact struct {
	text string
	// spare says when the fact goes where not all have room: 1 first, 0 never.
	spare int
}

// mostSpare is the highest of spare.
const mostSpare = 7

// facts are what the answer says, in order.
func facts(s sighting, nonce []byte, p place) []fact {
	all := []fact{{"v=1", 0}, {"nonce=" + plain(nonce), 0}}
	add := func(key, value string, spare int) {
		if value != "" {
			all = append(all, fact{key + "=" + value, spare})
		}
	}
	add("ns", s.ns, 0)
	add("name", s.name, 1)
	add("zone", p.zone.Origin().String(), 2)
	add("source", s.source.String(), 0)
	add("resolver", s.resolver, 5)
	add("path", s.path.String(), 0)
	add("rd", digit(s.rd), 6)
	add("transport", s.transport.String(), 7)
	add("edns", s.edns, 5)
	add("case", caseOf(s.mixed), 4)
	add("time", s.at.UTC().Format(timeForm), 3)
	for i := range all {
		all[i].text = all[i].text[:min(len(all[i].text), maxString)]
	}
	return all
}

// plain is a label in presentation form.
func plain(label []byte) string {
	if recordable(label) {
		return string(label)
	}
	one := append(append([]byte{byte(len(label))}, label...), 0)
	text := wire.AppendText(nil, one)
	return string(text[:len(text)-1])
}

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func caseOf(mixed bool) string {
	if mixed {
		return "mixed"
	}
	return "lower"
}

// appendTXT appends one TXT record with as many of the facts as have room. Where not
// even those have that are never left out, the server truncates the reply.
func appendTXT(q *server.Query, all []fact) {
	const fixed = 12 // pointer, type, class, TTL and length
	room := q.Limit() - len(q.Reply) - fixed
	var data []byte
	for least := 1; least <= mostSpare+1; least++ {
		data = data[:0]
		for _, f := range all {
			if f.spare == 0 || f.spare >= least {
				data = append(append(data, byte(len(f.text))), f.text...)
			}
		}
		if len(data) <= room {
			break
		}
	}
	appendRecord(q, dns.TypeTXT, data)
}

// sighting is one query for a probe, as the server saw it.
type sighting struct {
	at        time.Time
	ns        string // label, empty where the block has no name servers
	source    netip.AddrPort
	resolver  string // empty where nobody looked
	path      server.Path
	rd        bool
	transport server.Transport
	edns      string
	mixed     bool // the name had letters in upper case
	rrtype    uint16
	name      string // as asked
}
