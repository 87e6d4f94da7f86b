package forward

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

// through has a server turn what an upstream says into a reply.
func through(t *testing.T, from string, qname string, qtype uint16, do bool, reply func(q *dns.Msg) []byte) (*dns.Msg, error) {
	t.Helper()
	domain, err := wire.ParseName(from)
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	s := servertest.Start(t, ".:0 {\n bind 127.0.0.1\n answer\n}", bind.Plugin(), servertest.Answer(func(q *server.Query) server.Verdict {
		asked := new(dns.Msg)
		if err := asked.Unpack(q.Packet); err != nil {
			t.Error(err)
		}
		if failed = answer(q, reply(asked), q.QuestionEnd, domain); failed != nil {
			q.SetRCode(server.RCodeServerFailure)
		}
		return server.Answered
	}))
	q := new(dns.Msg).SetQuestion(dns.Fqdn(qname), qtype).SetEdns0(4096, do)
	return s.Exchange("tcp", s.Addrs()[0], q), failed
}

// sections makes the answer of an upstream: records of the three sections, each
// behind a line of dashes.
func sections(rcode int, compress bool, text string) func(q *dns.Msg) []byte {
	return func(q *dns.Msg) []byte {
		m := new(dns.Msg).SetRcode(q, rcode)
		m.Compress = compress
		for i, part := range strings.Split(text, "---") {
			var rrs []dns.RR
			for line := range strings.Lines(part) {
				if line = strings.TrimSpace(line); line != "" {
					rrs = append(rrs, newRR(line))
				}
			}
			switch i {
			case 0:
				m.Answer = rrs
			case 1:
				m.Ns = rrs
			case 2:
				m.Extra = rrs
			}
		}
		m.SetEdns0(1232, false)
		return packed(m)
	}
}

// TestAnswer: what of an upstream's answer a client gets.
func TestAnswer(t *testing.T) {
	const soa = "example.org. 60 IN SOA ns.example.org. h.example.org. 1 2 3 4 60"
	const nsec = "example.org. 60 IN NSEC a.example.org. A NS SOA"
	const sig = "www.example.org. 60 IN RRSIG A 13 3 60 20300101000000 20200101000000 1 example.org. AAAA"
	for name, tc := range map[string]struct {
		from, upstream string
		rcode          int
		do             bool
		want           string // the sections, each record as "owner type", sections behind "/"
	}{
		"plain":              {".", "www.example.org. 60 IN A 192.0.2.1\nwww.example.org. 60 IN A 192.0.2.2", 0, false, "www.example.org. A, www.example.org. A / /"},
		"alias":              {".", "www.example.org. 60 IN CNAME a.example.net.\na.example.net. 60 IN A 192.0.2.1", 0, false, "www.example.org. CNAME, a.example.net. A / /"},
		"alias with nothing": {".", "www.example.org. 60 IN CNAME a.example.net.\n---\nexample.net. 60 IN SOA a. b. 1 2 3 4 5", 0, false, "www.example.org. CNAME / example.net. SOA /"},
		"alias to no name":   {".", "www.example.org. 60 IN CNAME a.example.net.\n---\nexample.net. 60 IN SOA a. b. 1 2 3 4 5", 3, false, "NXDOMAIN www.example.org. CNAME / example.net. SOA /"},
		"redirection":        {".", "example.org. 60 IN DNAME example.net.\nwww.example.org. 60 IN CNAME www.example.net.\nwww.example.net. 60 IN A 192.0.2.1", 0, false, "example.org. DNAME, www.example.org. CNAME, www.example.net. A / /"},
		"aliases in no order": {".", "a.example.net. 60 IN A 192.0.2.1\nwww.example.org. 60 IN CNAME a.example.net.", 0, false,
			"www.example.org. CNAME, a.example.net. A / /"},
		"a stranger's record": {".", "www.example.org. 60 IN A 192.0.2.1\nwww.example.com. 60 IN A 192.0.2.66", 0, false, "www.example.org. A / /"},
		"only a stranger's":   {".", "www.example.com. 60 IN A 192.0.2.66", 0, false, "/ /"},
		"another type":        {".", "www.example.org. 60 IN TXT \"x\"\nwww.example.org. 60 IN A 192.0.2.1", 0, false, "www.example.org. A / /"},
		"authority and glue": {".", "www.example.org. 60 IN A 192.0.2.1\n---\nexample.org. 60 IN NS ns.example.org.\n---\nns.example.org. 60 IN A 192.0.2.66", 0, false,
			"www.example.org. A / /"},
		"no data":           {".", "---\n" + soa, 0, false, "/ example.org. SOA /"},
		"no name":           {".", "---\n" + soa, 3, false, "NXDOMAIN / example.org. SOA /"},
		"no name, and more": {".", "---\nexample.org. 60 IN NS ns.example.com.\n" + soa, 3, false, "NXDOMAIN / example.org. SOA /"},
		"somebody's SOA":    {".", "---\nexample.com. 60 IN SOA a. b. 1 2 3 4 5", 3, false, "NXDOMAIN / /"},
		"proofs":            {".", "---\n" + soa + "\n" + nsec, 3, true, "NXDOMAIN / example.org. SOA, example.org. NSEC /"},
		"proofs, no DO":     {".", "---\n" + soa + "\n" + nsec, 3, false, "NXDOMAIN / example.org. SOA /"},
		"proofs first":      {".", "---\n" + nsec + "\n" + soa, 3, false, "NXDOMAIN / example.org. SOA /"},
		"signed":            {".", "www.example.org. 60 IN A 192.0.2.1\n" + sig, 0, true, "www.example.org. A, www.example.org. RRSIG / /"},
		"a wildcard's":      {".", "www.example.org. 60 IN A 192.0.2.1\n" + sig + "\n---\n" + nsec, 0, true, "www.example.org. A, www.example.org. RRSIG / example.org. NSEC /"},
		"a foreign proof":   {"example.org.", "www.example.org. 60 IN A 192.0.2.1\n---\nexample.com. 60 IN NSEC a.example.com. A", 0, true, "www.example.org. A / /"},
		"failure":           {".", "", 2, false, "SERVFAIL / /"},
	} {
		for _, compress := range []bool{false, true} {
			m, err := through(t, tc.from, "www.example.org", dns.TypeA, tc.do, sections(tc.rcode, compress, tc.upstream))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := digest(m); got != tc.want {
				t.Errorf("%s, compressed %v:\ngot  %s\nwant %s", name, compress, got, tc.want)
			}
		}
	}
}

// digest is the owners and types of a reply.
func digest(m *dns.Msg) string {
	var parts []string
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var one []string
		for _, rr := range rrs {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				one = append(one, h.Name+" "+dns.Type(h.Rrtype).String())
			}
		}
		parts = append(parts, strings.Join(one, ", "))
	}
	text := strings.Join(parts, " / ")
	if m.Rcode != 0 {
		text = dns.RcodeToString[m.Rcode] + " " + text
	}
	return strings.TrimSpace(strings.ReplaceAll(text, "  ", " "))
}

// TestUnusable: answers that are none.
func TestUnusable(t *testing.T) {
	good := sections(0, true, "www.example.org. 60 IN CNAME a.example.net.\na.example.net. 60 IN A 192.0.2.1\n---\nexample.org. 60 IN SOA ns.example.org. h.example.org. 1 2 3 4 60")
	for name, reply := range map[string]func(q *dns.Msg) []byte{
		"referral": sections(0, true, "---\nexample.org. 60 IN NS ns.example.org.\n---\nns.example.org. 60 IN A 192.0.2.1"),
		"cut":      func(q *dns.Msg) []byte { b := good(q); return b[:len(b)-20] },
		"counts":   func(q *dns.Msg) []byte { b := good(q); wire.SetCount(b, wire.CountAN, 9); return b },
		"endless aliases": func(q *dns.Msg) []byte {
			text := "www.example.org. 60 IN CNAME a.example.net.\n" + strings.Repeat("a.example.net. 60 IN CNAME a.example.net.\n", 20)
			return sections(0, true, text)(q)
		},
		"bad version": func(q *dns.Msg) []byte {
			m := new(dns.Msg).SetRcode(q, dns.RcodeBadVers)
			m.SetEdns0(1232, false)
			m.IsEdns0().SetExtendedRcode(dns.RcodeBadVers)
			return packed(m)
		},
		"short address": func(q *dns.Msg) []byte {
			m := new(dns.Msg).SetReply(q)
			m.Answer = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "www.example.org.", Rrtype: dns.TypeA, Class: 1, Ttl: 60}, Rdata: "c00002"}}
			return packed(m)
		},
	} {
		if m, err := through(t, ".", "www.example.org", dns.TypeA, false, reply); err == nil {
			t.Errorf("%s: taken:\n%s", name, m)
		}
	}
}

// TestExtendedErrors are passed on, their text where it is printable.
func TestExtendedErrors(t *testing.T) {
	m, err := through(t, ".", "www.example.org", dns.TypeA, false, func(q *dns.Msg) []byte {
		r := new(dns.Msg).SetRcode(q, dns.RcodeNameError).SetEdns0(1232, false)
		r.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeBlocked, ExtraText: "by policy"}}
		return packed(r)
	})
	if err != nil || ede(m) != int(dns.ExtendedErrorCodeBlocked) {
		t.Errorf("%v\n%s", err, m)
	}
	if got := printable([]byte("a\x1b[2Jb")); got != "" {
		t.Errorf("a terminal's text was passed on: %q", got)
	}
}

// FuzzAnswer: whatever an upstream says, a client gets a whole message with its own
// question in it. What data of types that we do not know looks like is for the client.
func FuzzAnswer(f *testing.F) {
	const end = wire.HeaderLen + len("\x03www\x07example\x03org\x00\x00\x01\x00\x01")
	q := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)
	for _, text := range []string{
		"www.example.org. 60 IN A 192.0.2.1",
		"www.example.org. 60 IN CNAME a.example.net.\na.example.net. 60 IN A 192.0.2.1\n---\nexample.org. 60 IN NS ns.example.org.\n---\nns.example.org. 60 IN A 192.0.2.1",
		"---\nexample.org. 60 IN SOA ns.example.org. h.example.org. 1 2 3 4 60",
		"a.example.net. 60 IN A 192.0.2.1\nwww.example.org. 60 IN CNAME a.example.net.",
		"example.org. 60 IN DNAME example.net.\nwww.example.org. 60 IN CNAME www.example.net.",
	} {
		b := sections(0, true, text)(q)
		f.Add(b[:wire.HeaderLen], b[end:], true)
	}
	var said atomic.Pointer[[]byte]
	s := servertest.Start(f, ".:0 {\n bind 127.0.0.1\n answer\n}", bind.Plugin(), servertest.Answer(func(q *server.Query) server.Verdict {
		upstream := *said.Load()
		m := append(append([]byte{}, upstream[:wire.HeaderLen]...), q.Packet[wire.HeaderLen:q.QuestionEnd]...)
		wire.SetCount(m, wire.CountQD, 1)
		if err := answer(q, append(m, upstream[wire.HeaderLen:]...), q.QuestionEnd, wire.Root()); err != nil {
			q.SetRCode(server.RCodeServerFailure)
		}
		return server.Answered
	}))
	f.Fuzz(func(t *testing.T, header, rest []byte, do bool) {
		if len(header) != wire.HeaderLen || len(rest) > 60_000 {
			return
		}
		upstream := append(append([]byte{}, header...), rest...)
		said.Store(&upstream)
		sent := new(dns.Msg).SetQuestion("wwW.example.org.", dns.TypeA).SetEdns0(1232, do)
		packet := packed(sent)
		got := exchangeRaw(t, s.Addrs()[0].String(), packet)
		if string(got[:2]) != string(packet[:2]) || string(got[wire.HeaderLen:end]) != string(packet[wire.HeaderLen:end]) {
			t.Fatalf("%x to %x", got, packet)
		}
		if err := whole(got, end); err != nil {
			t.Fatalf("%v: %x", err, got)
		}
	})
}

func exchangeRaw(t *testing.T, addr string, packet []byte) []byte {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(servertest.Patience))
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}
