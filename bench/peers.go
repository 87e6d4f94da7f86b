//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// peers are the servers that we are compared with, each with one worker, all
// logging and rate limits off, and minimal responses where that is a setting.
func peers() []*program { return []*program{nsd(), knot(), bind(), powerDNS()} }

func nsd() *program {
	return &program{
		name: "nsd", command: "nsd", packages: "nsd", version: []string{"-v"}, peer: true,
		configure: func(s *setup) ([]string, error) {
			conf := []string{
				"server:",
				fmt.Sprintf("  ip-address: %s@%d", s.addr.Addr(), s.addr.Port()),
				"  server-count: 1",
				"  tcp-count: 100",
				"  tcp-query-count: 0",
				`  username: ""`,
				`  chroot: ""`,
				`  database: ""`,
				`  pidfile: ""`,
				fmt.Sprintf("  zonesdir: %q", s.dir),
				fmt.Sprintf("  xfrdir: %q", s.dir),
				fmt.Sprintf("  xfrdfile: %q", filepath.Join(s.dir, "xfrd.state")),
				fmt.Sprintf("  zonelistfile: %q", filepath.Join(s.dir, "zone.list")),
				"  ipv4-edns-size: 1232",
				"  minimal-responses: yes",
				"  rrl-ratelimit: 0",
				"  zonefiles-check: no",
				"  zonefiles-write: 0",
				"  verbosity: 0",
				"remote-control:",
				"  control-enable: yes",
				fmt.Sprintf("  control-interface: %q", filepath.Join(s.dir, "control")),
			}
			for _, z := range s.data.zones() {
				conf = append(conf, "zone:", fmt.Sprintf("  name: %q", z.origin), fmt.Sprintf("  zonefile: %q", z.path))
			}
			path, err := s.write("nsd.conf", conf...)
			return []string{"-d", "-c", path}, err
		},
		reloads: []reload{{how: "nsd-control reload ZONE", command: func(s *setup, zone string) []string {
			return []string{"nsd-control", "-c", filepath.Join(s.dir, "nsd.conf"), "reload", strings.TrimSuffix(zone, ".")}
		}}},
	}
}

func knot() *program {
	return &program{
		name: "knot", command: "knotd", packages: "knot", version: []string{"-V"}, peer: true,
		configure: func(s *setup) ([]string, error) {
			conf := []string{
				"server:",
				fmt.Sprintf("    listen: %s@%d", s.addr.Addr(), s.addr.Port()),
				fmt.Sprintf("    rundir: %q", s.dir),
				fmt.Sprintf("    udp-workers: %d", s.workers),
				fmt.Sprintf("    tcp-workers: %d", s.workers),
				fmt.Sprintf("    background-workers: %d", s.workers),
				"    udp-max-payload: 1232",
				"control:",
				`    listen: "knot.sock"`,
				"log:",
				"  - target: stderr",
				"    any: error",
				"database:",
				fmt.Sprintf("    storage: %q", s.dir),
				"template:",
				"  - id: default",
				"    journal-content: none",
				"    zonefile-sync: -1",
				"    zonefile-load: whole",
				"    semantic-checks: off",
				"zone:",
			}
			for _, z := range s.data.zones() {
				conf = append(conf, fmt.Sprintf("  - domain: %q", z.origin), fmt.Sprintf("    file: %q", z.path))
			}
			path, err := s.write("knot.conf", conf...)
			return []string{"-c", path}, err
		},
		reloads: []reload{{how: "knotc zone-reload ZONE", command: func(s *setup, zone string) []string {
			return []string{"knotc", "-s", filepath.Join(s.dir, "knot.sock"), "zone-reload", zone}
		}}},
	}
}

func bind() *program {
	return &program{
		name: "bind", command: "named", packages: "bind9", version: []string{"-v"}, peer: true, slow: true,
		configure: func(s *setup) ([]string, error) {
			// The secret of a server that lives for minutes, on loopback.
			key := `key "bench" { algorithm hmac-sha256; secret "YmVuY2ggYmVuY2ggYmVuY2ggYmVuY2g="; };`
			control, err := s.write("rndc.conf", key, fmt.Sprintf(
				"options { default-key \"bench\"; default-server %s; default-port %d; };", s.metrics.Addr(), s.metrics.Port()))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", control, err)
			}
			conf := []string{
				key,
				fmt.Sprintf(`controls { inet %s port %d allow { 127.0.0.1; } keys { "bench"; }; };`, s.metrics.Addr(), s.metrics.Port()),
				"logging { category default { null; }; category lame-servers { null; }; };",
				"options {",
				fmt.Sprintf("directory %q;", s.dir),
				fmt.Sprintf("listen-on port %d { %s; };", s.addr.Port(), s.addr.Addr()),
				"listen-on-v6 { none; };",
				"pid-file none;",
				"session-keyfile none;",
				"recursion no;",
				"dnssec-validation no;",
				"minimal-responses yes;",
				"minimal-any yes;",
				"max-udp-size 1232;",
				"notify no;",
				"allow-transfer { none; };",
				"empty-zones-enable no;",
				"check-names primary ignore;",
				"zone-statistics none;",
				"querylog no;",
				"tcp-clients 1000;",
				"};",
			}
			for _, z := range s.data.zones() {
				conf = append(conf, fmt.Sprintf(`zone %q { type primary; file %q; check-integrity no; };`, z.origin, z.path))
			}
			path, err := s.write("named.conf", conf...)
			return []string{"-f", "-4", "-n", fmt.Sprint(s.workers), "-c", path}, err
		},
		reloads: []reload{{how: "rndc reload ZONE", command: func(s *setup, zone string) []string {
			return []string{"rndc", "-c", filepath.Join(s.dir, "rndc.conf"), "reload", strings.TrimSuffix(zone, ".")}
		}}},
	}
}

func powerDNS() *program {
	return &program{
		name: "pdns", command: "pdns_server", packages: "pdns-server and pdns-backend-bind",
		version: []string{"--version"}, peer: true, slow: true, unsigned: true,
		configure: func(s *setup) ([]string, error) {
			var list []string
			for _, z := range s.data.zones() {
				list = append(list, fmt.Sprintf("zone %q { type master; file %q; };", strings.TrimSuffix(z.origin, "."), z.path))
			}
			zones, err := s.write("named.conf", list...)
			if err != nil {
				return nil, err
			}
			_, err = s.write("pdns.conf",
				"launch=bind",
				"bind-config="+zones,
				"bind-check-interval=0",
				"local-address="+s.addr.Addr().String(),
				fmt.Sprintf("local-port=%d", s.addr.Port()),
				fmt.Sprintf("receiver-threads=%d", s.workers),
				"distributor-threads=1",
				"max-tcp-connections=100",
				"socket-dir="+s.dir,
				"daemon=no", "guardian=no", "write-pid=no",
				"setuid=", "setgid=",
				"disable-axfr=yes",
				"udp-truncation-threshold=1232",
				"loglevel=2", "log-dns-queries=no", "log-dns-details=no",
				"webserver=no", "api=no", "security-poll-suffix=",
			)
			return []string{"--config-dir=" + s.dir}, err
		},
		reloads: []reload{{how: "pdns_control bind-reload-now ZONE", command: func(s *setup, zone string) []string {
			return []string{"pdns_control", "--config-dir=" + s.dir, "--socket-dir=" + s.dir, "bind-reload-now", strings.TrimSuffix(zone, ".")}
		}}},
	}
}
