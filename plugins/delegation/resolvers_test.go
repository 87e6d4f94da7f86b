package delegation

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// TestPathAndResolver says what other plugins are told of a query.
func TestPathAndResolver(t *testing.T) {
	type seen struct {
		resolver string
		learned  bool
		path     server.Path
	}
	for _, tc := range []struct {
		lines string
		m     *dns.Msg
		times int
		want  seen
	}{
		{"", iterative("portal.east.cloud.fabrikam.com", dns.TypeA), 1, seen{"127.0.0.1", true, server.PathIterative}},
		{"", question("portal.east.cloud.fabrikam.com", dns.TypeA), 15, seen{"other", false, server.PathDirect}},
		{"", question("portal.east.cloud.fabrikam.com", dns.TypeA), 16, seen{"127.0.0.1", true, server.PathForwarded}},
		{"learn 0", question("portal.east.cloud.fabrikam.com", dns.TypeA), 20, seen{"other", false, server.PathDirect}},
		{"learn 0", iterative("portal.east.cloud.fabrikam.com", dns.TypeA), 1, seen{"other", false, server.PathIterative}},
		{"resolver corp 127.0.0.0/8", question("portal.east.cloud.fabrikam.com", dns.TypeA), 1, seen{"corp", false, server.PathForwarded}},
		{"resolver corp 127.0.0.0/8\nresolver me 127.0.0.1", iterative("x.example", dns.TypeA), 1, seen{"me", false, server.PathIterative}},
	} {
		told := make(chan seen, 1)
		see := servertest.Probe(false, func(q *server.Query) { told <- seen{q.Resolver.Name, q.Resolver.Learned, q.Path} }, nil)
		s := servertest.Start(t, ".:0 {\n delegation {\n"+tc.lines+"\n }\n probe\n}", Plugin(), see)
		var got seen
		for range tc.times {
			s.Exchange("udp", s.Addrs()[0], tc.m)
			got = <-told
		}
		// A query does not wait while the table is looked through: the next one is
		// the one that teaches then.
		for tries := 0; tc.want.learned && got != tc.want && tries < 3; tries++ {
			s.Exchange("udp", s.Addrs()[0], tc.m)
			got = <-told
		}
		if got != tc.want {
			t.Errorf("%q: %d times RD=%v: %+v, want %+v", tc.lines, tc.times, tc.m.RecursionDesired, got, tc.want)
		}
	}
}
