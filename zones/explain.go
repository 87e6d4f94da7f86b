package zones

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Outcome is the kind of answer that a Set has for a question.
type Outcome string

// The outcomes.
const (
	OutcomeElsewhere Outcome = "elsewhere"  // no zone of ours holds the name
	OutcomeNotLoaded Outcome = "not-loaded" // the zone that holds it is not loaded
	OutcomeData      Outcome = "data"
	OutcomeNoData    Outcome = "no-data"
	OutcomeNameError Outcome = "name-error"
	OutcomeReferral  Outcome = "referral"
	OutcomeAlias     Outcome = "alias"         // the client is to follow it itself
	OutcomeLoop      Outcome = "alias-loop"    // back to a name that was asked for
	OutcomeTooLong   Outcome = "name-too-long" // made by a DNAME (RFC 6672 section 2.2)
	OutcomeMany      Outcome = "many-aliases"  // more than are followed for one question
)

// Explanation says what a Set answers to a question, and why.
type Explanation struct {
	// Origin is the zone that the question's name lies in, nil if none of ours.
	Origin  wire.Name
	Outcome Outcome
	// RCode is that of the reply: REFUSED where no zone of ours holds the name,
	// SERVFAIL where that zone is not loaded.
	RCode int
	// Text is one plain sentence. Facts are what it says, for programs, names in
	// presentation form with their last dot. Where aliases were followed, which
	// are the fact "aliases", the other facts speak of the last name.
	Text  string
	Facts map[string]string
}

// Explain says how Answer would answer q over a stream, and why. It allocates,
// and is for people who ask: it goes the way of RFC 1034 section 4.3.2 by itself,
// with the same look-ups. How large the answer is, it does not say.
func (s *Set) Explain(q Question) Explanation {
	e := explaining{set: s, q: q, facts: make(map[string]string)}
	e.name.set(q.Name)
	p := e.name.path()
	in := s.find(&p, q.Type == dns.TypeDS)
	switch {
	case in == nil:
		e.end(OutcomeElsewhere, dns.RcodeRefused, "%s is in none of the %d zones served here", e.shown(), s.Len())
		return e.finish(nil)
	case in.ceded:
		e.facts["ceded"] = in.origin.String()
		e.end(OutcomeElsewhere, dns.RcodeRefused, "%s is below %s, which has forwarders of its own", e.shown(), shown(in.origin))
		return e.finish(nil)
	case in.zone == nil:
		e.facts["zone"] = in.origin.String()
		e.end(OutcomeNotLoaded, dns.RcodeServerFailure, "%s is in zone %s, which is not loaded", e.shown(), shown(in.origin))
		return e.finish(in.origin)
	}
	e.enter(in.zone)
	for range maxChase {
		if e.step() {
			return e.finish(in.origin)
		}
	}
	e.end(OutcomeMany, dns.RcodeSuccess, "no more than %d aliases are followed for one question, and the client goes on from %s", maxChase, e.shown())
	return e.finish(in.origin)
}

// explaining is the state of one explanation.
type explaining struct {
	set     *Set
	q       Question
	zone    *Zone    // that the current name lies in
	name    suffixes // the current name: the question's, or what an alias leads to
	asked   []string // the names before it, in wire form
	aliases []string // what led from each of them to the next, for facts
	path    []string // the same in words
	facts   map[string]string
	outcome Outcome
	rcode   int
	text    string
}

// end notes how it ends; the text has no full stop yet.
func (e *explaining) end(outcome Outcome, rcode int, format string, args ...any) (done bool) {
	e.outcome, e.rcode, e.text = outcome, rcode, fmt.Sprintf(format, args...)
	return true
}

// finish makes the explanation of a question whose name lies in a zone.
func (e *explaining) finish(origin wire.Name) Explanation {
	e.facts["outcome"], e.facts["rcode"] = string(e.outcome), dns.RcodeToString[e.rcode]
	if len(e.aliases) > 0 {
		e.facts["aliases"] = strings.Join(e.aliases, "; ")
		e.facts["name"] = e.name.whole().String()
	}
	return Explanation{
		Origin: origin, Outcome: e.outcome, RCode: e.rcode, Facts: e.facts,
		Text: strings.Join(append(e.path, e.text), "; ") + ".",
	}
}

// enter goes on in a zone.
func (e *explaining) enter(z *Zone) {
	e.zone = z
	e.facts["zone"], e.facts["serial"] = z.origin.String(), fmt.Sprint(z.serial)
}

// step explains the current name; it returns false where an alias leads on.
func (e *explaining) step() (done bool) {
	p := e.name.path()
	match, what := e.zone.lookup(&p)
	switch what {
	case foundCut:
		if e.q.Type == dns.TypeDS && int(e.zone.nodes[match].nameLen) == e.name.len {
			return e.signing(match)
		}
		return e.referral(match)
	case foundDNAME:
		return e.dname(match)
	case foundNothing:
		return e.nothing(match)
	}
	n := &e.zone.nodes[match]
	switch {
	case n.flags&nodeCNAME != 0 && e.count(match) == 0 && e.q.Type != dns.TypeNSEC && e.q.Type != dns.TypeRRSIG:
		return e.cname(match, what)
	case what == foundWildcard:
		return e.wildcard(match)
	}
	return e.exact(match)
}

// count is how many records of the question's type node i has.
func (e *explaining) count(i uint32) (records int) {
	for _, s := range e.zone.setsOf(i) {
		if s.rrtype == e.q.Type || e.q.Type == dns.TypeANY {
			records += int(s.count)
		}
	}
	return records
}

// records notes what node i has of the type, and says it.
func (e *explaining) records(i uint32) string {
	n := e.count(i)
	e.facts["records"] = fmt.Sprint(n)
	kind := dns.Type(e.q.Type).String() + " "
	if e.q.Type == dns.TypeANY {
		kind = ""
	} else if set := e.zone.find(i, e.q.Type); set != nil {
		e.facts["ttl"] = fmt.Sprint(e.zone.ttl(set))
	}
	switch n {
	case 0:
		return fmt.Sprintf("no %srecord", kind)
	case 1:
		return fmt.Sprintf("one %srecord", kind)
	}
	return fmt.Sprintf("%d %srecords", n, kind)
}

// of ends with the data of node i, or without; the text says "has".
func (e *explaining) of(i uint32, subject string) bool {
	has := e.records(i)
	if e.count(i) == 0 {
		return e.end(OutcomeNoData, dns.RcodeSuccess, "%s, but has %s: the answer is NOERROR without data", subject, has)
	}
	return e.end(OutcomeData, dns.RcodeSuccess, "%s and has %s", subject, has)
}

// exact explains a name that is there.
func (e *explaining) exact(i uint32) bool {
	if e.zone.nodes[i].numSets > 0 {
		e.facts["match"] = "name"
		return e.of(i, fmt.Sprintf("%s exists in zone %s", e.shown(), e.zoneShown()))
	}
	e.facts["match"], e.facts["records"] = "empty-non-terminal", "0"
	only := ""
	if w := e.zone.nodes[i].wild; w != 0 {
		e.facts["wildcard_below"] = e.zone.name(w - 1).String()
		only = fmt.Sprintf(" (the wildcard %s is for names below it, not for itself)", shown(e.zone.name(w-1)))
	}
	return e.end(OutcomeNoData, dns.RcodeSuccess,
		"%s has no records itself in zone %s, but names below it do: the answer is NOERROR without data%s", e.shown(), e.zoneShown(), only)
}

// wildcard explains a name that node i is the source of synthesis of.
func (e *explaining) wildcard(i uint32) bool {
	e.facts["match"], e.facts["wildcard"] = "wildcard", e.zone.name(i).String()
	e.facts["closest_encloser"] = e.zone.name(e.zone.nodes[i].parent).String()
	return e.of(i, fmt.Sprintf("%s does not exist itself; the wildcard %s in zone %s stands for it", e.shown(), shown(e.zone.name(i)), e.zoneShown()))
}

// nothing explains a name that does not exist.
func (e *explaining) nothing(encloser uint32) bool {
	e.facts["match"], e.facts["closest_encloser"] = "none", e.zone.name(encloser).String()
	why := fmt.Sprintf("and there is no wildcard %s", shown(append(wire.Name("\x01*"), e.zone.name(encloser)...)))
	for i := encloser; i != 0; {
		i = e.zone.nodes[i].parent
		// RFC 4592 section 4.3: what exists keeps wildcards above it from what
		// lies below it.
		if w := e.zone.nodes[i].wild; w != 0 && w-1 != encloser {
			e.facts["wildcard_blocked"] = e.zone.name(w - 1).String()
			why = fmt.Sprintf("which keeps the wildcard %s from it", shown(e.zone.name(w-1)))
			break
		}
	}
	return e.end(OutcomeNameError, dns.RcodeNameError, "%s does not exist in zone %s: the closest name above it that does is %s, %s",
		e.shown(), e.zoneShown(), shown(e.zone.name(encloser)), why)
}

// cname explains an alias, at node i or made of it.
func (e *explaining) cname(i uint32, what outcome) bool {
	target := e.zone.rdata(e.zone.find(i, dns.TypeCNAME))
	by := ""
	if what == foundWildcard {
		by = fmt.Sprintf(" by the wildcard %s", shown(e.zone.name(i)))
	}
	return e.follow(target, fmt.Sprintf("%s CNAME %s", e.name.whole(), lowered(target)),
		fmt.Sprintf("%s is an alias of %s%s", e.shown(), shown(lowered(target)), by))
}

// dname explains a name below the DNAME at node i.
func (e *explaining) dname(i uint32) bool {
	above, to := e.zone.name(i), e.zone.rdata(e.zone.find(i, dns.TypeDNAME))
	prefix := e.name.len - len(above)
	if prefix+len(to) > wire.MaxName {
		e.facts["match"], e.facts["dname"], e.facts["dname_target"] = "dname", above.String(), lowered(to).String()
		return e.end(OutcomeTooLong, dns.RcodeYXDomain, "the DNAME at %s would make a name longer than %d octets of %s", shown(above), wire.MaxName, e.shown())
	}
	target := append(append(make(wire.Name, 0, prefix+len(to)), e.name.name[:prefix]...), to...)
	text := fmt.Sprintf("%s is an alias of %s by the DNAME at %s", e.shown(), shown(lowered(target)), shown(above))
	if e.q.Type == dns.TypeCNAME {
		e.facts["match"], e.facts["dname"], e.facts["dname_target"] = "dname", above.String(), lowered(to).String()
		return e.end(OutcomeData, dns.RcodeSuccess, "%s", text)
	}
	return e.follow(target, fmt.Sprintf("%s DNAME %s", above, lowered(to)), text)
}

// follow makes target the current name. It ends where that is no name of ours, or
// was asked for before.
func (e *explaining) follow(target []byte, alias, text string) (done bool) {
	e.asked = append(e.asked, string(e.name.whole()))
	e.aliases, e.path = append(e.aliases, alias), append(e.path, text)
	e.name.set(target)
	for _, before := range e.asked {
		if before == string(e.name.whole()) {
			return e.end(OutcomeLoop, dns.RcodeSuccess, "that is a loop, and the answer ends there")
		}
	}
	p := e.name.path()
	in := e.set.find(&p, e.q.Type == dns.TypeDS)
	switch {
	case in == nil || in.ceded:
		return e.end(OutcomeAlias, dns.RcodeSuccess, "%s is in none of the zones served here, and the client goes on from there", e.shown())
	case in.zone == nil:
		return e.end(OutcomeAlias, dns.RcodeSuccess, "%s is in zone %s, which is not loaded, and the client goes on from there", e.shown(), shown(in.origin))
	}
	e.enter(in.zone)
	return false
}

// shown is the current name in a sentence.
func (e *explaining) shown() string { return shown(e.name.whole()) }

func (e *explaining) zoneShown() string { return shown(e.zone.origin) }

// shown is a name as a sentence has it: without the last dot.
func shown(name wire.Name) string {
	if len(name) == 1 {
		return "."
	}
	return strings.TrimSuffix(name.String(), ".")
}

// lowered is a name of record data as names are compared.
func lowered(data []byte) wire.Name {
	name := append(wire.Name(nil), data...)
	wire.Lower(name)
	return name
}
