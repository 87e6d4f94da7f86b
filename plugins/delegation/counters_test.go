package delegation

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stampdns/stampdns/server/servertest"
)

// with adds EDNS options.
func with(m *dns.Msg, size uint16, options ...dns.EDNS0) *dns.Msg {
	m.SetEdns0(size, false)
	m.IsEdns0().Option = options
	return m
}

const portal = "portal.east.cloud.fabrikam.com"

// TestCounts says what is counted at which name server, and of whom.
func TestCounts(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	s.ask(1, iterative(portal, dns.TypeA))
	s.ask(2, question(portal, dns.TypeA).SetEdns0(1232, true))
	s.askOver("tcp", 2, question("web.east.cloudapp.cloud.fabrikam.com", dns.TypeA))
	s.want(map[string]string{
		`queries_total{family="1",ns="ns01",path="iterative",transport="udp",zone="east.cloud.fabrikam.com."}`:          "1",
		`queries_total{family="1",ns="ns02",path="forwarded",transport="udp",zone="east.cloud.fabrikam.com."}`:          "1",
		`queries_total{family="1",ns="ns02",path="forwarded",transport="tcp",zone="east.cloudapp.cloud.fabrikam.com."}`: "1",
		`resolver_queries_total{ns="ns01",path="iterative",resolver="corp"}`:                                            "1",
		`resolver_queries_total{ns="ns02",path="forwarded",resolver="corp"}`:                                            "2",
		`resolver_capability{capability="tcp",resolver="corp"}`:                                                         "1",
		`resolver_capability{capability="do",resolver="corp"}`:                                                          "1",
		`resolver_capability{capability="cookie",resolver="corp"}`:                                                      "0",
		`resolvers_seen{ns="ns01"}`:             "1",
		`resolvers_seen{ns="ns02"}`:             "1",
		`tcp_without_tc_total{resolver="corp"}`: "1",
		`source_hidden`:                         "0",
	})
	if at := s.Metric(at, `stampdns_delegation_resolver_last_seen_timestamp_seconds{ns="ns01",resolver="corp"}`); !strings.HasPrefix(at, "1.") {
		t.Errorf("last seen %q", at)
	}
}

// TestFlagsAndEDNS says what is counted of header and OPT record.
func TestFlagsAndEDNS(t *testing.T) {
	s := start(t, "")
	m := iterative(portal, dns.TypeA)
	m.CheckingDisabled, m.AuthenticatedData, m.Zero, m.Truncated = true, true, true, true
	s.ask(1, m)
	s.ask(1, with(iterative(portal, dns.TypeA), 512,
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"},
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)},
		&dns.EDNS0_PADDING{Padding: make([]byte, 3)}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE},
		&dns.EDNS0_LOCAL{Code: 13, Data: []byte{0}}, &dns.EDNS0_EDE{InfoCode: 1}, &dns.EDNS0_LOCAL{Code: 65001}, &dns.EDNS0_LOCAL{Code: 65002},
	))
	badVersion := with(iterative(portal, dns.TypeA), 4097)
	badVersion.IsEdns0().SetVersion(1)
	s.ask(1, badVersion)
	want := map[string]string{
		`edns_queries_total{ns="ns01",version="none"}`:                            "1",
		`edns_queries_total{ns="ns01",version="0"}`:                               "1",
		`edns_queries_total{ns="ns01",version="other"}`:                           "1",
		`edns_udp_size_bytes_bucket{le="512"}`:                                    "1",
		`edns_udp_size_bytes_bucket{le="4096"}`:                                   "1",
		`edns_udp_size_bytes_count`:                                               "2",
		`edns_udp_size_bytes_sum`:                                                 "4609",
		`flags_total{flag="rd",ns="ns01"}`:                                        "",
		`edns_options_total{ns="ns01",option="do"}`:                               "",
		`resolver_capability{capability="edns",resolver="127.0.0.1"}`:             "1",
		`resolver_capability{capability="cookie",resolver="127.0.0.1"}`:           "1",
		`resolver_queries_total{ns="ns01",path="iterative",resolver="127.0.0.1"}`: "3",
	}
	for _, f := range []string{"cd", "ad", "tc", "z"} {
		want[`flags_total{flag="`+f+`",ns="ns01"}`] = "1"
	}
	for _, o := range []string{"nsid", "cookie", "ecs", "padding", "keepalive", "chain", "ede", "other"} {
		want[`edns_options_total{ns="ns01",option="`+o+`"}`] = "1"
	}
	s.want(want)
}

// TestNature says what single queries tell of a resolver.
func TestNature(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	for _, name := range []string{
		"pOrTal.east.cloud.fabrikam.com", portal, "PORTAL.EAST.CLOUD.FABRIKAM.COM", "Portal.East.cloud.fabrikam.com",
	} {
		s.ask(1, iterative(name, dns.TypeA))
	}
	for _, rrtype := range []uint16{dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC3PARAM, dns.TypeCDS, dns.TypeNS} {
		s.ask(1, iterative("east.cloud.fabrikam.com", rrtype))
	}
	s.ask(1, iterative("user.east.cloud.fabrikam.com", dns.TypeDS)) // in its place
	s.ask(1, iterative("azs-ns02.east.cloud.fabrikam.com", dns.TypeAAAA))
	s.ask(2, iterative("azs-ns02.east.cloud.fabrikam.com", dns.TypeTXT))
	s.ask(2, question("www.user.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(2, iterative("www.user.east.cloud.fabrikam.com", dns.TypeAAAA))
	s.want(map[string]string{
		`case_randomized_total{resolver="corp"}`:                               `1`,
		`resolver_capability{capability="case_random",resolver="corp"}`:        `1`,
		`dnssec_queries_total{ns="ns01",type="DS"}`:                            `2`,
		`dnssec_queries_total{ns="ns01",type="DNSKEY"}`:                        `1`,
		`dnssec_queries_total{ns="ns01",type="NSEC3PARAM"}`:                    `1`,
		`dnssec_queries_total{ns="ns01",type="CDS"}`:                           `1`,
		`ds_at_child_total{resolver="corp"}`:                                   `1`,
		`apex_ns_queries_total{resolver="corp"}`:                               `1`,
		`glue_queries_total{resolver="corp",target="ns02"}`:                    `1`,
		`below_cut_recursive_total{ns="ns02",zone="east.cloud.fabrikam.com."}`: `1`,
		`below_cut_recursive_total{ns="ns01",zone="east.cloud.fabrikam.com."}`: ``,
		`glue_queries_total{resolver="corp",target="ns01"}`:                    ``,
		`out_of_zone_total{kind="other",resolver="corp"}`:                      ``,
		`resolver_queries_total{ns="ns02",path="forwarded",resolver="corp"}`:   `1`,
	})
}

// TestOutsideOfZones says where names lie that are none of ours.
func TestOutsideOfZones(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	s.ask(1, question("cloudapp.cloud.fabrikam.com", dns.TypeDS)) // as validators do
	for kind, names := range map[string][]string{
		"root":    {"."},
		"parent":  {"cloud.fabrikam.com", "cloudapp.cloud.fabrikam.com", "fabrikam.com", "com"},
		"sibling": {"www.cloud.fabrikam.com", "a.west.cloudapp.cloud.fabrikam.com"},
		"other":   {"www.fabrikam.com", "contoso.com", "xeast.cloud.contoso.com"},
	} {
		for _, name := range names {
			s.ask(1, question(name, dns.TypeNS))
		}
		s.want(map[string]string{`out_of_zone_total{kind="` + kind + `",resolver="corp"}`: string('0' + rune(len(names)))})
	}
}

// TestBroken says that queries which nobody can read count as well.
func TestBroken(t *testing.T) {
	s := start(t, "")
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, packet := range []string{
		"\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff",
		"\x00\x01\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x01\x00\x01",
	} {
		if _, err := c.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	s.Wait("three broken queries", func() bool {
		return s.Metric(at, `stampdns_delegation_resolver_queries_total{ns="ns01",path="iterative",resolver="127.0.0.1"}`) == "3"
	})
}

// TestIPv6 says that an IPv6 resolver is known by its network.
func TestIPv6(t *testing.T) {
	src := sourceOf(netip.MustParseAddr("2001:db8:0:1:1234::53"))
	for _, tc := range []struct{ addr, want string }{
		{"2001:db8:0:1:1234::53", "2001:db8:0:1::/64"}, {"192.0.2.53", "192.0.2.53"}, {"::1", "::1"}, {"fe80::1%eth0", "fe80::/64"},
	} {
		if got := sourceOf(netip.MustParseAddr(tc.addr)).String(); got != tc.want {
			t.Errorf("%s is %s, want %s", tc.addr, got, tc.want)
		}
	}
	if src.network() != sourceOf(netip.MustParseAddr("2001:db8:0:1::1")).network() {
		t.Error("two addresses of a network of 64 bits are two sources")
	}
}

// TestReload says that counters go on, and those of a name that is gone with the
// others'.
func TestReload(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	s.ask(1, iterative(portal, dns.TypeA))
	const corp, other = `resolver_queries_total{ns="ns01",path="iterative",resolver="corp"}`, `resolver_queries_total{ns="ns01",path="iterative",resolver="other"}`
	reload := func(lines string) {
		t.Helper()
		s.Rewrite(corefile(lines))
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	s.want(map[string]string{corp: "1"})
	reload("resolver corp 127.0.0.0/8\nlearn 3")
	s.ask(1, iterative(portal, dns.TypeA))
	s.want(map[string]string{corp: "2", other: ""})
	reload("resolver lab 127.0.0.1")
	s.ask(1, iterative(portal, dns.TypeA))
	s.want(map[string]string{corp: "", other: "2",
		`resolver_queries_total{ns="ns01",path="iterative",resolver="lab"}`:                                    "1",
		`flags_total{flag="rd",ns="ns01"}`:                                                                     "",
		`queries_total{family="1",ns="ns01",path="iterative",transport="udp",zone="east.cloud.fabrikam.com."}`: "3"})
	// A learned one that gets a name is that from then on.
	reload("")
	s.ask(1, iterative(portal, dns.TypeA))
	s.want(map[string]string{`resolvers_learned`: "1"})
	reload("resolver lab 127.0.0.1")
	s.want(map[string]string{`resolvers_learned`: "0", other: "4"})
}

// TestLint holds the metrics to the rules of their trade.
func TestLint(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	s.ask(1, iterative("pOrTal.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(1, with(iterative("short.east.cloud.fabrikam.com", dns.TypeA), 1232))
	s.ask(1, with(iterative("short.east.cloud.fabrikam.com", dns.TypeA), 1232))
	s.ask(1, iterative("fails.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(2, iterative("fails.east.cloud.fabrikam.com", dns.TypeA))
	s.want(map[string]string{`failover_total{from="ns01",resolver="corp",to="ns02"}`: "1"})
	_, page := s.Get(at, "/metrics")
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "stampdns_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"delegation x", "takes no argument"},
		{"delegation {\n resolver corp\n }", "at least 2 arguments"},
		{"delegation {\n resolver other 192.0.2.1\n }", `is not "other"`},
		{"delegation {\n resolver Corp 192.0.2.1\n }", "small letters"},
		{"delegation {\n resolver 192.0.2.1 192.0.2.1\n }", "an address is no name"},
		{"delegation {\n resolver corp 192.0.2\n }", `"192.0.2" is no network`},
		{"delegation {\n resolver a 192.0.2.0/24\n resolver b 192.0.2.0/24\n }", "network 192.0.2.0/24 is resolver a already"},
		{"delegation {\n learn many\n }", "want a number from 0 to 1000"},
		{"delegation {\n learn 1001\n }", "want a number from 0 to 1000"},
		{"delegation {\n lern 1\n }", `unknown property "lern"`},
		{"delegation\n delegation", "stands twice"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
	// One name in two blocks is one resolver.
	servertest.Start(t, "a:0 {\n delegation {\n  resolver x 192.0.2.1\n  learn 3\n }\n}\n"+
		"b:0 {\n delegation {\n  resolver x 192.0.2.1 192.0.2.2\n }\n}", Plugin())
}
