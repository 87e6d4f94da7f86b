package interop

import (
	"fmt"
	"strings"
)

// features are what a zone is made of. A feature that stands twice comes more
// often.
func (g *generator) features() []func(*generator) {
	return []func(*generator){
		(*generator).host, (*generator).host, (*generator).service, (*generator).service,
		(*generator).wildcard, (*generator).wildcard, (*generator).wildcard, (*generator).nestedWildcards,
		(*generator).emptyNonTerminals, (*generator).cut, (*generator).cut, (*generator).cutInCut,
		(*generator).cnames, (*generator).cnames, (*generator).cnameLoop, (*generator).longChain,
		(*generator).dname, (*generator).dname, (*generator).dnameLoop, (*generator).overlongDNAME,
		(*generator).odd, (*generator).longName, (*generator).manyRecords, (*generator).manyGlue, (*generator).manyTargets,
	}
}

// data is a type and its data: any but the ones that steer the search.
func (g *generator) data() (typ, data string) {
	switch g.rng.IntN(18) {
	default:
		return "A", g.v4()
	case 0, 1:
		return "AAAA", g.v6()
	case 2:
		return "TXT", fmt.Sprintf(`"Text  %d" "" "second"`, g.rng.IntN(9))
	case 3:
		return "MX", fmt.Sprintf("%d %s", g.rng.IntN(30), g.target())
	case 4:
		return "SRV", fmt.Sprintf("%d 5 443 %s", g.rng.IntN(3), g.target())
	case 5:
		return "CAA", `0 issue "CA.example.net"`
	case 6:
		return "PTR", g.target()
	case 7:
		return pick(g.rng, "SVCB", "HTTPS"), fmt.Sprintf("%d %s", pick(g.rng, 0, 0, 1), pick(g.rng, ".", g.target(), g.target()))
	case 8:
		return "HTTPS", fmt.Sprintf("1 %s alpn=h2,h3 port=8443 ipv4hint=192.0.2.7", pick(g.rng, ".", g.target()))
	case 9:
		return "TYPE65280", fmt.Sprintf(`\# 4 0102%04x`, g.rng.IntN(65536))
	case 10:
		return "NAPTR", fmt.Sprintf(`10 20 "S" "SIP+D2U" "" %s`, g.target())
	case 11:
		return "TLSA", "3 1 1 " + strings.Repeat("ab", 32)
	case 12:
		return "HINFO", `"CPU" "os"`
	}
}

// host is a name with several types.
func (g *generator) host() {
	at := g.place()
	for range 1 + g.rng.IntN(4) {
		typ, data := g.data()
		g.add(at, typ, data)
	}
}

// service is a name that points to hosts, which have addresses, or are below a
// cut, an alias, a wildcard, or nowhere.
func (g *generator) service() {
	at := g.place()
	typ := pick(g.rng, "MX", "SRV", "SVCB", "HTTPS", "NS", "AFSDB", "KX", "RT")
	if typ == "NS" {
		at = g.zone().origin
	}
	for i := range 1 + g.rng.IntN(3) {
		target := g.target()
		switch typ {
		case "MX", "AFSDB", "KX", "RT":
			g.add(at, typ, fmt.Sprintf("%d %s", i, target))
		case "SRV":
			g.add(at, typ, fmt.Sprintf("%d 0 443 %s", i, target))
		case "SVCB", "HTTPS":
			g.add(at, typ, fmt.Sprintf("%d %s", 1+i, target))
		case "NS":
			// BIND loads no zone whose apex has a name server without address.
			if !below(target, g.zone().origin) {
				g.add(at, typ, target)
			}
		}
	}
}

// wildcard is a wildcard with names beside it that it must not match.
func (g *generator) wildcard() {
	base := g.place()
	if g.rng.IntN(4) == 0 {
		base = g.zone().origin
	}
	star := "*." + base
	switch g.rng.IntN(6) {
	case 0:
		g.add(star, "CNAME", g.target())
	case 1:
		g.add(star, "DNAME", g.target())
	default:
		for range 1 + g.rng.IntN(3) {
			typ, data := g.data()
			g.add(star, typ, data)
		}
	}
	for range g.rng.IntN(3) {
		typ, data := g.data()
		g.add(g.under(base, 1+g.rng.IntN(2)), typ, data)
	}
}

// nestedWildcards are wildcards at several depths, below asterisks and below an
// empty non-terminal that another one would match.
func (g *generator) nestedWildcards() {
	base := g.place()
	for _, prefix := range []string{"*.", "*.*.", "*.a.", "b.*.", "*.b.*.", "x.ent.", "*.x.ent."} {
		if g.rng.IntN(2) > 0 {
			continue
		}
		if g.rng.IntN(6) == 0 {
			g.add(prefix+base, "CNAME", g.target())
			continue
		}
		typ, data := g.data()
		g.add(prefix+base, typ, data)
	}
}

func (g *generator) emptyNonTerminals() {
	typ, data := g.data()
	g.add(g.under(g.place(), 2+g.rng.IntN(4)), typ, data)
}

// delegateChildren delegates the zones below the current one from here, or does
// not, and has data below them that nobody may see.
func (g *generator) delegateChildren() {
	for _, z := range g.f.zones {
		if z.origin == g.zone().origin || !below(z.origin, g.zone().origin) || g.rng.IntN(5) == 0 {
			continue
		}
		g.delegate(z.origin)
		if g.rng.IntN(3) == 0 {
			typ, data := g.data()
			g.add(g.under(z.origin, 1), typ, data)
		}
	}
}

func (g *generator) cut() { g.delegate(g.place()) }

// delegate makes a delegation: glue inside, of siblings, of both families or
// missing, DS or not, and data that the cut hides.
func (g *generator) delegate(at string) {
	if strings.HasPrefix(at, "*") {
		at = "cut" + strings.TrimLeft(at, "*")
	}
	for i := range 1 + g.rng.IntN(3) {
		switch g.rng.IntN(4) {
		case 0:
			g.add(at, "NS", g.target())
		case 1:
			g.add(at, "NS", "ns.elsewhere.test.")
		default:
			server := g.spell(pick(g.rng, fmt.Sprintf("ns%d.", i), "ns.deep.") + at)
			if !g.add(at, "NS", server) {
				continue
			}
			if g.rng.IntN(5) > 0 {
				g.add(server, "A", g.v4())
			}
			if g.rng.IntN(2) == 0 {
				g.add(server, "AAAA", g.v6())
			}
		}
	}
	if g.owners[g.current][strings.ToLower(at)] != "NS" {
		return
	}
	if g.rng.IntN(3) == 0 {
		g.add(at, "DS", "12345 13 2 "+strings.Repeat("0123456789ABCDEF", 4))
	}
	if g.rng.IntN(3) == 0 {
		typ, data := g.data()
		g.add(pick(g.rng, at, g.under(at, 1), "*."+at, g.under(at, 2)), typ, data)
	}
}

// cutInCut is a delegation below another, with glue for both.
func (g *generator) cutInCut() {
	at := g.place()
	g.delegate(at)
	g.delegate(g.under(at, 1+g.rng.IntN(2)))
}

// cnames is a short chain, which ends anywhere.
func (g *generator) cnames() {
	target := g.target()
	for range 1 + g.rng.IntN(4) {
		at := g.place()
		if g.rng.IntN(8) == 0 {
			at = "*." + at
		}
		if g.add(at, "CNAME", target) {
			target = g.spell(at)
		}
	}
}

// cnameLoop is a loop of one to four, perhaps with a tail.
func (g *generator) cnameLoop() {
	first := g.place()
	at := first
	for range g.rng.IntN(4) {
		next := g.place()
		if !g.add(at, "CNAME", next) {
			return
		}
		at = next
	}
	g.add(at, "CNAME", g.spell(first))
	if g.rng.IntN(2) == 0 {
		g.add(g.place(), "CNAME", first)
	}
}

// longChain is a chain of about as many aliases as a server is ready to follow.
func (g *generator) longChain() {
	if g.rng.IntN(2) == 0 {
		return
	}
	at := g.place()
	for i := range 5 + g.rng.IntN(16) {
		next := fmt.Sprintf("chain%d.%s", i, at)
		if !g.add(at, "CNAME", next) {
			return
		}
		at = next
	}
	g.add(at, "A", g.v4())
}

// dname is a DNAME, often with data beside it and an alias through it.
func (g *generator) dname() {
	at := g.place()
	target := g.target()
	if g.rng.IntN(2) == 0 {
		target = parent(target)
	}
	if target == "" || !g.add(at, "DNAME", target) {
		return
	}
	if g.rng.IntN(2) == 0 {
		g.add(at, "TXT", `"beside a DNAME"`)
	}
	if g.rng.IntN(2) == 0 {
		g.add(g.place(), "CNAME", g.under(at, 1+g.rng.IntN(2)))
	}
	if g.rng.IntN(3) == 0 {
		g.add(g.place(), "DNAME", g.spell(pick(g.rng, at, g.under(at, 1))))
	}
}

// dnameLoop is two DNAMEs to each other, one to itself, or one that makes its
// names longer each time.
func (g *generator) dnameLoop() {
	at := g.place()
	switch g.rng.IntN(3) {
	case 0:
		g.add(at, "DNAME", at)
	case 1:
		other := g.place()
		g.add(at, "DNAME", other)
		g.add(other, "DNAME", at)
	case 2:
		g.add(at, "DNAME", g.under(at, 1))
	}
}

// overlongDNAME is a DNAME to a name of nearly the greatest length: what is
// below it gets too long (YXDOMAIN) or just fits.
func (g *generator) overlongDNAME() {
	at := g.place()
	if g.add(at, "DNAME", g.longBelow(g.zone().origin, 246+g.rng.IntN(10))) && g.rng.IntN(2) == 0 {
		g.add(g.place(), "CNAME", g.under(at, 1+g.rng.IntN(2)))
	}
}

// odd is a name of odd labels.
func (g *generator) odd() {
	at := g.place()
	for range 1 + g.rng.IntN(2) {
		at = g.oddLabel() + "." + at
	}
	typ, data := g.data()
	if g.rng.IntN(4) == 0 {
		typ, data = "CNAME", g.target()
	}
	g.add(at, typ, data)
	if g.rng.IntN(3) == 0 {
		g.add(g.place(), "CNAME", g.spell(at))
	}
}

// longBelow is a name below another of so many octets, as near as can be.
func (g *generator) longBelow(name string, length int) string {
	for {
		room := min(length-octets(name)-1, 63)
		if room < 1 {
			return name
		}
		// No room for just the length octet of another label may stay.
		if rest := length - octets(name) - 1 - room; rest == 1 {
			room--
		}
		if room == 0 {
			return name
		}
		name = strings.Repeat(pick(g.rng, "l", "m"), room) + "." + name
	}
}

// longName is a name of 255 octets or a little less, perhaps with a wildcard
// above it.
func (g *generator) longName() {
	base := g.place()
	if g.rng.IntN(2) == 0 {
		typ, data := g.data()
		g.add("*."+base, typ, data)
	}
	typ, data := g.data()
	g.add(g.longBelow(base, pick(g.rng, 253, 254, 255)), typ, data)
}

// manyRecords is an RRset about the size of a UDP message.
func (g *generator) manyRecords() {
	at := pick(g.rng, "", "", "*.") + g.place()
	n, kind := 3+g.rng.IntN(9), g.rng.IntN(4)
	for i := range n {
		switch kind {
		case 0:
			g.add(at, "TXT", fmt.Sprintf(`"%d %s"`, i, strings.Repeat("x", 100+g.rng.IntN(40))))
		case 1:
			for j := range 7 {
				g.add(at, "A", fmt.Sprintf("198.51.100.%d", 7*i+j))
			}
		case 2:
			for j := range 4 {
				g.add(at, "AAAA", fmt.Sprintf("2001:db8:1::%x", 4*i+j))
			}
		case 3:
			g.add(at, "TYPE65281", fmt.Sprintf(`\# 130 %02x%s`, i, strings.Repeat("00", 129)))
		}
	}
	if g.rng.IntN(2) == 0 {
		g.add(g.place(), "CNAME", at)
	}
}

// manyGlue is a delegation whose name servers may not fit into a message.
func (g *generator) manyGlue() {
	at := g.place()
	if strings.HasPrefix(at, "*") {
		return
	}
	where := pick(g.rng, at, at, g.place())
	for i := range 4 + g.rng.IntN(20) {
		server := fmt.Sprintf("ns%d.%s", i, where)
		if g.add(at, "NS", server) {
			g.add(server, "A", g.v4())
			if g.rng.IntN(3) > 0 {
				g.add(server, "AAAA", g.v6())
			}
		}
	}
}

// manyTargets is a service whose hosts' addresses may not fit into a message.
func (g *generator) manyTargets() {
	at := g.place()
	for i := range 4 + g.rng.IntN(12) {
		host := fmt.Sprintf("h%d.%s", i, at)
		g.add(at, "MX", fmt.Sprintf("%d %s", i, host))
		g.add(host, "A", g.v4())
		if g.rng.IntN(3) > 0 {
			g.add(host, "AAAA", g.v6())
		}
	}
}
