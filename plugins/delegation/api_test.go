package delegation

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// document is what the API says, which is held against the API's own document.
func (s *stamp) document() delegationDoc {
	s.t.Helper()
	status, body := servertest.ReadDocument(s.t).Call(s.Server, at, http.MethodGet, "/delegation", "")
	if status != http.StatusOK {
		s.t.Fatalf("%d %s", status, body)
	}
	var got delegationDoc
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// TestAPI says what the API tells of resolvers.
func TestAPI(t *testing.T) {
	s := start(t, "resolver corp 192.0.2.0/24 2001:db8::/32")
	if doc := s.document(); len(doc.Resolvers) != 1 || doc.Resolvers[0].LastSeen != nil || doc.SourceHidden != nil {
		t.Errorf("before the first query: %+v", doc)
	}
	s.ask(1, iterative(portal, dns.TypeA).SetEdns0(1232, true))
	s.ask(1, iterative("fails.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(2, iterative("fails.east.cloud.fabrikam.com", dns.TypeA))
	s.askOver("tcp", 2, question("web.east.cloudapp.cloud.fabrikam.com", dns.TypeA))
	s.ask(2, iterative("azs-ns01.east.cloud.fabrikam.com", dns.TypeA))
	s.want(map[string]string{`glue_queries_total{resolver="127.0.0.1",target="ns01"}`: "1"})
	doc := s.document()
	if got := strings.Join(doc.NameServers, " ") + " " + strings.Join(doc.Zones, " "); got != "ns01 ns02 east.cloud.fabrikam.com. east.cloudapp.cloud.fabrikam.com." {
		t.Errorf("name servers and zones are %s", got)
	}
	if len(doc.Resolvers) != 2 || doc.Resolvers[0].Name != "corp" || strings.Join(doc.Resolvers[0].Networks, " ") != "192.0.2.0/24 2001:db8::/32" {
		t.Fatalf("resolvers are %+v", doc.Resolvers)
	}
	r := doc.Resolvers[1]
	if r.Name != "127.0.0.1" || !r.Learned || r.LastSeen == nil || time.Since(*r.LastSeen) > time.Minute || doc.ObservedSince.After(*r.LastSeen) {
		t.Errorf("the learned one is %+v", r)
	}
	q := r.Queries
	if q.Total != 5 || q.ByPath["iterative"] != 4 || q.ByPath["forwarded"] != 1 || q.ByTransport["tcp"] != 1 ||
		q.ByNS["ns01"].Queries != 2 || q.ByNS["ns02"].Queries != 3 || q.Zones["east.cloudapp.cloud.fabrikam.com."] != 1 {
		t.Errorf("its queries are %+v", q)
	}
	if one, two := q.ByNS["ns01"].ByPath, q.ByNS["ns02"].ByPath; one["iterative"] != 2 || one["forwarded"] != 0 || two["iterative"] != 2 || two["forwarded"] != 1 {
		t.Errorf("its paths to the name servers are %v and %v", one, two)
	}
	if one := doc.Resolvers[0].Queries.ByNS["ns01"]; one.ByPath == nil || one.Queries != 0 {
		t.Errorf("who has not asked has %+v", one)
	}
	if !r.Capabilities["do"] || !r.Capabilities["tcp"] || r.Capabilities["cookie"] || r.TCPWithoutTC != 1 {
		t.Errorf("it is %+v", r)
	}
	if len(r.Failovers) != 1 || r.Failovers[0] != (failoverDoc{"ns01", "ns02", 1}) {
		t.Errorf("its failovers are %+v", r.Failovers)
	}
}

// TestHiddenInAPI says that hidden sources are told first of all.
func TestHiddenInAPI(t *testing.T) {
	var log bytes.Buffer
	c := &config{observer: newObserver(1), zoneName: func(uint32) string { return "" }, log: slog.New(slog.NewTextHandler(&log, nil))}
	c.cuts.Store(new(cuts))
	gateway := netip.MustParseAddr("192.0.2.1")
	c.observer.hidden.read, c.observer.hidden.gateways = time.Now(), []netip.Addr{gateway}
	for range 3 {
		c.observer.workers[0].window = window{queries: windowQueries, source: sourceOf(gateway)}
		c.tick(time.Now())
	}
	if n := strings.Count(log.String(), "All queries come from 192.0.2.1"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
	doc := c.document()
	if doc.SourceHidden == nil || doc.SourceHidden.Address != gateway || doc.Findings[0].ID != "source-hidden" {
		t.Errorf("%+v", doc)
	}
	c.observer.workers[0].window = window{queries: windowQueries, many: true}
	c.tick(time.Now())
	if doc := c.document(); doc.SourceHidden != nil || len(doc.Findings) > 0 || !strings.Contains(log.String(), "more than one address again") {
		t.Errorf("%+v\n%s", doc, &log)
	}
}

// TestFindings makes the traffic that tells of each mistake, and that of a good
// integration.
func TestFindings(t *testing.T) {
	const region, cloudapp = ".east.cloud.fabrikam.com", "web.east.cloudapp.cloud.fabrikam.com"
	both := func(s *stamp, n int, m func() *dns.Msg) {
		for range n {
			s.ask(1, m())
			s.ask(2, m())
		}
	}
	good := func() *dns.Msg { return iterative(portal, dns.TypeA).SetEdns0(1232, true) }
	forwarded := func() *dns.Msg { return question(portal, dns.TypeA).SetEdns0(1232, true) }
	web := func() *dns.Msg { return iterative(cloudapp, dns.TypeA).SetEdns0(1232, true) }
	for name, tc := range map[string]struct {
		traffic func(s *stamp)
		want    []string
	}{
		"nobody": {func(*stamp) {}, []string{"resolver-silent"}},
		"good":   {func(s *stamp) { both(s, 10, good); both(s, 1, web) }, []string{"path-iterative"}},
		"forwarder": {func(s *stamp) {
			both(s, 10, forwarded)
			both(s, 1, func() *dns.Msg { return question(cloudapp, dns.TypeA) })
		}, []string{"path-forwarded"}},
		"both ways": {func(s *stamp) { both(s, 9, forwarded); both(s, 9, good); s.ask(1, web()) }, []string{"mixed-paths"}},
		"one server": {func(s *stamp) {
			for range 20 {
				s.ask(2, good())
			}
			s.ask(2, web())
		}, []string{"one-server", "path-iterative"}},
		"one forwarder": {func(s *stamp) {
			for range 20 {
				s.ask(1, forwarded())
			}
			s.ask(1, question(cloudapp, dns.TypeA))
		}, []string{"one-server", "path-forwarded"}},
		"stale glue": {func(s *stamp) {
			for range 20 {
				s.ask(1, good())
			}
			s.ask(1, iterative("azs-ns02"+region, dns.TypeA))
			s.ask(1, web())
		}, []string{"stale-glue", "path-iterative"}},
		"no cloudapp": {func(s *stamp) { both(s, 10, good) }, []string{"cloudapp-missing", "cloudapp-missing", "path-iterative"}},
		"no EDNS": {func(s *stamp) {
			both(s, 10, func() *dns.Msg { return iterative(portal, dns.TypeA) })
			s.ask(1, iterative(cloudapp, dns.TypeA))
		}, []string{"edns-stripped", "path-iterative"}},
		"wrong cut":             {func(s *stamp) { both(s, 1, func() *dns.Msg { return iterative("www.cloud.fabrikam.com", dns.TypeA) }) }, []string{"wrong-cut"}},
		"forwarder too high":    {func(s *stamp) { both(s, 1, func() *dns.Msg { return question("www.cloud.fabrikam.com", dns.TypeA) }) }, []string{"forward-too-wide"}},
		"forwarder below a cut": {func(s *stamp) { both(s, 1, func() *dns.Msg { return question("a.user"+region, dns.TypeA) }) }, []string{"below-cut"}},
		"DS at the child":       {func(s *stamp) { both(s, 1, func() *dns.Msg { return iterative(region[1:], dns.TypeDS) }) }, []string{"ds-at-child"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "resolver corp 127.0.0.1")
			tc.traffic(s)
			s.expectFindings(tc.want)
		})
	}
}

// expectFindings compares the ids of the findings, in order.
func (s *stamp) expectFindings(want []string) {
	s.t.Helper()
	var got []string
	findings := s.document().Findings
	for _, f := range findings {
		got = append(got, f.ID)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("findings are %q, want %q: %+v", got, want, findings)
	}
}

// TestTCPBlocked says that a resolver which never comes over TCP is told.
func TestTCPBlocked(t *testing.T) {
	l := newLab(t, 0)
	l.configure(0, "corp")
	l.o.workers[0].resolver(1).unretried = 2
	l.o.workers[0].resolver(1).queries[0][0] = 2
	v := &view{totals: l.o.sum(), labels: []string{""}}
	if got := v.findings(); len(got) != 1 || got[0].ID != "tcp-blocked" {
		t.Errorf("%+v", got)
	}
	l.o.workers[1].resolver(1).tcpAfterTC = 1
	v.totals = l.o.sum()
	if got := v.findings(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
