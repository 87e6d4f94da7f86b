package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// family is a handful of zones that were generated together: their aliases and
// delegations lead from one into another, and into no other family.
type family struct {
	zones []madeZone
	// denial is what the first zone is signed with: "" for not at all, else nsec,
	// nsec3, salted or optout.
	denial string
}

// madeZone is a generated zone.
type madeZone struct {
	origin string
	head   []record // without which there is no zone: SOA, NS and their addresses
	body   []record
}

// record is one record. Names in it are absolute; octets other than letters,
// digits, '-', '_' and '*' are written \DDD, so that a dot always ends a label.
type record struct {
	owner, typ, data string
	ttl              int
}

func (r record) String() string { return fmt.Sprintf("%s %d %s %s", r.owner, r.ttl, r.typ, r.data) }

// text is the zone as the lines of a master file.
func (z madeZone) text() []string {
	var lines []string
	for _, r := range slices.Concat(z.head, z.body) {
		lines = append(lines, r.String())
	}
	return lines
}

// origin is the name of the first zone, by which a family is called.
func (f *family) origin() string { return f.zones[0].origin }

// decoded is a name as this program's decoder of packets writes it, in lower case.
func decoded(name string) string {
	name, _, err := dns.UnpackDomainName([]byte(onWire(dns.CanonicalName(name))), 0)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return name
}

// onWire is a name as packets have it.
func onWire(name string) string {
	packed := make([]byte, 300)
	n, err := dns.PackDomainName(name, packed, 0, nil, false)
	if err != nil {
		panic(fmt.Sprintf("%s is no name: %v", name, err))
	}
	return string(packed[:n])
}

// zoneOf is the longest of the family's zones that a name is in, "" for none.
func (f *family) zoneOf(name string) string {
	longest := ""
	for _, z := range f.zones {
		if below(name, z.origin) && len(z.origin) > len(longest) {
			longest = z.origin
		}
	}
	return longest
}

// below says whether a name is origin or lies below it.
func below(name, origin string) bool {
	name, origin = strings.ToLower(name), strings.ToLower(origin)
	return name == origin || strings.HasSuffix(name, "."+origin)
}

// parent is the name without its first label.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// isName says whether a name and its labels are no longer than they may be.
func isName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if labelOctets(label) > 63 {
			return false
		}
	}
	return octets(name) <= 255
}

// octets is the length of a name on the wire.
func octets(name string) int {
	n := 1
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		n += 1 + labelOctets(label)
	}
	return n
}

// labelOctets is the length of a label, of which \DDD is one octet.
func labelOctets(label string) int { return len(label) - 3*strings.Count(label, `\`) }

// pick returns one of several.
func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// randomCase spells a name in a mixture of upper and lower case.
func randomCase(rng *rand.Rand, name string) string {
	spelt := []byte(name)
	for i, c := range spelt {
		if ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') && rng.IntN(2) == 0 {
			spelt[i] = c ^ 0x20
		}
	}
	return string(spelt)
}

// generate makes a number of families from a seed. The same seed always makes
// the same ones.
func generate(seed uint64, count int) []*family {
	families := make([]*family, count)
	for i := range families {
		g := &generator{rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		families[i] = g.family(fmt.Sprintf("f%03d.example.", i), fmt.Sprintf("f%03d.test.", i))
	}
	return families
}

// generator makes the zones of one family. Its methods add to the current zone.
type generator struct {
	rng     *rand.Rand
	f       *family
	current int
	owners  []map[string]string // by zone: lower-cased owner -> "data", "CNAME", "DNAME" or "NS"
	seen    map[string]bool     // records, so that none comes twice
	ttls    map[string]int      // by owner and type: an RRset has one TTL
}

// family makes the zones: one or two beside each other, and often one below the
// first, with a delegation or without.
func (g *generator) family(first, other string) *family {
	g.f, g.seen, g.ttls = &family{}, map[string]bool{}, map[string]int{}
	g.f.denial = pick(g.rng, "", "", "", "", "", "", "", "nsec", "nsec3", "salted", "optout")
	origins := []string{first}
	if g.rng.IntN(2) == 0 {
		child := g.childOf(first)
		origins = append(origins, child)
		if g.rng.IntN(4) == 0 {
			origins = append(origins, g.childOf(child))
		}
	}
	if g.rng.IntN(3) == 0 {
		origins = append(origins, other)
	}
	for _, origin := range origins {
		g.f.zones = append(g.f.zones, madeZone{origin: origin})
		g.owners = append(g.owners, map[string]string{})
	}
	for i := range origins {
		g.current = i
		g.head()
	}
	for i := range origins {
		g.current = i
		g.body()
	}
	return g.f
}

// childOf is the name of a zone one to three labels below another. Odd labels
// would have to be spelt in four servers' configurations, and BIND takes no
// wildcard as a zone.
func (g *generator) childOf(origin string) string {
	for range 1 + g.rng.IntN(3) {
		origin = pick(g.rng, "a.", "b.", "c.", "www.") + origin
	}
	return origin
}

// zone is the current zone.
func (g *generator) zone() *madeZone { return &g.f.zones[g.current] }

// head makes the records that a zone is not loaded without. Now and then, the
// apex is a DNAME: then nothing is below it.
func (g *generator) head() {
	z := g.zone()
	soa := fmt.Sprintf("mname.elsewhere.test. host\\046master.%s %d 3600 300 2419200 %d", z.origin, 1+g.rng.IntN(99), pick(g.rng, 60, 300, 7200))
	server := "ns." + z.origin
	if !isName(server) || g.current > 0 && g.rng.IntN(8) == 0 {
		server = "ns.elsewhere.test."
	}
	g.add(z.origin, "SOA", soa)
	g.add(z.origin, "NS", server)
	if server != "ns.elsewhere.test." {
		g.add(server, "A", g.v4())
	} else if g.rng.IntN(2) == 0 && !slices.ContainsFunc(g.f.zones[g.current+1:], func(other madeZone) bool { return below(other.origin, z.origin) }) {
		g.add(z.origin, "DNAME", g.target())
	}
	z.head, z.body = z.body, nil
}

// body makes the rest of a zone, from several features at several places.
func (g *generator) body() {
	g.delegateChildren()
	features := g.features()
	for range 5 + g.rng.IntN(7) {
		features[g.rng.IntN(len(features))](g)
	}
}

// add adds a record to the current zone if a zone can have it beside what it has
// already, and says whether it did.
func (g *generator) add(owner, typ, data string) bool {
	z, owners := g.zone(), g.owners[g.current]
	key := strings.ToLower(owner)
	kind, used := owners[key]
	alias := typ == "CNAME" || kind == "CNAME"
	for word := range strings.FieldsSeq(data) {
		if strings.HasSuffix(word, ".") && !isName(word) {
			return false
		}
	}
	line := strings.ToLower(fmt.Sprintf("%d %s %s %s", g.current, owner, typ, data))
	switch {
	case !below(key, z.origin), !isName(owner), octets(owner) > g.longest(), g.seen[line], used && alias, used && typ == "DNAME" && kind != "data":
		return false
	case typ == "NS" && (kind == "DNAME" || strings.HasPrefix(key, "*.")): // BIND takes no NS at a wildcard
		return false
	case typ == "DNAME" && g.hasBelow(key), g.belowDNAME(key):
		return false
	}
	g.seen[line] = true
	switch {
	case typ == "CNAME", typ == "DNAME", typ == "NS" && key != z.origin:
		owners[key] = typ
	case !used:
		owners[key] = "data"
	}
	set := key + " " + typ
	if g.ttls[set] == 0 {
		g.ttls[set] = pick(g.rng, 60, 300, 3600, 86400)
	}
	z.body = append(z.body, record{owner, typ, data, g.ttls[set]})
	return true
}

// longest is how many octets an owner may have. dnssec-signzone asks of each name
// whether there is a wildcard below it, and fails if that gets too long.
func (g *generator) longest() int {
	if g.current == 0 && g.f.denial != "" {
		return 253
	}
	return 255
}

// hasBelow says whether there is an owner below a name: in any zone, since NSD
// takes the data of a zone above for data below a DNAME of this one.
func (g *generator) hasBelow(name string) bool {
	for _, owners := range g.owners {
		for owner := range owners {
			if owner != name && below(owner, name) {
				return true
			}
		}
	}
	return false
}

// belowDNAME says whether a name lies below a DNAME, of any zone.
func (g *generator) belowDNAME(name string) bool {
	for name != "" {
		name = parent(name)
		for _, owners := range g.owners {
			if owners[name] == "DNAME" {
				return true
			}
		}
	}
	return false
}

// label is one label: mostly one of few, so that names meet.
func (g *generator) label() string {
	switch g.rng.IntN(12) {
	case 0:
		return "*"
	case 1:
		return g.oddLabel()
	}
	return pick(g.rng, "a", "b", "c", "d", "www")
}

// oddLabel is a label that a careless server reads as something else.
func (g *generator) oddLabel() string {
	return pick(g.rng, `a\046b`, `\000`, `\255\200`, "a*", "*a", "**", `\042\042x`, "_tcp", `sp\032ace`, `\064`, `\092b`, `\034`,
		"-", "0", "xn--a", strings.Repeat("l", 63), `\001\001a`, `\036`, `\059`, `\040\041`)
}

// under is a name some labels below another.
func (g *generator) under(name string, labels int) string {
	for range labels {
		longer := g.label() + "." + name
		if !isName(longer) {
			break
		}
		name = longer
	}
	return g.spell(name)
}

// spell changes the case of some names.
func (g *generator) spell(name string) string {
	if g.rng.IntN(5) > 0 {
		return name
	}
	return randomCase(g.rng, name)
}

// known is an owner of a zone, or its apex.
func (g *generator) known(zone int) string {
	records := slices.Concat(g.f.zones[zone].head, g.f.zones[zone].body)
	if len(records) == 0 {
		return g.f.zones[zone].origin
	}
	return records[g.rng.IntN(len(records))].owner
}

// place is where a feature of the current zone goes: below the apex, or near
// something that is there already.
func (g *generator) place() string {
	anchor := g.zone().origin
	if g.rng.IntN(3) == 0 {
		anchor = g.known(g.current)
		if g.rng.IntN(2) == 0 && !strings.EqualFold(anchor, g.zone().origin) {
			anchor = parent(anchor)
		}
	}
	return g.under(anchor, 1+g.rng.IntN(3))
}

// target is a name for records to point to: one that exists, one that is near
// to such a one, in any zone of the family, or one that is nowhere.
func (g *generator) target() string {
	zone := g.current
	if g.rng.IntN(3) == 0 {
		zone = g.rng.IntN(len(g.f.zones))
	}
	name := g.known(zone)
	switch g.rng.IntN(8) {
	case 0:
		name = g.under(name, 1)
	case 1:
		name = g.under(g.f.zones[zone].origin, 1+g.rng.IntN(3))
	case 2:
		name = "www.elsewhere.test."
	}
	return g.spell(name)
}

func (g *generator) v4() string { return fmt.Sprintf("192.0.2.%d", g.rng.IntN(256)) }
func (g *generator) v6() string { return fmt.Sprintf("2001:db8::%x", 1+g.rng.IntN(65535)) }
