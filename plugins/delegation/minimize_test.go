package delegation

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// TestMinimization says which questions show that a resolver minimises names.
func TestMinimization(t *testing.T) {
	const full = "account.blob.east.cloud.fabrikam.com"
	for name, tc := range map[string]struct {
		first  *dns.Msg
		signal string // "" for none
		proven string
	}{
		"empty non-terminal":        {iterative("blob.east.cloud.fabrikam.com", dns.TypeA), "cut_probe", "1"},
		"NS of it":                  {iterative("blob.east.cloud.fabrikam.com", dns.TypeNS), "cut_probe", "1"},
		"underscore":                {iterative("_.blob.east.cloud.fabrikam.com", dns.TypeA), "underscore", "1"},
		"address of the apex":       {iterative("east.cloud.fabrikam.com", dns.TypeA), "apex", "1"},
		"NS of the apex":            {iterative("east.cloud.fabrikam.com", dns.TypeNS), "apex", "0"},
		"the name itself":           {iterative(full, dns.TypeNS), "", "0"},
		"another name":              {iterative("user.east.cloud.fabrikam.com", dns.TypeNS), "", "0"},
		"from a forwarder":          {question("blob.east.cloud.fabrikam.com", dns.TypeA), "", "0"},
		"another type":              {iterative("blob.east.cloud.fabrikam.com", dns.TypeTXT), "", "0"},
		"an end of the name":        {iterative("lob.east.cloud.fabrikam.com", dns.TypeNS), "", "0"},
		"underscore beside a label": {iterative("_.user.east.cloud.fabrikam.com", dns.TypeA), "", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "resolver corp 127.0.0.1")
			s.ask(1, tc.first)
			s.ask(2, iterative(full, dns.TypeA))
			s.ask(2, iterative(full, dns.TypeAAAA)) // counts no more
			want := map[string]string{`resolver_capability{capability="qmin",resolver="corp"}`: tc.proven}
			for _, signal := range signalNames() {
				value := ""
				if signal == tc.signal {
					value = "1"
				}
				want[`qname_minimization_total{resolver="corp",signal="`+signal+`"}`] = value
			}
			s.want(want)
		})
	}
}

// TestReferralIsAProbe says that a question which ends in a referral counts, too.
func TestReferralIsAProbe(t *testing.T) {
	s := start(t, "")
	s.ask(1, iterative("user.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(1, iterative("www.user.east.cloud.fabrikam.com", dns.TypeA))
	s.want(map[string]string{`qname_minimization_total{resolver="127.0.0.1",signal="cut_probe"}`: "1"})
}

// TestProbesAreFew says that only what follows soon counts, and only of the same
// source.
func TestProbesAreFew(t *testing.T) {
	o := newObserver(1)
	name := func(s string) *server.Query {
		n, err := wire.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		return &server.Query{Name: n, Type: dns.TypeA}
	}
	for _, tc := range []struct {
		text    string
		after   time.Duration
		source  source
		between int
		want    uint64
	}{
		{"soon", time.Second, source{0, 1}, 0, 1},
		{"late", 6 * time.Second, source{0, 1}, 0, 0},
		{"from somebody else", time.Second, source{0, 2}, 0, 0},
		{"after a few", time.Second, source{0, 1}, 3, 1},
		{"after many", time.Second, source{0, 1}, 4, 0},
	} {
		var p probes
		var r resolverCounts
		now := int64(time.Hour)
		p.see(o, name("b.example"), &facts{src: source{0, 1}, now: now, probe: 1 + signalCut}, &r)
		for i := range tc.between {
			p.see(o, name(string(rune('m'+i))+".example"), &facts{src: source{0, 1}, now: now, probe: 1 + signalCut}, &r)
		}
		p.see(o, name("a.b.example"), &facts{src: tc.source, now: now + int64(tc.after)}, &r)
		if r.signals[signalCut] != tc.want {
			t.Errorf("%s: counted %d times, want %d", tc.text, r.signals[signalCut], tc.want)
		}
	}
}
