package acl

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// answered is an empty answer with AA, by which tests tell it from a filtered one.
func answered() server.Plugin {
	return servertest.Answer(func(q *server.Query) server.Verdict {
		m := new(dns.Msg)
		m.Authoritative = true
		if err := q.SetMsg(m); err != nil {
			q.Fail(err)
		}
		return server.Answered
	})
}

// outcome is what becomes of a question from 127.0.0.1.
func outcome(t *testing.T, s *servertest.Server, name string, rrtype uint16) string {
	t.Helper()
	r, err := s.TryExchange("udp", s.Addrs()[0], servertest.Question(name, rrtype), 300*time.Millisecond)
	switch {
	case err != nil:
		return "dropped"
	case r.Rcode == dns.RcodeRefused:
		for _, o := range r.IsEdns0().Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok && e.InfoCode == dns.ExtendedErrorCodeProhibited {
				return "blocked"
			}
		}
		return "refused without EDE 18"
	case r.Rcode == dns.RcodeSuccess && r.Authoritative:
		return "allowed"
	case r.Rcode == dns.RcodeSuccess && len(r.Answer)+len(r.Ns) == 0:
		return "filtered"
	}
	return r.String()
}

func TestPolicies(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		qname      string
		rrtype     uint16
		want       string
	}{
		{"block all", "acl {\n block\n }", "example.org.", dns.TypeA, "blocked"},
		{"filter all", "acl {\n filter\n }", "example.org.", dns.TypeA, "filtered"},
		{"drop all", "acl {\n drop\n }", "example.org.", dns.TypeA, "dropped"},
		{"block by type", "acl {\n block type A TXT net 127.0.0.0/8\n }", "example.org.", dns.TypeTXT, "blocked"},
		{"another type", "acl {\n block type A TXT net 127.0.0.0/8\n }", "example.org.", dns.TypeAAAA, "allowed"},
		{"any type", "acl {\n block type * net *\n }", "example.org.", dns.TypeAAAA, "blocked"},
		{"type by number", "acl {\n block type type65280\n }", "example.org.", 65280, "blocked"},
		{"another net", "acl {\n block net 10.0.0.0/8 2001:db8::/32\n }", "example.org.", dns.TypeA, "allowed"},
		{"an address", "acl {\n block net 127.0.0.1\n }", "example.org.", dns.TypeA, "blocked"},
		{"first match", "acl {\n allow net 127.0.0.1\n block net 127.0.0.0/8\n }", "example.org.", dns.TypeA, "allowed"},
		{"allow list", "acl {\n allow net 192.0.2.0/24\n block\n }", "example.org.", dns.TypeA, "blocked"},
		{"net first", "acl {\n block net 127.0.0.1 type A\n }", "example.org.", dns.TypeA, "blocked"},
		{"in the zone", "acl a.example.org {\n block\n }", "x.a.example.org.", dns.TypeA, "blocked"},
		{"outside of the zone", "acl a.example.org {\n block\n }", "xa.example.org.", dns.TypeA, "allowed"},
		{"second list", "acl a.example.org {\n allow\n }\n acl example.org {\n block\n }", "b.example.org.", dns.TypeA, "blocked"},
		{"first list ends it", "acl a.example.org {\n allow\n }\n acl example.org {\n block\n }", "a.example.org.", dns.TypeA, "allowed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := servertest.Start(t, "example.org:0 {\n "+tc.text+"\n answer\n}", Plugin(), answered())
			if got := outcome(t, s, tc.qname, tc.rrtype); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	s := servertest.Start(t, `example.org:0 {
	prometheus 127.0.0.1:0
	acl a.example.org {
		block type A
		filter type AAAA
		drop type MX
	}
	acl b.example.org {
		block
	}
	answer
}
example.net:0 {
	acl {
		block
	}
}`, prometheus.Plugin(""), Plugin(), answered())
	for _, q := range []struct {
		name   string
		rrtype uint16
	}{
		{"a.example.org.", dns.TypeA}, {"a.example.org.", dns.TypeA}, {"a.example.org.", dns.TypeAAAA},
		{"a.example.org.", dns.TypeMX}, {"b.example.org.", dns.TypeMX}, {"c.example.org.", dns.TypeMX},
		{"example.net.", dns.TypeA},
	} {
		outcome(t, s, q.name, q.rrtype)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	outcome(t, s, "b.example.org.", dns.TypeA)
	for series, want := range map[string]string{
		`blocked_requests_total{server="dns://:0",zone="a.example.org."}`:  "2",
		`filtered_requests_total{server="dns://:0",zone="a.example.org."}`: "1",
		`dropped_requests_total{server="dns://:0",zone="a.example.org."}`:  "1",
		`blocked_requests_total{server="dns://:0",zone="b.example.org."}`:  "2",
		`blocked_requests_total{server="dns://:0",zone="example.net."}`:    "1",
		`allowed_requests_total{server="dns://:0"}`:                        "1",
	} {
		if got := s.Metric("127.0.0.1:0", "stampdns_acl_"+series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
}

func TestAllocs(t *testing.T) {
	var handler server.Handler
	allocs := make(chan float64, 1)
	probe := servertest.Probe(false, func(q *server.Query) {
		allocs <- servertest.Allocs(func() { handler.In(q) })
	}, nil)
	s := servertest.Start(t, `.:0 {
	probe
	acl {
		block type TXT net 192.0.2.0/24 198.51.100.0/24 2001:db8::/32
		filter type MX
		block net 203.0.113.0/24
	}
	answer
}`, probe, servertest.Capture(Plugin(), &handler), answered())
	for _, rrtype := range []uint16{dns.TypeA, dns.TypeMX} {
		s.Ask("a.example.org.", rrtype)
		if n := <-allocs; n != 0 {
			t.Errorf("%s: %v allocations a query", dns.Type(rrtype), n)
		}
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"acl", "has no policy"},
		{"acl a..b {\n block\n }", "empty label"},
		{"acl {\n blok\n }", `unknown action "blok"`},
		{"acl {\n block type\n }", "nothing follows type"},
		{"acl {\n block net type A\n }", "nothing follows net"},
		{"acl {\n block 10.0.0.0/8\n }", `"10.0.0.0/8" stands before type and net`},
		{"acl {\n block type AAAAA\n }", `unknown query type "AAAAA"`},
		{"acl {\n block type TYPE70000\n }", `unknown query type "TYPE70000"`},
		{"acl {\n block net 10.0.0.0/33\n }", `"10.0.0.0/33" is no network`},
		{"acl {\n block net ::ffff:10.0.0.0/104\n }", "write IPv4 networks in their own form"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
		if err != nil && !strings.Contains(err.Error(), "usage: acl [ZONES...]") {
			t.Errorf("%q: no usage in %v", tc.text, err)
		}
	}
}
