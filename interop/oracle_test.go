//go:build interop

package interop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// shown is the number of disagreements that a failing test spells out.
const shown = 60

// TestOracle serves the same zone files with stampdns and with BIND, NSD and
// Knot, asks all of them the same questions, and holds stampdns to what the
// majority of the three says, section by section. Where we mean to differ, the
// table decided says so and why.
func TestOracle(t *testing.T) {
	zones := append(handMade(t), bigZone(t))
	zones = append(zones, signedZones(t)...)
	zones = append(zones, stampZones(t)...)

	lab := newLab(t)
	peers := newPeers(lab, lab.host("client", "198.51.100.9"), 11)
	for _, p := range peers {
		p.start(t, zones...)
	}
	setting := setting{
		owners: map[string][]string{},
		ask:    func(q question) []reply { return askAll(t, peers, q) },
		known:  map[string]verdict{},
	}
	for _, z := range zones {
		for _, rr := range z.records(t) {
			setting.owners[z.origin] = append(setting.owners[z.origin], decoded(rr.Header().Name))
		}
	}
	used := map[string]int{}
	for _, z := range zones {
		t.Run(strings.TrimSuffix(z.origin, "."), func(t *testing.T) {
			asked := questions(t, z)
			c := &comparison{t: t, zone: z.origin, setting: setting, used: used}
			for _, q := range asked {
				c.compare(q, askAll(t, peers, q))
			}
			c.report(len(asked))
		})
	}
}

// comparison gathers what stampdns says otherwise than the majority.
type comparison struct {
	t          *testing.T
	zone       string
	setting    setting
	used       map[string]int // decisions, by what
	disagree   []disagreement
	noMajority map[string]int // by part
}

// disagreement is one difference, and the questions that show it.
type disagreement struct {
	name  string
	asked map[string]int // by type
	text  string
}

// compare holds the first reply to the others.
func (c *comparison) compare(q question, replies []reply) {
	d := compare(q, replies, c.pardon)
	if d == nil {
		return
	}
	d.setting = c.setting
	if rule := d.decision(); rule != nil {
		c.used[rule.what]++
		return
	}
	c.add(q, d.String())
}

// pardon counts where the others have no majority; if one of them is with us,
// that will do.
func (c *comparison) pardon(d *dispute) bool {
	if d.agreed {
		return false
	}
	if c.noMajority == nil {
		c.noMajority = map[string]int{}
	}
	c.noMajority[d.part]++
	return d.someone()
}

// add notes a disagreement, once for all questions of a name that show the same.
func (c *comparison) add(q question, text string) {
	typ := dns.Type(q.typ).String()
	for _, d := range c.disagree {
		if d.name == q.name && d.text == text {
			d.asked[typ]++
			return
		}
	}
	c.disagree = append(c.disagree, disagreement{q.name, map[string]int{typ: 1}, text})
}

// someone says whether one of the others, who each say something else, agrees
// with us; where it is a matter of what still fits, whether the others have all
// that we have.
func (d *dispute) someone() bool {
	if d.part != partAdditional {
		return d.who(d.ours.facts[d.part]) != ""
	}
	var all []string
	for _, other := range d.others {
		all = append(all, other.lines(d.part)...)
	}
	return !slices.ContainsFunc(d.ours.lines(d.part), func(line string) bool { return !slices.Contains(all, line) })
}

func (c *comparison) report(asked int) {
	c.t.Logf("%d questions about %s, %d disagreements", asked, c.zone, len(c.disagree))
	for _, part := range slices.Sorted(maps.Keys(c.noMajority)) {
		c.t.Logf("%d times BIND, NSD and Knot each gave another %s", c.noMajority[part], part)
	}
	for i, d := range c.disagree {
		if i == shown {
			c.t.Errorf("and %d more", len(c.disagree)-shown)
			break
		}
		c.t.Errorf("%s %s: %s", d.name, counts(d.asked), d.text)
	}
}

// counts lists types, each with how often it was asked unless that is always.
func counts(asked map[string]int) string {
	var list []string
	for _, typ := range slices.Sorted(maps.Keys(asked)) {
		if asked[typ] != forms {
			typ = fmt.Sprintf("%s(%d of %d forms)", typ, asked[typ], forms)
		}
		list = append(list, typ)
	}
	return strings.Join(list, " ")
}
