package probe

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/stamp"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

const (
	zone     = "east.cloud.fabrikam.com."
	cloudapp = "east.cloudapp.cloud.fabrikam.com."
	nonce    = "k3v9x2m7q1"
)

// TestTells asks both name servers over both transports.
func TestTells(t *testing.T) {
	l := start(t, "stamp")
	for _, network := range []string{"udp", "tcp"} {
		for i, ns := range []string{"ns01", "ns02"} {
			for _, zone := range []string{zone, cloudapp} {
				name := nonce + ".probe." + zone
				got := told(l.Exchange(network, l.Addrs()[i], ask(name, dns.TypeTXT)))
				source, err := netip.ParseAddrPort(got["source"])
				if err != nil || !source.Addr().IsLoopback() || source.Port() == 0 {
					t.Errorf("source %q", got["source"])
				}
				for key, want := range map[string]string{
					"nonce": nonce, "ns": ns, "name": name, "zone": zone, "path": "iterative", "rd": "0",
					"transport": network, "edns": "0 size=1232 do=0", "case": "lower",
				} {
					if got[key] != want {
						t.Errorf("%s to %s: %s is %q, want %q", network, ns, key, got[key], want)
					}
				}
				if len(got["time"]) != len("2006-01-02T15:04:05.000Z") || got["resolver"] != "" {
					t.Errorf("time %q, resolver %q", got["time"], got["resolver"])
				}
			}
		}
	}
}

// TestSees has the answer follow what the query is like.
func TestSees(t *testing.T) {
	l := start(t, "stamp")
	mixed := "K3v9X2m7q1.pRobe.EAST.cloud.fabrikam.com."
	m := new(dns.Msg).SetQuestion(mixed, dns.TypeTXT)
	r := l.Exchange("udp", l.Addrs()[0], m)
	got := told(r)
	if r.Question[0].Name != mixed || r.Answer[0].Header().Name != mixed {
		t.Errorf("the case was not kept:\n%v", r)
	}
	for key, want := range map[string]string{
		"nonce": nonce, "name": mixed, "case": "mixed", "edns": "none", "rd": "1", "path": "direct", "zone": zone,
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if got := told(l.Exchange("udp", l.Addrs()[0], m.SetEdns0(4096, true)))["edns"]; got != "0 size=4096 do=1" {
		t.Errorf("edns is %q", got)
	}
	l.from.Store(&server.Resolver{Name: "corp"})
	if got := told(l.Exchange("udp", l.Addrs()[0], m)); got["resolver"] != "corp" || got["path"] != "forwarded" {
		t.Errorf("of a resolver with a name: %v", got)
	}
}

// TestTypes looks at what is no TXT.
func TestTypes(t *testing.T) {
	l := start(t, "stamp")
	name := nonce + ".probe." + zone
	r := l.Exchange("udp", l.Addrs()[0], ask(name, dns.TypeA))
	if len(r.Answer) != 1 || !r.Authoritative || r.Answer[0].(*dns.A).A.String() != "127.0.0.1" || r.Answer[0].Header().Ttl != 0 {
		t.Errorf("A:\n%v", r)
	}
	if got := told(l.Exchange("udp", l.Addrs()[0], ask(name, dns.TypeANY))); got["nonce"] != nonce {
		t.Errorf("ANY: %v", got)
	}
	if got := told(l.Exchange("udp", l.Addrs()[0], ask("more.labels."+name, dns.TypeTXT))); got["nonce"] != nonce {
		t.Errorf("more labels: %v", got)
	}
	for _, c := range []struct {
		name   string
		rrtype uint16
	}{
		{name, dns.TypeAAAA}, {name, dns.TypeNS}, {name, dns.TypeDS}, {name, dns.TypeSOA}, {name, dns.TypeCNAME}, {name, 65280},
		{"probe." + zone, dns.TypeTXT}, {"probe." + zone, dns.TypeA}, {"probe." + zone, dns.TypeNS}, {"PROBE." + zone, dns.TypeANY},
	} {
		r := l.Exchange("udp", l.Addrs()[0], ask(c.name, c.rrtype))
		if r.Rcode != dns.RcodeSuccess || !r.Authoritative || len(r.Answer) != 0 || len(r.Ns) != 1 {
			t.Errorf("%s %s:\n%v", c.name, dns.Type(c.rrtype), r)
			continue
		}
		if soa, ok := r.Ns[0].(*dns.SOA); !ok || soa.Hdr.Ttl != 0 || soa.Hdr.Name != zone || soa.Serial == 0 || soa.Ns == "" {
			t.Errorf("%s %s: %v", c.name, dns.Type(c.rrtype), r.Ns[0])
		}
	}
}

// TestIPv6 asks over IPv6, where the machine has it.
func TestIPv6(t *testing.T) {
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	} else {
		c.Close()
	}
	s := servertest.Start(t, ".:0 {\n bind ::1\n stamp\n}", withStamp()...)
	r := s.Ask(nonce+".probe."+zone, dns.TypeAAAA)
	if len(r.Answer) != 1 || r.Answer[0].(*dns.AAAA).AAAA.String() != "::1" {
		t.Errorf("AAAA:\n%v", r)
	}
	if r := s.Ask(nonce+".probe."+zone, dns.TypeA); len(r.Answer) != 0 || len(r.Ns) != 1 {
		t.Errorf("A:\n%v", r)
	}
	if got := told(s.Ask(nonce+".probe."+zone, dns.TypeTXT))["source"]; !strings.HasPrefix(got, "[::1]:") {
		t.Errorf("source %q", got)
	}
}

// TestWhere says which names are probes, and which belong to the zone as it is.
func TestWhere(t *testing.T) {
	files := "file plain plain.example\nfile wild wild.example sub.plain.example\nfile at at.example\nfile below below.example\nfile cut cut.example\nfile signed signed.example"
	for _, c := range []struct {
		lines, name string
		probe       bool
	}{
		{"stamp\n" + files, "plain.example.", true},
		{"stamp\n" + files, "wild.example.", true},
		{"stamp\n" + files, "sub.plain.example.", true},
		{"stamp\n" + files, "at.example.", false},
		{"stamp\n" + files, "below.example.", false},
		{"stamp\n" + files, "cut.example.", false},
		{"stamp\n" + files, "sub.cut.example.", false},
		{"stamp\n" + files, "signed.example.", false},
		{"stamp\n" + files, "elsewhere.example.", false},
		{"stamp\nprobe off", zone, false},
		{"stamp\nprobe", zone, true},
		{"probe\n" + files, "plain.example.", true},
		{"probe off\n" + files, "plain.example.", false},
		{files, "plain.example.", false},
	} {
		l := start(t, c.lines)
		r := l.Exchange("udp", l.Addrs()[0], ask(nonce+".probe."+c.name, dns.TypeTXT))
		if got := told(r); (got != nil) != c.probe || c.probe && got["zone"] != c.name {
			t.Errorf("%s: %s\n%v", c.lines, c.name, r)
		}
	}
}

// TestSaysWhy logs once that a zone has no probes, and not before somebody asks.
func TestSaysWhy(t *testing.T) {
	l := start(t, "probe\nfile signed signed.example\nfile at at.example")
	const signed, data = "probes below probe.signed.example. are not answered: the zone is signed", "probes below probe.at.example. are not answered: the zone has data there"
	if strings.Contains(l.Log(), "probes below") {
		t.Errorf("said before:\n%s", l.Log())
	}
	for range 3 {
		l.Ask(nonce+".probe.signed.example", dns.TypeTXT)
		l.Ask("x.probe.at.example", dns.TypeTXT)
	}
	for _, text := range []string{signed, data} {
		if n := strings.Count(l.Log(), text); n != 1 {
			t.Errorf("%q stands %d times in\n%s", text, n, l.Log())
		}
	}
	if r := l.Ask("probe.at.example", dns.TypeTXT); len(r.Answer) != 1 || r.Answer[0].(*dns.TXT).Txt[0] != "mine" {
		t.Errorf("the zone's own data is hidden:\n%v", r)
	}
}

// TestHostile asks for names that nobody would: none of them stops the server, and the
// answers can be read.
func TestHostile(t *testing.T) {
	l := start(t, "probe\nstamp")
	long := strings.Repeat("a", 63)
	rest := wire.MaxName - len(".probe."+zone) - 3*64 - 1
	names := []string{
		long + ".probe." + zone, long + "." + long + "." + long + "." + strings.Repeat("b", rest-1) + ".probe." + zone,
		strings.Repeat(`\000`, 63) + ".probe." + zone, strings.Repeat(`\255`, 60) + "." + strings.Repeat(`\.`, 63) + ".probe." + zone,
		strings.Repeat("x.", 100) + "probe." + zone, strings.Repeat("probe.", 30) + zone, `a\.probe.` + zone, `\005probe.` + zone,
		`a\"b\;c\\.probe.` + zone, "_.probe." + zone, "*.probe." + zone, "probe.", "x.probe.", ".",
	}
	for _, name := range names {
		for _, rrtype := range []uint16{dns.TypeTXT, dns.TypeA, dns.TypeMX} {
			for _, edns := range []bool{true, false} {
				m := new(dns.Msg).SetQuestion(name, rrtype)
				if edns {
					m.SetEdns0(1232, true)
				}
				r := l.Exchange("udp", l.Addrs()[0], m)
				if r.Question[0].Name != name {
					t.Errorf("%s: the question is %s", name, r.Question[0].Name)
				}
				below := strings.HasSuffix(name, ".probe."+zone) && !strings.HasPrefix(name, `a\.probe`)
				if len(r.Answer) == 0 && below && rrtype == dns.TypeTXT && !r.Truncated {
					t.Errorf("%s: no answer:\n%v", name, r)
				}
			}
		}
	}
	for _, p := range l.probes() {
		if len(p.Nonce) < minNonce || len(p.Sightings) > maxSightings || p.Nonce != strings.ToLower(p.Nonce) {
			t.Errorf("recorded %+v", p)
		}
	}
}

// TestFits drops what matters least where the client takes 512 octets.
func TestFits(t *testing.T) {
	l := start(t, "stamp")
	l.from.Store(&server.Resolver{Name: "2001:db8:1111:2222:3333:4444:5555:6666", Learned: true})
	for _, c := range []struct {
		name string
		gone []string
	}{
		{nonce + ".probe." + cloudapp, nil},
		{strings.Repeat("n", 63) + ".probe." + cloudapp, []string{"name"}},
		{strings.Repeat("m", 60) + "." + strings.Repeat("n", 63) + ".probe." + cloudapp, []string{"name"}},
		{strings.Repeat("m", 63) + "." + strings.Repeat("m", 40) + "." + strings.Repeat("n", 63) + ".probe." + cloudapp, []string{"name", "zone"}},
	} {
		m := new(dns.Msg).SetQuestion(c.name, dns.TypeTXT)
		raw, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		r := l.Exchange("udp", l.Addrs()[0], m)
		r.Compress = true
		got := told(r)
		if r.Truncated || r.Len() > dns.MinMsgSize || got["nonce"] == "" || got["source"] == "" || got["ns"] != "ns01" || got["path"] != "forwarded" {
			t.Errorf("%s: %d octets\n%v", c.name, r.Len(), r)
		}
		for _, key := range []string{"name", "zone", "time", "case", "resolver", "rd", "transport"} {
			if _, ok := got[key]; ok == slices.Contains(c.gone, key) {
				t.Errorf("%s: %s: there is %v, in %d octets", c.name, key, ok, r.Len())
			}
		}
		t.Logf("query %d octets, answer %d", len(raw), r.Len())
	}
}

// TestExplains says what explanations say.
func TestExplains(t *testing.T) {
	l := start(t, "probe\nstamp\nfile signed signed.example")
	for _, c := range []struct {
		name    string
		rrtype  uint16
		plugin  string
		decides bool
		text    string
	}{
		{nonce + ".probe." + zone, dns.TypeTXT, "probe", true, "the answer tells what the server sees of the query."},
		{nonce + ".probe." + zone, dns.TypeA, "probe", true, "the answer is the asker's address, 127.0.0.1."},
		{nonce + ".probe." + zone, dns.TypeAAAA, "probe", true, "the answer is NOERROR without data."},
		{"probe." + zone, dns.TypeTXT, "probe", true, "what probes are asked for below: the answer is NOERROR without data."},
		{nonce + ".probe.signed.example", dns.TypeTXT, "probe", false, "Probes below probe.signed.example are off: the zone is signed"},
		{"portal." + zone, dns.TypeA, "authority", true, ""},
		{"probe.example", dns.TypeA, "authority", false, ""},
	} {
		e, err := l.Explain(server.ExplainQuestion{Name: c.name, Type: c.rrtype})
		if err != nil {
			t.Fatal(err)
		}
		if s := e.Steps[0]; s.Plugin != c.plugin || s.Decides != c.decides || !strings.Contains(s.Text, c.text) {
			t.Errorf("%s %s: %+v", c.name, dns.Type(c.rrtype), e.Steps)
		}
	}
	if len(l.probes()) != 0 {
		t.Error("who explains has asked")
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"stamp\n probe of", `"of" is neither nothing nor off; did you mean "off"?`},
		{"stamp\n probe off off", "probe takes at most one argument, not 2 (usage: probe [off])"},
		{"stamp\n probe\n probe off", "Corefile:4: probe: stands twice"},
		{"probe", "the server block has no zones to be asked for in: add stamp, file or auto, or take probe out"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", withStamp()...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}

// withStamp are the plugins of a server that needs no more than a stamp.
func withStamp() []server.Plugin {
	return []server.Plugin{bind.Plugin(), stamp.Plugin(), Plugin(), Answers(), authority.Plugin()}
}

// measure has a function see queries.
type measure func(q *server.Query)

func (f measure) In(q *server.Query) server.Verdict { f(q); return server.Next }

func (measure) Out(*server.Query) {}

// TestAllocs says that names that are no probes pass without allocating, and that no
// part of a name is mistaken for a label.
func TestAllocs(t *testing.T) {
	var h server.Handler
	allocs := make(chan float64, 1)
	measures := server.Plugin{Name: "measure", Observer: true, Setup: func(*server.Directive) (server.Handler, error) {
		return measure(func(q *server.Query) {
			allocs <- servertest.Allocs(func() {
				if h.In(q) != server.Next {
					t.Errorf("%s is taken for a probe", q.Name)
				}
			})
		}), nil
	}}
	s := servertest.Start(t, ".:0 {\n measure\n bind 127.0.0.1\n stamp\n}",
		measures, bind.Plugin(), stamp.Plugin(), Plugin(), servertest.Capture(Answers(), &h), authority.Plugin())
	for _, name := range []string{
		".", "portal." + zone, "x.y.z.blob." + zone, "probes." + zone, `a\005probe.` + zone, `x.a\005probe.` + zone,
		"probe.example.", "x.probe.example.", "x.probe.y." + zone, "x.probe.blob." + zone,
	} {
		s.Ask(name, dns.TypeA)
		if n := <-allocs; n != 0 {
			t.Errorf("%s: %v allocations a query", name, n)
		}
	}
}

// TestTellsOnce: that a zone has no probes is logged once a reason, and costs those who
// ask again nothing.
func TestTellsOnce(t *testing.T) {
	var out strings.Builder
	var r refusals
	log := slog.New(slog.NewTextHandler(&out, nil))
	root, err := wire.ParseName("probe.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"the zone is signed", "the zone has data there"} {
		r.tell(log, place{root: root, refusal: why})
		if n := servertest.Allocs(func() { r.tell(log, place{root: root, refusal: why}) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		if n := strings.Count(out.String(), "probes below probe.example.org. are not answered: "+why); n != 1 {
			t.Errorf("%s: told %d times", why, n)
		}
	}
}

// BenchmarkPass is what names cost that are no probes.
func BenchmarkPass(b *testing.B) {
	for _, text := range []string{"portal." + zone, "account.blob." + zone, "vm1." + cloudapp} {
		n, err := wire.ParseName(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				if mayProbe(n) {
					b.Fatal("a probe")
				}
			}
		})
	}
}
