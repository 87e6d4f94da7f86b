//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// coreDNSVersion is the version that is built when no other is asked for.
const coreDNSVersion = "v1.15.0"

// coreDNS is CoreDNS with the plugins that do what ours do. For zones it has one
// server block each, for its auto plugin takes minutes for what blocks load in seconds.
func coreDNS(command string) *program {
	return &program{
		name: "coredns", command: command, packages: "Go module", version: []string{"-version"}, peer: true, slow: true,
		configure: func(s *setup) ([]string, error) {
			var conf []string
			for _, z := range s.data.zones() {
				conf = append(conf,
					fmt.Sprintf("%s:%d {", strings.TrimSuffix(z.origin, "."), s.addr.Port()),
					"    bind "+s.addr.Addr().String(),
					"    file "+z.path+" {", "        reload 2s", "    }",
					"    prometheus "+s.metrics.String(),
					"    errors",
					"}")
			}
			corefile, err := s.write("Corefile", conf...)
			return []string{"-conf", corefile, "-quiet"}, err
		},
		forward: func(s *setup) ([]string, error) {
			conf := []string{
				fmt.Sprintf(".:%d {", s.addr.Port()),
				"    bind " + s.addr.Addr().String(),
				"    prometheus " + s.metrics.String(),
				"    errors",
			}
			if s.data.cached > 0 {
				// It has 256 parts, of which none must be full.
				room := max(2*s.data.cached, manyNames)
				conf = append(conf, "    cache {", fmt.Sprintf("        success %d", room), fmt.Sprintf("        denial %d", room), "    }")
			}
			corefile, err := s.write("Corefile", append(conf, "    forward . "+s.data.upstream.String(), "}")...)
			return []string{"-conf", corefile, "-quiet"}, err
		},
		reloads: []reload{{how: "nobody, it looks every 2 s"}},
	}
}

// buildCoreDNS builds CoreDNS from its Go module.
func (b *bench) buildCoreDNS(ctx context.Context, version string) (string, error) {
	module := "github.com/coredns/coredns@" + version
	b.note("building %s, the first time for some minutes", module)
	// In a folder where our go.mod has no say.
	install := []string{"go", "install", module}
	if err := b.spawner.Run(ctx, b.dir, install, []string{"GOBIN=" + b.dir, "CGO_ENABLED=0"}); err != nil {
		return "", fmt.Errorf("build %s: %w\nleave it out with -servers, or choose another version with -coredns", module, err)
	}
	return filepath.Join(b.dir, "coredns"), nil
}
