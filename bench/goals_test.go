//go:build linux

package main

import (
	"strings"
	"testing"
)

// sums are rounds of so many microseconds each, a quarter of them user time.
func sums(all ...float64) (out []round) {
	for _, s := range all {
		out = append(out, round{User: s / 4, System: 3 * s / 4})
	}
	return out
}

func TestGoals(t *testing.T) {
	zero, few, many := 0.0, 0.001, 0.5
	r := &results{
		Mixes: []*mixResult{
			{Mix: "stamp", Allocations: &few, Servers: []*contestant{
				{Server: ourName, Rounds: sums(9, 9, 9)}, {Server: "nsd", Rounds: sums(10, 12, 10)},
				{Server: "knot", Rounds: sums(11, 11, 11)}, {Server: "bind", Rounds: sums(1, 1, 1)},
				{Server: "coredns", Rounds: sums(30, 36, 30)}, {Server: echoName, Rounds: sums(8, 8, 8)},
				{Server: metricsName, Rounds: sums(9, 7.5, 9)},
			}},
			{Mix: "tcp", Allocations: &many, Servers: []*contestant{
				{Server: ourName, Rounds: sums(5)}, {Server: "nsd", Rounds: sums(6)}, {Server: "knot", Rounds: sums(4)},
			}},
			{Mix: "do", Servers: []*contestant{{Server: ourName, Wrong: "wrong answer: x"}, {Server: "nsd", Rounds: sums(6)}}},
			{Mix: hitMix, Allocations: &zero, Servers: []*contestant{
				{Server: ourName, Rounds: sums(9, 9, 9)}, {Server: "dnsdist", Rounds: sums(12, 12, 12)},
				{Server: "unbound", Rounds: sums(10, 9, 10)}, {Server: echoName, Rounds: sums(8, 8, 8)},
			}},
			{Mix: missMix, Allocations: &many, Servers: []*contestant{
				{Server: ourName, Rounds: sums(21)}, {Server: "dnsdist", Rounds: sums(20)}, {Server: "unbound", Rounds: sums(1)},
			}},
			{Mix: "signed", Servers: []*contestant{{Server: ourName, Rounds: sums(7)}, {Server: "nsd", Rounds: sums(6)}}},
		},
		Growth: []*growth{
			{Server: ourName, Sizes: []*growthSize{{Names: 1000, Rounds: sums(10)}, {Names: 1000000, Rounds: sums(11)}}},
			{Server: "nsd", Sizes: []*growthSize{{Names: 1000, Rounds: sums(10)}, {Names: 1000000, Rounds: sums(15)}}},
		},
		Startups: []*startupSet{
			{Data: "large-1000000", Servers: []*startup{
				{Server: ourName, Rounds: []startupRound{{1, 1, 200}}, Changes: []change{{How: "SIGHUP", Seconds: 3}}},
				{Server: "nsd", Rounds: []startupRound{{2, 2, 100}}},
			}},
			{Data: "zones-10000", Servers: []*startup{
				{Server: ourName, Rounds: []startupRound{{1, 1, 50}}, Changes: []change{
					{How: "SIGHUP", Seconds: 0.01, Worst: 0.001}, {How: "nobody", Seconds: 0.5, Worst: 0.05, Lost: 1},
					{How: "SIGHUP", Seconds: 0.03, Worst: 0.003},
				}},
				{Server: "nsd", Wrong: "not loaded"},
			}},
		},
		Caches: []*cacheMemory{
			{Server: ourName, Names: 10, Before: 100, After: 6700}, {Server: "unbound", Names: 20, Before: 0, After: 12_000},
			{Server: "dnsdist", Names: 10, Before: 0, After: 10},
		},
	}
	want := `| stamp: CPU/query ≤ 1.05 × metrics alone | 1.00 (1.00–1.20) | yes |
| stamp: CPU/query ≤ 0.95 × the better of NSD and Knot | 0.90 (0.75–0.90) × nsd | yes |
| stamp: CPU/query ≤ 1.10 × echo | 1.12 (1.12–1.12) | **no** |
| stamp: user CPU/query ≤ 0.60 × NSD | 0.90 (0.75–0.90) | **no** |
| stamp: CoreDNS's CPU/query ≥ 4 × ours | 3.3 (3.3–4.0) | **no** |
| tcp: CPU/query ≤ 1.00 × the better of NSD and Knot | 1.25 (1.25–1.25) × knot | **no** |
| do: right answers | disqualified: wrong answer: x | **no** |
| forward-hit: CPU/query ≤ 0.95 × the best peer | 0.90 (0.90–1.00) × unbound | yes |
| forward-miss: CPU/query ≤ 1.05 × dnsdist | 1.05 (1.05–1.05) | yes |
| CPU/query with 1 000 000 names to that with 1 000 ≤ 1.15 | 1.10 (1.10–1.10); nsd: 1.50 | yes |
| large-1000000: time to load ≤ 1.00 × NSD | 0.50 (0.50–0.50) | yes |
| large-1000000: memory ≤ 1.00 × NSD | 2.00 (2.00–2.00) | **no** |
| zones-10000: one changed, told by SIGHUP: served within 100 ms | 20 (10–30) ms | yes |
| zones-10000: one changed, told by SIGHUP: meanwhile no answer lost, none later than 10 ms | 0 lost, the latest of each change after 2.0 (1.0–3.0) ms | yes |
| zones-10000: one changed, told by nobody: served within 100 ms | 500 (500–500) ms | **no** |
| zones-10000: one changed, told by nobody: meanwhile no answer lost, none later than 10 ms | 1 lost, the latest of each change after 50.0 (50.0–50.0) ms | **no** |
| memory of a name in the cache ≤ 1.00 × Unbound | 1.10: 660 to 600 octets | **no** |
| no allocation for a UDP answer, in any mix but forward-miss | 0.001 at most (stamp) | yes |
`
	var out strings.Builder
	reportGoals(&out, r.goals())
	got := strings.ReplaceAll(out.String(), "\u202f", " ")
	if !strings.Contains(got, want) {
		t.Errorf("the goals are\n%s\nwant\n%s", got, want)
	}
	var none strings.Builder
	if reportGoals(&none, (&results{}).goals()); none.Len() > 0 {
		t.Errorf("a run that measured nothing says %q", none.String())
	}
}
