package fault

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// inside runs f with a query of a running server and the handler that it has behind it.
func inside(tb testing.TB, lines, name string, f func(h server.Handler, q *server.Query)) {
	tb.Helper()
	var h server.Handler
	done := make(chan struct{})
	var once atomic.Bool
	probe := servertest.Probe(true, func(q *server.Query) {
		if once.CompareAndSwap(false, true) {
			defer close(done)
			f(h, q)
		}
	}, nil)
	s := servertest.Start(tb, ".:0 {\n probe\n"+lines+"\n answer\n}", probe, servertest.Capture(Plugin(), &h),
		servertest.Answer(reply))
	// Whether a reply comes, and which, is not of interest.
	exchange("udp", servertest.Reachable(s.Addrs()[0]), servertest.Question(name, dns.TypeA), time.Millisecond)
	<-done
}

// manyOthers are rules that are about other queries, by each selector.
func manyOthers() string {
	rules := ""
	for i := range 50 {
		rules += fmt.Sprintf("  servfail name *.n%d.example.org\n  drop type TXT client 192.0.2.%d\n  empty ns ns0%d\n", i, i, i)
	}
	return rules
}

// TestAllocs says that neither looking for a rule nor a fault itself allocates.
func TestAllocs(t *testing.T) {
	for _, lines := range []string{
		" fault", " fault {\n" + manyOthers() + " }", " fault {\n" + manyOthers() + "  servfail probability 0.5 name w*\n }",
		" fault {\n  servfail count 1000000\n }", " fault {\n  wrong-id\n }", " fault {\n  lame\n }", " fault {\n  drop every 2\n }",
	} {
		inside(t, lines, "www.example.org.", func(h server.Handler, q *server.Query) {
			if n := servertest.Allocs(func() {
				h.In(q)
				h.Out(q)
				q.Injected = nil
			}); n != 0 {
				t.Errorf("%.40q: %v allocations a query", lines, n)
			}
		})
	}
}

// BenchmarkNoFault is what the directive costs a query while no rule is in use.
func BenchmarkNoFault(b *testing.B) { benchmark(b, " fault") }

// BenchmarkOthers is what 150 rules cost a query that none is about.
func BenchmarkOthers(b *testing.B) { benchmark(b, " fault {\n"+manyOthers()+" }") }

func benchmark(b *testing.B, lines string) {
	inside(b, lines, "www.example.org.", func(h server.Handler, q *server.Query) {
		b.ReportAllocs()
		for b.Loop() {
			h.In(q)
			h.Out(q)
		}
	})
}
