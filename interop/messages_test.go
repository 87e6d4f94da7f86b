//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// message is a query that is odd as a whole, and what stampdns makes of it. Where
// two of the others agree on something else, docs/rfc.md tells of it.
type message struct {
	what  string
	query func() *dns.Msg
	want  string // of stampdns: RCODE, and the error of a TSIG record
	// differs says that two of the others agree on something else.
	differs bool
}

const messageZone = "wild.example."

// messages are what no question of TestOracle can be.
var messages = []message{
	{"a key that nobody knows", signed("key.example.", nil), "NOTAUTH, TSIG error 17", false},
	{"the same with EDNS", signed("key.example.", func(m *dns.Msg) { m.SetEdns0(1232, false) }), "NOTAUTH, TSIG error 17", false},
	{"the same for a transfer", signed("key.example.", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }), "NOTAUTH, TSIG error 17", false},
	{"a key whose name is compressed", signed("key."+messageZone, func(m *dns.Msg) { m.Compress = true }), "NOTAUTH, TSIG error 17", false},
	{"TSIG before OPT", func() *dns.Msg {
		m := signed("key.example.", nil)()
		m.SetEdns0(1232, false)
		return m
	}, "FORMERR", false},
	{"TSIG with a TTL", signedWith(func(r *dns.TSIG) { r.Hdr.Ttl = 1 }), "NOTAUTH, TSIG error 17", false},
	{"TSIG of class IN", signedWith(func(r *dns.TSIG) { r.Hdr.Class = dns.ClassINET }), "FORMERR", false},
	{"TSIG in a NOTIFY", signed("key.example.", func(m *dns.Msg) { soaOf(m, dns.OpcodeNotify) }), "NOTAUTH, TSIG error 17", false},
	{"TSIG in an UPDATE", signed("key.example.", func(m *dns.Msg) { soaOf(m, dns.OpcodeUpdate) }), "NOTAUTH, TSIG error 17", false},
	{"TSIG and EDNS version 1", signed("key.example.", func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), "BADVERS", false},
	{"NOTIFY", plain(func(m *dns.Msg) { soaOf(m, dns.OpcodeNotify) }), "NOTIMP", false},
	{"UPDATE", plain(func(m *dns.Msg) { soaOf(m, dns.OpcodeUpdate) }), "NOTIMP", false},
	{"class ANY", plain(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }), "REFUSED", true},
	{"class CH", plain(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), "REFUSED", false},
	{"more than 4096 octets over UDP", plain(func(m *dns.Msg) {
		o := m.SetEdns0(1232, false).IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_PADDING{Padding: make([]byte, 5000)})
	}), "FORMERR", true},
	{"4096 octets over UDP", plain(func(m *dns.Msg) {
		o := m.SetEdns0(1232, false).IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_PADDING{Padding: make([]byte, 4096-m.Len()-4)})
	}), "NOERROR", false},
	{"IXFR at the apex", ixfr(messageZone), "REFUSED", false},
	{"IXFR below an apex", ixfr("www." + messageZone), "REFUSED", true},
	{"IXFR of no zone of ours", ixfr("contoso.com."), "REFUSED", true},
	{"AXFR below an apex", plain(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }), "REFUSED", true},
	{"type OPT", plain(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeOPT }), "FORMERR", true},
	{"type TSIG", plain(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTSIG }), "FORMERR", true},
	{"type TKEY", plain(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTKEY }), "FORMERR", true},
	{"type MAILB", plain(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMAILB }), "NOERROR", false},
	{"type 0", plain(func(m *dns.Msg) { m.Question[0].Qtype = 0 }), "NOERROR", false},
	{"no question", plain(func(m *dns.Msg) { m.Question = nil }), "FORMERR", false},
	{"two questions", plain(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), "FORMERR", false},
	{"an answer in the query", plain(func(m *dns.Msg) { m.Answer = records(m) }), "FORMERR", true},
	{"authority in the query", plain(func(m *dns.Msg) { m.Ns = records(m) }), "FORMERR", true},
	{"a record more in the query", plain(func(m *dns.Msg) { m.Extra = records(m) }), "NOERROR", false},
	{"two OPT records", plain(func(m *dns.Msg) { m.SetEdns0(1232, false).SetEdns0(1232, false) }), "FORMERR", false},
	{"EDNS version 1", plain(func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), "BADVERS", false},
}

func plain(change func(*dns.Msg)) func() *dns.Msg {
	return func() *dns.Msg {
		m := new(dns.Msg)
		m.SetQuestion("www."+messageZone, dns.TypeA)
		change(m)
		return m
	}
}

// soaOf makes m a message about the zone.
func soaOf(m *dns.Msg, opcode int) {
	m.Opcode, m.Question[0].Name, m.Question[0].Qtype = opcode, messageZone, dns.TypeSOA
}

func records(m *dns.Msg) []dns.RR {
	return []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"x"}}}
}

func ixfr(name string) func() *dns.Msg {
	return func() *dns.Msg { return new(dns.Msg).SetIxfr(name, 1, "ns1."+name, "hostmaster."+name) }
}

func signed(key string, change func(*dns.Msg)) func() *dns.Msg {
	return func() *dns.Msg {
		m := plain(func(*dns.Msg) {})()
		if change != nil {
			change(m)
		}
		m.Extra = append(m.Extra, &dns.TSIG{
			Hdr:       dns.RR_Header{Name: key, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
			Algorithm: dns.HmacSHA256, TimeSigned: uint64(time.Now().Unix()), Fudge: 300,
			MACSize: 32, MAC: strings.Repeat("c0", 32), OrigId: m.Id,
		})
		return m
	}
}

func signedWith(change func(*dns.TSIG)) func() *dns.Msg {
	return func() *dns.Msg {
		m := signed("key.example.", nil)()
		change(m.Extra[len(m.Extra)-1].(*dns.TSIG))
		return m
	}
}

// TestMessages sends messages that are odd as a whole, and holds stampdns to what
// two of BIND, NSD and Knot do with them, but where the table says otherwise.
func TestMessages(t *testing.T) {
	zones := slices.DeleteFunc(handMade(t), func(z zone) bool { return z.origin != messageZone })
	lab := newLab(t)
	from := lab.host("client", "198.51.100.9")
	var servers []*host
	for _, s := range []struct {
		name, addr string
		start      func(*testing.T, *host, ...zone) *process
	}{
		{"stampdns", "192.0.2.11", startStampdns},
		{"bind", "192.0.2.21", startBIND},
		{"nsd", "192.0.2.22", startNSD},
		{"knot", "192.0.2.23", startKnot},
	} {
		h := lab.host(s.name, s.addr)
		s.start(t, h, zones...)
		servers = append(servers, h)
	}
	for _, m := range messages {
		t.Run(m.what, func(t *testing.T) {
			var said []string
			for _, s := range servers {
				said = append(said, from.told(t, s, m.query()))
			}
			t.Logf("stampdns, BIND, NSD, Knot: %q", said)
			if said[0] != m.want {
				t.Errorf("stampdns: %s, want %s", said[0], m.want)
			}
			most := ""
			for i, a := range said[1:] {
				if slices.Contains(said[i+2:], a) {
					most = a
				}
			}
			if differs := most != "" && most != m.want; differs != m.differs {
				t.Errorf("most say %q: differs is %t", most, differs)
			}
		})
	}
}

// told is what a server makes of a message, in short. NSD and Knot leave some
// without a reply.
func (h *host) told(t *testing.T, server *host, m *dns.Msg) string {
	t.Helper()
	c, err := h.dial("udp", server.addr, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	// WriteMsg and ReadMsg would want to know the keys.
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, dns.MaxMsgSize)
	c.conn.SetReadDeadline(time.Now().Add(c.timeout))
	n, err := c.conn.Read(buf)
	if err != nil {
		return "nothing"
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(buf[:n]); err != nil || reply.Id != m.Id {
		t.Fatalf("%s: %v: %x", server.addr, err, buf[:n])
	}
	text := dns.RcodeToString[reply.Rcode]
	if reply.Rcode == dns.RcodeBadVers { // which shares its number with BADSIG
		text = "BADVERS"
	}
	if sig := reply.IsTsig(); sig != nil {
		text += fmt.Sprintf(", TSIG error %d", sig.Error)
		ours := m.IsTsig()
		if !strings.EqualFold(sig.Hdr.Name, ours.Hdr.Name) || sig.Algorithm != ours.Algorithm || sig.TimeSigned != ours.TimeSigned || sig.MACSize != 0 {
			text += ", of another"
		}
	}
	return text
}
