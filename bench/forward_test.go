//go:build linux

package main

import (
	"bufio"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestForwardMixes holds the shares of the mixes for forwarders against what
// README.md says, and each answer against what the upstream says.
func TestForwardMixes(t *testing.T) {
	const draws = 50_000
	upstream := netip.MustParseAddrPort("127.0.0.1:53")
	for _, kind := range []forwarding{forwardsHit, forwardsMiss} {
		d := newForward(kind, upstream)
		if !d.forwards() || (d.cached > 0) != (kind == forwardsHit) {
			t.Errorf("%+v", d)
		}
		counts := make(map[string]float64)
		names := make(map[string]bool)
		r, random := new(resolver), newRand(1)
		for range draws {
			q := d.draw(random)
			names[q.String()] = true
			counts[forwardKind(q)]++
			if err := q.check(r.resolve(t, q.message(false)), false); err != nil {
				t.Fatal(err)
			}
		}
		for kind, want := range map[string]float64{"address": 90, "no data": 5, "no name": 5} {
			if got := 100 * counts[kind] / draws; math.Abs(got-want) > 0.5 {
				t.Errorf("%s: %s: %.1f%% of the questions, want %g%%", d.name, kind, got, want)
			}
		}
		if kind == forwardsHit && len(names) > hitNames || kind == forwardsMiss && len(names) < draws*9/10 {
			t.Errorf("%s: %d different questions of %d", d.name, len(names), draws)
		}
	}
}

func forwardKind(q question) string {
	switch {
	case q.want.rcode == dns.RcodeNameError:
		return "no name"
	case q.qtype == dns.TypeAAAA && len(q.want.records) == 0:
		return "no data"
	}
	return "address"
}

// TestForwardCheck: what is forwarded may be older than it was, within limits, and
// is not authoritative.
func TestForwardCheck(t *testing.T) {
	const hit, miss = hitAge, missAge
	for name, tc := range map[string]struct {
		age   int
		spoil func(m *dns.Msg)
		right bool
	}{
		"as it was":       {miss, func(*dns.Msg) {}, true},
		"authoritative":   {hit, func(m *dns.Msg) { m.Authoritative = true }, false},
		"cached":          {hit, func(m *dns.Msg) { m.Answer[0].Header().Ttl -= 599 }, true},
		"cached too long": {hit, func(m *dns.Msg) { m.Answer[0].Header().Ttl -= 601 }, false},
		"stale":           {hit, func(m *dns.Msg) { m.Answer[0].Header().Ttl = 0 }, false},
		"not cached":      {miss, func(m *dns.Msg) { m.Answer[0].Header().Ttl -= 2 }, false},
		"younger":         {hit, func(m *dns.Msg) { m.Answer[0].Header().Ttl++ }, false},
		"no recursion":    {hit, func(m *dns.Msg) { m.RecursionAvailable = false }, false},
		"another address": {hit, func(m *dns.Msg) { m.Answer[0].(*dns.A).A[3]++ }, false},
		"servfail":        {hit, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, false},
	} {
		q := forwarded(4711, tc.age)
		m := new(resolver).resolve(t, q.message(false))
		tc.spoil(m)
		if err := q.check(m, false); (err == nil) != tc.right {
			t.Errorf("%s: %v", name, err)
		}
	}
	if q := forwarded(1, 0); !q.message(false).RecursionDesired || hosts("a.example.", "198.18.0.1").message(false).RecursionDesired {
		t.Error("RD is to be set for forwarders, and for no others")
	}
}

// TestMissNames: no question of a contestant comes twice, nor is one in the sample.
func TestMissNames(t *testing.T) {
	c := &contest{b: &bench{dir: t.TempDir()}, mix: mix{forward: forwardsMiss}, queries: "unused"}
	seen := make(map[string]bool)
	one := &contestant{}
	total := 0
	for range 3 {
		l, err := c.load(one, 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(l.queries)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			seen[lines.Text()] = true
		}
		file.Close()
		total += l.names
	}
	if len(seen) != total || total == 0 {
		t.Errorf("%d different questions of %d", len(seen), total)
	}
	for i := range missSample {
		if seen[forwarded(i, 0).String()] {
			t.Fatalf("%s is in the sample", forwarded(i, 0))
		}
	}
	if !seen[forwarded(missSample, 0).String()] {
		t.Errorf("%s is not there", forwarded(missSample, 0))
	}
	c.mix.forward = forwardsHit
	if l, err := c.load(one, time.Second); err != nil || l.queries != c.queries || l.names != 0 {
		t.Errorf("forward-hit asks %+v, %v", l, err)
	}
}

// TestProof: a contestant whose answers did not come from where the mix says they
// do has no speed.
func TestProof(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  forwarding
		seen  loadResult
		right bool
	}{
		"hits":                {forwardsHit, loadResult{Answered: 1000, Reached: 10}, true},
		"too few hits":        {forwardsHit, loadResult{Answered: 1000, Reached: 11}, false},
		"misses":              {forwardsMiss, loadResult{Answered: 1000, Reached: 990}, true},
		"misses, asked twice": {forwardsMiss, loadResult{Answered: 1000, Reached: 1100}, true},
		"hits among misses":   {forwardsMiss, loadResult{Answered: 1000, Reached: 989}, false},
		"failed":              {forwardsMiss, loadResult{Answered: 1000, Reached: 1000, Failed: 2}, false},
		"one failed":          {forwardsMiss, loadResult{Answered: 1000, Reached: 1000, Failed: 1}, true},
		"refused":             {forwardsHit, loadResult{Answered: 1000, Failed: 1000}, false},
		"authoritative":       {forwardsNothing, loadResult{Answered: 1000, Failed: 1000}, true},
		"nothing":             {forwardsMiss, loadResult{}, true},
	} {
		if err := tc.kind.wrong(tc.seen); (err == nil) != tc.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPrograms: who takes part in which mix.
func TestPrograms(t *testing.T) {
	all := append(append(peers(), forwarders()...), stampdns("stampdns", false), metricsOnly("stampdns"), coreDNS("coredns"), echo("bench"))
	want := map[string]string{
		"stamp":  "nsd knot bind pdns stampdns metrics-only coredns echo",
		"tcp":    "nsd knot bind pdns stampdns metrics-only coredns",
		"signed": "nsd knot bind stampdns metrics-only coredns echo",
		hitMix:   "dnsdist unbound stampdns metrics-only coredns echo",
		missMix:  "dnsdist unbound stampdns metrics-only coredns",
	}
	for _, m := range mixes() {
		var names []string
		for _, p := range all {
			if p.takes(m) {
				names = append(names, p.name)
			}
		}
		if got := strings.Join(names, " "); want[m.name] != "" && got != want[m.name] {
			t.Errorf("mix %s: %s, want %s", m.name, got, want[m.name])
		}
	}
}

// TestForwarderFiles: each forwarder is told its own address and the upstream's,
// and of a cache where there is to be one.
func TestForwarderFiles(t *testing.T) {
	for _, tc := range []struct {
		cached int
		texts  map[string]string // what must be in the file of each
	}{
		{0, map[string]string{"dnsdist": "newServer(", "unbound": "forward-no-cache: yes", "coredns": "forward . ", "stampdns": "forward . "}},
		{hitNames, map[string]string{"dnsdist": "newPacketCache(100000)", "unbound": "msg-cache-size: 64m", "coredns": "denial 100000", "stampdns": "capacity 256MB"}},
		{1_000_000, map[string]string{"dnsdist": "newPacketCache(2000000)", "unbound": "rrset-cache-size: 2g", "coredns": "success 2000000", "stampdns": "success 2000000"}},
	} {
		for _, p := range append(forwarders(), stampdns("stampdns", false), coreDNS("coredns")) {
			s := &setup{dir: t.TempDir(), workers: 1, data: &dataset{cached: tc.cached, upstream: netip.MustParseAddrPort("192.0.2.1:5301")}}
			s.addr, s.metrics = netip.MustParseAddrPort("127.0.0.1:5300"), netip.MustParseAddrPort("127.0.0.1:5302")
			if _, err := p.forward(s); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(s.dir, "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%s: files %q, %v", p.name, files, err)
			}
			text, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"192.0.2.1", "5301", "5300", tc.texts[p.name]} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s with a cache for %d: no %q in\n%s", p.name, tc.cached, want, text)
				}
			}
			if has := strings.Contains(strings.ToLower(string(text)), "cache {"); p.name != "dnsdist" && p.name != "unbound" && has != (tc.cached > 0) {
				t.Errorf("%s with a cache for %d:\n%s", p.name, tc.cached, text)
			}
		}
	}
}

// TestCounters reads metrics as stampdns writes them.
func TestCounters(t *testing.T) {
	const authoritative = `stampdns_dns_requests_total{family="1",ns="ns01",proto="udp",server="dns://:53",type="A",zone="a."} 12` + "\n"
	const forwarded = `stampdns_dns_requests_total{family="1",ns="",proto="udp",server="dns://:53",type="A",zone="."} 1.2e+06` + "\n"
	const observed = `stampdns_delegation_resolver_queries_total{ns="ns01",path="forwarded",resolver="load"} 12` + "\nstampdns_journal_recorded_total 3\n"
	const hits = `stampdns_cache_hits_total{server="dns://:53",type="success",zones="."} 7` + "\n"
	for name, tc := range map[string]struct {
		kind  forwarding
		text  string
		right bool
	}{
		"by name server":      {forwardsNothing, observed + authoritative, true},
		"not observed":        {forwardsNothing, authoritative, false},
		"observed as other":   {forwardsNothing, strings.Replace(observed, "load", "other", 1) + authoritative, false},
		"not in the journal":  {forwardsNothing, strings.Replace(observed, " 3", " 0", 1) + authoritative, false},
		"by none":             {forwardsNothing, observed + forwarded, false},
		"hits":                {forwardsHit, observed + forwarded + hits, true},
		"queries and no hits": {forwardsHit, observed + forwarded + strings.Replace(hits, " 7", " 0", 1), false},
		"no queries":          {forwardsHit, observed + hits, false},
		"misses":              {forwardsMiss, observed + forwarded, true},
		"nothing":             {forwardsMiss, "", false},
	} {
		if err := (mix{forward: tc.kind}).checkCounters([]byte(tc.text)); (err == nil) != tc.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCacheMemory(t *testing.T) {
	c := &cacheMemory{Names: 1000, Before: 50_000, After: 446_000}
	if err := c.hold(1, 100); err != nil || c.Names != 990 || c.each() != 400 {
		t.Errorf("%+v, each %g, %v", c, c.each(), err)
	}
	if err := c.hold(2, 100); err == nil {
		t.Error("a cache without 2% of the names is taken for one with all")
	}
}
