//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ways are resolvers that reach the stamp rightly, by one way or the other. Their
// kinds are those of behaviors.
var ways = []struct {
	name, kind string
	path, way  string // as the journal and the probe call it
}{
	{"bind", "BIND delegation", "iterative", "delegation"},
	{"unbound", "Unbound delegation", "iterative", "delegation"},
	{"knot", "Knot Resolver delegation", "iterative", "delegation"},
	{"recursor", "PowerDNS Recursor forward-zones", "iterative", "stub zone"},
	{"bind-forward", "BIND type forward", "forwarded", "forwarding"},
	{"unbound-forward", "Unbound forward-zone", "forwarded", "forwarding"},
	{"dnsmasq", "dnsmasq server=/ZONE/ADDRESS", "forwarded", "forwarding"},
	{"coredns", "CoreDNS forward", "forwarded", "forwarding"},
}

// TestReach has resolvers of six kinds ask, some by delegation and some by forwarding.
// Metrics, findings, journal and probe tell each one's way.
func TestReach(t *testing.T) {
	t.Parallel()
	var names []string
	for _, w := range ways {
		names = append(names, w.name)
	}
	r := newReach(t, names...)
	stranger := r.lab.host("stranger", "198.51.100.60")
	r.resolvers[stranger.addr.String()] = stranger
	t.Run("resolvers", func(t *testing.T) {
		for _, w := range ways {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				resolverSetups[w.kind](t, r.resolvers[w.name], r.world)
				r.tellsWay(t, w.name, w.kind, w.path, w.way)
			})
		}
		t.Run("without a name", func(t *testing.T) {
			t.Parallel()
			r.tellsStrangers(t, stranger)
		})
	})
	for _, f := range r.report(t).Findings {
		if f.Level != "info" && f.ID != "one-server" && f.ID != "edns-stripped" {
			t.Errorf("a warning where nothing is wrong: %+v", f)
		}
	}
}

// tellsStrangers has somebody with dig ask the stamp itself, and a resolver that the
// Corefile does not name.
func (r *reach) tellsStrangers(t *testing.T, h *host) {
	if out := r.client.command(t, r.stamp.addr, "dig portal."+stampZone); !strings.Contains(out, "status: NOERROR") {
		t.Errorf("dig says\n%s", out)
	}
	r.says(t, 0, "journal expect --source "+r.client.addr.String()+" --name portal.* --path direct --ns ns01 --since 10m --within 1s")
	r.says(t, 0, "probe --resolver 192.0.2.12", "reached: the stamp itself", `direct\s+ns02`)
	startUnboundFor(t, h, r.world)
	r.askMany(t, h.addr.String(), 25)
	r.ask(t, h.addr.String(), "many."+cloudappZone, dns.TypeA)
	// It is known by its address.
	r.says(t, 0, "journal expect --resolver "+h.addr.String()+" --path iterative --since 10m --within 1s")
	learned := false
	for _, found := range r.report(t).Resolvers {
		learned = learned || found.Name == h.addr.String() && found.Learned && found.Queries.ByPath["iterative"] >= 25
	}
	if !learned {
		t.Errorf("nothing is told of %s: %+v", h.addr, r.report(t).Resolvers)
	}
}

// tellsWay has one resolver ask, and looks at all that tells its way.
func (r *reach) tellsWay(t *testing.T, name, kind, path, way string) {
	r.askMany(t, name, 25)
	if reply := r.ask(t, name, "portal."+stampZone, dns.TypeAAAA); reply == nil || reply.Rcode != dns.RcodeSuccess {
		t.Errorf("no data: %v", reply)
	}
	if reply := r.ask(t, name, r.freshName(cloudappZone), dns.TypeA); reply == nil || reply.Rcode != dns.RcodeNameError {
		t.Errorf("what does not exist: %v", reply)
	}
	reply := r.ask(t, name, "many."+cloudappZone, dns.TypeA)
	if reply != nil && reply.Truncated {
		reply = r.client.mustAsk(t, "tcp", r.resolvers[name].addr, question{name: "many." + cloudappZone, typ: dns.TypeA, size: 1232, rd: true})
	}
	if reply == nil || len(reply.Answer) != manyAddresses {
		t.Errorf("what fits no datagram: %v", reply)
	}

	r.says(t, 0, "probe --resolver "+r.resolvers[name].addr.String(),
		`(?m)^east\.cloud\.fabrikam\.com: reached: .*`+way, `(?m)^east\.cloudapp\.cloud\.fabrikam\.com: reached: .*`+way,
		`joined with the server's side`)
	expect := "journal expect --resolver " + name + " --name *.blob.* --path "
	r.says(t, 0, expect+path+" --since 10m --within 5s")
	elsewhere := map[string]string{"iterative": "forwarded", "forwarded": "iterative"}[path]
	r.says(t, 1, expect+elsewhere+" --since 10m --within 100ms", path)

	queries := func(path string) float64 {
		return r.metric(t, "stampdns_delegation_resolver_queries_total", fmt.Sprintf("resolver=%q", name), fmt.Sprintf("path=%q", path))
	}
	if queries(path) < 25 || queries(elsewhere) > 0 || queries("direct") > 0 {
		t.Errorf("metrics: %v queries are %s, %v %s, %v direct", queries(path), path, queries(elsewhere), elsewhere, queries("direct"))
	}
	r.tellsCapabilities(t, name, kind)
}

// tellsCapabilities compares what the stamp has seen of a resolver with what was
// captured of its kind.
func (r *reach) tellsCapabilities(t *testing.T, name, kind string) {
	t.Helper()
	for _, b := range behaviors {
		if b.kind() != kind {
			continue
		}
		// The client of this lab sends EDNS, and no DO nor cookie.
		for capability, want := range map[string]bool{
			"edns": true, "do": strings.Contains(b.edns, "DO"), "cookie": b.options == "cookie",
			"case_random": b.letters == "random", "qmin": b.minimizes != nothing, "tcp": true, "ipv6": false,
		} {
			r.metricIs(t, 5*time.Second, bool01(want), bool01(want), "stampdns_delegation_resolver_capability",
				fmt.Sprintf("resolver=%q", name), fmt.Sprintf("capability=%q", capability))
		}
		return
	}
	t.Errorf("no captured behavior of %s", kind)
}

func bool01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
