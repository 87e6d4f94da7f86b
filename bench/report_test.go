//go:build linux

package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// sampleResults are of a run in which we cost half of what nsd costs, round by
// round, and knot was wrong.
func sampleResults() *results {
	rounds := func(sums ...float64) (out []round) {
		for _, s := range sums {
			out = append(out, round{User: s / 4, System: 3 * s / 4, Rate: 1e6 / s, Busy: 1, Size: 83})
		}
		return out
	}
	return &results{
		Machine: process.Machine{CPU: "Test <CPU>", Cores: 2, Memory: 8 << 30, Kernel: "6.1", System: "Debian"},
		Go:      "go1.26", Revision: "abc", Versions: map[string]string{"nsd": "4.6.1"}, Rounds: 3, Seconds: 2,
		Mixes: []*mixResult{{Mix: "stamp", About: "names", Servers: []*contestant{
			{Server: ourName, Rounds: rounds(5, 6, 7)},
			{Server: "nsd", Rounds: rounds(10, 12, 14)},
			{Server: "bind", Rounds: rounds(18, 18, 18)},
			{Server: "knot", Wrong: "wrong answer: a. A: rcode REFUSED"},
			{Server: "coredns", Rounds: rounds(60, 60, 60)},
			{Server: echoName, Rounds: rounds(4, 4, 4)},
		}}, {Mix: missMix, About: "names", Servers: []*contestant{
			{Server: ourName, Rounds: []round{{User: 2, System: 7, Rate: 1e5, Busy: 0.9, Size: 62, Reached: 0.9991}}},
			{Server: "dnsdist", Rounds: []round{{User: 2, System: 8, Rate: 1e5, Busy: 1, Size: 62, Reached: 1}}},
		}}},
		Caches:    []*cacheMemory{{Server: ourName, Names: 1_000_000, Before: 20e6, After: 420e6}, {Server: "unbound", Wrong: "lost"}},
		Latencies: []*latencies{{Server: ourName, Rounds: []latencyRound{{Rate: 1000, P50: 30, P99: 90, P999: 200, CPU: 8}}}},
		Growth: []*growth{{Server: ourName, Sizes: []*growthSize{
			{Names: 1000, Rounds: rounds(4, 8)}, {Names: 1000000, Rounds: rounds(5, 10)},
		}}, {Server: "nsd", Sizes: []*growthSize{{Names: 1000, Wrong: "late"}, {Names: 1000000, Rounds: rounds(5)}}}},
		Startups: []*startupSet{{Data: "large", Servers: []*startup{
			{Server: ourName, Rounds: []startupRound{{1.5, 2.5, 180e6}}, Changes: []change{{How: "SIGHUP", Seconds: 0.05, Worst: 0.002}}},
			{Server: "nsd", Wrong: "not loaded"},
		}}},
	}
}

func TestReport(t *testing.T) {
	report := sampleResults().report()
	for _, want := range []string{
		"| × nsd |",
		"| **stampdns** | 6.00 (5.00–7.00) | 1.50 | 4.50 | 0.50 (0.50–0.50) | 1.50 (1.25–1.75) |",
		"| echo | 4.00 (4.00–4.00) |",
		"**knot is disqualified: wrong answer: a. A: rcode REFUSED**",
		"| **stampdns** | 6.00 (4.00–8.00) | 7.50 (5.00–10.00) | 1.25 (1.25–1.25) |",
		"| **stampdns** | 1.50 (1.50–1.50) | 2.50 (2.50–2.50) | 180 (180–180) |",
		"| **stampdns** | SIGHUP | 0.050 (0.050–0.050) | 2.0 (2.0–2.0) | 0 |",
		"| nsd | left out: not loaded |",
		"nsd 4.6.1",
		"| server | CPU µs/query | user | system | × dnsdist | × echo | reached upstream |",
		"| **stampdns** | 9.00 (9.00–9.00) | 2.00 | 7.00 | 0.90 (0.90–0.90) | – | 99.91% |",
		"| **stampdns** | 1\u202f000\u202f000 | 20 | 420 | 400 |",
		"| unbound | left out: lost |",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report has no %q:\n%s", want, report)
		}
	}
	if strings.Contains(report, "NaN") {
		t.Errorf("the report has NaN:\n%s", report)
	}
}

// TestResultsKept: a report made from results.json is the same.
func TestResultsKept(t *testing.T) {
	text, err := json.Marshal(sampleResults())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.report() != sampleResults().report() {
		t.Errorf("the report changed to\n%s", r.report())
	}
}

// TestPlots: what is drawn is XML, escapes what it is told, and cuts the one bar
// that is far longer than all others.
func TestPlots(t *testing.T) {
	r := sampleResults()
	for name, svg := range map[string]string{"cpu": plotCPU(r), "growth": plotGrowth(r)} {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, svg)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: a coordinate is no number:\n%s", name, svg)
		}
	}
	if n := strings.Count(plotCPU(r), `class="over"`); n != 2 {
		t.Errorf("%d marks of a bar that is cut, want the 2 of CoreDNS", n)
	}
}

func TestReplaceReport(t *testing.T) {
	old := "head\n" + reportBegin + "\nold numbers\n" + reportEnd + "\ntail\n"
	got, err := replaceReport([]byte(old), "new numbers\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "head\n" + reportBegin + "\n\nnew numbers\n\n" + reportEnd + "\ntail\n"
	if string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, bad := range []string{"", reportBegin + "\n", reportEnd} {
		if got, err := replaceReport([]byte(bad), "x"); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replaceReport(readme, "x"); err != nil {
		t.Errorf("README.md: %v", err)
	}
}

func TestParseDnsperf(t *testing.T) {
	const out = `Statistics:

  Queries sent:         204210
  Queries completed:    204200 (99.99%)
  Queries lost:         10 (0.01%)

  Response codes:       NOERROR 187860 (92.00%), SERVFAIL 4 (0.00%), NXDOMAIN 16336 (8.00%)
  Average packet size:  request 58, response 83
  Run time (s):         2.001001
  Queries per second:   102048.924493
`
	got, err := parseDnsperf(out)
	want := loadResult{Answered: 204200, Lost: 10, Failed: 4, Seconds: 2.001001, ReplySize: 83}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := parseDnsperf("Error: no route\n"); err == nil {
		t.Errorf("an error message is read as %+v", got)
	}
	r := newRound(got, process.CPUTime{User: 204200 * time.Microsecond, System: 2 * 204200 * time.Microsecond})
	if r.User != 1 || r.System != 2 || r.sum() != 3 {
		t.Errorf("1 + 2 µs a query are %+v", r)
	}
}

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-mix", "tcp,do", "-servers", "stampdns,nsd", "-seconds", "0.5", "-rounds", "7"})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.mixes) != 2 || o.servers[1] != "nsd" || o.seconds != 500*time.Millisecond || o.rounds != 7 || len(o.parts) != len(parts()) {
		t.Errorf("%+v", o)
	}
	for _, bad := range [][]string{{"-mix", "tcq"}, {"-servers", "named"}, {"-rounds", "0"}, {"-seconds", "NaN"}, {"extra"}} {
		if _, err := parseOptions(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
