//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stampdns is this repository's server, with what it is made for turned on:
// metrics, the observation of how queries come, the journal, the status page, the
// probe, and faults that wait for rules. One that is not timed serves profiles as well.
func stampdns(command string, profiled bool) *program {
	return ours(ourName, command, profiled, true)
}

// metricsOnly is the same program without observation: what that costs is the
// difference.
func metricsOnly(command string) *program {
	p := ours(metricsName, command, false, false)
	p.variant = true
	return p
}

// observers are the directives of what stampdns observes with, or that it does not.
// All of the load comes from one resolver, that has a name.
func observers(observing, stamp bool) []string {
	switch {
	case observing:
		return []string{"    delegation {", "        resolver load 127.0.0.0/8", "    }", "    journal", "    status", "    fault", "    api 127.0.0.1:0"}
	case stamp:
		return []string{"    probe off"}
	}
	return nil
}

func ours(name, command string, profiled, observing bool) *program {
	return &program{
		name: name, command: command,
		configure: func(s *setup) ([]string, error) {
			conf := []string{
				fmt.Sprintf(".:%d {", s.addr.Port()),
				"    bind " + s.addr.Addr().String(),
				"    stamp {",
				"        ns01 " + stampNS01,
				"        ns02 " + stampNS02,
			}
			for i := range stampLabels {
				name, addr := stampLabel(i)
				conf = append(conf, fmt.Sprintf("        label %s %s", name, addr))
			}
			conf = append(conf, "    }", "    prometheus "+s.metrics.String(), "    errors")
			conf = append(conf, observers(observing, true)...)
			if profiled {
				conf = append(conf, "    pprof "+s.profiles.String())
			}
			if s.data.folder != "" {
				conf = append(conf, "    auto {", "        directory "+s.data.folder, "    }")
			} else {
				for _, z := range s.data.user {
					conf = append(conf, fmt.Sprintf("    file %s %s", z.path, z.origin))
				}
			}
			corefile, err := s.write("Corefile", append(conf, "}")...)
			return []string{"serve", "--conf", corefile}, err
		},
		forward: func(s *setup) ([]string, error) { return configureForward(s, profiled, observing) },
		reloads: []reload{{how: "SIGHUP", signal: true}, {how: "nobody"}},
	}
}

// configureForward is a forwarder, with a cache where the mix is for one.
func configureForward(s *setup, profiled, observing bool) ([]string, error) {
	conf := []string{
		fmt.Sprintf(".:%d {", s.addr.Port()),
		"    bind " + s.addr.Addr().String(),
		"    prometheus " + s.metrics.String(),
		"    errors",
	}
	conf = append(conf, observers(observing, false)...)
	switch {
	case s.data.cached > manyNames:
		conf = append(conf, "    cache {", "        capacity 1024MB", fmt.Sprintf("        success %d", 2*s.data.cached), "    }")
	case s.data.cached > 0:
		conf = append(conf, "    cache {", "        capacity 256MB", "    }")
	}
	conf = append(conf, "    forward . "+s.data.upstream.String()+" {", "        max_concurrent 100000", "    }")
	if profiled {
		conf = append(conf, "    pprof "+s.profiles.String())
	}
	corefile, err := s.write("Corefile", append(conf, "}")...)
	return []string{"serve", "--conf", corefile}, err
}

// buildStampdns builds the server as a release is built, with the profile beside
// its main package, if there is one.
func (b *bench) buildStampdns(ctx context.Context) (string, error) {
	path := filepath.Join(b.dir, "stampdns")
	build := []string{"go", "build", "-trimpath", "-pgo=auto", "-o", path, "./cmd/stampdns"}
	if err := b.spawner.Run(ctx, b.root, build, []string{"CGO_ENABLED=0"}); err != nil {
		return "", fmt.Errorf("build stampdns: %w", err)
	}
	return path, nil
}

// revision is the commit of the working tree, with a mark if there are changes
// on top of it.
func (b *bench) revision(ctx context.Context) string {
	git := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=+")
	git.Dir = b.root
	out, err := git.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// counters are what must have counted something in a mix, and what that is.
func (m mix) counters() map[string]*regexp.Regexp {
	counter := func(name, label string) *regexp.Regexp {
		return regexp.MustCompile(`(?m)^` + name + `\{[^}]*` + label + `[^}]*\} ([0-9.e+]+)$`)
	}
	all := map[string]*regexp.Regexp{
		"query of the resolver load": counter("stampdns_delegation_resolver_queries_total", `resolver="load"`),
		"query in the journal":       regexp.MustCompile(`(?m)^stampdns_journal_recorded_total ([0-9.e+]+)$`),
	}
	switch m.forward {
	case forwardsHit:
		all["query"], all["hit"] = counter("stampdns_dns_requests_total", ""), counter("stampdns_cache_hits_total", "")
	case forwardsMiss:
		all["query"] = counter("stampdns_dns_requests_total", "")
	default:
		all["query for the name server ns01"] = counter("stampdns_dns_requests_total", `ns="ns01"`)
	}
	return all
}

// checkMetrics makes sure that the server counts queries, by name server where it
// has some, and hits: a number without that work would be none of ours.
func (i *instance) checkMetrics(ctx context.Context, m mix) error {
	text, err := i.get(ctx, i.metrics, "/metrics", 10*time.Second)
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	return m.checkCounters(text)
}

// checkCounters looks for the counters in a text of metrics.
func (m mix) checkCounters(text []byte) error {
	for what, counter := range m.counters() {
		if !slices.ContainsFunc(counter.FindAllSubmatch(text, -1), func(found [][]byte) bool {
			n, err := strconv.ParseFloat(string(found[1]), 64)
			return err == nil && n > 0
		}) {
			return fmt.Errorf("its metrics count no %s", what)
		}
	}
	return nil
}

// get reads what the server tells over HTTP.
func (i *instance) get(ctx context.Context, addr netip.AddrPort, path string, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return io.ReadAll(response.Body)
}
