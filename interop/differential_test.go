//go:build interop

package interop

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// How TestDifferential is told to do something else than CI does.
var (
	firstSeed = flag.Uint64("seed", defaultSeed, "the seed of TestDifferential's zones and questions; 0 takes one from the clock")
	repeatFor = flag.Duration("for", 0, "how long TestDifferential goes on, each time with the next seed")
)

// The size of TestDifferential, and what it must have compared at the least.
const (
	defaultSeed    = 6
	familyCount    = 75
	askedPerFamily = 340
	leastCompared  = 20000
)

// shrinkTime is how long a mismatch is made smaller.
const shrinkTime = time.Minute

// TestDifferential serves generated zones with stampdns and with BIND, NSD and
// Knot, asks all of them generated questions, and holds stampdns to what the
// majority of the three says. Where we differ, or the three do, a decision must
// cover the case. The zones of the first mismatch are made as small as still
// shows it, and printed as a case for zones/testdata/conformance.
func TestDifferential(t *testing.T) {
	seed := *firstSeed
	if seed == 0 {
		seed = uint64(time.Now().Unix())
	}
	for end := time.Now().Add(*repeatFor); ; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { differential(t, seed) })
		if t.Failed() || !time.Now().Before(end) {
			return
		}
	}
}

// contest is one run of TestDifferential.
type contest struct {
	t     *testing.T
	seed  uint64
	lab   *lab
	from  *host
	used  map[string]int // decisions, by what they are about
	wrong []mismatch
}

// mismatch is a question about a family whose answers do not agree.
type mismatch struct {
	f    *family
	q    question
	part string // of the reply
	text string
	want reply // of one of the majority, or ours where there is none
	// all are the replies, ours first.
	all []reply
}

func differential(t *testing.T, seed uint64) {
	lab := newLab(t)
	c := &contest{t: t, seed: seed, lab: lab, from: lab.host("client", "198.51.100.9"), used: map[string]int{}}
	families := generate(seed, familyCount)
	peers := newPeers(lab, c.from, 11)
	serve(t, peers, families)
	asked := map[string]bool{}
	for i, f := range families {
		for _, q := range f.questions(seed+uint64(i)<<32, askedPerFamily) {
			asked[f.origin()+" "+strings.ToLower(q.String())] = true
			if m := c.ask(t, peers, f, q); m != nil {
				c.wrong = append(c.wrong, *m)
			}
		}
	}
	if len(asked) < leastCompared {
		t.Errorf("compared %d pairs of zone and query, want %d at least", len(asked), leastCompared)
	}
	c.report(len(asked))
}

// ask asks all peers a question and compares their replies.
func (c *contest) ask(t *testing.T, peers []*peer, f *family, q question) *mismatch {
	t.Helper()
	ask := func(q question) []reply { return askAll(t, peers, q) }
	replies := ask(q)
	m := &mismatch{f: f, q: q, want: replies[0], all: replies}
	whole := q
	whole.tcp = true
	if m.text = q.broken(replies[0], func() reply { return ask(whole)[0] }); m.text != "" {
		m.part = "by itself"
		return m
	}
	d := compare(q, replies, never)
	if d == nil {
		return nil
	}
	owners := map[string][]string{}
	for _, z := range f.zones {
		for _, r := range slices.Concat(z.head, z.body) {
			owners[z.origin] = append(owners[z.origin], decoded(r.owner))
		}
	}
	d.setting = setting{owners, ask, map[string]verdict{}}
	if rule := d.decision(); rule != nil {
		c.used[rule.what]++
		return nil
	}
	m.part, m.text = d.part, d.String()
	if i := slices.IndexFunc(d.others, func(r reply) bool { return r.facts[d.part] == d.want }); d.agreed {
		m.want = d.others[i]
	}
	return m
}

// report tells what was compared and found.
func (c *contest) report(asked int) {
	c.t.Logf("seed %d: %d pairs of zone and query, %d mismatches", c.seed, asked, len(c.wrong))
	for _, rule := range decided() {
		c.t.Logf("%5d times: %s", c.used[rule.what], rule.what)
		if c.used[rule.what] == 0 && c.seed == defaultSeed && !rule.rare {
			c.t.Errorf("the decision about %s was not needed: no question shows the difference any more; remove it here and in docs/rfc.md, or generate what shows it", rule.what)
		}
	}
	for i, m := range c.wrong {
		if i == shown {
			c.t.Errorf("and %d more", len(c.wrong)-shown)
			break
		}
		c.t.Errorf("%s: %s", m.q, m.text)
	}
	if len(c.wrong) > 0 {
		c.explain(c.wrong[0])
	}
}

// explain makes the zones of a mismatch smaller, with servers of their own, and
// prints what is left.
func (c *contest) explain(m mismatch) {
	peers := newPeers(c.lab, c.from, 31)
	deadline := time.Now().Add(shrinkTime)
	tries := 0
	try := func(f *family, q question) (found *mismatch, files []string) {
		tries++
		// The name becomes a folder's, and '#' begins a comment in a Corefile.
		c.t.Run(fmt.Sprintf("smaller-%d", tries), func(t *testing.T) {
			for _, z := range serve(t, peers, []*family{f}) {
				text, err := os.ReadFile(z.file)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, string(text))
			}
			if found = c.ask(t, peers, f, q); found != nil && found.part != m.part {
				found = nil
			}
		})
		return found, files
	}
	smallest := m.f.shrink(deadline, func(f *family) bool {
		found, _ := try(f, m.q)
		return found != nil
	})
	found, files := (*mismatch)(nil), []string(nil)
	for _, q := range append(m.q.simpler(), m.q) {
		if found, files = try(smallest, q); found != nil {
			break
		}
	}
	if found == nil {
		c.t.Errorf("%s: the mismatch does not show again with the servers started anew", m.q)
		return
	}
	notes := []string{"To be said here: what is shown, and the RFC's words."}
	for _, r := range found.all {
		notes = append(notes, fmt.Sprintf("%s says: %s\n%s", r.server, r.facts[partRcode], r.msg))
	}
	c.t.Errorf("seed %d, the smallest zone that shows it:\n%s", c.seed, smallest.conformance(found.q, found.want, files, strings.Join(notes, "\n")))
}

// serve starts the peers with the zones of families, and returns those.
func serve(t *testing.T, peers []*peer, families []*family) []zone {
	t.Helper()
	dir := t.TempDir()
	var zones []zone
	for _, f := range families {
		zones = append(zones, f.write(t, dir)...)
	}
	for _, p := range peers {
		p.start(t, zones...)
	}
	return zones
}

// write writes the zones of the family to files, the first one signed if it is to
// be.
func (f *family) write(t *testing.T, dir string) []zone {
	t.Helper()
	var zones []zone
	for i, z := range f.zones {
		if i == 0 && f.denial != "" {
			zones = append(zones, sign(t, dir, z.origin, f.denial, z.text()...))
			continue
		}
		zones = append(zones, zone{z.origin, write(t, dir, fmt.Sprintf("%s%d.zone", f.origin(), i), z.text()...)})
	}
	return zones
}
