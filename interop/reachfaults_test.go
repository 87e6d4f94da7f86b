//go:build interop

package interop

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// faults are put into what ns01 says to one resolver each.
var faults = []struct {
	name, kind string // of the resolver
	rule       string
	turns      bool // to ns02
	tcp        bool // comes over TCP
}{
	{name: "silent", kind: "Unbound delegation", rule: "drop ns ns01", turns: true},
	{name: "silent-forward", kind: "CoreDNS forward", rule: "drop ns ns01", turns: true},
	{name: "servfail", kind: "BIND delegation", rule: "servfail ns ns01", turns: true},
	{name: "refused", kind: "PowerDNS Recursor delegation", rule: "refused ns ns01", turns: true},
	{name: "wrong-id", kind: "Unbound delegation", rule: "wrong-id ns ns01", turns: true},
	{name: "truncate", kind: "Knot Resolver delegation", rule: "truncate", tcp: true},
}

// TestFaults breaks ns01 for resolvers, each in another way. Each finds all names all
// the same, and metrics, journal and findings tell how it has helped itself.
func TestFaults(t *testing.T) {
	t.Parallel()
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	r := newReach(t, names...)
	var turned atomic.Int32 // of those that ran
	t.Run("resolvers", func(t *testing.T) {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				r.says(t, 0, fmt.Sprintf("fault add %s resolver %s for 10m as %s", f.rule, f.name, f.name))
				resolverSetups[f.kind](t, r.resolvers[f.name], r.world)
				label := fmt.Sprintf("resolver=%q", f.name)
				name, labels := "stampdns_delegation_tcp_after_tc_total", []string{label}
				if f.turns {
					name, labels = "stampdns_delegation_failover_total", []string{label, `from="ns01"`, `to="ns02"`}
				}
				// Which server is asked first is the resolver's choice.
				wait(t, 60*time.Second, func() error {
					r.askMany(t, f.name, 2)
					if got := r.metric(t, name, labels...); got < 1 {
						return fmt.Errorf("%s%v is %v", name, labels, got)
					}
					return nil
				})
				r.says(t, 0, "journal expect --resolver "+f.name+" --fault "+f.name+" --name *blob.* --since 10m --within 1s")
				if f.turns {
					turned.Add(1)
					r.says(t, 0, "journal expect --resolver "+f.name+" --fault any --ns ns02 --never --since 10m --within 10ms")
					r.says(t, 0, "journal expect --resolver "+f.name+" --ns ns02 --name *.blob.* --rcode NOERROR --since 10m --within 1s")
				}
				if f.tcp {
					r.says(t, 0, "journal expect --resolver "+f.name+" --transport tcp --name *.blob.* --since 10m --within 1s")
					r.metricIs(t, time.Second, 0, 0, "stampdns_delegation_tc_unretried_total", label)
				}
				rule := fmt.Sprintf("rule=%q", f.name)
				r.metricIs(t, time.Second, 1, 1, "stampdns_fault_active", rule)
				if injected := r.metric(t, "stampdns_fault_injected_total", rule); injected < 1 {
					t.Errorf("metrics say nothing of the fault %s", f.name)
				}
				r.says(t, 0, "fault clear "+f.name)
				r.metricIs(t, time.Second, 0, 0, "stampdns_fault_active", rule)
			})
		}
	})
	const delays = "stampdns_delegation_failover_delay_seconds"
	if n, want := r.metric(t, delays+"_count"), float64(turned.Load()); n < want {
		t.Errorf("%v failovers have a delay, want %v at least", n, want)
	}
	// CoreDNS gives a server 2 s.
	if took := r.metric(t, delays+"_sum"); int(turned.Load()) == len(faults)-1 && took < 1.9 {
		t.Errorf("failovers took %v s, want 2 s for CoreDNS alone", took)
	}
	r.says(t, 0, "fault list")
}
