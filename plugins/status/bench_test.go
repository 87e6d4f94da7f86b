package status

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/stamp"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// inside runs f with the handler and a query for a name that has been answered.
func inside(t testing.TB, name string, f func(h server.Handler, q *server.Query)) {
	t.Helper()
	var h server.Handler
	done := make(chan struct{}, 1)
	corp := &server.Resolver{Name: "corp"}
	probe := servertest.Probe(true, nil, func(q *server.Query) {
		q.Resolver, q.Path = corp, server.PathIterative
		f(h, q)
		done <- struct{}{}
	})
	s := servertest.Start(t, ".:0 {\n probe\n api 127.0.0.1:0\n status\n stamp\n}", append(all(nil)[2:3:3],
		probe, servertest.Capture(Plugin("test"), &h), stamp.Plugin(), authority.Plugin())...)
	s.Exchange("udp", s.Addrs()[0], servertest.Question(name, dns.TypeA))
	<-done
}

// questions are those that the cost is measured of.
func questions() map[string]string {
	return map[string]string{
		"exact":    "portal.east.cloud.fabrikam.com",
		"wildcard": "account.blob.east.cloud.fabrikam.com",
		"none":     "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.east.cloud.fabrikam.com",
		"outside":  "www.example.com",
	}
}

// TestAllocs says that a query costs no allocation, once its resolver is known.
func TestAllocs(t *testing.T) {
	for what, name := range questions() {
		inside(t, name, func(h server.Handler, q *server.Query) {
			if n := servertest.Allocs(func() { h.In(q); h.Out(q) }); n != 0 {
				t.Errorf("%s: %v allocations", what, n)
			}
		})
	}
}

func BenchmarkInOut(b *testing.B) {
	for what, name := range questions() {
		b.Run(what, func(b *testing.B) {
			inside(b, name, func(h server.Handler, q *server.Query) {
				for b.Loop() {
					h.In(q)
					h.Out(q)
				}
			})
		})
	}
}

// BenchmarkTick is the part of that which looks for an endpoint.
func BenchmarkTick(b *testing.B) {
	for what, name := range questions() {
		b.Run(what, func(b *testing.B) {
			inside(b, name, func(h server.Handler, q *server.Query) {
				o := h.(*handler).observer
				for b.Loop() {
					o.ticks.Load().tick(o, q)
				}
			})
		})
	}
}

// BenchmarkPage is one page of a stamp with a full journal: of one with few resolvers,
// and of one with as many as are learned.
func BenchmarkPage(b *testing.B) {
	many := ""
	for i := range 64 {
		many += fmt.Sprintf("  resolver site%d 198.51.100.%d\n", i, i)
	}
	for name, lines := range map[string]string{"few": whole, "many": strings.Replace(whole, "  resolver lab", many+"  resolver lab", 1)} {
		b.Run(name, func(b *testing.B) {
			s := start(b, lines)
			for range 60 {
				s.ask(1, "account.blob.east.cloud.fabrikam.com", true)
			}
			for b.Loop() {
				s.get("/")
			}
		})
	}
}
