//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// table is a Markdown table whose first column is text, all others numbers.
type table struct {
	text strings.Builder
}

func newTable(heads ...string) *table {
	t := new(table)
	t.row(heads...)
	t.text.WriteString("|---|" + strings.Repeat("---:|", len(heads)-1) + "\n")
	return t
}

func (t *table) row(cells ...string) {
	t.text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// report writes the results as Markdown.
func (r *results) report() string {
	var out strings.Builder
	r.head(&out)
	reportGoals(&out, r.goals())
	for _, m := range r.Mixes {
		m.report(&out)
	}
	if len(r.Latencies) > 0 {
		reportLatencies(&out, r.Latencies)
	}
	if len(r.Growth) > 0 {
		reportGrowth(&out, r.Growth)
	}
	for _, s := range r.Startups {
		s.report(&out)
	}
	if len(r.Caches) > 0 {
		reportCaches(&out, r.Caches)
	}
	return out.String()
}

func (r *results) head(out *strings.Builder) {
	kind := ""
	if r.Machine.Guest {
		kind = ", a virtual machine"
	}
	if r.Quick {
		fmt.Fprintf(out, "**A quick run: the numbers mean nothing.**\n\n")
	}
	fmt.Fprintf(out, "Machine: %s, %d cores%s, %.0f GiB; Linux %s, %s; %s.\n", r.Machine.CPU, r.Machine.Cores, kind,
		float64(r.Machine.Memory)/(1<<30), r.Machine.Kernel, r.Machine.System, r.Go)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		if v := r.Versions[name]; v != "" {
			versions = append(versions, name+" "+v)
		}
	}
	fmt.Fprintf(out, "stampdns at %s; %s. %d rounds of %g s; median (least–most).\n", r.Revision,
		strings.Join(versions, ", "), r.Rounds, r.Seconds)
}

func (m *mixResult) report(out *strings.Builder) {
	fmt.Fprintf(out, "\n### %s\n\n%s.\n\n", m.Mix, m.About)
	best, floor := m.best(), m.server(echoName)
	ratioHead := "× best peer"
	if best != nil {
		ratioHead = "× " + best.Server
	}
	heads := []string{"server", "CPU µs/query", "user", "system", ratioHead, "× echo", "user × nsd", "queries/s", "busy", "reply octets"}
	if m.forwards() {
		heads[6] = "reached upstream"
	}
	t := newTable(heads...)
	for _, c := range m.Servers {
		if len(c.Rounds) == 0 {
			continue
		}
		figure := func(f func(round) float64) spread { return spreadOf(c.series(f)) }
		seventh := ratio(c, m.server("nsd"), round.user)
		if m.forwards() {
			seventh = fmt.Sprintf("%.2f%%", 100*figure(func(r round) float64 { return r.Reached }).Median)
		}
		t.row(mark(c.Server), figure(round.sum).format(2),
			fmt.Sprintf("%.2f", figure(round.user).Median),
			fmt.Sprintf("%.2f", figure(func(r round) float64 { return r.System }).Median),
			ratio(c, best, round.sum), ratio(c, floor, round.sum), seventh,
			thousands(figure(func(r round) float64 { return r.Rate }).Median),
			fmt.Sprintf("%.0f%%", 100*figure(func(r round) float64 { return r.Busy }).Median),
			fmt.Sprintf("%.0f", figure(func(r round) float64 { return r.Size }).Median))
	}
	out.WriteString(t.text.String())
	for _, c := range m.Servers {
		if c.Wrong != "" {
			fmt.Fprintf(out, "\n**%s is disqualified: %s**\n", c.Server, oneLine(c.Wrong))
		}
	}
	if m.Allocations != nil {
		fmt.Fprintf(out, "\nstampdns allocates %.3f times for an answer.\n", *m.Allocations)
	}
}

// mark makes our own row stand out.
func mark(server string) string {
	if server == ourName {
		return "**" + server + "**"
	}
	return server
}

// ratio compares a figure round by round.
func ratio(c, base *contestant, figure func(round) float64) string {
	if base == nil {
		return "–"
	}
	return spreadOf(ratios(c.series(figure), base.series(figure))).format(2)
}

// thousands writes a count with spaces between groups of digits.
func thousands(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// oneLine is the first line of a text, of bearable length.
func oneLine(text string) string {
	const limit = 300
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > limit {
		line = line[:limit] + "…"
	}
	return line
}

func reportLatencies(out *strings.Builder, all []*latencies) {
	fmt.Fprintf(out, "\n### latency\n\nThe mix stamp at half the rate that each server reached above, open loop; microseconds.\n\n")
	t := newTable("server", "queries/s", "p50", "p99", "p99.9", "CPU µs/query", "lost")
	for _, l := range all {
		figure := func(f func(latencyRound) float64) spread {
			var values []float64
			for _, r := range l.Rounds {
				values = append(values, f(r))
			}
			return spreadOf(values)
		}
		lost := 0
		for _, r := range l.Rounds {
			lost += r.Lost
		}
		t.row(mark(l.Server), thousands(figure(func(r latencyRound) float64 { return r.Rate }).Median),
			figure(func(r latencyRound) float64 { return r.P50 }).format(0),
			figure(func(r latencyRound) float64 { return r.P99 }).format(0),
			figure(func(r latencyRound) float64 { return r.P999 }).format(0),
			figure(func(r latencyRound) float64 { return r.CPU }).format(2), fmt.Sprint(lost))
	}
	out.WriteString(t.text.String())
}

// sums are the CPU per query of the rounds.
func (g *growthSize) sums() []float64 { return (&contestant{Rounds: g.Rounds}).series(round.sum) }

func reportGrowth(out *strings.Builder, all []*growth) {
	fmt.Fprintf(out, "\n### growth\n\nCPU µs/query of the mix large in zones of so many names; the last column is the largest by the smallest.\n\n")
	heads := []string{"server"}
	for _, size := range all[0].Sizes {
		heads = append(heads, thousands(float64(size.Names)))
	}
	t := newTable(append(heads, "ratio")...)
	for _, g := range all {
		cells := []string{mark(g.Server)}
		for _, size := range g.Sizes {
			if size.Wrong != "" {
				cells = append(cells, "disqualified: "+oneLine(size.Wrong))
				continue
			}
			cells = append(cells, spreadOf(size.sums()).format(2))
		}
		t.row(append(cells, g.ratio().format(2))...)
	}
	out.WriteString(t.text.String())
}

func reportCaches(out *strings.Builder, all []*cacheMemory) {
	fmt.Fprintf(out, "\n### cache\n\nMemory (PSS) before and after as many names were answered that the cache holds.\n\n")
	t := newTable("server", "names", "MB before", "MB after", "octets/name")
	for _, c := range all {
		if c.Wrong != "" {
			t.row(mark(c.Server), "left out: "+oneLine(c.Wrong), "", "", "")
			continue
		}
		t.row(mark(c.Server), thousands(float64(c.Names)), fmt.Sprintf("%.0f", c.Before/1e6), fmt.Sprintf("%.0f", c.After/1e6),
			fmt.Sprintf("%.0f", c.each()))
	}
	out.WriteString(t.text.String())
}

func (s *startupSet) report(out *strings.Builder) {
	fmt.Fprintf(out, "\n### startup with %s\n\nFrom start to right answers from all over the data, on all cores; memory "+
		"(PSS) %g s later.\n\n", s.Data, settleTime.Seconds())
	t := newTable("server", "seconds", "CPU seconds", "MB")
	changes := newTable("server", "told by", "seconds", "worst answer meanwhile, ms", "lost")
	changed := false
	for _, one := range s.Servers {
		if one.Wrong != "" {
			t.row(mark(one.Server), "left out: "+oneLine(one.Wrong), "", "")
			continue
		}
		figure := func(f func(startupRound) float64) spread { return spreadOf(one.series(f)) }
		t.row(mark(one.Server), figure(func(r startupRound) float64 { return r.Seconds }).format(2),
			figure(func(r startupRound) float64 { return r.CPU }).format(2),
			figure(func(r startupRound) float64 { return r.PSS / 1e6 }).format(0))
		for _, c := range one.changes() {
			changed = true
			if c.wrong != "" {
				changes.row(mark(one.Server), c.how, "failed: "+oneLine(c.wrong), "", "")
				continue
			}
			changes.row(mark(one.Server), c.how, spreadOf(c.seconds).format(3), spreadOf(c.worst).scale(1e3).format(1), fmt.Sprint(c.lost))
		}
	}
	out.WriteString(t.text.String())
	if changed {
		fmt.Fprintf(out, "\nFrom the renaming of one changed zone file into place to the new answer:\n\n%s", changes.text.String())
	}
}
