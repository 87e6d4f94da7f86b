//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"testing"
)

// zone is a master file and the name of its apex.
type zone struct{ origin, file string }

// startBIND serves zones with BIND: authoritative only, with the least it says.
func startBIND(t *testing.T, h *host, zones ...zone) *process {
	t.Helper()
	conf := bindOptions(t, h,
		"recursion no;",
		"minimal-responses no-auth;",
		"minimal-any no;",
		"max-udp-size 1232;",
		"notify no;",
		"allow-transfer { none; };",
		"empty-zones-enable no;",
		"check-names primary ignore;",
		"zone-statistics none;",
		"zero-no-soa-ttl no;",
	)
	for _, z := range zones {
		conf = append(conf, fmt.Sprintf(`zone %q { type primary; file %q; check-integrity no; };`, z.origin, z.file))
	}
	p := h.start(t, "named", "named", "-g", "-n", "1", "-c", write(t, t.TempDir(), "named.conf", conf...))
	p.ready(h.answers(h.addr, zones[0].origin))
	return p
}

// startBINDResolver resolves with BIND from a hints file that names the root's
// only server.
func startBINDResolver(t *testing.T, h *host, hints, probe string) *process {
	t.Helper()
	conf := bindOptions(t, h,
		"recursion yes;",
		"allow-recursion { any; };",
		"empty-zones-enable no;",
		"max-cache-ttl 5;",
		"max-ncache-ttl 5;",
		"servfail-ttl 0;",
	)
	conf = append(conf, fmt.Sprintf(`zone "." { type hint; file %q; };`, hints))
	p := h.start(t, "named (resolver)", "named", "-g", "-n", "1", "-4", "-c", write(t, t.TempDir(), "named.conf", conf...))
	p.ready(h.answers(h.addr, probe))
	return p
}

// bindOptions is the head of a named.conf that keeps to the host's address and
// the test's folder.
func bindOptions(t *testing.T, h *host, options ...string) []string {
	lines := []string{
		"controls { };",
		"options {",
		fmt.Sprintf("directory %q;", t.TempDir()),
		fmt.Sprintf("listen-on { %s; };", h.addr),
		"listen-on-v6 { none; };",
		"pid-file none;",
		"session-keyfile none;",
		"dnssec-validation no;",
	}
	return append(append(lines, options...), "};")
}

// startUnbound resolves with Unbound from a hints file that names the root's
// only server.
func startUnbound(t *testing.T, h *host, hints, probe string) *process {
	t.Helper()
	return startUnboundWith(t, h, hints, probe)
}

// startUnboundWith is startUnbound with more lines for its server clause.
func startUnboundWith(t *testing.T, h *host, hints, probe string, more ...string) *process {
	t.Helper()
	dir := t.TempDir()
	lines := []string{
		"server:",
		fmt.Sprintf("  interface: %s", h.addr),
		"  access-control: 0.0.0.0/0 allow",
		"  num-threads: 1",
		"  do-daemonize: no",
		"  do-ip6: no",
		"  use-syslog: no",
		"  username: \"\"",
		"  chroot: \"\"",
		"  pidfile: \"\"",
		fmt.Sprintf("  directory: %q", dir),
		fmt.Sprintf("  root-hints: %q", hints),
		"  module-config: \"iterator\"",
		"  cache-max-ttl: 5",
		"  cache-max-negative-ttl: 5",
	}
	lines = append(append(lines, more...), "remote-control:", "  control-enable: no")
	conf := write(t, dir, "unbound.conf", lines...)
	p := h.start(t, "unbound", "unbound", "-d", "-c", conf)
	p.ready(h.answers(h.addr, probe))
	return p
}

// startNSD serves zones with NSD.
func startNSD(t *testing.T, h *host, zones ...zone) *process {
	t.Helper()
	dir := t.TempDir()
	conf := []string{
		"server:",
		fmt.Sprintf("  ip-address: %s", h.addr),
		"  server-count: 1",
		"  username: \"\"",
		"  chroot: \"\"",
		"  database: \"\"",
		"  pidfile: \"\"",
		fmt.Sprintf("  zonesdir: %q", dir),
		fmt.Sprintf("  xfrdir: %q", dir),
		fmt.Sprintf("  xfrdfile: %q", filepath.Join(dir, "xfrd.state")),
		fmt.Sprintf("  zonelistfile: %q", filepath.Join(dir, "zone.list")),
		"  ipv4-edns-size: 1232",
		"  minimal-responses: no",
		"  rrl-ratelimit: 0",
		"remote-control:",
		"  control-enable: no",
	}
	for _, z := range zones {
		conf = append(conf, "zone:", fmt.Sprintf("  name: %q", z.origin), fmt.Sprintf("  zonefile: %q", z.file))
	}
	p := h.start(t, "nsd", "nsd", "-d", "-c", write(t, dir, "nsd.conf", conf...))
	p.ready(h.answers(h.addr, zones[0].origin))
	return p
}

// startKnot serves zones with Knot DNS.
func startKnot(t *testing.T, h *host, zones ...zone) *process {
	t.Helper()
	dir := t.TempDir()
	conf := []string{
		"server:",
		fmt.Sprintf("    listen: %s@53", h.addr),
		fmt.Sprintf("    rundir: %q", dir),
		"    udp-workers: 1",
		"    tcp-workers: 1",
		"    background-workers: 1",
		"    udp-max-payload: 1232",
		"log:",
		"  - target: stderr",
		"    any: warning",
		"database:",
		fmt.Sprintf("    storage: %q", dir),
		"template:",
		"  - id: default",
		"    journal-content: none",
		"    zonefile-sync: -1",
		"    semantic-checks: off",
		"zone:",
	}
	for _, z := range zones {
		conf = append(conf, fmt.Sprintf("  - domain: %q", z.origin), fmt.Sprintf("    file: %q", z.file))
	}
	p := h.start(t, "knotd", "knotd", "-c", write(t, dir, "knot.conf", conf...))
	p.ready(h.answers(h.addr, zones[0].origin))
	return p
}

// startStampdns serves zone files with stampdns.
func startStampdns(t *testing.T, h *host, zones ...zone) *process {
	t.Helper()
	conf := []string{".:53 {", fmt.Sprintf("    bind %s", h.addr), "    nsid interop"}
	for _, z := range zones {
		conf = append(conf, fmt.Sprintf("    file %s %s", z.file, z.origin))
	}
	corefile := write(t, t.TempDir(), "Corefile", append(conf, "    errors", "}")...)
	p := h.start(t, "stampdns", stampdns(t), "serve", "--conf", corefile)
	p.ready(h.answers(h.addr, zones[0].origin))
	return p
}

// stampFlags are the stamp of the lab, as serve, endpoints and zone take it.
var stampFlags = []string{
	"--prefix", "azs", "--region", "east", "--domain", "cloud.fabrikam.com",
	"--ns01", "192.0.2.11", "--ns02", "192.0.2.12", "--vips", "198.51.100.64/26",
}

// The names of the lab's stamp.
const (
	stampZone    = "east.cloud.fabrikam.com."
	cloudappZone = "east.cloudapp.cloud.fabrikam.com."
)

// startStamp serves the lab's stamp on one of its name servers.
func startStamp(t *testing.T, h *host, extra ...string) *process {
	t.Helper()
	args := append([]string{stampdns(t), "serve"}, stampFlags...)
	args = append(args, "--listen", h.addr.String(), "--port", "53")
	p := h.start(t, "stampdns", append(args, extra...)...)
	p.ready(h.answers(h.addr, stampZone))
	return p
}
