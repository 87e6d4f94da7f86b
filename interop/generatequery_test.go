package interop

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// absentTypes are asked of names whether they have them or not.
var absentTypes = []uint16{
	dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeSRV, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME,
	dns.TypeDNAME, dns.TypeDS, dns.TypeDS, dns.TypePTR, dns.TypeCAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeANY, dns.TypeRRSIG,
	dns.TypeDNSKEY, 65280, 65399,
}

// askedForms are the forms of a query: a name, a type and one of them are a question.
var askedForms = []question{
	{}, {}, {size: 1232}, {size: 1232, rd: true}, {size: 4096, do: true}, {size: 512, do: true}, {tcp: true}, {size: 4096, do: true, tcp: true},
}

// questions makes so many different questions about a family: of each owner and
// type one at least, the rest about what is near. The same seed makes the same.
func (f *family) questions(seed uint64, count int) []question {
	rng := rand.New(rand.NewPCG(seed, 2))
	var all []question
	asked := map[string]bool{}
	ask := func(name string, typ uint16) {
		q := askedForms[rng.IntN(len(askedForms))]
		q.name, q.typ = strings.ToLower(name), typ
		if !isName(name) || asked[q.String()] {
			return
		}
		asked[q.String()] = true
		if rng.IntN(3) == 0 {
			q.name = randomCase(rng, q.name)
		}
		all = append(all, q)
	}
	owners, targets := map[string]bool{}, map[string]bool{}
	for _, z := range f.zones {
		for _, r := range slices.Concat(z.head, z.body) {
			owners[strings.ToLower(r.owner)] = true
			ask(r.owner, typeOf(r.typ))
			words := strings.Fields(strings.ToLower(r.data))
			if last := words[len(words)-1]; below(last, "example.") || below(last, "test.") {
				targets[last] = true
			}
		}
	}
	known := slices.Sorted(maps.Keys(owners))
	others := slices.Sorted(maps.Keys(targets))
	// Names are finite, and so is patience.
	for tries := 20 * count; len(all) < count && tries > 0; tries-- {
		name := known[rng.IntN(len(known))]
		if len(others) > 0 && rng.IntN(6) == 0 {
			name = others[rng.IntN(len(others))]
		}
		ask(f.near(rng, name), absentTypes[rng.IntN(len(absentTypes))])
	}
	return all
}

// near is a name at, above, below or beside another.
func (f *family) near(rng *rand.Rand, name string) string {
	switch rng.IntN(16) {
	case 0, 1:
		return "x." + name
	case 2:
		return "*." + name
	case 3:
		return "a.b." + name
	case 4:
		return "z.*." + name
	case 5:
		return pick(rng, "a.", "b.", "www.", "ent.", "ns0.", `a\046b.`, "x.y.z.") + name
	case 6:
		return f.longest(rng, name)
	case 7, 8:
		if up := parent(name); f.zoneOf(up) != "" {
			return up
		}
	case 9:
		// A neighbour in canonical order, or with a label that begins alike.
		return pick(rng, "-", "0", "zz") + name
	case 10:
		if up := parent(name); f.zoneOf(up) != "" {
			return pick(rng, "x.", "a.", "*.", "zz.", `\000.`, `\255.`) + up
		}
	case 11:
		if up := parent(parent(name)); f.zoneOf(up) != "" {
			return pick(rng, "x.", "a.b.", "*.") + up
		}
	}
	return name
}

// longest is a name below another that has nearly as many octets as names may.
func (f *family) longest(rng *rand.Rand, name string) string {
	want := 253 + rng.IntN(3)
	for room := want - octets(name); room > 1; room = want - octets(name) {
		label := min(63, room-1)
		if room-1-label == 1 {
			label--
		}
		if label < 1 {
			break
		}
		name = strings.Repeat("q", label) + "." + name
	}
	return name
}

// typeOf is the number of a type as records spell it.
func typeOf(typ string) uint16 {
	if n, ok := dns.StringToType[typ]; ok {
		return n
	}
	var n uint16
	if _, err := fmt.Sscanf(typ, "TYPE%d", &n); err != nil {
		panic(fmt.Sprintf("no type is called %q", typ))
	}
	return n
}

// typeName spells a type as typeOf reads it.
func typeName(typ uint16) string { return dns.Type(typ).String() }
