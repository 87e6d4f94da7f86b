package nsid_test

import (
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/nsid"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// block is the directive "block": it binds the block to two addresses, one name
// server each.
func block() server.Plugin {
	return server.Plugin{Name: "block", Setup: func(d *server.Directive) (server.Handler, error) {
		one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
		d.Block.Binds = []netip.Addr{one, two}
		d.Block.NameServers = []server.NameServer{
			{Label: "ns01", Name: "azs-ns01.east.cloud.fabrikam.com.", Addrs: []netip.Addr{one}},
			{Label: "ns02", Name: "azs-ns02.east.cloud.fabrikam.com.", Addrs: []netip.Addr{two}},
		}
		return nil, nil
	}}
}

// wild is the directive "wild"; it binds the block to all addresses again.
func wild() server.Plugin {
	return server.Plugin{Name: "wild", Setup: func(d *server.Directive) (server.Handler, error) {
		d.Block.Binds = nil
		return nil, nil
	}}
}

// ask returns the identifier in a reply from the n-th address, "" for none; at
// is where it is reached instead.
func ask(t *testing.T, s *servertest.Server, n int, at ...string) string {
	t.Helper()
	to := s.Addrs()[n]
	for _, a := range at {
		to = netip.AddrPortFrom(netip.MustParseAddr(a), to.Port())
	}
	m := servertest.Question("example.org.", dns.TypeA)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	r := s.Exchange("udp", to, m)
	for _, o := range r.IsEdns0().Option {
		if n, ok := o.(*dns.EDNS0_NSID); ok {
			data, err := hex.DecodeString(n.Nsid)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
	}
	return ""
}

func TestNSID(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, one, two string }{
		{"nsid", "azs-ns01.east.cloud.fabrikam.com", "azs-ns02.east.cloud.fabrikam.com"},
		{"nsid {ns}", "ns01", "ns02"},
		{`nsid lab {ns} at {host}`, "lab ns01 at " + host, "lab ns02 at " + host},
		{`nsid "Use The Force"`, "Use The Force", "Use The Force"},
	} {
		s := servertest.Start(t, ".:0 {\n "+tc.text+"\n block\n}", nsid.Plugin(), block())
		if one, two := ask(t, s, 0), ask(t, s, 1); one != tc.one || two != tc.two {
			t.Errorf("%s: %q and %q, want %q and %q", tc.text, one, two, tc.one, tc.two)
		}
		s.Stop()
	}
	// A wildcard listener is reached at addresses that are neither name server's.
	s := servertest.Start(t, ".:0 {\n nsid {ns}\n block\n wild\n}", nsid.Plugin(), block(), wild())
	if got := ask(t, s, 0, "127.0.0.2"); got != "ns02" {
		t.Errorf("to the second name server: %q", got)
	}
	if got := ask(t, s, 0, "127.0.0.3"); got != host {
		t.Errorf("to neither name server: %q, want the host's name %q", got, host)
	}
	s = servertest.Start(t, ".:0 {\n nsid\n}", nsid.Plugin())
	if got := ask(t, s, 0); got != host {
		t.Errorf("without name servers: %q, want the host's name %q", got, host)
	}
	if r := s.Ask("example.org.", dns.TypeA); strings.Contains(r.String(), "NSID") {
		t.Error("sent to a client that did not ask")
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"nsid {nsx}", "unknown placeholder {nsx}"},
		{"nsid " + strings.Repeat("x", 129), "129 octets long: at most 128"},
		{"nsid a {\n b\n }", `has no property "b"`},
		{"nsid\n nsid", "stands twice"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", nsid.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
