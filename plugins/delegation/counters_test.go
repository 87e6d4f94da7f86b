package delegation

import (
	"testing"

	"github.com/miekg/dns"
)

// TestCounts says what is counted of whom.
func TestCounts(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	s.ask(1, iterative("portal.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(2, question("portal.east.cloud.fabrikam.com", dns.TypeA).SetEdns0(1232, true))
	s.askOver("tcp", 2, question("web.east.cloudapp.cloud.fabrikam.com", dns.TypeA))
	t.Log(s.page())
	s.want(map[string]string{
		`queries_total{family="1",ns="ns01",path="iterative",transport="udp",zone="east.cloud.fabrikam.com."}`:          "1",
		`queries_total{family="1",ns="ns02",path="forwarded",transport="udp",zone="east.cloud.fabrikam.com."}`:          "1",
		`queries_total{family="1",ns="ns02",path="forwarded",transport="tcp",zone="east.cloudapp.cloud.fabrikam.com."}`: "1",
		`flags_total{flag="rd",ns="ns02"}`:                                   "2",
		`edns_queries_total{ns="ns01",version="none"}`:                       "1",
		`edns_queries_total{ns="ns02",version="0"}`:                          "1",
		`edns_options_total{ns="ns02",option="do"}`:                          "1",
		`edns_udp_size_bytes_bucket{le="1232"}`:                              "1",
		`resolver_queries_total{ns="ns02",path="forwarded",resolver="corp"}`: "2",
	})
}
