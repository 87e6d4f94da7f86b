package forward

import (
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// TestRefusedProbe: a server of some zones alone refuses probes. A query that it lost
// is sent again all the same, and it stays the first of two.
func TestRefusedProbe(t *testing.T) {
	var asked atomic.Int64
	u := startUpstream(t, func(q *dns.Msg) *dns.Msg {
		if q.Question[0].Name == "." {
			return withRCode(dns.RcodeRefused)(q)
		}
		if asked.Add(1) == 1 {
			return nil
		}
		return address4("192.0.2.1")(q)
	})
	s := start(t, "forward . "+u.addr)
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	s = start(t, "forward . "+u.addr+" "+startUpstream(t, address4("192.0.2.2")).addr+" {\n policy sequential\n}")
	asked.Store(0)
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.2")
	s.Wait("the first one to be asked first again", func() bool {
		m := s.Ask("www.example", dns.TypeA)
		return len(m.Answer) == 1 && m.Answer[0].(*dns.A).A.String() == "192.0.2.1"
	})
}
