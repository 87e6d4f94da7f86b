//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// world is what resolvers that are set up as Debian ships them need to know of the
// lab: the root's server, and the root's key, for they validate.
type world struct {
	parent netip.Addr // the root, and the owner of cloud.fabrikam.com
	hints  string     // file
	dnskey string     // record
	ds     string     // its digest, as DS has it
	stamp  []netip.Addr
}

// toldZones are what a resolver is told to ask the stamp for, without their dots.
var toldZones = []string{strings.TrimSuffix(stampZone, "."), strings.TrimSuffix(cloudappZone, ".")}

// servers joins the addresses of the stamp's name servers.
func (w *world) servers(before, after string) string {
	var b strings.Builder
	for _, addr := range w.stamp {
		b.WriteString(before + addr.String() + after)
	}
	return b.String()
}

// clauses are a clause for each of the stamp's zones, of which %s is the name.
func clauses(format string) (lines []string) {
	for _, name := range toldZones {
		lines = append(lines, fmt.Sprintf(format, name))
	}
	return lines
}

// startBINDFor resolves with BIND. The clauses are for the stamp's zones; with none,
// it finds them by delegation.
func startBINDFor(t *testing.T, h *host, w *world, zones ...string) *process {
	t.Helper()
	dir := t.TempDir()
	conf := append([]string{
		"controls { };",
		"options {",
		fmt.Sprintf("directory %q;", dir),
		fmt.Sprintf("listen-on { %s; };", h.addr),
		"listen-on-v6 { none; };",
		"pid-file none;",
		"session-keyfile none;",
		"recursion yes;",
		"allow-query { any; };",
		"allow-recursion { any; };",
		"dnssec-validation yes;",
		"};",
		fmt.Sprintf(`zone "." { type hint; file %q; };`, w.hints),
		fmt.Sprintf(`trust-anchors { . static-key %s; };`, bindKey(w.dnskey)),
	}, zones...)
	p := h.start(t, "named (resolver)", "named", "-g", "-n", "1", "-4", "-c", write(t, dir, "named.conf", conf...))
	p.ready(h.answers(h.addr, "cloud.fabrikam.com."))
	return p
}

// bindKey is a DNSKEY record as named.conf has it.
func bindKey(record string) string {
	f := strings.Fields(record)
	return fmt.Sprintf("%s %s %s %q", f[len(f)-4], f[len(f)-3], f[len(f)-2], f[len(f)-1])
}

// startUnboundFor resolves with Unbound, with clauses for the stamp's zones.
func startUnboundFor(t *testing.T, h *host, w *world, zones ...string) *process {
	t.Helper()
	dir := t.TempDir()
	conf := append([]string{
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
		fmt.Sprintf("  root-hints: %q", w.hints),
		fmt.Sprintf("  trust-anchor: %q", w.dnskey),
		"remote-control:",
		"  control-enable: no",
	}, zones...)
	p := h.start(t, "unbound", "unbound", "-d", "-c", write(t, dir, "unbound.conf", conf...))
	p.ready(h.answers(h.addr, "cloud.fabrikam.com."))
	return p
}

// socketDir is a folder for UNIX sockets, whose paths have to be short: t.TempDir has
// the test's name in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startKnotResolver resolves with Knot Resolver, with more lines of its Lua.
func startKnotResolver(t *testing.T, h *host, w *world, lines ...string) *process {
	t.Helper()
	dir := socketDir(t)
	conf := append([]string{
		"log_target('stderr')",
		fmt.Sprintf("net.listen('%s', 53, { kind = 'dns' })", h.addr),
		"net.ipv6 = false",
		"modules = { 'hints > iterate' }",
		fmt.Sprintf("hints.root_file('%s')", w.hints),
		fmt.Sprintf("cache.open(10 * MB, 'lmdb://%s')", filepath.Join(dir, "cache")),
		"trust_anchors.remove('.')",
		fmt.Sprintf("trust_anchors.add('%s')", w.dnskey),
	}, lines...)
	p := h.start(t, "kresd", "kresd", "-n", "-c", write(t, dir, "kresd.conf", conf...), dir)
	p.ready(h.answers(h.addr, "cloud.fabrikam.com."))
	return p
}

// startRecursor resolves with PowerDNS Recursor, with more lines of its settings.
func startRecursor(t *testing.T, h *host, w *world, lines ...string) *process {
	t.Helper()
	dir := socketDir(t)
	lua := write(t, dir, "recursor.lua", "clearTA('.')", fmt.Sprintf("addTA('.', %q)", w.ds))
	write(t, dir, "recursor.conf", append([]string{
		fmt.Sprintf("local-address=%s", h.addr),
		"allow-from=0.0.0.0/0",
		"dont-query=", // it would not ask the addresses of examples
		"security-poll-suffix=",
		"daemon=no",
		"write-pid=no",
		"disable-syslog=yes",
		"threads=1",
		"quiet=yes",
		"socket-dir=" + dir,
		"hint-file=" + w.hints,
		"lua-config-file=" + lua,
	}, lines...)...)
	p := h.start(t, "pdns_recursor", "pdns_recursor", "--config-dir="+dir)
	p.ready(h.answers(h.addr, "cloud.fabrikam.com."))
	return p
}

// startDnsmasq forwards with dnsmasq: for the stamp's zones to the stamp, for all
// else to the parent.
func startDnsmasq(t *testing.T, h *host, w *world) *process {
	t.Helper()
	dir := t.TempDir()
	conf := []string{
		"no-resolv", "no-hosts", "bind-interfaces", "user=root", "pid-file", "log-facility=-",
		fmt.Sprintf("listen-address=%s", h.addr),
		fmt.Sprintf("server=%s", w.parent),
	}
	for _, addr := range w.stamp {
		conf = append(conf, clauses("server=/%s/"+addr.String())...)
	}
	p := h.start(t, "dnsmasq", "dnsmasq", "-k", "-C", write(t, dir, "dnsmasq.conf", conf...))
	p.ready(h.answers(h.addr, "cloud.fabrikam.com."))
	return p
}

// startCoreDNS forwards with CoreDNS, likewise.
func startCoreDNS(t *testing.T, h *host, w *world) *process {
	t.Helper()
	conf := []string{
		toldZones[0] + ":53 " + toldZones[1] + ":53 {",
		fmt.Sprintf("    bind %s", h.addr),
		"    cache",
		"    forward ." + w.servers(" ", ""),
		"}",
		".:53 {",
		fmt.Sprintf("    bind %s", h.addr),
		fmt.Sprintf("    forward . %s", w.parent),
		"}",
	}
	p := h.start(t, "coredns", coredns(t), "-conf", write(t, t.TempDir(), "Corefile", conf...))
	p.ready(h.answers(h.addr, "cloud.fabrikam.com."))
	return p
}

// builtCoreDNS is the CoreDNS of testdata/coredns, made once.
var builtCoreDNS struct {
	sync.Once
	path string
	err  error
}

// coredns is the path of CoreDNS: the environment variable COREDNS, or built.
func coredns(t *testing.T) string {
	t.Helper()
	builtCoreDNS.Do(func() {
		if builtCoreDNS.path = os.Getenv("COREDNS"); builtCoreDNS.path != "" {
			return
		}
		// Beside stampdns, which goes when the tests end.
		builtCoreDNS.path = filepath.Join(filepath.Dir(stampdns(t)), "coredns")
		build := exec.Command("go", "build", "-o", builtCoreDNS.path, ".")
		build.Dir = filepath.Join("testdata", "coredns")
		if out, err := build.CombinedOutput(); err != nil {
			builtCoreDNS.err = fmt.Errorf("build CoreDNS: %w\n%s", err, out)
		}
	})
	if builtCoreDNS.err != nil {
		t.Fatal(builtCoreDNS.err)
	}
	return builtCoreDNS.path
}

// knotPolicy forwards the stamp's zones by a policy of Knot Resolver.
func knotPolicy(action string, w *world) []string {
	return clauses("policy.add(policy.suffix(policy." + action + "({" + w.servers("'", "',") + "}), policy.todnames({'%s'})))")
}

// resolverSetups start the resolvers of behaviors, by their kinds.
var resolverSetups = map[string]func(*testing.T, *host, *world) *process{
	"BIND delegation": func(t *testing.T, h *host, w *world) *process { return startBINDFor(t, h, w) },
	"BIND type forward": func(t *testing.T, h *host, w *world) *process {
		return startBINDFor(t, h, w, clauses(`zone "%s" { type forward; forward only; forwarders {`+w.servers(" ", ";")+` }; };`)...)
	},
	"BIND type stub": func(t *testing.T, h *host, w *world) *process {
		p := startBINDFor(t, h, w, clauses(`zone "%s" { type stub; primaries {`+w.servers(" ", ";")+` }; };`)...)
		for _, name := range toldZones { // it says SERVFAIL until it has fetched them
			p.ready(h.answers(h.addr, name+"."))
		}
		return p
	},
	"BIND type static-stub": func(t *testing.T, h *host, w *world) *process {
		return startBINDFor(t, h, w, clauses(`zone "%s" { type static-stub; server-addresses {`+w.servers(" ", ";")+` }; };`)...)
	},
	"Unbound delegation": func(t *testing.T, h *host, w *world) *process { return startUnboundFor(t, h, w) },
	"Unbound forward-zone": func(t *testing.T, h *host, w *world) *process {
		return startUnboundFor(t, h, w, clauses("forward-zone:\n  name: %s\n"+w.servers("  forward-addr: ", "\n"))...)
	},
	"Unbound stub-zone": func(t *testing.T, h *host, w *world) *process {
		return startUnboundFor(t, h, w, clauses("stub-zone:\n  name: %s\n"+w.servers("  stub-addr: ", "\n"))...)
	},
	"Knot Resolver delegation": func(t *testing.T, h *host, w *world) *process { return startKnotResolver(t, h, w) },
	// It validates what it forwards, and the stamp cannot prove that it is not signed.
	"Knot Resolver policy.FORWARD": func(t *testing.T, h *host, w *world) *process {
		return startKnotResolver(t, h, w, append(knotPolicy("FORWARD", w),
			fmt.Sprintf("trust_anchors.set_insecure({'%s'})", strings.Join(toldZones, "','")))...)
	},
	"Knot Resolver policy.STUB": func(t *testing.T, h *host, w *world) *process {
		return startKnotResolver(t, h, w, knotPolicy("STUB", w)...)
	},
	"PowerDNS Recursor delegation": func(t *testing.T, h *host, w *world) *process { return startRecursor(t, h, w) },
	"PowerDNS Recursor forward-zones": func(t *testing.T, h *host, w *world) *process {
		return startRecursor(t, h, w, "forward-zones="+strings.Join(clauses("%s="+strings.TrimSuffix(w.servers("", ";"), ";")), ","))
	},
	"PowerDNS Recursor forward-zones-recurse": func(t *testing.T, h *host, w *world) *process {
		return startRecursor(t, h, w, "forward-zones-recurse="+strings.Join(clauses("%s="+strings.TrimSuffix(w.servers("", ";"), ";")), ","))
	},
	"dnsmasq server=/ZONE/ADDRESS": startDnsmasq,
	"CoreDNS forward":              startCoreDNS,
}
