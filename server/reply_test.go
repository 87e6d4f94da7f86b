package server

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// A signed query is told that its key is not known: the record is the query's,
// without MAC (RFC 8945 sections 5.2.1 and 5.3.2), and the last one. It goes where
// names leave no room for it.
func TestUnknownKey(t *testing.T) {
	b := newBench(t, ".:0 {\n say hello\n}\n")
	name := func(n int) string { // of n octets in wire form
		return strings.Repeat(strings.Repeat("a", 62)+".", (n-1)/63) + strings.Repeat("b", (n-1)%63-1) + "."
	}
	for _, c := range []struct {
		what       string
		name, key  string
		size       uint16 // of EDNS, 0 for none
		tcp, fits  bool
		wantLength int
	}{
		{"plain", "Www.example.", "Key.example.", 0, false, true, 12 + 17 + 13 + 10 + 13 + 16},
		{"EDNS", "Www.example.", "Key.example.", 1232, false, true, 12 + 17 + 11 + 13 + 10 + 13 + 16},
		{"just fits", name(220), name(237), 0, false, true, 512},
		{"too long", name(220), name(238), 0, false, false, 12 + 224},
		{"too long for UDP", name(220), name(238), 0, true, true, 513},
		{"room in EDNS", name(220), name(238), 1232, false, true, 524},
	} {
		m := question(c.name)
		if c.size > 0 {
			m.SetEdns0(c.size, true)
		}
		m.Extra = append(m.Extra, &dns.TSIG{
			Hdr:       dns.RR_Header{Name: c.key, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
			Algorithm: dns.HmacSHA256, TimeSigned: 0x0102_0304_0506, Fudge: 300,
			MACSize: 4, MAC: "c0ffee00", OrigId: 0x4321,
		})
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		b.q.Transport = UDP
		if c.tcp {
			b.q.Transport = TCP
		}
		raw := b.exchange(packet)
		r := new(dns.Msg)
		if err := r.Unpack(raw); err != nil {
			t.Fatalf("%s: %v: % x", c.what, err, raw)
		}
		if r.Rcode != dns.RcodeNotAuth || len(raw) != c.wantLength || r.Truncated == c.fits || len(r.Answer) > 0 ||
			(r.IsEdns0() != nil) != (c.size > 0) || r.Question[0] != m.Question[0] {
			t.Errorf("%s: %d octets, want %d:\n%s", c.what, len(raw), c.wantLength, r)
		}
		sig := r.IsTsig()
		if !c.fits {
			if sig != nil {
				t.Errorf("%s: got %s", c.what, sig)
			}
			continue
		}
		if sig == nil || sig.Hdr.Name != c.key || sig.Hdr.Class != dns.ClassANY || sig.Hdr.Ttl != 0 || sig.Algorithm != dns.HmacSHA256 ||
			sig.TimeSigned != 0x0102_0304_0506 || sig.Fudge != 300 || sig.OrigId != 0x4321 ||
			sig.Error != dns.RcodeBadKey || sig.MACSize != 0 || sig.OtherLen != 0 {
			t.Errorf("%s: got %s", c.what, sig)
		}
		if n := testing.AllocsPerRun(100, func() { b.exchange(packet) }); n != 0 {
			t.Errorf("%s: %v allocations", c.what, n)
		}
	}
	// The next query in the same buffers is not signed.
	packet, _ := question("www.example.").Pack()
	r := new(dns.Msg)
	if err := r.Unpack(b.exchange(packet)); err != nil || r.IsTsig() != nil || r.Rcode != dns.RcodeSuccess {
		t.Errorf("%v: got\n%s", err, r)
	}
}

// TestLimit is what a reply may grow to, less the OPT record (RFC 6891 sections
// 6.2.3 and 6.2.5).
func TestLimit(t *testing.T) {
	for _, c := range []struct {
		tcp, edns bool
		size      uint16
		want      int
	}{
		{false, false, 0, 512},
		{false, true, 0, 512 - wire.OPTLen},
		{false, true, 511, 512 - wire.OPTLen},
		{false, true, 512, 512 - wire.OPTLen},
		{false, true, 513, 513 - wire.OPTLen},
		{false, true, 1232, 1232 - wire.OPTLen},
		{false, true, 1233, 1232 - wire.OPTLen},
		{false, true, 65535, 1232 - wire.OPTLen},
		{true, false, 0, 65535},
		{true, true, 100, 65535 - wire.OPTLen},
	} {
		b := newBench(t, ".:0 {\n say hello\n}\n")
		if c.tcp {
			b.q.Transport = TCP
		}
		m := question("www.example.")
		if c.edns {
			m.SetEdns0(c.size, false)
		}
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		b.exchange(packet)
		if got := b.q.Limit(); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}
