package delegation

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// inside runs f with the handler and a query, on its way in, that has been
// answered.
func inside(t testing.TB, lines string, m *dns.Msg, f func(h server.Handler, q *server.Query)) {
	t.Helper()
	var h server.Handler
	done := make(chan struct{}, 1)
	probe := servertest.Probe(true, nil, func(q *server.Query) {
		f(h, q)
		done <- struct{}{}
	})
	// What stands before delegation sees the query on its way out, closed.
	s := servertest.Start(t, ".:0 {\n probe\n delegation {\n"+lines+"\n }\n answer\n}",
		probe, servertest.Capture(Plugin(), &h), servertest.Answer(func(q *server.Query) server.Verdict { return server.Answered }))
	s.Exchange("udp", s.Addrs()[0], m)
	<-done
}

// TestAllocs says that a query costs no allocation, once its source is known.
func TestAllocs(t *testing.T) {
	for _, tc := range []struct {
		lines string
		m     *dns.Msg
	}{
		{"resolver corp 127.0.0.0/8", question("a.east.cloud.fabrikam.com", dns.TypeA)},
		{"", iterative("a.east.cloud.fabrikam.com", dns.TypeNS).SetEdns0(1232, true)},
		{"learn 0", question("a.east.cloud.fabrikam.com", dns.TypeDS)},
	} {
		inside(t, tc.lines, tc.m, func(h server.Handler, q *server.Query) {
			if n := servertest.Allocs(func() { h.In(q); h.Out(q) }); n != 0 {
				t.Errorf("%q: %v allocations", tc.lines, n)
			}
		})
	}
}

func BenchmarkInOut(b *testing.B) {
	for name, lines := range map[string]string{"named": "resolver corp 127.0.0.0/8", "other": "learn 0"} {
		b.Run(name, func(b *testing.B) {
			inside(b, lines, question("account.blob.east.cloud.fabrikam.com", dns.TypeA).SetEdns0(1232, true), func(h server.Handler, q *server.Query) {
				for b.Loop() {
					h.In(q)
					h.Out(q)
				}
			})
		})
	}
}

// BenchmarkFlood is a query from a source that nobody has met.
func BenchmarkFlood(b *testing.B) {
	crowdOf(b, "", func(c *crowd) {
		for n := 0; b.Loop(); n++ {
			c.q.Received = c.q.Received.Add(time.Microsecond)
			c.send(from(n), n&2 == 0)
		}
	})
}
