//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestProxyProtocol has dnsdist stand before the stamp, as the stamp's two name
// servers: the client behind it, and the name server that it asked, are seen.
func TestProxyProtocol(t *testing.T) {
	l := newLab(t)
	client := l.host("client", "198.51.100.9")
	blocked := l.host("blocked", "198.51.100.13")
	proxy := l.host("dnsdist", "192.0.2.11")
	l.ip("-n", proxy.netns, "addr", "add", "192.0.2.12/32", "dev", "eth0")
	stamp := l.host("stamp", "192.0.2.20")

	dir := t.TempDir()
	corefile := write(t, dir, "Corefile",
		".:53 {",
		"    bind 192.0.2.20",
		"    proxyproto 192.0.2.11 192.0.2.12",
		"    prometheus 127.0.0.1:9153",
		"    log . \"{remote} {local} {ns} {proto} {name} {rcode}\"",
		"    acl {",
		"        block net 198.51.100.13",
		"    }",
		"    stamp",
		"}")
	server := stamp.start(t, "stampdns", stampdns(t), "serve", "--conf", corefile)
	server.ready(client.answers(stamp.addr, stampZone))

	config := write(t, dir, "dnsdist.conf",
		`setSecurityPollSuffix("")`,
		`setACL("0.0.0.0/0")`,
		`setLocal("192.0.2.11:53")`,
		`addLocal("192.0.2.12:53")`,
		fmt.Sprintf(`newServer{address="192.0.2.20:53", useProxyProtocol=true, checkName=%q, checkInterval=1}`, stampZone))
	dnsdist := proxy.start(t, "dnsdist", "dnsdist", "--supervised", "--disable-syslog", "-C", config)
	dnsdist.ready(client.answers(proxy.addr, stampZone))

	for i, to := range []string{"192.0.2.11", "192.0.2.12"} {
		for _, network := range []string{"udp", "tcp"} {
			name := fmt.Sprintf("from-%s-%d.%s", network, i, stampZone)
			for _, from := range []*host{client, blocked} {
				reply := from.mustAsk(t, network, netip.MustParseAddr(to), question{name: name, typ: dns.TypeA})
				want := dns.RcodeNameError
				if from == blocked {
					want = dns.RcodeRefused
				}
				if reply.Rcode != want {
					t.Errorf("%s over %s from %s: %s", to, network, from.addr, dns.RcodeToString[reply.Rcode])
				}
				line := fmt.Sprintf("%s %s ns0%d %s %s %s\n", from.addr, to, i+1, network, name, dns.RcodeToString[want])
				wait(t, 5*time.Second, func() error {
					if log := server.log.String(); !strings.Contains(log, line) {
						return fmt.Errorf("no line %q in\n%s", line, log)
					}
					return nil
				})
			}
		}
	}

	// Who is no proxy asks as before; a proxy that does not send the header is not heard.
	if err := client.answers(stamp.addr, stampZone)(); err != nil {
		t.Errorf("directly: %v", err)
	}
	for _, network := range []string{"udp", "tcp"} {
		if reply, err := proxy.ask(network, stamp.addr, question{name: stampZone, typ: dns.TypeSOA}, time.Second); err == nil {
			t.Errorf("the proxy without a header over %s: got\n%s", network, reply)
		}
	}
	for labels, want := range map[string]float64{`reason="missing"`: 2, `reason="malformed"`: 0} {
		if got := stamp.metric(t, "stampdns_proxy_protocol_rejected_total", labels); got != want {
			t.Errorf("%v rejected with %s, want %v", got, labels, want)
		}
	}
}
