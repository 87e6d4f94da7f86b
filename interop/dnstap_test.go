//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// startCapture runs fstrm_capture, which writes what it gets to the file when it stops.
func startCapture(t *testing.T, h *host, file string, at ...string) *process {
	t.Helper()
	args := append([]string{"fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-w", file}, at...)
	p := h.start(t, "fstrm_capture", args...)
	p.ready(func() error {
		if !strings.Contains(p.log.String(), "opening") {
			return fmt.Errorf("it listens nowhere yet")
		}
		return nil
	})
	return p
}

// tapLine is a line of dnstap-read: time, type, addresses and ports, protocol, length
// and question.
var tapLine = regexp.MustCompile(`^\S+ \S+ (..) ([0-9.]+):\d+ (->|<-) ([0-9.]+:\d+) (UDP|TCP) \d+b (\S+)$`)

// tapRead are the messages of a file as dnstap-read has them, without time, the client's
// port and the length.
func tapRead(t *testing.T, file string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(output(t, "dnstap-read", file)) {
		m := tapLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("%s: cannot read %q", file, line)
		}
		lines = append(lines, strings.Join(m[1:], " "))
	}
	return lines
}

// TestDnstap has other people's collector and reader take what kdig asks: over a Unix
// socket, over TCP, and in a file.
func TestDnstap(t *testing.T) {
	l := newLab(t)
	client, ns01, corp := l.host("client", "198.51.100.9"), l.host("ns01", "192.0.2.11"), l.host("corp", "192.0.2.3")
	dir := t.TempDir()
	startBIND(t, corp, zone{"contoso.com.", write(t, dir, "contoso.zone", corporate...)})
	socket := filepath.Join(dir, "tap.sock")
	corefile := write(t, dir, "Corefile",
		".:53 {",
		"    bind 192.0.2.11",
		"    prometheus 127.0.0.1:9153",
		"    dnstap unix://"+socket,
		"    dnstap tcp://127.0.0.1:6000",
		"    dnstap file.tap",
		"    stamp",
		"    forward contoso.com 192.0.2.3 {",
		"        allow 198.51.100.0/24",
		"    }",
		"}")
	server := ns01.start(t, "stampdns", stampdns(t), "serve", "--conf", corefile)
	server.ready(client.answers(ns01.addr, stampZone))
	// The collectors come later than the server, and one of them comes twice.
	captures := map[string]*process{
		"tcp.tap":  startCapture(t, ns01, filepath.Join(dir, "tcp.tap"), "-a", "127.0.0.1", "-p", "6000"),
		"unix.tap": startCapture(t, ns01, filepath.Join(dir, "unix.tap"), "-u", socket),
	}
	connected := func(want float64) {
		t.Helper()
		wait(t, 15*time.Second, func() error {
			if got := ns01.metric(t, "stampdns_dnstap_connected", ""); got != want {
				return fmt.Errorf("%v of %v outputs are open", got, want)
			}
			return nil
		})
	}
	frames := func(least float64) {
		t.Helper()
		wait(t, 5*time.Second, func() error {
			if got := ns01.metric(t, "stampdns_dnstap_frames_total", ""); got < least {
				return fmt.Errorf("%v messages written of %v", got, least)
			}
			return nil
		})
	}
	connected(3)
	kdig := func(args ...string) {
		t.Helper()
		output(t, "ip", append([]string{"netns", "exec", client.netns, "kdig", "@192.0.2.11"}, args...)...)
	}
	before := ns01.metric(t, "stampdns_dnstap_frames_total", "")
	kdig("portal."+stampZone, "A", "+norec")
	kdig("nowhere."+stampZone, "AAAA", "+tcp", "+dnssec", "+bufsize=1400", "+nsid")
	kdig("www.contoso.com", "A")
	kdig("www.elsewhere.example", "MX")
	frames(before + 3*8)
	captures["unix.tap"].stop()
	connected(2)
	captures["again.tap"] = startCapture(t, ns01, filepath.Join(dir, "again.tap"), "-u", socket)
	connected(3)
	before = ns01.metric(t, "stampdns_dnstap_frames_total", "")
	kdig("adminportal."+stampZone, "A")
	frames(before + 3*2)
	if dropped := ns01.metric(t, "stampdns_dnstap_dropped_total", ""); dropped != 0 {
		t.Errorf("%v messages dropped", dropped)
	}
	server.stop()
	for _, p := range captures {
		p.stop()
	}

	first := []string{
		"AQ 198.51.100.9 -> 192.0.2.11:53 UDP portal.east.cloud.fabrikam.com/IN/A",
		"AR 198.51.100.9 <- 192.0.2.11:53 UDP portal.east.cloud.fabrikam.com/IN/A",
		"AQ 198.51.100.9 -> 192.0.2.11:53 TCP nowhere.east.cloud.fabrikam.com/IN/AAAA",
		"AR 198.51.100.9 <- 192.0.2.11:53 TCP nowhere.east.cloud.fabrikam.com/IN/AAAA",
		"CQ 198.51.100.9 -> 192.0.2.11:53 UDP www.contoso.com/IN/A",
		"CR 198.51.100.9 <- 192.0.2.11:53 UDP www.contoso.com/IN/A",
		"AQ 198.51.100.9 -> 192.0.2.11:53 UDP www.elsewhere.example/IN/MX",
		"AR 198.51.100.9 <- 192.0.2.11:53 UDP www.elsewhere.example/IN/MX",
	}
	second := []string{
		"AQ 198.51.100.9 -> 192.0.2.11:53 UDP adminportal.east.cloud.fabrikam.com/IN/A",
		"AR 198.51.100.9 <- 192.0.2.11:53 UDP adminportal.east.cloud.fabrikam.com/IN/A",
	}
	for file, want := range map[string][]string{
		"unix.tap": first, "again.tap": second,
		"tcp.tap": slices.Concat(first, second), "file.tap": slices.Concat(first, second),
	} {
		path := filepath.Join(dir, file)
		got := tapRead(t, path)
		// The probe of the start is there as well.
		got = slices.DeleteFunc(got, func(line string) bool { return strings.Contains(line, "/IN/SOA") })
		// Queries that different workers had may change places.
		slices.Sort(got)
		want = slices.Sorted(slices.Values(want))
		if !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		whole := output(t, "dnstap-read", "-y", path)
		for _, text := range []string{"identity: ns01", "query_zone: east.cloud.fabrikam.com.", "version: stampdns "} {
			if !strings.Contains(whole, text) {
				t.Errorf("%s: dnstap-read -y does not show %q", file, text)
			}
		}
	}
	for _, text := range []string{"status: NXDOMAIN", "udp: 1400", "flags: do", "qr aa rd", "qr rd ra", "status: REFUSED"} {
		if whole := output(t, "dnstap-read", "-y", filepath.Join(dir, "tcp.tap")); !strings.Contains(whole, text) {
			t.Errorf("dnstap-read -y does not show %q in\n%s", text, whole)
		}
	}
}
