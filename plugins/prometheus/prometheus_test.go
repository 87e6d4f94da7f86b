package prometheus_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// byName answers names by their first letter: n is NXDOMAIN, d is dropped, f
// fails, everything else is an empty NOERROR of the zone label.
func byName(label *atomic.Uint32) server.Plugin {
	return servertest.Answer(func(q *server.Query) server.Verdict {
		if label != nil {
			q.Zone = label.Load()
		}
		switch q.Name[1] {
		case 'n':
			q.SetRCode(server.RCodeNameError)
		case 'd':
			return server.Dropped
		case 'f':
			q.Fail(fmt.Errorf("failed"))
		case 'r':
			return server.Next
		}
		return server.Answered
	})
}

// names is a plugin that tells name servers apart by 127.0.0.1 and 127.0.0.2.
func names() server.Plugin {
	return server.Plugin{Name: "names", Setup: func(d *server.Directive) (server.Handler, error) {
		d.Block.NameServers = []server.NameServer{
			{Label: "ns01", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
			{Label: "ns02", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.2")}},
		}
		return nil, nil
	}}
}

const at = "127.0.0.1:0"

func expect(t *testing.T, s *servertest.Server, want map[string]string) {
	t.Helper()
	for series, value := range want {
		if got := s.Metric(at, series); got != value {
			t.Errorf("%s is %q, want %q", series, got, value)
		}
	}
}

func TestCounts(t *testing.T) {
	s := servertest.Start(t, "example.org:0 {\n prometheus 127.0.0.1:0\n answer\n}", prometheus.Plugin("1.2.3"), byName(nil))
	to := s.Addrs()[0]
	for range 3 {
		s.Ask("a.example.org.", dns.TypeA)
	}
	s.Ask("n.example.org.", dns.TypeAAAA)
	s.Ask("a.example.org.", dns.TypeLOC)
	s.Ask("r.example.org.", dns.TypeSOA)
	s.Exchange("tcp", to, new(dns.Msg).SetQuestion("a.example.org.", dns.TypeTXT).SetEdns0(4096, true))
	if r, err := s.TryExchange("udp", to, servertest.Question("d.example.org.", dns.TypeMX), 200*time.Millisecond); err == nil {
		t.Errorf("dropped query was answered:\n%v", r)
	}
	s.Wait("the dropped query", func() bool {
		return s.Metric(at, `stampdns_dns_requests_total{family="1",proto="udp",server="dns://:0",type="MX",zone="example.org."}`) == "1"
	})
	label := func(name, labels string) string {
		return fmt.Sprintf(`stampdns_dns_%s{%s,zone="example.org."}`, name, labels)
	}
	expect(t, s, map[string]string{
		label("requests_total", `family="1",proto="udp",server="dns://:0",type="A"`):                          "3",
		label("requests_total", `family="1",proto="udp",server="dns://:0",type="AAAA"`):                       "1",
		label("requests_total", `family="1",proto="udp",server="dns://:0",type="other"`):                      "1",
		label("requests_total", `family="1",proto="tcp",server="dns://:0",type="TXT"`):                        "1",
		label("responses_total", `rcode="NOERROR",server="dns://:0"`):                                         "5",
		label("responses_total", `rcode="NXDOMAIN",server="dns://:0"`):                                        "1",
		label("responses_total", `rcode="REFUSED",server="dns://:0"`):                                         "1",
		label("do_requests_total", `server="dns://:0"`):                                                       "1",
		label("request_duration_seconds_count", `server="dns://:0"`):                                          "8",
		label("request_size_bytes_count", `proto="udp",server="dns://:0"`):                                    "7",
		label("request_size_bytes_sum", `proto="tcp",server="dns://:0"`):                                      "42",
		label("response_size_bytes_count", `proto="udp",server="dns://:0"`):                                   "6",
		label("response_size_bytes_sum", `proto="tcp",server="dns://:0"`):                                     "42",
		`stampdns_dns_response_size_bytes_bucket{proto="tcp",server="dns://:0",zone="example.org.",le="0"}`:   "0",
		`stampdns_dns_response_size_bytes_bucket{proto="tcp",server="dns://:0",zone="example.org.",le="100"}`: "1",
		`stampdns_plugin_enabled{name="prometheus",server="dns://:0",zone="example.org."}`:                    "1",
		`stampdns_plugin_enabled{name="answer",server="dns://:0",zone="example.org."}`:                        "1",
	})
	_, page := s.Get(at, "/metrics")
	for _, part := range []string{`stampdns_build_info{goversion="go`, `version="1.2.3"} 1`, "go_goroutines ", "process_open_fds ", "stampdns_panics_total 0"} {
		if !strings.Contains(page, part) {
			t.Errorf("no %s in the page", part)
		}
	}
}

// TestBroken says that packets without a question count as well.
func TestBroken(t *testing.T) {
	s := servertest.Start(t, "example.org:0 {\n prometheus 127.0.0.1:0\n answer\n}", prometheus.Plugin(""), byName(nil))
	c, err := net.Dial("udp", servertest.Reachable(s.Addrs()[0]).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff}); err != nil {
		t.Fatal(err)
	}
	s.Wait("the broken query", func() bool {
		return s.Metric(at, `stampdns_dns_responses_total{rcode="FORMERR",server="dns://:0",zone="dropped"}`) == "1"
	})
}

func TestNameServers(t *testing.T) {
	s := servertest.Start(t, "example.org:0 {\n bind\n prometheus 127.0.0.1:0\n answer\n names\n}",
		bind("127.0.0.1", "127.0.0.2"), prometheus.Plugin(""), names(), byName(nil))
	s.Exchange("udp", s.Addrs()[0], servertest.Question("example.org.", dns.TypeA))
	s.Exchange("udp", s.Addrs()[1], servertest.Question("n.example.org.", dns.TypeA))
	s.Exchange("udp", s.Addrs()[1], servertest.Question("n.example.org.", dns.TypeA))
	expect(t, s, map[string]string{
		`stampdns_dns_requests_total{family="1",ns="ns01",proto="udp",server="dns://127.0.0.1:0",type="A",zone="example.org."}`: "1",
		`stampdns_dns_responses_total{ns="ns02",rcode="NXDOMAIN",server="dns://127.0.0.2:0",zone="example.org."}`:               "2",
		`stampdns_dns_request_duration_seconds_count{ns="ns02",server="dns://127.0.0.2:0",zone="example.org."}`:                 "2",
	})
}

func bind(addrs ...string) server.Plugin {
	return server.Plugin{Name: "bind", Setup: func(d *server.Directive) (server.Handler, error) {
		for _, a := range addrs {
			d.Block.Binds = append(d.Block.Binds, netip.MustParseAddr(a))
		}
		return nil, nil
	}}
}

// TestReload says that counters go on, and that two blocks with metrics at one
// address are one page.
func TestReload(t *testing.T) {
	corefile := "example.org:0 {\n prometheus 127.0.0.1:0\n answer\n}\nexample.net:0 {\n bind\n prometheus 127.0.0.1:0\n answer\n}"
	s := servertest.Start(t, corefile, bind("127.0.0.1"), prometheus.Plugin(""), byName(nil))
	ask := func() { s.Exchange("udp", s.Addrs()[0], servertest.Question("a.example.org.", dns.TypeA)) }
	ask()
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	ask()
	const series = `stampdns_dns_requests_total{family="1",proto="udp",server="dns://:0",type="A",zone="example.org."}`
	expect(t, s, map[string]string{series: "2"})

	s.Rewrite("example.org:0 {\n nonsense\n}")
	if s.Reload() == nil {
		t.Fatal("nonsense was taken up")
	}
	ask()
	expect(t, s, map[string]string{series: "3", "stampdns_reload_failed_total": "1"})
}

// stalled is a collector that does not come to an end until told.
type stalled struct{ begun, end chan struct{} }

func (c stalled) Describe(chan<- *client.Desc) {}

func (c stalled) Collect(chan<- client.Metric) {
	c.begun <- struct{}{}
	<-c.end
}

// TestScrapesAreBounded says that scrapes beyond a few at a time are refused,
// and that the others go on.
func TestScrapesAreBounded(t *testing.T) {
	const most = 8
	c := stalled{begun: make(chan struct{}, most+1), end: make(chan struct{})}
	slow := server.Plugin{Name: "slow", Setup: func(d *server.Directive) (server.Handler, error) {
		return nil, d.Register(c)
	}}
	s := servertest.Start(t, ".:0 {\n prometheus "+at+"\n slow\n}", prometheus.Plugin("1.0"), slow)
	status := make(chan int)
	for range most {
		go func() {
			code, _ := s.Get(at, "/metrics")
			status <- code
		}()
		<-c.begun
	}
	if code, _ := s.Get(at, "/metrics"); code != http.StatusServiceUnavailable || len(c.begun) > 0 {
		t.Errorf("scrape %d: status %d", most+1, code)
	}
	close(c.end)
	for range most {
		if code := <-status; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
}

func TestNamespace(t *testing.T) {
	s := servertest.Start(t, `example.org:0 {
	prometheus 127.0.0.1:0 {
		namespace coredns
	}
	answer
}`, prometheus.Plugin(""), byName(nil))
	s.Ask("a.example.org.", dns.TypeA)
	expect(t, s, map[string]string{
		`coredns_dns_requests_total{family="1",proto="udp",server="dns://:0",type="A",zone="example.org."}`: "1",
	})
	_, page := s.Get(at, "/metrics")
	if strings.Contains(page, "stampdns_") {
		t.Error("metrics of the other namespace are left")
	}
	if !strings.Contains(page, "coredns_build_info{") || !strings.Contains(page, "go_goroutines ") {
		t.Error("coredns_build_info or go_goroutines is missing")
	}
}

// TestManyZones says that the memory of the counters is bounded.
func TestManyZones(t *testing.T) {
	var label atomic.Uint32
	s := servertest.Start(t, ".:0 {\n prometheus 127.0.0.1:0\n answer\n}", prometheus.Plugin(""), byName(&label))
	for n := range uint32(200) {
		label.Store(900 + n)
		s.Ask("a.example.org.", dns.TypeA)
	}
	_, page := s.Get(at, "/metrics")
	if n := strings.Count(page, "stampdns_dns_request_duration_seconds_count{"); n > 101 {
		t.Errorf("%d series, want at most 101", n)
	}
	if got := s.Metric(at, `stampdns_dns_responses_total{rcode="NOERROR",server="dns://:0",zone="other"}`); got == "" {
		t.Error("no zone named other")
	}
}

// TestAllocs says that counting allocates nothing once a series is known.
func TestAllocs(t *testing.T) {
	var counter server.Handler
	allocs := make(chan float64, 1)
	probe := servertest.Probe(true, nil, func(q *server.Query) {
		allocs <- servertest.Allocs(func() { counter.Out(q) })
	})
	s := servertest.Start(t, ".:0 {\n probe\n prometheus 127.0.0.1:0\n answer\n}",
		probe, servertest.Capture(prometheus.Plugin(""), &counter), byName(nil))
	for _, name := range []string{"a.example.org.", "r.a.very.deep.name.example.org."} {
		s.Ask(name, dns.TypeA)
		if n := <-allocs; n != 0 {
			t.Errorf("%s: %v allocations a query", name, n)
		}
	}
}

func TestLint(t *testing.T) {
	s := servertest.Start(t, ".:0 {\n prometheus 127.0.0.1:0\n answer\n}", prometheus.Plugin(""), byName(nil))
	s.Ask("a.example.org.", dns.TypeA)
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
		{"prometheus localhost", `"localhost" is no address to listen on: write HOST:PORT`},
		{"prometheus localhost:http", "the port is a number"},
		{"prometheus a:1 b:2", "takes at most one argument, not 2 (usage: prometheus [ADDRESS]"},
		{"prometheus {\n namspace x\n }", `unknown property "namspace"`},
		{"prometheus {\n namespace a-b\n }", `namespace "a-b"`},
		{"prometheus\n prometheus", "Corefile:3: prometheus: stands twice"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", prometheus.Plugin(""))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
	_, err := servertest.Try(t, ".:0 {\n prometheus 127.0.0.1:0\n}\norg:0 {\n prometheus 127.0.0.1:0 {\n  namespace coredns\n }\n}",
		prometheus.Plugin(""))
	if err == nil || !strings.Contains(err.Error(), "already serves metrics under namespace stampdns") {
		t.Errorf("two namespaces at one address: %v", err)
	}
}
