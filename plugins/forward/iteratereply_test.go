package forward

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// message makes a reply of lines: flags first, then records, in answer, authority
// behind "-" and additional behind "+".
func message(t testing.TB, lines ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Response = true
	for _, flag := range strings.Fields(lines[0]) {
		switch flag {
		case "aa":
			m.Authoritative = true
		case "tc":
			m.Truncated = true
		case "query":
			m.Response = false
		default:
			m.Rcode = dns.StringToRcode[flag]
		}
	}
	section := &m.Answer
	for _, line := range lines[1:] {
		if text, ok := strings.CutPrefix(line, "-"); ok {
			section, line = &m.Ns, text
		} else if text, ok := strings.CutPrefix(line, "+"); ok {
			section, line = &m.Extra, text
		}
		*section = append(*section, mustRecord(line))
	}
	// As it comes from a packet: names in the form that decoding gives them.
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	decoded := new(dns.Msg)
	if err := decoded.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	return decoded
}

const (
	sig = " 3600 20400101000000 20200101000000 1 example.com. AAAA"
	soa = "-example.com. 300 SOA ns.example.com. h.example.com. 1 2 3 4 5"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		what   string
		rrtype uint16
		do     bool
		m      *dns.Msg
		kind   iterKind
		want   string // records taken, the target, the cut and its servers
	}{
		{"an answer", dns.TypeA, false, message(t, "aa", "WWW.example.com. 60 A 192.0.2.1", "www.example.com. 60 A 192.0.2.2", "www.example.com. 60 TXT x"),
			iterAnswer, "WWW.example.com. A, www.example.com. A"},
		{"an answer without AA", dns.TypeA, false, message(t, "", "www.example.com. 60 A 192.0.2.1"), iterUseless, ""},
		{"another name", dns.TypeA, false, message(t, "aa", "ww.example.com. 60 A 192.0.2.1"), iterUseless, ""},
		{"another class", dns.TypeA, false, message(t, "aa", "www.example.com. 60 CH A 192.0.2.1"), iterUseless, ""},
		{"truncated", dns.TypeA, false, message(t, "aa tc", "www.example.com. 60 A 192.0.2.1"), iterUseless, ""},
		{"a query", dns.TypeA, false, message(t, "aa query"), iterUseless, ""},
		{"SERVFAIL", dns.TypeA, false, message(t, "aa SERVFAIL"), iterUseless, ""},
		{"signatures for who wants them", dns.TypeA, true, message(t, "aa", "www.example.com. 60 A 192.0.2.1", "www.example.com. 60 RRSIG A 8 3"+sig,
			"www.example.com. 60 RRSIG TXT 8 3"+sig, "-example.com. 60 NSEC x.example.com. A", "-example.com. 60 NS ns.example.com."),
			iterAnswer, "www.example.com. A, www.example.com. RRSIG, example.com. NSEC"},
		{"signatures for who does not", dns.TypeA, false, message(t, "aa", "www.example.com. 60 A 192.0.2.1", "www.example.com. 60 RRSIG A 8 3"+sig),
			iterAnswer, "www.example.com. A"},
		{"ANY", dns.TypeANY, false, message(t, "aa", "www.example.com. 60 A 192.0.2.1", "www.example.com. 60 TXT x"), iterAnswer, "www.example.com. A, www.example.com. TXT"},
		{"an alias out of the zone, with what is not the server's to say", dns.TypeA, false,
			message(t, "aa", "www.example.com. 60 CNAME www.example.net.", "www.example.net. 60 A 203.0.113.66"), iterAlias, "www.example.com. CNAME, to www.example.net."},
		{"an alias in the zone, whole", dns.TypeA, false,
			message(t, "aa", "a.example.com. 60 A 192.0.2.1", "www.example.com. 60 CNAME a.example.com."), iterAnswer, "www.example.com. CNAME, a.example.com. A"},
		{"an alias in the zone, alone", dns.TypeA, false, message(t, "aa NXDOMAIN", "www.example.com. 60 CNAME a.example.com.", soa), iterAlias,
			"www.example.com. CNAME, to a.example.com."},
		{"an alias with odd characters", dns.TypeA, false, message(t, "aa", `www.example.com. 60 CNAME a\$\ b\'\200.example.com.`, `a\$\ b\'\200.example.com. 60 A 192.0.2.1`),
			iterAnswer, `www.example.com. CNAME, a$\ b\'\200.example.com. A`},
		{"a DNAME", dns.TypeA, false, message(t, "aa", "example.com. 60 DNAME example.net.", "www.example.com. 60 CNAME evil.example.org."), iterAlias,
			"example.com. DNAME, www.example.com. CNAME, to www.example.net."},
		{"a DNAME, met twice", dns.TypeA, false, message(t, "aa", "example.com. 60 DNAME x.example.com."), iterAlias, "example.com. DNAME" +
			strings.Repeat(", CNAME", maxAliases) + ", to www." + strings.Repeat("x.", maxAliases) + "example.com."},
		{"a DNAME of the parent", dns.TypeA, false, message(t, "aa", "com. 60 DNAME net."), iterUseless, ""},
		{"a DNAME that makes too long a name", dns.TypeA, false, message(t, "aa YXDOMAIN", "example.com. 60 DNAME "+strings.Repeat(strings.Repeat("x", 62)+".", 4)),
			iterTooLong, "example.com. DNAME"},
		{"no data", dns.TypeA, false, message(t, "aa", soa), iterNoData, "example.com. SOA"},
		{"no data, and no SOA", dns.TypeA, false, message(t, "aa"), iterNoData, ""},
		{"no data of a zone below", dns.TypeA, false, message(t, "aa", "-www.example.com. 300 SOA ns.example.com. h.example.com. 1 2 3 4 5"), iterNoData, "www.example.com. SOA"},
		{"no data, but the SOA of another zone", dns.TypeA, false, message(t, "aa", "-com. 300 SOA ns.com. h.com. 1 2 3 4 5"), iterNoData, ""},
		{"no name", dns.TypeA, true, message(t, "aa NXDOMAIN", soa, "-example.com. 60 NSEC example.com. A", "-example.com. 60 RRSIG NSEC 8 2"+sig), iterNameError,
			"example.com. SOA, example.com. NSEC, example.com. RRSIG"},
		{"no name without AA", dns.TypeA, false, message(t, "NXDOMAIN", soa), iterUseless, ""},
		{"a referral", dns.TypeA, false, message(t, "", "-www.example.com. 60 NS NS.www.example.com.", "-www.example.com. 60 NS ns.example.com.",
			"-www.example.com. 60 NS ns.example.net.", "+ns.www.example.com. 60 A 192.0.2.1", "+ns.www.example.com. 30 AAAA 2001:db8::1",
			"+ns.example.com. 60 A 192.0.2.2", "+ns.example.net. 60 A 203.0.113.66", "+x.example.com. 60 A 203.0.113.66", "+ns.example.com. 1 A 0.0.0.0",
			"+ns.example.com. 1 A 224.0.0.1", "+ns.example.com. 1 AAAA ::ffff:192.0.2.3"),
			iterReferral, "cut www.example.com. 30 ns.www.example.com.=[192.0.2.1 2001:db8::1] ns.example.com.=[192.0.2.2] ns.example.net.=[]"},
		{"a referral with AA", dns.TypeA, false, message(t, "aa", "-www.example.com. 60 NS ns.example.net."), iterReferral, "cut www.example.com. 60 ns.example.net.=[]"},
		{"a referral for DS", dns.TypeDS, false, message(t, "", "-www.example.com. 60 NS ns.example.net."), iterUseless, ""},
		{"a referral to the zone itself", dns.TypeA, false, message(t, "", "-example.com. 60 NS ns.example.com."), iterUseless, ""},
		{"a referral upward", dns.TypeA, false, message(t, "", "-. 60 NS a.root."), iterUseless, ""},
		{"a referral aside", dns.TypeA, false, message(t, "", "-xwww.example.com. 60 NS ns.example.com."), iterUseless, ""},
		{"a referral below the name", dns.TypeA, false, message(t, "", "-a.www.example.com. 60 NS ns.example.com."), iterUseless, ""},
	} {
		got := classify(c.m, mustName(t, "www.example.com."), c.rrtype, mustName(t, "example.com."), c.do)
		text := taken(got)
		if c.what == "a DNAME, met twice" {
			for i := range maxAliases {
				text = strings.Replace(text, "www."+strings.Repeat("x.", i)+"example.com. CNAME", "CNAME", 1)
			}
		}
		if got.kind != c.kind || text != c.want {
			t.Errorf("%s: %d\n got %s\nwant %s", c.what, got.kind, text, c.want)
		}
	}
}

// taken is what a reply was found good for, in short.
func taken(r iterReply) string {
	var parts []string
	for _, rr := range slices.Concat(r.answer, r.authority) {
		parts = append(parts, rr.Header().Name+" "+dns.Type(rr.Header().Rrtype).String())
	}
	if r.kind == iterAlias {
		parts = append(parts, "to "+r.target.String())
	}
	if r.cut != nil {
		text := "cut " + r.cut.zone.String() + " " + fmt.Sprint(r.cut.ttl)
		for _, s := range r.cut.servers {
			text += fmt.Sprintf(" %s=%v", s.name, s.addrs)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// What one referral holds is bounded.
func TestReferralIsBounded(t *testing.T) {
	lines := []string{""}
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("-www.example.com. 60 NS ns%d.example.com.", i))
	}
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("+ns0.example.com. 60 A 192.0.2.%d", i+1))
	}
	got := classify(message(t, lines...), mustName(t, "www.example.com."), dns.TypeA, mustName(t, "example.com."), false)
	if got.cut == nil || len(got.cut.servers) != maxCutServers || len(got.cut.servers[0].addrs) != maxServerAddrs {
		t.Errorf("%+v", got.cut)
	}
}

// FuzzClassify says that whatever a server sends, what is taken from it is within
// what the server may know, and is bounded.
func FuzzClassify(f *testing.F) {
	for _, m := range []*dns.Msg{
		message(f, "aa", "www.example.com. 60 CNAME a.example.com.", "a.example.com. 60 A 192.0.2.1", soa),
		message(f, "aa", "example.com. 60 DNAME x.example.com.", "example.com. 60 RRSIG DNAME 8 2"+sig),
		message(f, "", "-www.example.com. 60 NS ns.www.example.com.", "+ns.www.example.com. 60 A 192.0.2.1"),
		message(f, "aa NXDOMAIN", soa, "-example.com. 60 NSEC example.com. A"),
	} {
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, "www.example.com", "example.com", uint16(dns.TypeA), true)
		f.Add(packet, "a.b.www.example.com", "", uint16(dns.TypeDS), false)
	}
	f.Fuzz(func(t *testing.T, packet []byte, nameText, zoneText string, rrtype uint16, do bool) {
		m := new(dns.Msg)
		name, err := wire.ParseName(nameText)
		if err != nil || m.Unpack(packet) != nil {
			return
		}
		zone, err := wire.ParseName(zoneText)
		if err != nil || !name.Within(zone) {
			zone = wire.Root()
		}
		question := appendQuestion(nil, 1, name, rrtype, true, do)
		isReplyTo(packet, question)
		checkTaken(t, classify(m, name, rrtype, zone, do), name, zone)
	})
}

// checkTaken holds a reply to what servers of zone may say about name.
func checkTaken(t *testing.T, r iterReply, name, zone wire.Name) {
	t.Helper()
	for _, rr := range slices.Concat(r.answer, r.authority) {
		owner, err := wire.ParseName(rr.Header().Name)
		if err != nil || !owner.Within(zone) {
			t.Errorf("%v does not lie in %s", rr, zone)
		}
	}
	if n := count(r.answer, dns.TypeCNAME); r.kind == iterAlias && (n == 0 || n > maxAliases || r.target == nil) {
		t.Errorf("%d aliases to %v", n, r.target)
	}
	if (r.cut != nil) != (r.kind == iterReferral) {
		t.Fatalf("kind %d with cut %v", r.kind, r.cut)
	}
	if r.cut == nil {
		return
	}
	if !r.cut.zone.Within(zone) || len(r.cut.zone) <= len(zone) || !name.Within(r.cut.zone) {
		t.Errorf("from %s to %s for %s", zone, r.cut.zone, name)
	}
	if len(r.cut.servers) == 0 || len(r.cut.servers) > maxCutServers {
		t.Errorf("%d servers", len(r.cut.servers))
	}
	for _, s := range r.cut.servers {
		if len(s.addrs) > maxServerAddrs || len(s.addrs) > 0 && !s.name.Within(zone) {
			t.Errorf("%d addresses of %s from a server of %s", len(s.addrs), s.name, zone)
		}
		for _, a := range s.addrs {
			if !isServerAddr(a) {
				t.Errorf("%s is no address to ask", a)
			}
		}
	}
}
