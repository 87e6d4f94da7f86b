//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// goal is one of the goals that the project has set itself, and what a run says
// of it.
type goal struct {
	text, measured string
	met            bool
}

// The goals. Ratios are ours to a peer's, of one run.
const (
	goalBestPeer   = 0.95 // CPU per query, to the better of nsd and knot
	goalFloor      = 1.10 // the same, to echo
	goalObserve    = 1.05 // CPU per query with observation, journal, probe and faults, to that with metrics alone
	goalUser       = 0.60 // user time per query, to nsd
	goalTCP        = 1.00 // CPU per query over TCP, to the better of nsd and knot
	goalGrowth     = 1.15 // CPU per query in the largest zone, to that in the smallest
	goalStartup    = 1.00 // time and memory, to nsd
	goalChange     = 0.1  // seconds from a changed file to the new answer
	goalPause      = 0.01 // seconds that the worst answer meanwhile may take
	goalCoreDNS    = 4.0  // CoreDNS's CPU per query, to ours
	goalMiss       = 1.05 // CPU per query that is forwarded, to dnsdist
	goalCache      = 1.00 // memory of an answer in the cache, to Unbound
	goalAllocation = 0.01 // per answer: what is below comes from reading the counter, not from answering
)

// atMost is a goal on a ratio or another figure, of which the median decides.
func atMost(text string, limit float64, s spread, format, unit string) goal {
	return goal{text: fmt.Sprintf("%s ≤ "+format, text, limit) + unit, measured: s.format(2), met: s.Median <= limit}
}

// goals are those that this run can say something of.
func (r *results) goals() (out []goal) {
	for _, m := range r.Mixes {
		out = append(out, m.goals()...)
	}
	if g := growthGoal(r.Growth); g != nil {
		out = append(out, *g)
	}
	for _, s := range r.Startups {
		out = append(out, s.goals()...)
	}
	if g := cacheGoal(r.Caches); g != nil {
		out = append(out, *g)
	}
	if g := r.allocationGoal(); g != nil {
		out = append(out, *g)
	}
	return out
}

// better is the better of nsd and knot, nil if neither was timed.
func (m *mixResult) better() *contestant {
	return m.least(func(c *contestant) bool { return c.Server == "nsd" || c.Server == "knot" })
}

func (m *mixResult) goals() (out []goal) {
	us := m.server(ourName)
	if us == nil {
		for _, c := range m.Servers {
			if c.Server == ourName {
				out = append(out, goal{m.Mix + ": right answers", "disqualified: " + oneLine(c.Wrong), false})
			}
		}
		return out
	}
	against := func(c *contestant, figure func(round) float64) spread {
		return spreadOf(ratios(us.series(figure), c.series(figure)))
	}
	if alone := m.server(metricsName); alone != nil {
		out = append(out, atMost(m.Mix+": CPU/query", goalObserve, against(alone, round.sum), "%.2f", " × metrics alone"))
	}
	if m.forwards() {
		return append(out, m.forwardGoals(against)...)
	}
	limit := goalBestPeer
	if m.Mix == "tcp" {
		limit = goalTCP
	}
	if peer := m.better(); peer != nil && slices.Contains([]string{"stamp", "do", "referral", "large", "tcp"}, m.Mix) {
		g := atMost(m.Mix+": CPU/query", limit, against(peer, round.sum), "%.2f", " × the better of NSD and Knot")
		g.measured += " × " + peer.Server
		out = append(out, g)
	}
	if floor := m.server(echoName); floor != nil && slices.Contains([]string{"stamp", "do", "referral", "large"}, m.Mix) {
		out = append(out, atMost(m.Mix+": CPU/query", goalFloor, against(floor, round.sum), "%.2f", " × echo"))
	}
	if m.Mix != "stamp" {
		return out
	}
	if nsd := m.server("nsd"); nsd != nil {
		out = append(out, atMost("stamp: user CPU/query", goalUser, against(nsd, round.user), "%.2f", " × NSD"))
	}
	if other := m.server("coredns"); other != nil {
		s := spreadOf(ratios(other.series(round.sum), us.series(round.sum)))
		out = append(out, goal{fmt.Sprintf("stamp: CoreDNS's CPU/query ≥ %.0f × ours", goalCoreDNS), s.format(1), s.Median >= goalCoreDNS})
	}
	return out
}

// forwardGoals are those of a mix for forwarders, by the ratio of our figures to
// those of another.
func (m *mixResult) forwardGoals(against func(*contestant, func(round) float64) spread) []goal {
	if m.Mix == hitMix {
		best := m.best()
		if best == nil {
			return nil
		}
		g := atMost(m.Mix+": CPU/query", goalBestPeer, against(best, round.sum), "%.2f", " × the best peer")
		g.measured += " × " + best.Server
		return []goal{g}
	}
	if peer := m.server("dnsdist"); peer != nil {
		return []goal{atMost(m.Mix+": CPU/query", goalMiss, against(peer, round.sum), "%.2f", " × dnsdist")}
	}
	return nil
}

// cacheGoal is about the memory of an answer in our cache, nil if it or that of
// Unbound's was not measured.
func cacheGoal(all []*cacheMemory) *goal {
	const text = "memory of a name in the cache"
	var ours, other *cacheMemory
	for _, c := range all {
		switch {
		case c.Server == ourName && c.Wrong != "":
			return &goal{text, "left out: " + oneLine(c.Wrong), false}
		case c.Server == ourName:
			ours = c
		case c.Server == "unbound" && c.Wrong == "":
			other = c
		}
	}
	if ours == nil || other == nil {
		return nil
	}
	ratio := ours.each() / other.each()
	return &goal{fmt.Sprintf("%s ≤ %.2f × Unbound", text, goalCache), fmt.Sprintf("%.2f: %.0f to %.0f octets", ratio, ours.each(), other.each()), ratio <= goalCache}
}

// ratio is the cost in the largest zone to that in the smallest.
func (g *growth) ratio() spread {
	return spreadOf(ratios(g.Sizes[len(g.Sizes)-1].sums(), g.Sizes[0].sums()))
}

func growthGoal(all []*growth) *goal {
	var ours *goal
	var peers []string
	for _, g := range all {
		s := g.ratio()
		switch {
		case s.Median == 0 && g.Server == ourName:
			return &goal{"growth: right answers", "disqualified", false}
		case s.Median == 0:
		case g.Server == ourName:
			names := func(i int) string { return thousands(float64(g.Sizes[i].Names)) }
			one := atMost("CPU/query with "+names(len(g.Sizes)-1)+" names to that with "+names(0), goalGrowth, s, "%.2f", "")
			ours = &one
		default:
			peers = append(peers, fmt.Sprintf("%s: %.2f", g.Server, s.Median))
		}
	}
	if ours != nil && len(peers) > 0 {
		ours.measured += "; " + strings.Join(peers, ", ")
	}
	return ours
}

// server finds a server that was started, nil if there is none.
func (s *startupSet) server(name string) *startup {
	for _, one := range s.Servers {
		if one.Server == name && one.Wrong == "" && len(one.Rounds) > 0 {
			return one
		}
	}
	return nil
}

func (s *startupSet) goals() (out []goal) {
	us, nsd := s.server(ourName), s.server("nsd")
	if us == nil {
		for _, one := range s.Servers {
			if one.Server == ourName {
				out = append(out, goal{s.Data + ": loads", "left out: " + oneLine(one.Wrong), false})
			}
		}
		return out
	}
	if nsd != nil {
		for _, f := range []struct {
			what   string
			figure func(startupRound) float64
		}{
			{"time to load", func(r startupRound) float64 { return r.Seconds }},
			{"memory", func(r startupRound) float64 { return r.PSS }},
		} {
			ratio := spreadOf(ratios(us.series(f.figure), nsd.series(f.figure)))
			out = append(out, atMost(s.Data+": "+f.what, goalStartup, ratio, "%.2f", " × NSD"))
		}
	}
	if !strings.HasPrefix(s.Data, "zones") {
		return out
	}
	for _, c := range us.changes() {
		out = append(out, c.goals(s.Data)...)
	}
	return out
}

func (c changeSeries) goals(data string) []goal {
	text := fmt.Sprintf("%s: one changed, told by %s", data, c.how)
	if c.wrong != "" {
		return []goal{{text, "failed: " + oneLine(c.wrong), false}}
	}
	served, worst := spreadOf(c.seconds), spreadOf(c.worst)
	return []goal{
		{fmt.Sprintf("%s: served within %.0f ms", text, 1e3*goalChange), served.scale(1e3).format(0) + " ms", served.Median < goalChange},
		{fmt.Sprintf("%s: meanwhile no answer lost, none later than %.0f ms", text, 1e3*goalPause),
			fmt.Sprintf("%d lost, the latest of each change after %s ms", c.lost, worst.scale(1e3).format(1)),
			c.lost == 0 && worst.Median < goalPause},
	}
}

// allocationGoal is about all mixes over UDP whose answers are at hand: the dearest
// decides.
func (r *results) allocationGoal() *goal {
	worst, mix := math.Inf(-1), ""
	for _, m := range r.Mixes {
		if m.Allocations != nil && m.Mix != "tcp" && m.Mix != missMix && *m.Allocations > worst {
			worst, mix = *m.Allocations, m.Mix
		}
	}
	if mix == "" {
		return nil
	}
	return &goal{"no allocation for a UDP answer, in any mix but " + missMix, fmt.Sprintf("%.3f at most (%s)", worst, mix), worst < goalAllocation}
}

// reportGoals writes the table that the report begins with.
func reportGoals(out *strings.Builder, goals []goal) {
	if len(goals) == 0 {
		return
	}
	out.WriteString("\n| goal | measured | met? |\n|---|---|---|\n")
	for _, g := range goals {
		met := "**no**"
		if g.met {
			met = "yes"
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", g.text, g.measured, met)
	}
	out.WriteString("\nMedians decide; in parentheses the least and the most of the rounds.\n")
}
