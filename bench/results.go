//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stampdns/stampdns/bench/process"
)

// results are all that a run measured, as results.json has it.
type results struct {
	Machine   process.Machine   `json:"machine"`
	Go        string            `json:"go"`
	Revision  string            `json:"revision"`
	Versions  map[string]string `json:"versions"`
	Rounds    int               `json:"rounds"`
	Seconds   float64           `json:"seconds"`
	Quick     bool              `json:"quick"`
	Mixes     []*mixResult      `json:"mixes"`
	Latencies []*latencies      `json:"latencies"`
	Growth    []*growth         `json:"growth"`
	Startups  []*startupSet     `json:"startups"`
	Caches    []*cacheMemory    `json:"caches"`
}

// mixResult are the servers under one mix.
type mixResult struct {
	Mix     string        `json:"mix"`
	About   string        `json:"about"`
	Servers []*contestant `json:"servers"`
	// Allocations are those of stampdns per answer, nil if they were not counted.
	Allocations *float64 `json:"allocations,omitempty"`
}

// startupSet are the servers with one dataset.
type startupSet struct {
	Data    string     `json:"data"`
	Servers []*startup `json:"servers"`
}

func readResults(path string) (*results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(results)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// ourName and the peers' names are those of the programs; whoever is neither us, nor
// us without observation, nor the floor is a peer.
const (
	ourName     = "stampdns"
	metricsName = "metrics-only"
)

func isPeer(server string) bool {
	return server != ourName && server != metricsName && server != echoName
}

// best is the peer with the lowest median of CPU per query, nil if none was
// timed.
func (m *mixResult) best() *contestant {
	return m.least(func(c *contestant) bool { return isPeer(c.Server) })
}

// least is the one with the lowest median of those that were timed and chosen.
func (m *mixResult) least(chosen func(*contestant) bool) *contestant {
	var best *contestant
	least := math.Inf(1)
	for _, c := range m.Servers {
		if !chosen(c) || len(c.Rounds) == 0 {
			continue
		}
		if median := spreadOf(c.series(round.sum)).Median; median < least {
			best, least = c, median
		}
	}
	return best
}

// forwards says whether the mix is one for forwarders.
func (m *mixResult) forwards() bool { return m.Mix == hitMix || m.Mix == missMix }

// server finds a server that was timed, nil if there is none.
func (m *mixResult) server(name string) *contestant {
	for _, c := range m.Servers {
		if c.Server == name && len(c.Rounds) > 0 {
			return c
		}
	}
	return nil
}

// publish prints the report, and writes it with results and plots into the
// folder for output, and with -readme beside the source as well.
func (r *results) publish(o *options, root string) error {
	report := r.report()
	fmt.Print(report)
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	plots := map[string]string{}
	if len(r.Mixes) > 0 {
		plots["cpu.svg"] = plotCPU(r)
	}
	if len(r.Growth) > 0 {
		plots["growth.svg"] = plotGrowth(r)
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(o.out, "results.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(o.out, "report.md"), []byte(report), 0o644),
		writeAll(o.out, plots))
	if err != nil || !o.readme {
		return err
	}
	folder := filepath.Join(root, "bench")
	if err := writeAll(folder, plots); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(plots)) {
		report += fmt.Sprintf("\n![CPU per answered query](%s)\n", name)
	}
	return updateReadme(filepath.Join(folder, "README.md"), report)
}

func writeAll(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The report stands between these two lines of README.md.
const (
	reportBegin = "<!-- report: written by go run ./bench -readme -->"
	reportEnd   = "<!-- end of report -->"
)

func updateReadme(path, report string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := replaceReport(old, report)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, text, 0o644)
}

func replaceReport(old []byte, report string) ([]byte, error) {
	before, rest, ok := bytes.Cut(old, []byte(reportBegin+"\n"))
	_, after, ok2 := bytes.Cut(rest, []byte(reportEnd))
	if !ok || !ok2 {
		return nil, fmt.Errorf("the lines %q and %q are not there", reportBegin, reportEnd)
	}
	var out bytes.Buffer
	out.Write(before)
	fmt.Fprintf(&out, "%s\n\n%s\n\n%s", reportBegin, strings.TrimSpace(report), reportEnd)
	out.Write(after)
	return out.Bytes(), nil
}
