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
// metrics, and the count of queries by name server. One that is not timed serves
// profiles as well.
func stampdns(command string, profiled bool) *program {
	return &program{
		name: "stampdns", command: command,
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
		forward: func(s *setup) ([]string, error) { return configureForward(s, profiled) },
		reloads: []reload{{how: "SIGHUP", signal: true}, {how: "nobody"}},
	}
}

// configureForward is a forwarder, with a cache where the mix is for one.
func configureForward(s *setup, profiled bool) ([]string, error) {
	conf := []string{
		fmt.Sprintf(".:%d {", s.addr.Port()),
		"    bind " + s.addr.Addr().String(),
		"    prometheus " + s.metrics.String(),
		"    errors",
	}
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
	switch m.forward {
	case forwardsHit:
		return map[string]*regexp.Regexp{
			"query": counter("stampdns_dns_requests_total", ""), "hit": counter("stampdns_cache_hits_total", ""),
		}
	case forwardsMiss:
		return map[string]*regexp.Regexp{"query": counter("stampdns_dns_requests_total", "")}
	}
	return map[string]*regexp.Regexp{"query for the name server ns01": counter("stampdns_dns_requests_total", `ns="ns01"`)}
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
