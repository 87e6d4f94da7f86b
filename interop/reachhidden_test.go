//go:build interop

package interop

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestHidden has all resolvers behind a gateway that puts its own address in the place
// of theirs, as published ports of containers do. The stamp says so, and which of the
// signs it is that tells.
func TestHidden(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		isDefault bool // the gateway is the default gateway of the stamp's host
		sign      string
	}{
		{"default gateway", true, "the default gateway of this host"},
		{"another gateway", false, "differ as those of several senders do"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newReach(t, "bind", "bind-forward")
			gateway := r.lab.host("gateway", "192.0.2.1")
			gateway.masquerade(t, r.stamp)
			if test.isDefault {
				r.lab.ip("-n", r.stamp.netns, "route", "add", "default", "via", gateway.addr.String(), "dev", "eth0")
			}
			for name := range r.resolvers {
				for _, addr := range stampAddresses {
					r.lab.ip("-n", r.resolvers[name].netns, "route", "add", addr+"/32", "via", gateway.addr.String(), "dev", "eth0", "src", r.resolvers[name].addr.String())
				}
			}
			startBINDFor(t, r.resolvers["bind"], r.world)
			resolverSetups["BIND type forward"](t, r.resolvers["bind-forward"], r.world)
			wait(t, 30*time.Second, func() error {
				for name := range r.resolvers {
					r.askMany(t, name, 15)
				}
				hidden := r.report(t).SourceHidden
				if hidden == nil || hidden.Address != gateway.addr.String() || !strings.Contains(hidden.Text, test.sign) {
					return fmt.Errorf("source_hidden is %+v, want %s and %q", hidden, gateway.addr, test.sign)
				}
				return nil
			})
			for name := range r.resolvers {
				r.metricIs(t, time.Second, 0, 0, "stampdns_delegation_resolver_queries_total", fmt.Sprintf("resolver=%q", name))
			}
			r.metricIs(t, time.Second, 1, 1, "stampdns_delegation_source_hidden")
			r.says(t, 0, "journal expect --source "+gateway.addr.String()+" --path iterative --since 10m --within 1s")
			r.says(t, 0, "delegation", gateway.addr.String())
		})
	}
}

// masquerade has the host forward to another one, with its own address as the source.
func (h *host) masquerade(t *testing.T, to *host) {
	t.Helper()
	for _, setting := range []string{"ip_forward=1", "conf/all/send_redirects=0", "conf/eth0/send_redirects=0"} {
		name, value, _ := strings.Cut(setting, "=")
		output(t, "ip", "netns", "exec", h.netns, "sh", "-c", "echo "+value+" > /proc/sys/net/ipv4/"+name)
	}
	rules := "add table ip lab; add chain ip lab out { type nat hook postrouting priority 100; }; add rule ip lab out udp dport 53 masquerade; add rule ip lab out tcp dport 53 masquerade"
	if out, err := exec.Command("ip", "netns", "exec", h.netns, "nft", rules).CombinedOutput(); err != nil {
		t.Fatalf("nft on %s: %v\n%s\nthe kernel needs nf_tables with nat", to.netns, err, out)
	}
}
