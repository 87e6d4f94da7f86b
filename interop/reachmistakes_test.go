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

// mistakes are ways to integrate a stamp wrongly, and what the verb delegation says of
// each.
var mistakes = []struct {
	name string
	run  func(*testing.T, *reach, string)
	says string
}{
	{"no-cloudapp", noCloudapp, `warning\s+cloudapp-missing: no-cloudapp `},
	{"wrong-cut", wrongCut, `warning\s+wrong-cut: wrong-cut `},
	{"stale-glue", staleGlue, `warning\s+(one-server|stale-glue): stale-glue `},
	{"tcp-blocked", tcpBlocked, `warning\s+tcp-blocked: tcp-blocked `},
	{"hosted", hosted, `info\s+resolver-silent: hosted has not asked`},
	{"hosted-delegating", hostedDelegating, `info\s+path-forwarded: .* hosted-delegating`},
	{"below-cut", belowCut, `warning\s+below-cut: below-cut `},
	{"validating", validating, `warning\s+ds-at-child: validating `},
}

// TestMistakes integrates resolvers wrongly. Probe, findings, metrics and journal
// tell what is wrong.
func TestMistakes(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range mistakes {
		names = append(names, m.name)
	}
	r := newReach(t, names...)
	said := make([]string, len(mistakes)) // of those that ran
	t.Run("resolvers", func(t *testing.T) {
		for i, m := range mistakes {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				m.run(t, r, m.name)
				said[i] = m.says
			})
		}
	})
	r.says(t, 0, "delegation", said...)
}

// behindParent starts an Unbound that knows a parent of its own, at 192.0.2.last,
// whose zones are wrong.
func (r *reach) behindParent(t *testing.T, resolver string, last int, zones map[string][]string) {
	t.Helper()
	dir := t.TempDir()
	parent := r.lab.host("parent-"+resolver, fmt.Sprintf("192.0.2.%d", last))
	var all []zone
	for _, origin := range []string{".", "cloud.fabrikam.com."} {
		if lines := zones[origin]; lines != nil {
			// The parent's address is another one here.
			text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", " 192.0.2.2\n", " "+parent.addr.String()+"\n")
			all = append(all, zone{origin, write(t, dir, origin+"zone", text)})
		}
	}
	startBIND(t, parent, all...)
	hints := strings.ReplaceAll(strings.Join(rootHints, "\n"), " 192.0.2.2", " "+parent.addr.String())
	startUnbound(t, r.resolvers[resolver], write(t, dir, "hints", hints), ".")
}

// lacking are the lines without those that have the text.
func lacking(lines []string, text string) (left []string) {
	for _, line := range lines {
		if !strings.Contains(line, text) {
			left = append(left, line)
		}
	}
	return left
}

// noCloudapp has a parent that delegates the first of the stamp's zones only.
func noCloudapp(t *testing.T, r *reach, name string) {
	r.behindParent(t, name, 3, map[string][]string{".": rootZone, "cloud.fabrikam.com.": lacking(parentZone, "east.cloudapp")})
	r.askMany(t, name, 30)
	if reply := r.ask(t, name, "many."+cloudappZone, dns.TypeA); reply == nil || reply.Rcode != dns.RcodeNameError {
		t.Errorf("a name in the zone that is not delegated: %v", reply)
	}
	r.says(t, 1, "probe --resolver "+r.resolvers[name].addr.String(),
		`(?m)^east\.cloud\.fabrikam\.com: reached: delegation`,
		`(?m)^east\.cloudapp\.cloud\.fabrikam\.com: not reached: NXDOMAIN of zone cloud\.fabrikam\.com, .* not delegated`)
	r.warned(t, name, 5*time.Second, "cloudapp-missing")
	r.says(t, 1, "journal expect --resolver "+name+" --name *."+cloudappZone+" --since 10m --within 100ms", `east\.cloud\.fabrikam\.com`)
}

// wrongCut has a root that delegates the parent's whole zone to the stamp.
func wrongCut(t *testing.T, r *reach, name string) {
	root := []string{
		". 60 SOA parent.cloud.fabrikam.com. hostmaster.fabrikam.com. 1 3600 300 2419200 60",
		". 60 NS root-server.", "root-server. 60 A 192.0.2.2",
		"cloud.fabrikam.com. 3600 NS azs-ns01." + stampZone, "cloud.fabrikam.com. 3600 NS azs-ns02." + stampZone,
		"azs-ns01." + stampZone + " 3600 A 192.0.2.11", "azs-ns02." + stampZone + " 3600 A 192.0.2.12",
	}
	r.behindParent(t, name, 4, map[string][]string{".": root})
	for _, other := range []string{"www.cloud.fabrikam.com.", "mail.cloud.fabrikam.com.", "portal.west.cloud.fabrikam.com."} {
		if reply := r.ask(t, name, other, dns.TypeA); reply != nil && reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("a name that the stamp does not have: %v", reply)
		}
	}
	// What the stamp does have is found all the same: only the finding tells.
	r.says(t, 0, "probe --resolver "+r.resolvers[name].addr.String(), `(?m)^east\.cloud\.fabrikam\.com: reached: delegation`)
	r.warned(t, name, 5*time.Second, "wrong-cut")
	r.metricIs(t, 5*time.Second, 2, 1000, "stampdns_delegation_out_of_zone_total", `resolver="`+name+`"`)
	r.says(t, 0, "journal expect --resolver "+name+" --path iterative --rcode REFUSED --since 10m --within 1s")
}

// staleGlue has a parent that knows an address of ns02 where nobody is.
func staleGlue(t *testing.T, r *reach, name string) {
	stale := make([]string, len(parentZone))
	for i, line := range parentZone {
		stale[i] = strings.ReplaceAll(line, "192.0.2.12", "192.0.2.212")
	}
	r.behindParent(t, name, 5, map[string][]string{".": rootZone, "cloud.fabrikam.com.": stale})
	for range 40 {
		r.ask(t, name, r.freshName(blobNames), dns.TypeA)
		r.ask(t, name, r.freshName(cloudappZone), dns.TypeA)
	}
	r.says(t, 1, "probe --both --zone "+stampZone+" --resolver "+r.resolvers[name].addr.String(), `ns01`, `only one name server was seen`)
	// It is called stale where the resolver has asked for the address itself.
	want := "one-server"
	if slices.Contains(r.warnings(t, name), "stale-glue") {
		want = "stale-glue"
	}
	r.warned(t, name, 5*time.Second, want)
	r.says(t, 0, "journal expect --resolver "+name+" --name *.blob.* --ns ns01 --since 10m --within 1s")
	r.says(t, 1, "journal expect --resolver "+name+" --name *.blob.* --ns ns02 --since 10m --within 100ms", `ns01`)
}

// tcpBlocked has a firewall between a resolver and the stamp that lets UDP through only.
func tcpBlocked(t *testing.T, r *reach, name string) {
	h := r.resolvers[name]
	startUnboundFor(t, h, r.world)
	h.filter(t, "tcp dport 53 ip daddr { 192.0.2.11, 192.0.2.12 } drop")
	r.askMany(t, name, 10)
	for _, large := range []string{"many.", "more."} {
		// The resolver waits for its answer as long as it can: the client does not.
		r.client.ask("udp", h.addr, question{name: large + cloudappZone, typ: dns.TypeA, size: 1232, rd: true}, time.Second)
	}
	r.says(t, 0, "probe --resolver "+h.addr.String(), `reached: delegation`)
	r.warned(t, name, 40*time.Second, "tcp-blocked")
	r.metricIs(t, time.Second, 2, 1000, "stampdns_delegation_tc_unretried_total", `resolver="`+name+`"`)
	r.metricIs(t, time.Second, 0, 0, "stampdns_delegation_tcp_after_tc_total", `resolver="`+name+`"`)
	r.says(t, 1, "journal expect --resolver "+name+" --transport tcp --since 10m --within 100ms", "udp")
}

// filter drops what the host sends and the rule matches.
func (h *host) filter(t *testing.T, rule string) {
	t.Helper()
	output(t, "ip", "netns", "exec", h.netns, "nft", "add table ip lab; add chain ip lab out { type filter hook output priority 0; }; add rule ip lab out "+rule)
}

// hostedBIND starts a BIND that hosts the parent's zone itself, and forwards the
// stamp's zones, as servers of companies do.
func (r *reach) hostedBIND(t *testing.T, name string, lines []string) {
	t.Helper()
	zones := clauses(`zone "%s" { type forward; forward only; forwarders {` + r.world.servers(" ", ";") + ` }; };`)
	file := write(t, t.TempDir(), "cloud.zone", lines...)
	startBINDFor(t, r.resolvers[name], r.world, append(zones, fmt.Sprintf(`zone "cloud.fabrikam.com" { type primary; file %q; };`, file))...)
}

// hosted has a conditional forwarder below a zone that the server hosts, without a
// delegation in it: the forwarder is never used.
func hosted(t *testing.T, r *reach, name string) {
	r.hostedBIND(t, name, lacking(lacking(parentZone, "azs-ns01"), "azs-ns02"))
	if reply := r.ask(t, name, r.freshName(blobNames), dns.TypeA); reply == nil || reply.Rcode != dns.RcodeNameError || !reply.Authoritative {
		t.Errorf("a name below the hosted zone: %v", reply)
	}
	r.says(t, 1, "probe --resolver "+r.resolvers[name].addr.String(),
		`(?m)^east\.cloud\.fabrikam\.com: not reached: NXDOMAIN of zone cloud\.fabrikam\.com`,
		`(?m)^east\.cloudapp\.cloud\.fabrikam\.com: not reached`)
	r.says(t, 1, "journal expect --resolver "+name+" --since 10m --within 100ms")
	silent := false
	for _, f := range r.report(t).Findings {
		silent = silent || f.ID == "resolver-silent" && f.Resolver == name && strings.Contains(f.Text, "below a zone that it hosts")
	}
	if !silent {
		t.Errorf("nothing says that %s has not asked: %+v", name, r.report(t).Findings)
	}
	r.metricIs(t, time.Second, 0, 0, "stampdns_delegation_resolver_queries_total", `resolver="`+name+`"`)
}

// hostedDelegating is the remedy: with the delegation in the hosted zone, the forwarder
// is used.
func hostedDelegating(t *testing.T, r *reach, name string) {
	r.hostedBIND(t, name, parentZone)
	r.askMany(t, name, 25)
	r.says(t, 0, "probe --resolver "+r.resolvers[name].addr.String(), `(?m)^east\.cloud\.fabrikam\.com: reached: forwarding`)
	r.says(t, 0, "journal expect --resolver "+name+" --path forwarded --since 10m --within 1s")
	r.says(t, 1, "journal expect --resolver "+name+" --path iterative --since 10m --within 100ms", "forwarded")
}

// belowCut has a conditional forwarder for a user's zone, of which the user has
// delegated a part to servers elsewhere: the forwarder cannot follow the referral.
func belowCut(t *testing.T, r *reach, name string) {
	startBINDFor(t, r.resolvers[name], r.world,
		`zone "shop.fabrikam.com" { type forward; forward only; forwarders {`+r.world.servers(" ", ";")+` }; };`)
	if reply := r.ask(t, name, "www."+userZone, dns.TypeA); reply == nil || len(reply.Answer) != 1 {
		t.Errorf("a name above the cut: %v", reply)
	}
	for range 2 {
		if reply := r.ask(t, name, r.freshName("team."+userZone), dns.TypeA); reply != nil && reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("a name below the cut: %v", reply)
		}
	}
	r.warned(t, name, 5*time.Second, "below-cut")
	r.metricIs(t, time.Second, 2, 1000, "stampdns_delegation_below_cut_recursive_total", `zone="`+userZone+`"`)
	r.says(t, 0, "journal expect --resolver "+name+" --path forwarded --name *.team."+userZone+" --since 10m --within 1s")
}

// validating has a forwarder that wants proof from the stamp that it is not signed,
// which only its parent has.
func validating(t *testing.T, r *reach, name string) {
	startKnotResolver(t, r.resolvers[name], r.world, knotPolicy("FORWARD", r.world)...)
	for range 2 {
		if reply := r.ask(t, name, r.freshName(blobNames), dns.TypeA); reply == nil || reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("a name of the stamp: %v", reply)
		}
	}
	r.says(t, 1, "probe --resolver "+r.resolvers[name].addr.String(), `(?m)^east\.cloud\.fabrikam\.com: not reached: SERVFAIL`)
	r.warned(t, name, 5*time.Second, "ds-at-child")
	r.says(t, 0, "journal expect --resolver "+name+" --type DS --path forwarded --since 10m --within 1s")
}
