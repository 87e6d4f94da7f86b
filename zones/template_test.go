package zones

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones/wire"
)

// compareWays answers a question from what is ready and the general way. What is
// ready must be the same message, but for how its names are compressed. It says
// whether there was something ready.
func compareWays(t *testing.T, set *Set, name wire.Name, qtype uint16, do bool, limit int) bool {
	t.Helper()
	packet := append(make([]byte, wire.HeaderLen, 4096), name...)
	packet = append(packet, byte(qtype>>8), byte(qtype), 0, 1)
	wire.SetFlags(packet, wire.FlagQR|wire.FlagRD)
	wire.SetCount(packet, wire.CountQD, 1)
	limit = max(limit, len(packet))
	q := Question{Name: name, Type: qtype, DO: do}
	var short shortPath
	p, ok := short.set(name)
	if !ok {
		return false
	}
	ready, from, ok := set.ready(bytes.Clone(packet), &p, q, limit)
	if !ok {
		if !bytes.Equal(ready, packet) {
			t.Fatalf("%s %d: given up, and written to the reply: %x", name, qtype, ready)
		}
		return false
	}
	general, want := set.resolve(bytes.Clone(packet), q, limit)
	if from != want {
		t.Fatalf("%s %d: ready from %v, the general way from %v", name, qtype, from, want)
	}
	var x, y dns.Msg
	if err := x.Unpack(ready); err != nil {
		t.Fatalf("%s %d: %v in %x", name, qtype, err, ready)
	}
	if err := y.Unpack(general); err != nil {
		t.Fatal(err)
	}
	if g, w := strings.ToLower(x.String()), strings.ToLower(y.String()); g != w {
		t.Fatalf("%s %d do=%v limit=%d\nready:\n%s\ngeneral way:\n%s", name, qtype, do, limit, g, w)
	}
	if len(ready) > limit || len(ready) < len(general) {
		t.Fatalf("%s %d: %d octets ready, limit %d, %d the general way", name, qtype, len(ready), limit, len(general))
	}
	return true
}

// conformanceZones are the zones of the txtar files below testdata/conformance.
func conformanceZones(t testing.TB) (origins []string, texts [][]byte) {
	var paths []string
	for _, pattern := range []string{"testdata/conformance/*/*.txtar", "testdata/conformance/*/*/*.txtar"} {
		more, err := filepath.Glob(pattern)
		if err != nil || len(more) == 0 {
			t.Fatal(more, err)
		}
		paths = append(paths, more...)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if origin, ok := strings.CutPrefix(f.Name, "zone "); ok {
				origins, texts = append(origins, absolute(origin, ".")), append(texts, f.Data)
			}
		}
	}
	return origins, texts
}

// near are a name and names around it, as far as they are names.
func near(name wire.Name) []wire.Name {
	names := []wire.Name{name}
	for _, prefix := range []string{"\x01x", "\x01*", "\x03ns1", "\x01a\x02nb", "\x02ns\x04mail\x3f" + strings.Repeat("l", 63)} {
		if len(prefix)+len(name) <= wire.MaxName {
			names = append(names, wire.Name(prefix+string(name)))
		}
	}
	return names
}

// allWays compares the two ways for every name of a zone and those around it.
func allWays(t *testing.T, set *Set, z *Zone, ready *int) {
	t.Helper()
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeMX, dns.TypeSOA, dns.TypeTXT, dns.TypeDS, dns.TypeSRV}
	for i := range z.nodes {
		asked := types
		for _, s := range z.setsOf(uint32(i)) {
			asked = append(asked, s.rrtype)
		}
		for _, name := range near(z.name(uint32(i))) {
			for _, qtype := range asked {
				for _, limit := range []int{60, 100, 200, 512, 1232, 5000} {
					for _, do := range []bool{false, true} {
						if compareWays(t, set, name, qtype, do, limit) {
							*ready++
						}
					}
				}
			}
		}
	}
}

func TestTemplates(t *testing.T) {
	origins, texts := conformanceZones(t)
	ready := 0
	for i, origin := range origins {
		z, _, err := Load(TextSource("z", texts[i], name(t, origin)))
		if err != nil {
			continue // it is about what else does not load
		}
		allWays(t, newSet([]entry{{origin: z.origin, zone: z, label: 1}}), z, &ready)
	}
	for seed := range uint64(60) {
		b, err := Collect(rrSource{"example.", generate(rand.New(rand.NewPCG(seed, 3)), "example.", []string{"example."})})
		if err != nil {
			t.Fatal(err)
		}
		z := b.Compile()
		allWays(t, newSet([]entry{{origin: z.origin, zone: z, label: 1}}), z, &ready)
	}
	if ready < 100_000 {
		t.Errorf("only %d answers were ready", ready)
	}
}

// What is too long for a template goes the general way, whole: no address is left
// out for the template's sake.
func TestTooLongForATemplate(t *testing.T) {
	store, text := NewStore(), "@ SOA ns h 1 2 3 4 5\n@ NS ns\n"
	for i := range 16 {
		text += fmt.Sprintf("cut NS ns%d.other\n", i)
		for j := range 12 {
			text += fmt.Sprintf("ns%d.other AAAA 2001:db8::%x:%x\n", i, i, j)
		}
	}
	loadText(t, store, "example.", text)
	if compareWays(t, store.Set(), name(t, "www.cut.example."), dns.TypeA, false, 20_000) {
		t.Error("there is a template")
	}
	if m := ask(t, store.Set(), "example.", "www.cut A tcp"); len(m.Extra) != 16*12 {
		t.Errorf("%d addresses, want %d", len(m.Extra), 16*12)
	}
}

// Zones in which the two ways once differed, and what they were asked.
func TestTemplateCases(t *testing.T) {
	const (
		head   = "@ 3600 SOA ns h 1 2 3 4 300\n@ 3600 NS ns\nns 3600 A 192.0.2.1\n"
		sig    = " 20400101000000 20200101000000 1 example. AAAA\n"
		signed = head + "@ 3600 RRSIG SOA 8 1 3600" + sig + "@ 300 RRSIG NSEC 8 2 300" + sig
	)
	long := ""
	for i := range 100 {
		long += fmt.Sprintf("* 300 TXT %03d%s\n", i, strings.Repeat("x", 200))
	}
	for what, c := range map[string]struct {
		zone  string
		names []string
	}{
		"NS at a wildcard": {head + "* 60 NS ns.other.\n* 60 A 192.0.2.9\n", []string{"x.", "longer.x.", "*."}},
		"proof out of a pointer's reach": {
			signed + "@ 300 NSEC * NS SOA RRSIG NSEC\n* 300 NSEC aaa TXT RRSIG NSEC\n* 300 RRSIG NSEC 8 2 300" + sig +
				"* 300 RRSIG TXT 8 2 300" + sig + long + "aaa 300 A 192.0.2.1\naaa 300 NSEC @ A RRSIG NSEC\naaa 300 RRSIG NSEC 8 2 300" + sig,
			[]string{"zzz."},
		},
		"signatures with other TTLs": {
			signed + "a 300 A 192.0.2.1\na 600 A 192.0.2.2\na 600 RRSIG A 8 2 300" + sig +
				"@ 300 NSEC a NS SOA RRSIG NSEC\na 300 NSEC @ A RRSIG NSEC\na 900 RRSIG NSEC 8 2 300" + sig,
			[]string{"a.", "b."},
		},
		"services at their owner": {
			head + "w 300 HTTPS 1 . alpn=h3\nw 300 HTTPS 2 . alpn=h2\nw 300 HTTPS 3 w alpn=h2\nw 300 A 192.0.2.7\n", []string{"w."},
		},
	} {
		t.Run(what, func(t *testing.T) {
			store := NewStore()
			loadText(t, store, "example.", c.zone)
			ready := 0
			for _, question := range c.names {
				for _, qtype := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeTXT, dns.TypeHTTPS, dns.TypeMX} {
					for _, do := range []bool{false, true} {
						if compareWays(t, store.Set(), name(t, question+"example."), qtype, do, dns.MaxMsgSize) {
							ready++
						}
					}
				}
			}
			if ready == 0 {
				t.Error("nothing was ready")
			}
		})
	}
}

// An address comes along once, however many records name it.
func TestServiceAtItsOwner(t *testing.T) {
	store := NewStore()
	loadText(t, store, "example.", "@ SOA ns h 1 2 3 4 5\n@ NS ns\nw HTTPS 1 . alpn=h3\nw HTTPS 2 . alpn=h2\nw HTTPS 3 w\nw A 192.0.2.7\n")
	if m := ask(t, store.Set(), "example.", "w HTTPS"); len(m.Extra) != 1 {
		t.Errorf("%d additional records, want 1: %v", len(m.Extra), m.Extra)
	}
}

// What a stamp is asked for is ready, all of it.
func TestReadyForAStamp(t *testing.T) {
	store := NewStore()
	loadText(t, store, "east.cloud.fabrikam.com.", allocZone)
	for _, c := range answerCases {
		_, q := question(t, c.name, c.qtype)
		want := c.what != "cname" && c.what != "dname"
		for _, do := range []bool{false, true} {
			if got := compareWays(t, store.Set(), q.Name, q.Type, do, 1232); got != want {
				t.Errorf("%s, DO %v: ready %v, want %v", c.what, do, got, want)
			}
		}
	}
}

// Of a signed zone, all is ready with signatures and proofs that is of an unsigned
// one.
func TestReadyForASignedZone(t *testing.T) {
	origins, texts := conformanceZones(t)
	for i, origin := range origins {
		if origin != "nsec.example." && origin != "nsec3.example." && origin != "optout.example." {
			continue
		}
		store := NewStore()
		loadText(t, store, origin, string(texts[i]))
		for _, q := range []struct {
			name  string
			qtype uint16
		}{
			{"", dns.TypeNS}, {"", dns.TypeMX}, {"host.", dns.TypeA}, {"host.", dns.TypeTXT}, {"nosuch.", dns.TypeA},
			{"a.host.", dns.TypeA}, {"x.wild.", dns.TypeA}, {"x.wild.", dns.TypeMX}, {"plain.", dns.TypeA}, {"www.plain.", dns.TypeA},
		} {
			if !compareWays(t, store.Set(), name(t, q.name+origin), q.qtype, true, 4000) {
				t.Errorf("%s%s %d is not ready", q.name, origin, q.qtype)
			}
		}
	}
}

// FuzzTemplate does with any zone what TestTemplates does with known ones.
func FuzzTemplate(f *testing.F) {
	_, texts := conformanceZones(f)
	for i, text := range texts {
		f.Add(text, []byte("\x01x"), uint16(i), uint16(dns.TypeNS), i%2 == 0, uint16(1232))
	}
	f.Fuzz(func(t *testing.T, text, prefix []byte, at, qtype uint16, do bool, limit uint16) {
		z, _, err := Load(TextSource("z", text, testOrigin()))
		if err != nil {
			return
		}
		owner := z.name(uint32(at) % uint32(len(z.nodes)))
		whole := wire.Name(append(bytes.Clone(prefix), owner...))
		if nameLen(whole) != len(whole) {
			whole = owner
		}
		wire.Lower(whole)
		compareWays(t, newSet([]entry{{origin: z.origin, zone: z, label: 1}}), whole, qtype, do, int(limit))
	})
}
