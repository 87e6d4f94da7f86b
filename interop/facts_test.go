package interop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// The parts of a reply that are compared, in the order they are looked at.
const (
	partRcode      = "rcode"
	partAA         = "aa"
	partTC         = "tc"
	partEDNS       = "edns"
	partAnswer     = "answer"
	partAuthority  = "authority"
	partAdditional = "additional"
)

var parts = []string{partRcode, partAA, partTC, partEDNS, partAnswer, partAuthority, partAdditional}

// facts is a reply, part by part, in a form in which equal means equal.
type facts map[string]string

func factsOf(q question, m *dns.Msg) facts {
	f := facts{
		partRcode: dns.RcodeToString[m.Rcode],
		partAA:    fmt.Sprint(m.Authoritative),
		partTC:    fmt.Sprint(m.Truncated),
	}
	var additional []dns.RR
	edns := "none"
	for _, rr := range m.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			edns = fmt.Sprintf("version %d do %t", opt.Version(), opt.Do())
		} else {
			additional = append(additional, rr)
		}
	}
	f[partEDNS] = edns
	if m.Truncated {
		// What is left in a truncated reply is nobody's promise (RFC 2181 section 9).
		f[partAnswer], f[partAuthority], f[partAdditional] = "truncated", "truncated", "truncated"
		return f
	}
	if q.typ == dns.TypeANY {
		// ANY may be answered with any part of what there is (RFC 8482 section 4).
		f[partAnswer] = fmt.Sprintf("some: %t", len(m.Answer) > 0)
		return f
	}
	f[partAnswer] = inOrder(m.Answer)
	f[partAuthority] = canonical(m.Ns)
	f[partAdditional] = canonical(additional)
	return f
}

// line is a record as text, names in lower case.
func line(rr dns.RR) string {
	rr = dns.Copy(rr)
	rr.Header().Name = dns.CanonicalName(rr.Header().Name)
	text := strings.Join(strings.Fields(rr.String()), " ")
	switch rr.Header().Rrtype {
	case dns.TypeTXT, dns.TypeHINFO, dns.TypeCAA:
		return text
	}
	return strings.ToLower(text)
}

// canonical is a section as a set: sorted text.
func canonical(section []dns.RR) string {
	var lines []string
	for _, rr := range section {
		lines = append(lines, line(rr))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// inOrder is a section whose owners have an order, as aliases and what they lead
// to have; the records of one owner have none.
func inOrder(section []dns.RR) string {
	var owners []string
	records := map[string][]dns.RR{}
	for _, rr := range section {
		owner := dns.CanonicalName(rr.Header().Name)
		if records[owner] == nil {
			owners = append(owners, owner)
		}
		records[owner] = append(records[owner], rr)
	}
	var texts []string
	for _, owner := range owners {
		texts = append(texts, canonical(records[owner]))
	}
	return strings.Join(texts, "\n")
}

// setOf is the name of the RRset that a record belongs to, or that it signs.
func setOf(rr dns.RR) string {
	typ := rr.Header().Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		typ = sig.TypeCovered
	}
	return fmt.Sprintf("%s %s", dns.CanonicalName(rr.Header().Name), dns.Type(typ))
}

// lines are the records of a part.
func (f facts) lines(part string) []string {
	if f[part] == "" {
		return nil
	}
	return strings.Split(f[part], "\n")
}

// reply is what one server answers to a question.
type reply struct {
	server string
	facts
	msg    *dns.Msg
	packet []byte // as received
}

// said is the reply of one of the others, nil if that one was not asked.
func (d *dispute) said(server string) *reply {
	for i := range d.others {
		if d.others[i].server == server {
			return &d.others[i]
		}
	}
	return nil
}

// who are the others that say so.
func (d *dispute) who(text string) string {
	var names []string
	for _, other := range d.others {
		if other.facts[d.part] == text {
			names = append(names, other.server)
		}
	}
	if names == nil {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// majority is what two of the others say of a part.
func majority(others []reply, part string) (string, bool) {
	for i := range others {
		for j := range i {
			if others[i].facts[part] == others[j].facts[part] {
				return others[i].facts[part], true
			}
		}
	}
	return "", false
}

// dispute is a part of the replies to a question where ours is not what the
// majority of the others says, or where they have no majority.
type dispute struct {
	q      question
	part   string
	ours   reply
	others []reply
	want   string // what the majority says
	agreed bool   // whether there is one
	setting
}

// setting is what disputes about the same zones share.
type setting struct {
	owners map[string][]string    // by origin, decoded
	ask    func(question) []reply // asks all servers, us first
	known  map[string]verdict     // of questions that were asked for others' sake
}

// compare finds the first part where the first reply is not what the majority of
// the others says, unless pardon passes over it; what follows from a first
// difference says nothing new. It returns nil if there is no such part.
func compare(q question, replies []reply, pardon func(*dispute) bool) *dispute {
	ours, others := replies[0], replies[1:]
	for _, part := range parts {
		want, ok := majority(others, part)
		if ok && ours.facts[part] == want {
			continue
		}
		if d := (&dispute{q: q, part: part, ours: ours, others: others, want: want, agreed: ok}); !pardon(d) {
			return d
		}
	}
	return nil
}

// never pardons nothing.
func never(*dispute) bool { return false }

// String tells both sides.
func (d *dispute) String() string {
	want := indent(d.want) + d.who(d.want)
	if !d.agreed {
		want = "each another"
		for _, other := range d.others {
			want += fmt.Sprintf("\n    %s: %s", other.server, indent(other.facts[d.part]))
		}
	}
	ours := d.ours.facts[d.part]
	return fmt.Sprintf("%s\n  ours%s: %s\n  want: %s", d.part, d.who(ours), indent(ours), want)
}

func indent(text string) string {
	if text == "" {
		return "(empty)"
	}
	return strings.ReplaceAll(text, "\n", "\n        ")
}

// zoneOf is the longest of the zones that a name is in.
func (d *dispute) zoneOf(name string) string {
	longest := ""
	for origin := range d.owners {
		if below(dns.CanonicalName(name), origin) && len(origin) > len(longest) {
			longest = origin
		}
	}
	return longest
}

// owned says whether a zone has records at a name or, with deeper, below it. No
// zone means any.
func (d *dispute) owned(zone, name string, deeper bool) bool {
	for origin, owners := range d.owners {
		if zone != "" && zone != origin {
			continue
		}
		if slices.ContainsFunc(owners, func(owner string) bool { return owner == name || deeper && below(owner, name) }) {
			return true
		}
	}
	return false
}

// zoneFor is the zone that answers the question's type at a name: for DS that is
// the one above a zone (RFC 4035 section 3.1.4.1).
func (d *dispute) zoneFor(name string) string {
	zone := d.zoneOf(name)
	if d.q.typ == dns.TypeDS && dns.CanonicalName(name) == zone {
		if above := d.zoneOf(parent(zone)); above != "" {
			return above
		}
	}
	return zone
}
