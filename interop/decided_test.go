package interop

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// difference is one decision, and where it shows.
type difference struct {
	// what is the case, as the table in docs/rfc.md calls it.
	what string
	when func(d *dispute) bool
	// rare says that the default seed need not show it.
	rare bool
}

// decided are the differences that we mean: where the majority of BIND, NSD and
// Knot does otherwise than stampdns, or where there is no majority. A decision
// that no question of the default seed needs fails TestDifferential, unless it is
// rare.
func decided() []difference {
	rules := []difference{
		{what: "an alias into another of our zones", when: (*dispute).aliasIntoZone},
		{what: "a loop of aliases, or a long chain", when: (*dispute).longChain},
		{what: "a referral whose in-domain glue does not fit", when: func(d *dispute) bool {
			return d.part == partTC && d.ours.msg.Truncated && d.needed() == sectionAdditional
		}},
		{what: "an answer whose SOA or proof does not fit", rare: true, when: func(d *dispute) bool {
			return d.part == partTC && d.ours.msg.Truncated && d.needed() == sectionAuthority
		}},
		{what: "an answer of which all that is needed fits", when: (*dispute).enough},
		{what: "the RCODE of a truncated answer", when: func(d *dispute) bool {
			return d.part == partRcode && d.ours.msg.Truncated && d.ours.msg.Rcode == dns.RcodeSuccess && d.settledWhole()
		}},
		{what: "a wildcard that is an empty non-terminal", when: (*dispute).emptyWildcard},
		{what: "a DNAME at a wildcard", when: (*dispute).wildcardDNAME, rare: true},
		{what: "a name that only the zone above has", when: (*dispute).strangersName, rare: true},
		{what: "type ANY", when: (*dispute).anyType, rare: true},
		{what: "a DNAME behind an alias that makes the name too long", rare: true, when: func(d *dispute) bool {
			return d.part == partRcode && d.ours.msg.Rcode == dns.RcodeYXDomain && len(d.aliases()) > 0 && d.said("bind").msg.Rcode == dns.RcodeYXDomain
		}},
		{what: "a closest encloser that opt-out leaves without NSEC3", when: (*dispute).optedOutEncloser, rare: true},
		{what: "addresses that do not fit", when: (*dispute).fits},
	}
	for _, what := range []string{addedForApex, addedNoAddress, addedByWildcard, addedBelowCut, addedAtOwner, addedForTarget, addedForThirteen} {
		rules = append(rules, difference{what: what, rare: what == addedForApex, when: func(d *dispute) bool { return d.additionalIs(what) }})
	}
	return rules
}

// decision is the decision that covers a dispute, nil if none does.
func (d *dispute) decision() *difference {
	for _, rule := range decided() {
		if rule.when(d) {
			return &rule
		}
	}
	return nil
}

// settled says whether all is well with another question: no dispute, or one that
// is decided. Of a question that depends on itself, it is not.
func (d *dispute) settled(q question) (replies []reply, ok bool) {
	key := q.String()
	if known, found := d.known[key]; found {
		return known.replies, known.ok
	}
	replies = d.ask(q)
	d.known[key] = verdict{replies, false}
	other := compare(q, replies, never)
	if other != nil {
		other.setting = d.setting
	}
	ok = other == nil || other.decision() != nil
	d.known[key] = verdict{replies, ok}
	return replies, ok
}

// verdict is what settled has found out.
type verdict struct {
	replies []reply
	ok      bool
}

// whole is the question over TCP, where all fits.
func (d *dispute) whole() question {
	q := d.q
	q.tcp = true
	return q
}

// settledWhole says whether all is well with the question over TCP.
func (d *dispute) settledWhole() bool {
	_, ok := d.settled(d.whole())
	return !d.q.tcp && ok
}

// enough says whether our reply over UDP has all that is needed, and no TC, where
// others have left something out.
func (d *dispute) enough() bool {
	truncated := slices.ContainsFunc(d.others, func(r reply) bool { return r.msg.Truncated })
	return !d.q.tcp && truncated && !d.ours.msg.Truncated && (d.complete() || d.needed() == sectionNone) && d.settledWhole()
}

// complete says whether our reply over UDP has all that the one over TCP has. Names
// may be compressed better in the one than in the other.
func (d *dispute) complete() bool {
	whole := d.ask(d.whole())[0]
	return !slices.ContainsFunc([]string{partAnswer, partAuthority, partAdditional}, func(part string) bool {
		return d.ours.facts[part] != whole.facts[part]
	})
}

// fits says whether our additional section over UDP begins as the one over TCP
// does, and goes on as long as whole RRsets fit. Nothing of it is needed.
func (d *dispute) fits() bool {
	if d.part != partAdditional || d.q.tcp || d.ours.msg.Truncated || d.needed() != sectionNone || !d.settledWhole() {
		return false
	}
	whole := d.ask(d.whole())[0]
	here, there := addressesIn(d.ours.msg), addressesIn(whole.msg)
	if len(here) > len(there) || canonical(here) != canonical(there[:len(here)]) {
		return false
	}
	next := len(here)
	for next < len(there) && setOf(there[next]) == setOf(there[min(len(here), len(there)-1)]) {
		next++
	}
	ends := recordEnds(whole.packet)
	return next == len(here) || ends[len(whole.msg.Answer)+len(whole.msg.Ns)+next-1] > d.q.limit()
}

// addressesIn is the additional section of a reply without OPT.
func addressesIn(m *dns.Msg) []dns.RR {
	return slices.DeleteFunc(slices.Clone(m.Extra), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
}

// emptyWildcard: the proof that a name made from a wildcard that has only names
// below it has no data needs the NSEC that shows those names (RFC 4035 section
// 3.1.3.4); two of the others leave it out.
func (d *dispute) emptyWildcard() bool {
	if d.part != partAuthority || !d.q.do || !d.agreed || !contains(d.ours.lines(partAuthority), strings.Split(d.want, "\n")) {
		return false
	}
	for _, rr := range d.ours.msg.Ns {
		if slices.Contains(strings.Split(d.want, "\n"), line(rr)) {
			continue
		}
		nsec, ok := rr.(*dns.NSEC)
		if !ok && setOf(rr) == dns.CanonicalName(rr.Header().Name)+" NSEC" {
			continue // its signature
		}
		if !ok || !d.showsWildcard(nsec.NextDomain) {
			return false
		}
	}
	return true
}

// showsWildcard says whether a name is below an asterisk label beside which the
// question's name is, or the one that aliases lead to.
func (d *dispute) showsWildcard(name string) bool {
	beside := d.qname()
	if aliases := d.aliases(); len(aliases) > 0 {
		beside = aliases[len(aliases)-1].Target
	}
	for _, off := range dns.Split(name)[1:] {
		if star := name[off:]; strings.HasPrefix(star, "*.") && below(beside, star[2:]) && !below(beside, star) {
			return true
		}
	}
	return false
}

// wildcardDNAME: a DNAME whose owner is a wildcard redirects what is below that
// owner's very name; BIND reads it so, too.
func (d *dispute) wildcardDNAME() bool {
	star := slices.ContainsFunc(d.ours.msg.Answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeDNAME && strings.HasPrefix(rr.Header().Name, "*.")
	})
	return star && !d.agreed && d.said("bind").facts[d.part] == d.ours.facts[d.part]
}

// strangersName: what a zone above holds below one of our zones does not exist
// there. NSD has one table of names for all zones, and finds it; BIND is with us.
func (d *dispute) strangersName() bool {
	zone := d.zoneOf(d.qname())
	if d.agreed || d.said("bind").facts[d.part] != d.ours.facts[d.part] {
		return false
	}
	for name := decoded(d.qname()); name != zone; name = name[dns.Split(name)[1]:] {
		if !d.owned(zone, name, true) && d.owned("", name, true) {
			return true
		}
	}
	return false
}

// anyType: ANY gets one RRset over UDP, and an alias is followed for it as for any
// other type (RFC 8482 section 4.1 leaves both to us).
func (d *dispute) anyType() bool {
	if d.q.typ != dns.TypeANY {
		return false
	}
	if d.part == partTC && !d.ours.msg.Truncated {
		return true
	}
	link := d.whole()
	link.typ = dns.TypeCNAME
	_, ok := d.settled(link)
	return ok && len(d.aliases()) > 0
}

// optedOutEncloser: where the closest encloser has no NSEC3, the proof is of the
// next one above that has (RFC 5155 section 7.2.1), and NSD and Knot each take
// another.
func (d *dispute) optedOutEncloser() bool {
	return d.part == partAuthority && d.q.do && !d.agreed && d.said("bind").facts[d.part] == d.ours.facts[d.part] &&
		strings.Contains(d.ours.facts[d.part], " in nsec3 1 1 ")
}

// qname is the question's name as replies have it, with the escapes of their
// decoder.
func (d *dispute) qname() string { return d.ours.msg.Question[0].Name }

// chain is the aliases of an answer in their order, from a name on.
func chain(name string, answer []dns.RR) (aliases []*dns.CNAME) {
	name = dns.CanonicalName(name)
	for _, rr := range answer {
		if alias, ok := rr.(*dns.CNAME); ok && dns.CanonicalName(alias.Hdr.Name) == name {
			aliases = append(aliases, alias)
			name = dns.CanonicalName(alias.Target)
		}
	}
	return aliases
}

// aliasIntoZone: where an alias leads into another zone of ours, we go on with
// the new name (RFC 1034 section 4.3.2 step 3a).
func (d *dispute) aliasIntoZone() bool {
	return d.stepwise() && slices.ContainsFunc(d.aliases(), func(alias *dns.CNAME) bool {
		to := d.zoneFor(alias.Target)
		return to != "" && to != d.zoneOf(alias.Hdr.Name)
	})
}

// longChain: a loop is shown once, and a long chain as far as 16 aliases go.
func (d *dispute) longChain() bool {
	aliases := d.aliases()
	return (len(aliases) >= 5 || loops(aliases)) && d.stepwise()
}

// aliases is the chain of our answer over TCP.
func (d *dispute) aliases() []*dns.CNAME {
	replies, _ := d.settled(d.whole())
	return chain(d.qname(), replies[0].msg.Answer)
}

// loops says whether the last alias leads back to a name of the chain.
func loops(aliases []*dns.CNAME) bool {
	return len(aliases) > 0 && slices.ContainsFunc(aliases, func(alias *dns.CNAME) bool {
		return dns.CanonicalName(alias.Hdr.Name) == dns.CanonicalName(aliases[len(aliases)-1].Target)
	})
}

// mostAliases is how many we follow.
const mostAliases = 16

// stepwise says whether our whole answer is what comes of going on by hand: from
// name to name, each link by a question for its CNAME, and a question for the name
// at the end. The servers must agree on every step.
func (d *dispute) stepwise() bool {
	replies, _ := d.settled(d.whole())
	ours, aliases := replies[0], d.aliases()
	if len(aliases) == 0 || len(aliases) > mostAliases {
		return false
	}
	step := d.whole()
	var answer, proofs []string
	for _, alias := range aliases {
		step.name, step.typ = alias.Hdr.Name, dns.TypeCNAME
		link, ok := d.settled(step)
		if !ok || link[0].msg.Rcode != dns.RcodeSuccess {
			return false
		}
		for _, line := range link[0].lines(partAnswer) {
			if !slices.Contains(answer, line) {
				answer = append(answer, line)
			}
		}
		proofs = append(proofs, link[0].lines(partAuthority)...)
	}
	step.name, step.typ = aliases[len(aliases)-1].Target, d.q.typ
	end := facts{partRcode: "NOERROR"}
	if d.zoneOf(step.name) != "" && !loops(aliases) && len(aliases) < mostAliases {
		last, ok := d.settled(step)
		if !ok {
			return false
		}
		end = last[0].facts
	}
	return slices.Equal(ours.lines(partAnswer), append(answer, end.lines(partAnswer)...)) &&
		ours.facts[partRcode] == end[partRcode] && ours.facts[partAdditional] == end[partAdditional] &&
		contains(ours.lines(partAuthority), end.lines(partAuthority)) &&
		contains(append(proofs, end.lines(partAuthority)...), ours.lines(partAuthority))
}

// contains says whether all of some lines are among others.
func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(line string) bool { return !slices.Contains(all, line) })
}
