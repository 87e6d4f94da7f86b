package zones

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// reference answers from a list of records the plain way: it walks names as
// text, decides everything at query time and never truncates. What it shares
// with the code it checks is the RFCs.
type reference struct {
	zones map[string][]dns.RR // by origin
}

func (ref *reference) zoneOf(name string, qtype uint16) string {
	best := ""
	for origin := range ref.zones {
		if !dns.IsSubDomain(origin, name) || len(origin) <= len(best) {
			continue
		}
		if qtype == dns.TypeDS && origin == name && ref.hasAbove(name) {
			continue
		}
		best = origin
	}
	return best
}

func (ref *reference) hasAbove(name string) bool {
	for origin := range ref.zones {
		if origin != name && dns.IsSubDomain(origin, name) {
			return true
		}
	}
	return false
}

// at returns the records of a type (0 for any) at a name.
func (ref *reference) at(origin, name string, rrtype uint16) (rrs []dns.RR) {
	for _, rr := range ref.zones[origin] {
		if rr.Header().Name == name && (rrtype == 0 || rr.Header().Rrtype == rrtype) {
			rrs = append(rrs, rr)
		}
	}
	return rrs
}

// exists says whether a name or something below it has records.
func (ref *reference) exists(origin, name string) bool {
	return slices.ContainsFunc(ref.zones[origin], func(rr dns.RR) bool {
		return dns.IsSubDomain(name, rr.Header().Name)
	})
}

func (ref *reference) answer(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	origin := ref.zoneOf(name, qtype)
	if origin == "" {
		m.Rcode = dns.RcodeRefused
		return m
	}
	m.Authoritative = true
	asked := []string{name}
	for range maxChase {
		next := ref.step(m, origin, name, qtype)
		if next == "" || slices.Contains(asked, next) {
			return m
		}
		asked = append(asked, next)
		name = next
		if origin = ref.zoneOf(name, qtype); origin == "" {
			return m
		}
	}
	return m
}

// step adds what one name gives and returns the name an alias leads to.
func (ref *reference) step(m *dns.Msg, origin, name string, qtype uint16) string {
	// From the apex down: the first cut or DNAME decides.
	labels := dns.SplitDomainName(strings.TrimSuffix(name, origin))
	for i := len(labels) - 1; i >= 0; i-- {
		node := join(labels[i:], origin)
		above := join(labels[i+1:], origin)
		if d := ref.at(origin, above, dns.TypeDNAME); len(d) > 0 {
			return ref.redirect(m, d[0].(*dns.DNAME), name, qtype)
		}
		if ns := ref.at(origin, node, dns.TypeNS); len(ns) > 0 && ref.exists(origin, node) {
			if qtype == dns.TypeDS && node == name {
				ref.data(m, origin, name, name, qtype)
				return ""
			}
			m.Authoritative = len(m.Answer) > 0
			m.Ns = append(m.Ns, ns...)
			ref.addresses(m, origin, ns)
			return ""
		}
	}
	if ref.exists(origin, name) {
		return ref.data(m, origin, name, name, qtype)
	}
	encloser := name
	for !ref.exists(origin, encloser) {
		_, encloser, _ = strings.Cut(encloser, ".")
		if encloser == "" {
			encloser = "."
		}
	}
	if star := "*." + strings.TrimPrefix(encloser, "."); ref.exists(origin, star) {
		return ref.data(m, origin, name, star, qtype)
	}
	m.Rcode = dns.RcodeNameError
	ref.soa(m, origin)
	return ""
}

func join(labels []string, origin string) string {
	if len(labels) == 0 {
		return origin
	}
	return strings.Join(labels, ".") + "." + strings.TrimPrefix(origin, ".")
}

func (ref *reference) redirect(m *dns.Msg, d *dns.DNAME, name string, qtype uint16) string {
	if !slices.Contains(m.Answer, dns.RR(d)) {
		m.Answer = append(m.Answer, d)
	}
	target := strings.TrimSuffix(name, d.Hdr.Name) + d.Target
	if packed, err := dns.PackDomainName(target, make([]byte, 600), 0, nil, false); err != nil || packed > wire.MaxName {
		m.Rcode = dns.RcodeYXDomain
		return ""
	}
	m.Answer = append(m.Answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: d.Hdr.Ttl},
		Target: target,
	})
	if qtype == dns.TypeCNAME {
		return ""
	}
	return dns.CanonicalName(target)
}

// data answers from the records at node for name, which a wildcard makes differ.
func (ref *reference) data(m *dns.Msg, origin, name, node string, qtype uint16) string {
	rrs := ref.at(origin, node, qtype)
	if qtype == dns.TypeANY {
		rrs = ref.at(origin, node, 0)
	}
	var alias string
	if len(rrs) == 0 && qtype != dns.TypeANY {
		if rrs = ref.at(origin, node, dns.TypeCNAME); len(rrs) > 0 {
			alias = dns.CanonicalName(rrs[0].(*dns.CNAME).Target)
		}
	}
	if len(rrs) == 0 {
		ref.soa(m, origin)
		return ""
	}
	for _, rr := range rrs {
		if name == node && qtype == dns.TypeDNAME && slices.Contains(m.Answer, rr) {
			continue // it led here
		}
		rr = dns.Copy(rr)
		rr.Header().Name = name
		m.Answer = append(m.Answer, rr)
	}
	if alias == "" && qtype != dns.TypeANY {
		ref.addresses(m, origin, rrs)
	}
	return alias
}

func (ref *reference) soa(m *dns.Msg, origin string) {
	soa := dns.Copy(ref.at(origin, origin, dns.TypeSOA)[0]).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	m.Ns = append(m.Ns, soa)
}

func (ref *reference) addresses(m *dns.Msg, origin string, rrs []dns.RR) {
	for _, rr := range rrs {
		target := ""
		switch rr := rr.(type) {
		case *dns.NS:
			target = rr.Ns
		case *dns.MX:
			target = rr.Mx
		case *dns.SRV:
			target = rr.Target
		default:
			continue
		}
		target = dns.CanonicalName(target)
		if ref.belowDNAME(origin, target) || rr.Header().Rrtype != dns.TypeNS && ref.belowCut(origin, target) {
			continue
		}
		for _, a := range append(ref.at(origin, target, dns.TypeA), ref.at(origin, target, dns.TypeAAAA)...) {
			if !slices.Contains(m.Extra, a) {
				m.Extra = append(m.Extra, a)
			}
		}
	}
}

// belowCut says whether a name is at or below a delegation of the zone.
func (ref *reference) belowCut(origin, name string) bool {
	for name != origin && dns.IsSubDomain(origin, name) {
		if len(ref.at(origin, name, dns.TypeNS)) > 0 {
			return true
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return false
}

// belowDNAME says whether a DNAME hides a name. A cut above the DNAME would make
// the name glue again.
func (ref *reference) belowDNAME(origin, name string) bool {
	if !dns.IsSubDomain(origin, name) {
		return false
	}
	labels := dns.SplitDomainName(strings.TrimSuffix(name, origin))
	for i := len(labels); i > 0; i-- {
		above := join(labels[i:], origin)
		if above != origin && len(ref.at(origin, above, dns.TypeNS)) > 0 {
			return false
		}
		if len(ref.at(origin, above, dns.TypeDNAME)) > 0 {
			return true
		}
	}
	return false
}

// generate makes the records of a zone out of few labels, so that names meet:
// wildcards at all depths, empty non-terminals, cuts, aliases, and glue.
func generate(rng *rand.Rand, origin string, others []string) []dns.RR {
	labels := []string{"a", "b", "c", "*", "x"}
	name := func(zone string) string {
		n := zone
		for range rng.IntN(4) {
			n = labels[rng.IntN(len(labels))] + "." + strings.TrimPrefix(n, ".")
		}
		return n
	}
	target := func() string {
		if rng.IntN(4) == 0 {
			return name(others[rng.IntN(len(others))])
		}
		return name(origin)
	}
	rrs := []dns.RR{mustRR("%s 600 SOA ns.%s h.%s 1 2 3 4 300", origin, origin, origin), mustRR("%s NS %s", origin, target())}
	used := map[string]string{origin: "data"} // owner -> data, alias or cut
	for range 2 + rng.IntN(14) {
		owner := name(origin)
		kind, text := "data", ""
		switch rng.IntN(9) {
		case 0, 1, 2:
			text = fmt.Sprintf("A 192.0.2.%d", rng.IntN(256))
		case 3:
			text = fmt.Sprintf("AAAA 2001:db8::%x", rng.IntN(256))
		case 4:
			text = fmt.Sprintf("MX %d %s", rng.IntN(3), target())
		case 5:
			text = fmt.Sprintf("TXT \"%d\"", rng.IntN(9))
		case 6:
			kind, text = "alias", "CNAME "+target()
		case 7:
			kind, text = "cut", "NS "+target()
		case 8:
			kind, text = "dname", "DNAME "+target()
		}
		star := strings.HasPrefix(owner, "*")
		if before, ok := used[owner]; ok && (before != kind || kind == "alias" || kind == "dname") ||
			star && (kind == "cut" || kind == "dname") || owner == origin && kind != "data" {
			continue
		}
		used[owner] = kind
		rr := mustRR("%s %s", owner, text)
		if !slices.ContainsFunc(rrs, func(other dns.RR) bool { return dns.IsDuplicate(rr, other) }) {
			rrs = append(rrs, rr)
		}
	}
	return rrs
}

func mustRR(format string, args ...any) dns.RR {
	rr, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		panic(err)
	}
	rr.Header().Name = dns.CanonicalName(rr.Header().Name)
	return rr
}

// rrSource gives records that are there already.
type rrSource struct {
	origin string
	rrs    []dns.RR
}

func (s rrSource) Origin() wire.Name {
	n, err := wire.ParseName(s.origin)
	if err != nil {
		panic(err)
	}
	return n
}

func (s rrSource) Records(add func(Record) error) error {
	for _, rr := range s.rrs {
		r, err := recordOf(rr)
		if err != nil {
			return err
		}
		if err := add(r); err != nil {
			return err
		}
	}
	return nil
}

// FuzzAnswer compares answers with the reference's, for zones and questions
// made from a seed.
func FuzzAnswer(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { compareWithReference(t, seed) })
}

// TestReference does for many seeds what FuzzAnswer does for one.
func TestReference(t *testing.T) {
	for seed := range uint64(2000) {
		compareWithReference(t, seed)
		if t.Failed() {
			return
		}
	}
}

func compareWithReference(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	origins := []string{"example.", "a.example.", "b.a.example.", "test."}[rng.IntN(2):]
	ref := &reference{zones: map[string][]dns.RR{}}
	store := NewStore()
	for _, origin := range origins {
		src := rrSource{origin, generate(rng, origin, origins)}
		b, err := Collect(src)
		if err != nil {
			t.Fatal(err)
		}
		ref.zones[origin] = src.rrs
		if err := store.Declare(b.Origin(), "test"); err != nil {
			t.Fatal(err)
		}
		store.Put(b.Compile(), 0, testTime)
	}
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeDS, dns.TypeDNAME, dns.TypeANY}
	for range 60 {
		name := origins[rng.IntN(len(origins))]
		for range rng.IntN(5) {
			name = []string{"a", "b", "c", "*", "x", "q"}[rng.IntN(6)] + "." + name
		}
		req := new(dns.Msg)
		req.SetQuestion(name, types[rng.IntN(len(types))])
		got := describe(t, exchange(t, store.Set(), req, dns.MaxMsgSize-1, true))
		want := describe(t, ref.answer(name, req.Question[0].Qtype))
		if got != want {
			t.Errorf("seed %d: %s %s\n got:\n%s\nwant:\n%s\nzones:\n%s", seed, name,
				dns.TypeToString[req.Question[0].Qtype], got, want, zoneText(ref))
			return
		}
	}
}

func zoneText(ref *reference) string {
	var b strings.Builder
	for origin, rrs := range ref.zones {
		fmt.Fprintf(&b, "; %s\n", origin)
		for _, rr := range rrs {
			fmt.Fprintln(&b, rr)
		}
	}
	return b.String()
}
