package zones

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// explainZone has what people ask about: the names of a stamp, cuts and aliases.
const explainZone = `
@ 3600 SOA azs-ns01 hostmaster 7 3600 300 2419200 300
@ NS azs-ns01
azs-ns01 A 192.0.2.11
portal 600 A 192.0.2.37
portal A 192.0.2.38
*.blob A 192.0.2.46
*.appservice A 192.0.2.49
*.scm.appservice A 192.0.2.50
api.appservice A 192.0.2.51
child NS ns.child
child NS NS2.child
child NS azs-ns01
child NS ns.example.net.
ns.child A 192.0.2.60
ns.child AAAA 2001:db8::60
safe NS azs-ns01
safe DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
alias CNAME Portal
*.web CNAME alias
away CNAME www.example.net.
lost CNAME www.other.example.
ring CNAME ring2
ring2 CNAME ring
old DNAME appservice
gone CNAME nothing.portal
`

// explainStore serves explainZone and has a zone that could not be loaded.
func explainStore(t testing.TB) *Store {
	t.Helper()
	store := NewStore()
	loadText(t, store, "east.example.", explainZone)
	broken := name(t, "other.example.")
	if err := store.Declare(broken, "test"); err != nil {
		t.Fatal(err)
	}
	store.Fail(broken, fmt.Errorf("no good"), testTime)
	return store
}

func TestExplain(t *testing.T) {
	const z = "east.example."
	set := explainStore(t).Set()
	for _, c := range []struct {
		question string
		rcode    int
		outcome  Outcome
		text     string
		facts    string // some of them
	}{
		{"portal A", 0, OutcomeData, "portal.east.example exists in zone east.example and has 2 A records.",
			"match=name records=2 ttl=600 zone=" + z + " serial=7 rcode=NOERROR"},
		{"portal ANY", 0, OutcomeData, "portal.east.example exists in zone east.example and has 2 records.", "match=name"},
		{"portal AAAA", 0, OutcomeNoData,
			"portal.east.example exists in zone east.example, but has no AAAA record: the answer is NOERROR without data.", "records=0"},
		{"@ SOA", 0, OutcomeData, "east.example exists in zone east.example and has one SOA record.", ""},
		{"blob A", 0, OutcomeNoData, "blob.east.example has no records itself in zone east.example, but names below it do: " +
			"the answer is NOERROR without data (the wildcard *.blob.east.example is for names below it, not for itself).",
			"match=empty-non-terminal wildcard_below=*.blob." + z},
		{"a.b.blob A", 0, OutcomeData,
			"a.b.blob.east.example does not exist itself; the wildcard *.blob.east.example in zone east.example stands for it and has one A record.",
			"match=wildcard wildcard=*.blob." + z + " closest_encloser=blob." + z},
		{"x.blob AAAA", 0, OutcomeNoData, "x.blob.east.example does not exist itself; the wildcard *.blob.east.example in zone east.example " +
			"stands for it, but has no AAAA record: the answer is NOERROR without data.", "match=wildcard"},
		{"*.blob A", 0, OutcomeData, "*.blob.east.example exists in zone east.example and has one A record.", "match=name"},
		{"x.*.blob A", 3, OutcomeNameError, "x.*.blob.east.example does not exist in zone east.example: the closest name above it " +
			"that does is *.blob.east.example, and there is no wildcard *.*.blob.east.example.", "closest_encloser=*.blob." + z},
		{"scm.appservice A", 0, OutcomeNoData, "scm.appservice.east.example has no records itself in zone east.example, but names below it do: " +
			"the answer is NOERROR without data (the wildcard *.scm.appservice.east.example is for names below it, not for itself).",
			"match=empty-non-terminal"},
		{"x.api.appservice A", 3, OutcomeNameError, "x.api.appservice.east.example does not exist in zone east.example: the closest name above it " +
			"that does is api.appservice.east.example, which keeps the wildcard *.appservice.east.example from it.",
			"match=none closest_encloser=api.appservice." + z + " wildcard_blocked=*.appservice." + z},
		{"x.portal A", 3, OutcomeNameError, "x.portal.east.example does not exist in zone east.example: the closest name above it " +
			"that does is portal.east.example, and there is no wildcard *.portal.east.example.", "match=none rcode=NXDOMAIN"},
		{"a.www.child A", 0, OutcomeReferral, "a.www.child.east.example is below the delegation of child.east.example in zone east.example: " +
			"the answer is a referral to ns.child.east.example (glue 192.0.2.60), ns.example.net, " +
			"ns2.child.east.example (which lacks its glue), azs-ns01.east.example (glue 192.0.2.11).",
			"match=delegation cut=child." + z + " glue_missing=ns2.child." + z},
		{"safe A", 0, OutcomeReferral, "safe.east.example is at the delegation of safe.east.example in zone east.example: " +
			"the answer is a referral to azs-ns01.east.example (glue 192.0.2.11).", "name_servers=azs-ns01." + z},
		{"safe DS", 0, OutcomeData, "safe.east.example is delegated from zone east.example, which keeps its DS and has one DS record.", "cut=safe." + z},
		{"child DS", 0, OutcomeNoData, "child.east.example is delegated from zone east.example, which keeps its DS, but has no DS record: " +
			"the answer is NOERROR without data.", ""},
		{"alias A", 0, OutcomeData, "alias.east.example is an alias of portal.east.example; portal.east.example exists in zone east.example " +
			"and has 2 A records.", "name=portal." + z},
		{"alias CNAME", 0, OutcomeData, "alias.east.example exists in zone east.example and has one CNAME record.", ""},
		{"x.web AAAA", 0, OutcomeNoData, "x.web.east.example is an alias of alias.east.example by the wildcard *.web.east.example; " +
			"alias.east.example is an alias of portal.east.example; portal.east.example exists in zone east.example, but has no AAAA record: " +
			"the answer is NOERROR without data.", ""},
		{"gone A", 3, OutcomeNameError, "gone.east.example is an alias of nothing.portal.east.example; nothing.portal.east.example does not exist " +
			"in zone east.example: the closest name above it that does is portal.east.example, and there is no wildcard *.portal.east.example.", ""},
		{"away A", 0, OutcomeAlias, "away.east.example is an alias of www.example.net; www.example.net is in none of the zones served here, " +
			"and the client goes on from there.", "name=www.example.net."},
		{"lost A", 0, OutcomeAlias, "lost.east.example is an alias of www.other.example; www.other.example is in zone other.example, " +
			"which is not loaded, and the client goes on from there.", ""},
		{"ring A", 0, OutcomeLoop, "ring.east.example is an alias of ring2.east.example; ring2.east.example is an alias of ring.east.example; " +
			"that is a loop, and the answer ends there.", ""},
		{"x.old A", 0, OutcomeData, "x.old.east.example is an alias of x.appservice.east.example by the DNAME at old.east.example; " +
			"x.appservice.east.example does not exist itself; the wildcard *.appservice.east.example in zone east.example stands for it " +
			"and has one A record.", "wildcard=*.appservice." + z},
		{"x.old CNAME", 0, OutcomeData, "x.old.east.example is an alias of x.appservice.east.example by the DNAME at old.east.example.",
			"match=dname dname=old." + z + " dname_target=appservice." + z},
		{"www.example.net. A", 5, OutcomeElsewhere, "www.example.net is in none of the 2 zones served here.", "rcode=REFUSED"},
		{"x.other.example. A", 2, OutcomeNotLoaded, "x.other.example is in zone other.example, which is not loaded.", "zone=other.example. rcode=SERVFAIL"},
	} {
		words := strings.Fields(c.question)
		got := set.Explain(Question{Name: name(t, absolute(words[0], z)), Type: dns.StringToType[words[1]]})
		if got.RCode != c.rcode || got.Outcome != c.outcome || got.Text != c.text {
			t.Errorf("%s: %d %s\n got %s\nwant %s", c.question, got.RCode, got.Outcome, got.Text, c.text)
		}
		for _, fact := range strings.Fields(c.facts) {
			if k, v, _ := strings.Cut(fact, "="); got.Facts[k] != v {
				t.Errorf("%s: fact %s is %q, want %q", c.question, k, got.Facts[k], v)
			}
		}
	}
	got := set.Explain(Question{Name: name(t, "child.east.example."), Type: dns.TypeA}).Facts
	if want := "ns.child.east.example. 192.0.2.60, ns.child.east.example. 2001:db8::60, azs-ns01.east.example. 192.0.2.11"; got["glue"] != want {
		t.Errorf("glue %q, want %q", got["glue"], want)
	}
	got = set.Explain(Question{Name: name(t, "x.web.east.example."), Type: dns.TypeA}).Facts
	if want := "x.web.east.example. CNAME alias.east.example.; alias.east.example. CNAME portal.east.example."; got["aliases"] != want {
		t.Errorf("aliases %q, want %q", got["aliases"], want)
	}
}

// outcomeOf is the outcome that an answer shows, "" where it shows none: aliases
// for ANY may be what was found, or what led to nothing.
func outcomeOf(m *dns.Msg, result Result) Outcome {
	has := func(rrs []dns.RR, rrtype uint16) bool {
		return slices.ContainsFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == rrtype })
	}
	qtype := m.Question[0].Qtype
	aliases, owners, last := 0, map[string]bool{dns.CanonicalName(m.Question[0].Name): true}, ""
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			aliases++
			owners[dns.CanonicalName(c.Hdr.Name)], last = true, dns.CanonicalName(c.Target)
		}
	}
	switch {
	case result.NotLoaded:
		return OutcomeNotLoaded
	case result.Zone == nil:
		return OutcomeElsewhere
	case m.Rcode == dns.RcodeNameError:
		return OutcomeNameError
	case m.Rcode == dns.RcodeYXDomain:
		return OutcomeTooLong
	case has(m.Ns, dns.TypeSOA):
		return OutcomeNoData
	case has(m.Ns, dns.TypeNS):
		return OutcomeReferral
	case qtype == dns.TypeANY && aliases > 0:
		return ""
	case qtype == dns.TypeANY, has(m.Answer, qtype) && qtype != dns.TypeDNAME:
		return OutcomeData
	case qtype == dns.TypeDNAME && slices.ContainsFunc(m.Answer, func(rr dns.RR) bool {
		name := dns.CanonicalName(rr.Header().Name)
		return rr.Header().Rrtype == qtype && (name == last || aliases == 0)
	}):
		return OutcomeData
	case owners[last]:
		return OutcomeLoop
	case aliases == maxChase:
		return OutcomeMany
	}
	return OutcomeAlias
}

// checkExplained says that the explanation of a question and its answer agree.
func checkExplained(t *testing.T, set *Set, name wire.Name, qtype uint16) Outcome {
	t.Helper()
	q := Question{Name: name, Type: qtype, Stream: true}
	packet := append(make([]byte, wire.HeaderLen), name...)
	packet = append(packet, byte(qtype>>8), byte(qtype), 0, 1)
	wire.SetFlags(packet, wire.FlagQR)
	wire.SetCount(packet, wire.CountQD, 1)
	reply, result := set.Answer(packet, q, dns.MaxMsgSize)
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	if result.Zone == nil {
		m.Rcode = dns.RcodeRefused
	}
	if result.NotLoaded {
		m.Rcode = dns.RcodeServerFailure
	}
	got := set.Explain(q)
	if want := outcomeOf(m, result); got.RCode != m.Rcode || want != "" && got.Outcome != want {
		t.Fatalf("%s %s: explained as %s %s, is %s\n%s\n%v\n%s", name, dns.Type(qtype),
			dns.RcodeToString[got.RCode], got.Outcome, want, got.Text, got.Facts, m)
	}
	if (got.Origin == nil) != (got.Outcome == OutcomeElsewhere) || result.Zone != nil && string(got.Origin) != string(result.Zone.Origin()) {
		t.Fatalf("%s: zone %s, answered from %v", name, got.Origin, result.Zone)
	}
	if !strings.HasSuffix(got.Text, ".") || strings.Contains(got.Text, "%!") {
		t.Fatalf("%s: no sentence: %q", name, got.Text)
	}
	switch {
	case got.Outcome == OutcomeReferral:
		checkReferral(t, got.Facts, m)
	case got.Outcome == OutcomeData && got.Facts["match"] == "wildcard" && qtype != dns.TypeANY:
		if synthesized := len(m.Answer); synthesized == 0 || !strings.HasPrefix(got.Facts["wildcard"], "*.") {
			t.Fatalf("%s: wildcard %q of %v", name, got.Facts["wildcard"], m.Answer)
		}
	}
	return got.Outcome
}

// checkReferral compares name servers and glue.
func checkReferral(t *testing.T, facts map[string]string, m *dns.Msg) {
	t.Helper()
	var servers, glue []string
	for _, rr := range m.Ns {
		servers = append(servers, dns.CanonicalName(rr.(*dns.NS).Ns))
	}
	for _, rr := range m.Extra {
		var addr netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			addr, _ = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			addr, _ = netip.AddrFromSlice(rr.AAAA)
		}
		glue = append(glue, fmt.Sprint(dns.CanonicalName(rr.Header().Name), " ", addr))
	}
	for _, c := range []struct {
		fact string
		want []string
	}{{"name_servers", servers}, {"glue", glue}} {
		got := strings.Split(facts[c.fact], ", ")
		if facts[c.fact] == "" {
			got = nil
		}
		if slices.Sort(got); !slices.Equal(got, sorted(c.want)) {
			t.Fatalf("%s are explained as %q, the answer has %q", c.fact, got, c.want)
		}
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// TestExplainAgrees compares explanations with answers, for the zones of the
// conformance tests and for zones and names of chance.
func TestExplainAgrees(t *testing.T) {
	seen := map[Outcome]int{}
	origins, texts := conformanceZones(t)
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeMX, dns.TypeSOA, dns.TypeTXT, dns.TypeDS, dns.TypeANY, dns.TypeCNAME, dns.TypeDNAME}
	for i, origin := range origins {
		z, _, err := Load(TextSource("z", texts[i], name(t, origin)))
		if err != nil {
			continue // it is about what else does not load
		}
		set := newSet([]entry{{origin: z.origin, zone: z, label: 1}})
		for i := range z.nodes {
			for _, name := range near(z.name(uint32(i))) {
				for _, qtype := range types {
					seen[checkExplained(t, set, name, qtype)]++
				}
			}
		}
	}
	for seed := range uint64(500) {
		explainSeed(t, seed, seen)
	}
	for _, o := range []Outcome{OutcomeElsewhere, OutcomeNotLoaded, OutcomeData, OutcomeNoData, OutcomeNameError, OutcomeReferral, OutcomeAlias, OutcomeLoop, OutcomeTooLong} {
		if seen[o] == 0 {
			t.Errorf("no outcome %s among %v", o, seen)
		}
	}
}

// explainSeed does so for zones and names made from a seed.
func explainSeed(t *testing.T, seed uint64, seen map[Outcome]int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 4))
	origins := []string{"example.", "a.example.", "b.a.example.", "test."}
	var entries []entry
	for i, origin := range origins {
		if rng.IntN(8) == 0 {
			entries = append(entries, entry{origin: name(t, origin)})
			continue
		}
		b, err := Collect(rrSource{origin, generate(rng, origin, append(origins, "elsewhere."))})
		if err != nil {
			t.Fatal(err)
		}
		z := b.Compile()
		entries = append(entries, entry{origin: z.origin, zone: z, label: uint32(i)})
	}
	set := newSet(entries)
	types := []uint16{dns.TypeA, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeDS, dns.TypeDNAME, dns.TypeANY, dns.TypeRRSIG}
	for range 60 {
		text := append(origins, "elsewhere.")[rng.IntN(len(origins)+1)]
		for range rng.IntN(5) {
			text = []string{"a", "b", "c", "*", "x", "q"}[rng.IntN(6)] + "." + text
		}
		if rng.IntN(10) == 0 {
			for len(text) < 250 {
				text = "c." + text
			}
		}
		seen[checkExplained(t, set, name(t, text), types[rng.IntN(len(types))])]++
	}
}

// FuzzExplain does for one seed what TestExplainAgrees does for many.
func FuzzExplain(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { explainSeed(t, seed, map[Outcome]int{}) })
}

// Sixteen aliases are explained, and not one more.
func TestExplainChase(t *testing.T) {
	store, text := NewStore(), "@ SOA ns h 1 2 3 4 5\n@ NS ns\n"
	for i := range 20 {
		text += fmt.Sprintf("c%d CNAME c%d\n", i, i+1)
	}
	loadText(t, store, "example.", text+"c20 A 192.0.2.1\n")
	for at, want := range map[string]Outcome{"c0.example.": OutcomeMany, "c4.example.": OutcomeMany, "c5.example.": OutcomeData} {
		if got := checkExplained(t, store.Set(), name(t, at), dns.TypeA); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// What is explained does not depend on how the map of facts is walked.
func TestExplainTwice(t *testing.T) {
	set := explainStore(t).Set()
	q := Question{Name: name(t, "www.child.east.example."), Type: dns.TypeA}
	one, two := set.Explain(q), set.Explain(q)
	if one.Text != two.Text || !maps.Equal(one.Facts, two.Facts) {
		t.Errorf("%v and %v", one, two)
	}
}
