package authority_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

const zone = `@ 3600 IN SOA ns01 hostmaster 42 3600 300 2419200 300
@ 3600 IN NS ns01
ns01 3600 IN A 192.0.2.1
*.blob 3600 IN A 192.0.2.2
many 3600 IN TXT ( "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	"123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" )
many 3600 IN TXT ( "a23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	"b23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" )
many 3600 IN TXT ( "c23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	"d23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" )
`

func name(t *testing.T, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// source brings zones into the block; it needs the directive "source".
func source(f func(d *server.Directive, store *zones.Store) error) server.Plugin {
	return server.Plugin{Name: "source", Setup: func(d *server.Directive) (server.Handler, error) {
		return nil, f(d, server.Share(d, zones.NewStore))
	}}
}

// load puts the test's zone into a store under a name.
func load(t *testing.T, d *server.Directive, store *zones.Store, origin string) error {
	t.Helper()
	n := name(t, origin)
	if err := store.Declare(n, "test"); err != nil {
		return err
	}
	z, _, err := zones.Load(zones.TextSource("test", []byte(zone), n))
	if err == nil {
		store.Put(z, d.ZoneLabel(n.String()), time.Unix(1700000000, 500e6))
	}
	return err
}

func TestAnswers(t *testing.T) {
	s := servertest.Start(t, ".:0 {\n prometheus 127.0.0.1:0\n source\n}", prometheus.Plugin(""),
		source(func(d *server.Directive, store *zones.Store) error { return load(t, d, store, "example.org") }),
		authority.Plugin())
	for _, tc := range []struct {
		name   string
		rrtype uint16
		rcode  int
		want   string
	}{
		{"ns01.example.org.", dns.TypeA, dns.RcodeSuccess, "192.0.2.1"},
		{"x.Blob.example.ORG.", dns.TypeA, dns.RcodeSuccess, "192.0.2.2"},
		{"blob.example.org.", dns.TypeA, dns.RcodeSuccess, ""},
		{"none.example.org.", dns.TypeA, dns.RcodeNameError, ""},
		{"example.net.", dns.TypeA, dns.RcodeRefused, ""},
	} {
		r := s.Ask(tc.name, tc.rrtype)
		got := ""
		if len(r.Answer) == 1 {
			got = r.Answer[0].(*dns.A).A.String()
		}
		if r.Rcode != tc.rcode || got != tc.want || r.Question[0].Name != tc.name {
			t.Errorf("%s: want %s %s, got\n%v", tc.name, dns.RcodeToString[tc.rcode], tc.want, r)
		}
		if r.Authoritative != (tc.rcode != dns.RcodeRefused) {
			t.Errorf("%s: AA is %v", tc.name, r.Authoritative)
		}
	}
	if got := s.Metric("127.0.0.1:0", `stampdns_dns_responses_total{rcode="NXDOMAIN",server="dns://:0",zone="example.org."}`); got != "1" {
		t.Errorf("the zone is not in the metrics: %q", got)
	}
}

// TestLimit says that UDP replies keep to the client's size, and TCP has all.
func TestLimit(t *testing.T) {
	s := servertest.Start(t, ".:0 {\n source\n}",
		source(func(d *server.Directive, store *zones.Store) error { return load(t, d, store, "example.org") }),
		authority.Plugin())
	q := new(dns.Msg).SetQuestion("many.example.org.", dns.TypeTXT)
	if r := s.Exchange("udp", s.Addrs()[0], q); !r.Truncated || len(r.Answer) > 0 {
		t.Errorf("over UDP: TC %v, %d answers", r.Truncated, len(r.Answer))
	}
	if r := s.Exchange("tcp", s.Addrs()[0], q); r.Truncated || len(r.Answer) != 3 {
		t.Errorf("over TCP: TC %v, %d answers", r.Truncated, len(r.Answer))
	}
	any := new(dns.Msg).SetQuestion("example.org.", dns.TypeANY)
	udp, tcp := s.Exchange("udp", s.Addrs()[0], any), s.Exchange("tcp", s.Addrs()[0], any)
	if len(udp.Answer) != 1 || len(tcp.Answer) != 2 {
		t.Errorf("ANY: %d answers over UDP, %d over TCP", len(udp.Answer), len(tcp.Answer))
	}
}

func TestReadiness(t *testing.T) {
	var store *zones.Store
	var label uint32
	s := servertest.Start(t, ".:0 {\n prometheus 127.0.0.1:0\n source\n}", prometheus.Plugin(""),
		source(func(d *server.Directive, st *zones.Store) error {
			store, label = st, d.ZoneLabel("example.net.")
			return errors.Join(load(t, d, st, "example.org"), st.Declare(name(t, "example.net"), "later"))
		}), authority.Plugin())
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "zone example.net. (later): not loaded yet") {
		t.Errorf("ready with a zone missing: %v", err)
	}
	store.Fail(name(t, "example.net"), errors.New("no good"), time.Now())
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "no good") {
		t.Errorf("ready with a zone that failed: %v", err)
	}
	if r := s.Ask("www.example.net.", dns.TypeA); r.Rcode != dns.RcodeServerFailure || r.Authoritative {
		t.Errorf("a name in a zone that is not loaded got\n%v", r)
	}
	for series, want := range map[string]string{
		`stampdns_zone_loaded{zone="example.net."}`:                 "0",
		`stampdns_zone_last_load_successful{zone="example.net."}`:   "0",
		`stampdns_zone_load_failed_total{zone="example.net."}`:      "1",
		`stampdns_zone_load_timestamp_seconds{zone="example.net."}`: "0",
		`stampdns_zone_loaded{zone="example.org."}`:                 "1",
		`stampdns_zone_serial{zone="example.org."}`:                 "42",
		`stampdns_zone_records{zone="example.org."}`:                "7",
		`stampdns_zone_load_timestamp_seconds{zone="example.org."}`: "1.7000000005e+09",
	} {
		if got := s.Metric("127.0.0.1:0", series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	z, _, err := zones.Load(zones.TextSource("test", []byte(zone), name(t, "example.net")))
	if err != nil {
		t.Fatal(err)
	}
	store.Put(z, label, time.Now())
	if err := s.Ready(); err != nil {
		t.Errorf("not ready with all zones: %v", err)
	}
	late := name(t, "late.example")
	if err := store.DeclareLate(late, "a file that came later"); err != nil {
		t.Fatal(err)
	}
	store.Fail(late, errors.New("no good"), time.Now())
	if err := s.Ready(); err != nil {
		t.Errorf("not ready for the sake of a zone that came late: %v", err)
	}
	if got := s.Metric("127.0.0.1:0", `stampdns_zone_loaded{zone="late.example."}`); got != "0" {
		t.Errorf("the late zone in the metrics: %q", got)
	}
	if r := s.Ask("www.late.example.", dns.TypeA); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("a name in a late zone that is broken got\n%v", r)
	}
}

// TestSharedName says that two blocks may serve zones of one name: the metrics
// show the one that is worse off.
func TestSharedName(t *testing.T) {
	good := true
	s := servertest.Start(t, "org:0 {\n prometheus 127.0.0.1:0\n source\n}\nexample.org:0 {\n source\n}",
		prometheus.Plugin(""),
		source(func(d *server.Directive, store *zones.Store) error {
			if good {
				good = false
				return load(t, d, store, "example.org")
			}
			return store.Declare(name(t, "example.org"), "other")
		}), authority.Plugin())
	if got := s.Metric("127.0.0.1:0", `stampdns_zone_loaded{zone="example.org."}`); got != "0" {
		t.Errorf("loaded is %q, want that of the block without", got)
	}
}

// TestAllocs says that answering allocates nothing.
func TestAllocs(t *testing.T) {
	var handler server.Handler
	allocs := make(chan float64, 1)
	probe := servertest.Probe(false, func(q *server.Query) {
		empty := q.Reply
		allocs <- servertest.Allocs(func() {
			q.Reply = empty
			handler.In(q)
		})
		q.Reply = empty
	}, nil)
	s := servertest.Start(t, ".:0 {\n probe\n source\n}", probe,
		source(func(d *server.Directive, store *zones.Store) error { return load(t, d, store, "example.org") }),
		servertest.Capture(authority.Plugin(), &handler))
	for _, name := range []string{"ns01.example.org.", "x.blob.example.org.", "none.example.org.", "example.net."} {
		s.Ask(name, dns.TypeA)
		if n := <-allocs; n != 0 {
			t.Errorf("%s: %v allocations a query", name, n)
		}
	}
}
