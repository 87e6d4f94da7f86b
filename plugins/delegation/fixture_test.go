package delegation

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// at is where the metrics of a stamp are.
const at = "127.0.0.1:0"

const regionZone = `$ORIGIN east.cloud.fabrikam.com.
@ 300 IN SOA azs-ns01 hostmaster 1 3600 600 86400 60
@ 300 IN NS azs-ns01
@ 300 IN NS azs-ns02
azs-ns01 300 IN A 127.0.0.1
azs-ns02 300 IN A 127.0.0.2
portal 300 IN A 192.0.2.1
short 1 IN A 192.0.2.2
*.blob 300 IN A 192.0.2.3
user 300 IN NS ns.user
ns.user 300 IN A 192.0.2.4
`

const cloudappZone = `$ORIGIN east.cloudapp.cloud.fabrikam.com.
@ 300 IN SOA azs-ns01.east.cloud.fabrikam.com. hostmaster 1 3600 600 86400 60
@ 300 IN NS azs-ns01.east.cloud.fabrikam.com.
web 300 IN A 192.0.2.5
`

// names is a plugin that tells name servers apart by 127.0.0.1 and 127.0.0.2.
func names() server.Plugin {
	return server.Plugin{Name: "names", Setup: func(d *server.Directive) (server.Handler, error) {
		for i, label := range []string{"ns01", "ns02"} {
			addr := netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)})
			d.Block.Binds = append(d.Block.Binds, addr)
			d.Block.NameServers = append(d.Block.NameServers, server.NameServer{
				Label: label, Name: "azs-" + label + ".east.cloud.fabrikam.com.", Addrs: []netip.Addr{addr},
			})
		}
		return nil, nil
	}}
}

// faulty is a plugin that does to the query as the first label of its name says.
func faulty() server.Plugin {
	return server.Plugin{Name: "faulty", Setup: func(*server.Directive) (server.Handler, error) { return faults{}, nil }}
}

type faults struct{}

func (faults) In(q *server.Query) server.Verdict {
	first := q.NS == 1
	label := string(q.Name[1 : 1+int(q.Name[0])])
	switch {
	case strings.HasPrefix(label, "fails") && first:
		q.SetRCode(server.RCodeServerFailure)
		return server.Answered
	case strings.HasPrefix(label, "drops") && first:
		return server.Dropped
	case label == "large" && q.Transport == server.UDP:
		q.Reply[2] |= 2 // TC
		return server.Answered
	}
	return server.Next
}

func (faults) Out(*server.Query) {}

// stamp is a running server of two zones at two name servers.
type stamp struct {
	*servertest.Server
	t testing.TB
}

// start runs it with the lines in the block of directive delegation.
func start(t testing.TB, lines string, more ...server.Plugin) *stamp {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"region": regionZone, "cloudapp": cloudappZone} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list := append([]server.Plugin{api.Plugin(), Plugin(), prometheus.Plugin("test"), names(), faulty(), file.Plugin(), authority.Plugin()}, more...)
	s, err := servertest.TryIn(t, dir, corefile(lines), list...)
	if err != nil {
		t.Fatal(err)
	}
	return &stamp{s, t}
}

func corefile(lines string) string {
	return ".:0 {\n api 127.0.0.1:0\n prometheus " + at + "\n delegation {\n" + lines + "\n }\n names\n faulty\n" +
		" file region east.cloud.fabrikam.com\n file cloudapp east.cloudapp.cloud.fabrikam.com\n}"
}

// ask sends a query to the n-th name server, and waits for the reply: the query is
// counted by then.
func (s *stamp) ask(n int, m *dns.Msg) {
	s.t.Helper()
	s.askOver("udp", n, m)
}

func (s *stamp) askOver(network string, n int, m *dns.Msg) {
	s.t.Helper()
	if _, err := s.TryExchange(network, s.Addrs()[n-1], m, servertest.Patience); err != nil {
		s.t.Fatal(err)
	}
}

// question is a query with RD.
func question(name string, rrtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(name), rrtype)
}

// iterative is a query without.
func iterative(name string, rrtype uint16) *dns.Msg {
	m := question(name, rrtype)
	m.RecursionDesired = false
	return m
}

// want compares metrics, without the first part of their names, and their values.
func (s *stamp) want(want map[string]string) {
	s.t.Helper()
	for series, value := range want {
		name := "stampdns_delegation_" + series
		if got := s.Metric(at, name); got != value {
			s.t.Errorf("%s is %q, want %q", series, got, value)
		}
	}
}
