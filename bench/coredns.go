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

// coreDNS is CoreDNS with the plugins that do what ours do: one server block a
// zone, for its auto plugin takes minutes for what blocks load in seconds.
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
