package server

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

func TestRouteLongestSuffix(t *testing.T) {
	l := newLab()
	s := l.start(t, `example.org:0 {
		bind 127.0.0.1
		say org
	}
	b.example.org:0 {
		bind 127.0.0.1
		say b
	}
	c.a.example.org:0 {
		bind 127.0.0.1
		say c
	}`)
	for name, want := range map[string]string{
		"example.org.": "org", "a.example.org.": "org", "b.example.org.": "b", "x.y.b.example.org.": "b",
		"xb.example.org.": "org", "c.a.example.org.": "c", "d.a.example.org.": "org", "B.EXAMPLE.ORG.": "b",
		strings.Repeat("x.", 115) + "b.example.org.": "b",
		`x\.b.example.org.`:                          "org",
	} {
		if got := text(t, ask(t, "udp", s.Addrs()[0], question(name))); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{".", "org.", "example.com.", "anexample.org.", `b\.example.org.`} {
		m := question(name).SetEdns0(1232, false)
		r := ask(t, "udp", s.Addrs()[0], m)
		var ede *dns.EDNS0_EDE
		for _, o := range r.IsEdns0().Option {
			ede, _ = o.(*dns.EDNS0_EDE)
		}
		if r.Rcode != dns.RcodeRefused || ede == nil || ede.InfoCode != dns.ExtendedErrorCodeNotAuthoritative {
			t.Errorf("%s: got\n%s", name, r)
		}
	}
}

// The DS records of a zone are the parent's (RFC 4035 section 3.1.4.1).
func TestRouteDS(t *testing.T) {
	s := newLab().start(t, `example.org:0 {
		bind 127.0.0.1
		say parent
	}
	a.example.org:0 {
		bind 127.0.0.1
		say child
	}`)
	for name, want := range map[string]string{
		"a.example.org.": "parent", "b.a.example.org.": "child", "example.org.": "parent",
	} {
		m := question(name)
		m.Question[0].Qtype = dns.TypeDS
		if got := text(t, ask(t, "udp", s.Addrs()[0], m)); got != want {
			t.Errorf("%s DS: got %s, want %s", name, got, want)
		}
	}
}

// What no block serves is still seen by the first block's observers, and goes
// through the gate.
func TestRouteFallback(t *testing.T) {
	l := newLab()
	s := l.start(t, "example.:0 {\n}\n")
	if r := ask(t, "udp", loopback(1, s.Addrs()[0].Port()), question("x.example.")); r.Rcode != dns.RcodeRefused {
		t.Errorf("empty block: got\n%s", r)
	}
	l = newLab()
	s = l.start(t, "example.:0 {\n bind 127.0.0.1\n watch\n say a\n}\nb.:0 {\n bind 127.0.0.1\n say b\n}\n")
	m := question("elsewhere.")
	m.Opcode = dns.OpcodeNotify
	if r := ask(t, "udp", s.Addrs()[0], m); r.Rcode != dns.RcodeNotImplemented {
		t.Errorf("got\n%s", r)
	}
	ask(t, "udp", s.Addrs()[0], question("b."))
	ask(t, "udp", s.Addrs()[0], question("elsewhere."))
	if n := l.seen.Load(); n != 2 {
		t.Errorf("observer saw %d queries", n)
	}
}

func TestNameServerIndex(t *testing.T) {
	addr := netip.MustParseAddr
	two := []NameServer{{Label: "ns01", Addrs: []netip.Addr{addr("192.0.2.11"), addr("2001:db8::11")}}, {Label: "ns02", Addrs: []netip.Addr{addr("192.0.2.12")}}}
	unset := []NameServer{{Label: "ns01"}, {Label: "ns02"}}
	for i, c := range []struct {
		servers []NameServer
		binds   []netip.Addr
		at      netip.Addr
		want    string
	}{
		{nil, nil, addr("192.0.2.11"), ""},
		{two, nil, addr("192.0.2.12"), "ns02"},
		{two, nil, addr("127.0.0.1"), "any"},
		{two, nil, addr("2001:db8::11"), "ns01"},
		{two, []netip.Addr{addr("127.0.0.1"), addr("127.0.0.2")}, addr("127.0.0.2"), "ns02"},
		{two, []netip.Addr{addr("192.0.2.12"), addr("192.0.2.11")}, addr("192.0.2.12"), "ns02"},
		{two, []netip.Addr{addr("127.0.0.1")}, addr("127.0.0.1"), "any"},
		{two, []netip.Addr{addr("127.0.0.1"), addr("127.0.0.2"), addr("::1")}, addr("::1"), "any"},
		{two[:1], []netip.Addr{addr("127.0.0.1")}, addr("127.0.0.1"), "ns01"},
		{unset, nil, netip.Addr{}, "any"},
	} {
		b := &Block{NameServers: c.servers, Binds: c.binds}
		b.label()
		if got := b.NSLabels()[b.nameServer(c.at)]; got != c.want {
			t.Errorf("%d: got %q, want %q", i, got, c.want)
		}
	}
}

// Names of many labels cost no more look-ups than the zones have labels.
func TestFindDoesNotAllocate(t *testing.T) {
	name, err := wire.ParseName(strings.Repeat("x.", 115) + "example.org")
	if err != nil {
		t.Fatal(err)
	}
	r := &router{zones: map[string]route{"\x07example\x03org\x00": {chain: new(chain)}}, labels: 2}
	if n := testing.AllocsPerRun(100, func() {
		if r.find(name, dns.TypeA).chain == nil {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLabels(t *testing.T) {
	l := newLabels()
	if l.name(0) != "other" || l.name(99) != "other" {
		t.Error(l.name(0), l.name(99))
	}
	a, b := l.slot("a."), l.slot("b.")
	if a == 0 || a == b || l.slot("a.") != a || l.name(a) != "a." || l.name(b) != "b." {
		t.Error(a, b)
	}
	for i := range maxLabels {
		l.slot(fmt.Sprint(i))
	}
	if l.slot("one too many") != 0 || l.slot("b.") != b || len(*l.names.Load()) != maxLabels {
		t.Error("labels grow without bound")
	}
}

func TestListenKeys(t *testing.T) {
	addr := netip.MustParseAddr
	b := &builtBlock{block: &Block{Port: 53, Binds: []netip.Addr{
		addr("::"), addr("0.0.0.0"), addr("::ffff:192.0.2.1"), addr("192.0.2.1"), addr("fe80::1%eth0"),
	}}}
	var got []string
	for _, k := range b.listenKeys() {
		got = append(got, k.network("udp")+" "+k.hostPort(k.port))
	}
	want := []string{"udp :53", "udp4 0.0.0.0:53", "udp4 192.0.2.1:53", "udp6 [fe80::1%eth0]:53"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
