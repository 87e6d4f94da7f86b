//go:build linux

package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// sampleStamp is a small zone as stampdns prints it.
const sampleStamp = `$ORIGIN east.cloud.fabrikam.com.
@        3600 IN SOA azs-ns01.east.cloud.fabrikam.com. hostmaster.east.cloud.fabrikam.com. 1 3600 300 2419200 300
@        3600 IN NS  azs-ns01.east.cloud.fabrikam.com.
@        3600 IN NS  azs-ns02.east.cloud.fabrikam.com.
azs-ns01 3600 IN A   127.0.0.1
*.blob   3600 IN A   192.0.2.46
portal   3600 IN A   192.0.2.37
`

// TestStampMix holds the shares of the mix against what README.md says, and
// each answer against the zone.
func TestStampMix(t *testing.T) {
	var names stampNames
	if err := names.read(sampleStamp, externalZone); err != nil {
		t.Fatal(err)
	}
	if len(names.endpoints) != 2 || len(names.wildcards) != 1 || len(names.apexes[0].ns) != 2 || len(names.apexes[0].soa) != 1 {
		t.Fatalf("the zone is read as %+v", names)
	}
	counts := make(map[string]float64)
	r := newRand(1)
	const draws = 100_000
	for range draws {
		counts[kind(names.draw(r))]++
	}
	for kind, want := range map[string]float64{"endpoint": 35, "wildcard": 45, "no data": 8, "apex": 4, "no name": 8} {
		if got := 100 * counts[kind] / draws; math.Abs(got-want) > 0.5 {
			t.Errorf("%s: %.1f%% of the questions, want %g%%", kind, got, want)
		}
	}
}

func kind(q question) string {
	switch {
	case q.want.rcode == dns.RcodeNameError:
		return "no name"
	case q.qtype == dns.TypeAAAA && len(q.want.records) == 0 && q.want.zone != "":
		return "no data"
	case q.qtype == dns.TypeSOA || q.qtype == dns.TypeNS:
		return "apex"
	case strings.HasPrefix(q.name, "account") && strings.HasSuffix(q.name, ".blob."+externalZone):
		return "wildcard"
	}
	return "endpoint"
}

// TestQueriesRepeat: the same seed makes the same file, another makes another.
func TestQueriesRepeat(t *testing.T) {
	var names stampNames
	if err := names.read(sampleStamp, externalZone); err != nil {
		t.Fatal(err)
	}
	texts := make([][]byte, 3)
	for i, seed := range []uint64{1, 1, 2} {
		path := filepath.Join(t.TempDir(), "queries")
		kept, err := writeQueries(path, 500, 20, seed, names.draw)
		if err != nil {
			t.Fatal(err)
		}
		if texts[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(texts[i]), "\n")
		if len(kept) != 20 || kept[0].String() != first || bytes.Count(texts[i], []byte("\n")) != 500 {
			t.Errorf("kept %d questions from %v; the file has %d lines from %q", len(kept), kept[0],
				bytes.Count(texts[i], []byte("\n")), first)
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		t.Error("two runs with one seed ask different questions")
	}
	if bytes.Equal(texts[0], texts[2]) {
		t.Error("two seeds ask the same questions")
	}
}

// reply is a right reply to q, from a server that knows nothing but q.
func reply(t *testing.T, q question) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetReply(q.message(false))
	m.Rcode, m.Authoritative = q.want.rcode, len(q.want.cut) == 0
	parse := func(texts []string) (out []dns.RR) {
		for _, text := range texts {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, rr)
		}
		return out
	}
	m.Answer, m.Ns = parse(q.want.records), parse(q.want.cut)
	if q.want.zone != "" {
		m.Ns = parse([]string{q.want.zone + " 300 IN SOA ns1." + q.want.zone + " hostmaster." + q.want.zone + " 1 1 1 1 300"})
	}
	return m
}

func TestCheck(t *testing.T) {
	const zone = "large.example."
	host := hosts("www."+zone, "198.18.0.1")
	cut := question{name: "a.b.example.", qtype: typeA, want: answer{cut: []string{
		record("b.example.", 3600, "NS", "ns1.b.example."), record("b.example.", 3600, "NS", "ns2.b.example."),
	}}}
	for _, q := range []question{host, cut, noData("www."+zone, zone), noName("x."+zone, zone)} {
		if err := q.check(reply(t, q), false); err != nil {
			t.Errorf("a right reply is wrong: %v", err)
		}
	}
	for name, tc := range map[string]struct {
		q     question
		spoil func(m *dns.Msg)
	}{
		"a query":            {host, func(m *dns.Msg) { m.Response = false }},
		"another question":   {host, func(m *dns.Msg) { m.Question[0].Name = "ftp." + zone }},
		"another type":       {host, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }},
		"truncated":          {host, func(m *dns.Msg) { m.Truncated = true }},
		"refused":            {host, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }},
		"not authoritative":  {host, func(m *dns.Msg) { m.Authoritative = false }},
		"no answer":          {host, func(m *dns.Msg) { m.Answer = nil }},
		"twice the answer":   {host, func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) }},
		"another TTL":        {host, func(m *dns.Msg) { m.Answer[0].Header().Ttl = 60 }},
		"no SOA":             {noData("www."+zone, zone), func(m *dns.Msg) { m.Ns = nil }},
		"SOA of another":     {noData("www."+zone, zone), func(m *dns.Msg) { m.Ns[0].Header().Name = "example." }},
		"one server missing": {cut, func(m *dns.Msg) { m.Ns = m.Ns[:1] }},
		"AA on a referral":   {cut, func(m *dns.Msg) { m.Authoritative = true }},
	} {
		m := reply(t, tc.q)
		tc.spoil(m)
		if err := tc.q.check(m, false); err == nil {
			t.Errorf("%s: taken for right", name)
		}
	}
	if err := host.check(reply(t, host), true); err == nil {
		t.Error("no OPT in the reply to a query that has one: taken for right")
	}
}

// TestDatasets loads what is written with another parser, and holds the answers
// that questions expect against it.
func TestDatasets(t *testing.T) {
	for name, build := range map[string]func(dir string) (*dataset, error){
		"large":    func(dir string) (*dataset, error) { return newLarge(dir, 2000, nil) },
		"referral": func(dir string) (*dataset, error) { return newReferral(dir, 200, nil) },
		"zones":    func(dir string) (*dataset, error) { return newUserZones(dir, 20, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			d, err := build(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			records := make(map[string]bool)
			owners := make(map[string]bool)
			for _, z := range d.zones() {
				readZone(t, z, records, owners)
			}
			r := newRand(3)
			for range 2000 {
				checkAgainst(t, d.draw(r), records, owners)
			}
			if d.edit != nil {
				checkEdit(t, d)
			}
		})
	}
}

func readZone(t *testing.T, z zoneFile, records, owners map[string]bool) {
	t.Helper()
	file, err := os.Open(z.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parser := dns.NewZoneParser(file, z.origin, z.path)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if text := flat(rr.String()); records[text] {
			t.Errorf("%s: %s twice", z.path, text)
		} else {
			records[text] = true
		}
		owners[rr.Header().Name] = true
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
}

func checkAgainst(t *testing.T, q question, records, owners map[string]bool) {
	t.Helper()
	_, parent, _ := strings.Cut(q.name, ".")
	for _, text := range append(q.want.records, q.want.cut...) {
		wild := strings.Replace(text, strings.ToLower(q.name), "*."+parent, 1)
		if !records[text] && !(records[wild] && !owners[q.name]) {
			t.Errorf("%s: the zone has no %q", q, text)
		}
	}
	if exists := owners[q.name]; q.want.rcode == dns.RcodeNameError && exists || q.want.zone != "" && q.want.rcode == 0 && !exists {
		t.Errorf("%s: exists is %t, but %s is expected", q, exists, dns.RcodeToString[q.want.rcode])
	}
}

// checkEdit holds a new version of a zone against the question for it.
func checkEdit(t *testing.T, d *dataset) {
	t.Helper()
	e, err := d.edit(7)
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]bool{e.fresh: true, e.zone.path: false} {
		records := make(map[string]bool)
		readZone(t, zoneFile{e.zone.origin, version}, records, make(map[string]bool))
		if records[e.question.want.records[0]] != want {
			t.Errorf("%s: has the new answer: %t, want %t", version, !want, want)
		}
	}
}

func TestLabels(t *testing.T) {
	seen := make(map[string]int)
	for i := range 200_000 {
		l := label(i)
		if other, ok := seen[l]; ok {
			t.Fatalf("%d and %d are both %s", other, i, l)
		}
		seen[l] = i
	}
	if a, b := address(0), address(1<<17-1); a != "198.18.0.0" || b != "198.19.255.255" {
		t.Errorf("addresses are %s to %s", a, b)
	}
}
