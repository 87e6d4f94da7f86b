package cache

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// lab is a server with a cache, a clock that the test moves, and a handler behind
// that does what the test says.
type lab struct {
	*servertest.Server
	t      testing.TB
	h      *handler
	offset atomic.Int64 // of the clock, in nanoseconds
	asked  atomic.Int64 // queries that came through the cache, forked ones among them
	mu     sync.Mutex
	front  func(*server.Query) // sees queries before the cache does
	behind func(*server.Query) server.Verdict
}

// newLab serves a block with the given directive, from 127.0.0.1.
func newLab(t testing.TB, directive string) *lab {
	t.Helper()
	l := &lab{t: t}
	l.Server = servertest.Start(t, l.corefile(directive), l.plugins()...)
	return l
}

func (l *lab) corefile(directive string) string {
	return ".:0 {\n prometheus 127.0.0.1:0\n probe\n " + directive + "\n answer\n}"
}

func (l *lab) plugins() []server.Plugin {
	cache := Plugin()
	inner := cache.Setup
	cache.Setup = func(d *server.Directive) (server.Handler, error) {
		h, err := inner(d)
		if err == nil {
			before := l.h
			if l.h = h.(*handler); before != nil && before.store == l.h.store {
				return h, nil
			}
			l.h.store.now = func() time.Time { return time.Now().Add(time.Duration(l.offset.Load())) }
		}
		return h, err
	}
	return []server.Plugin{
		prometheus.Plugin(""),
		servertest.Probe(false, func(q *server.Query) {
			q.Received = q.Received.Add(time.Duration(l.offset.Load()))
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.front != nil {
				l.front(q)
			}
		}, nil),
		cache,
		servertest.Answer(func(q *server.Query) server.Verdict {
			l.asked.Add(1)
			l.mu.Lock()
			behind := l.behind
			l.mu.Unlock()
			return behind(q)
		}),
	}
}

// pass moves the clock on.
func (l *lab) pass(d time.Duration) { l.offset.Add(int64(d)) }

// answers has the handler behind do f from now on.
func (l *lab) answers(f func(*server.Query) server.Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = f
}

// says has the handler behind send the message, whose records are given as text:
// those of the answer section, "--", those of the authority section, "--", those
// of the additional section.
func (l *lab) says(rcode int, records ...string) {
	l.t.Helper()
	m := message(l.t, rcode, records...)
	l.answers(func(q *server.Query) server.Verdict {
		if err := q.SetMsg(m); err != nil {
			q.Fail(err)
		}
		return server.Answered
	})
}

func message(t testing.TB, rcode int, records ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Rcode, m.Response, m.RecursionDesired, m.RecursionAvailable, m.AuthenticatedData = rcode, true, true, true, true
	sections := []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra}
	for _, text := range records {
		if text == "--" {
			sections = sections[1:]
			continue
		}
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		*sections[0] = append(*sections[0], rr)
	}
	return m
}

// lookup asks for an address of name.
func (l *lab) lookup(name string) *dns.Msg {
	l.t.Helper()
	return l.Ask(name, dns.TypeA)
}

// brief is what a reply says in a line: its RCODE, the TTLs of its records, and
// its extended errors.
func brief(m *dns.Msg) string {
	s := dns.RcodeToString[m.Rcode]
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				s += fmt.Sprintf(" %s/%d", dns.Type(rr.Header().Rrtype), rr.Header().Ttl)
			}
		}
	}
	if o := m.IsEdns0(); o != nil {
		for _, o := range o.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				s += fmt.Sprintf(" EDE%d", e.InfoCode)
			}
		}
	}
	return s
}

// expect compares what lookups of www.contoso.com and the handler behind say.
func (l *lab) expect(what, reply string, asked int64) {
	l.t.Helper()
	got := brief(l.lookup("www.contoso.com."))
	if n := l.asked.Load(); got != reply || n != asked {
		l.t.Errorf("%s: %q after asking %d times, want %q after %d", what, got, n, reply, asked)
	}
}

const soa = "contoso.com. 600 IN SOA ns1.contoso.com. hostmaster.contoso.com. 1 3600 300 86400 60"

// What a hit has of the query, and what of the reply that is kept.
func TestHit(t *testing.T) {
	l := newLab(t, "cache")
	l.says(dns.RcodeSuccess, "www.contoso.com. 300 IN CNAME web.contoso.com.", "web.contoso.com. 200 IN A 192.0.2.80", "--",
		"contoso.com. 1000 IN NS ns1.contoso.com.", "--", "ns1.contoso.com. 900 IN A 192.0.2.53")
	first := l.lookup("www.contoso.com.")
	l.pass(20 * time.Second)
	for _, tc := range []struct {
		name       string
		edns, ad   bool
		asked      int64
		rrtype     uint16
		do, cd, rd bool
	}{
		{name: "www.contoso.com.", edns: true, rrtype: dns.TypeA, rd: true, asked: 1},
		{name: "WwW.Contoso.COM.", rrtype: dns.TypeA, rd: true, asked: 1},
		{name: "www.contoso.com.", edns: true, ad: true, rrtype: dns.TypeA, rd: true, asked: 1},
		{name: "www.contoso.com.", edns: true, rrtype: dns.TypeA, asked: 1},
		{name: "www.contoso.com.", edns: true, do: true, rrtype: dns.TypeA, rd: true, asked: 2},
		{name: "www.contoso.com.", edns: true, do: true, rrtype: dns.TypeA, rd: true, asked: 2},
		{name: "www.contoso.com.", cd: true, rrtype: dns.TypeA, rd: true, asked: 3},
		{name: "www.contoso.com.", cd: true, rrtype: dns.TypeA, rd: true, asked: 3},
		{name: "www.contoso.com.", rrtype: dns.TypeCNAME, rd: true, asked: 4},
	} {
		m := new(dns.Msg).SetQuestion(tc.name, tc.rrtype)
		m.AuthenticatedData, m.CheckingDisabled, m.RecursionDesired = tc.ad, tc.cd, tc.rd
		if tc.edns {
			m.SetEdns0(1232, tc.do)
		}
		before := l.asked.Load()
		r := l.Exchange("udp", l.Addrs()[0], m)
		hit := l.asked.Load() == before
		if l.asked.Load() != tc.asked {
			t.Errorf("%+v: asked %d times", tc, l.asked.Load())
		}
		if r.Id != m.Id || r.Question[0] != m.Question[0] || !r.RecursionAvailable || r.RecursionDesired != tc.rd ||
			hit && (r.Authoritative || r.Truncated || r.CheckingDisabled != tc.cd || r.AuthenticatedData != (tc.ad || tc.do)) {
			t.Errorf("%+v: got\n%s", tc, r)
		}
		want := "NOERROR CNAME/280 A/180 NS/980 A/880"
		if !hit || tc.asked > 1 {
			want = "NOERROR CNAME/300 A/200 NS/1000 A/900"
		}
		if got := brief(r); got != want {
			t.Errorf("%+v: %s, want %s", tc, got, want)
		}
		for i, rr := range r.Answer {
			a, b := dns.Copy(rr), dns.Copy(first.Answer[i])
			a.Header().Ttl, b.Header().Ttl = 0, 0
			if !strings.EqualFold(a.String(), b.String()) {
				t.Errorf("%+v: %s, want %s", tc, a, b)
			}
		}
	}
}

// What is kept, and how long.
func TestLife(t *testing.T) {
	const (
		a   = "www.contoso.com. 300 IN A 192.0.2.80"
		ns  = "contoso.com. 40 IN NS ns1.contoso.com."
		no  = 0
		any = "A"
	)
	for _, tc := range []struct {
		name    string
		options string
		rcode   int
		records []string
		life    int // seconds
		first   string
	}{
		{"answer", "", 0, []string{a}, 300, "NOERROR A/300"},
		{"least of all", "", 0, []string{a, "www.contoso.com. 100 IN A 192.0.2.81"}, 100, "NOERROR A/300 A/100"},
		{"least of all sections", "", 0, []string{a, "--", ns}, 40, "NOERROR A/300 NS/40"},
		{"no more than the maximum", "", 0, []string{"www.contoso.com. 9999 IN A 192.0.2.80"}, 3600, "NOERROR A/3600"},
		{"maximum of the directive", "30", 0, []string{a}, 30, "NOERROR A/30"},
		{"no less than the minimum", "", 0, []string{"www.contoso.com. 1 IN A 192.0.2.80"}, 5, "NOERROR A/5"},
		{"maximum before minimum", "3", 0, []string{"www.contoso.com. 1 IN A 192.0.2.80"}, 3, "NOERROR A/3"},
		{"bounds of success", "{\n success 100 60 50\n denial 100 10 10\n }", 0, []string{a, "www.contoso.com. 1 IN A 192.0.2.81"}, 50, "NOERROR A/60 A/50"},
		{"TTL 0", "", 0, []string{"www.contoso.com. 0 IN A 192.0.2.80"}, no, "NOERROR A/0"},
		{"TTL out of range", "", 0, []string{"www.contoso.com. 2147483648 IN A 192.0.2.80"}, no, "NOERROR A/2147483648"},
		{"NXDOMAIN", "", dns.RcodeNameError, []string{"--", soa}, 60, "NXDOMAIN SOA/60"},
		{"NXDOMAIN, TTL below MINIMUM", "", dns.RcodeNameError, []string{"--", strings.Replace(soa, "600", "50", 1)}, 50, "NXDOMAIN SOA/50"},
		{"NXDOMAIN, MINIMUM 0", "", dns.RcodeNameError, []string{"--", strings.TrimSuffix(soa, "60") + "0"}, no, "NXDOMAIN SOA/600"},
		{"NXDOMAIN, bounds", "{\n success 100 9 9\n denial 100 30\n }", dns.RcodeNameError, []string{"--", soa}, 30, "NXDOMAIN SOA/30"},
		{"NXDOMAIN without SOA", "", dns.RcodeNameError, []string{"--", ns}, no, "NXDOMAIN NS/40"},
		{"NXDOMAIN behind a CNAME", "", dns.RcodeNameError, []string{"www.contoso.com. 20 IN CNAME b.contoso.com.", "--", soa}, 20, "NXDOMAIN CNAME/20 SOA/60"},
		{"NODATA", "", 0, []string{"--", soa}, 60, "NOERROR SOA/60"},
		{"NODATA behind a CNAME", "{\n success 9 5\n }", 0, []string{"www.contoso.com. 300 IN CNAME b.contoso.com.", "--", soa}, 60, "NOERROR CNAME/300 SOA/60"},
		{"NODATA without SOA", "", 0, nil, no, "NOERROR"},
		{"referral", "", 0, []string{"--", ns}, no, "NOERROR NS/40"},
		{"SERVFAIL", "", dns.RcodeServerFailure, nil, 5, "SERVFAIL"},
		{"SERVFAIL for longer", "{\n servfail 5m\n }", dns.RcodeServerFailure, nil, 300, "SERVFAIL"},
		{"SERVFAIL not", "{\n servfail 0s\n }", dns.RcodeServerFailure, nil, no, "SERVFAIL"},
		{"REFUSED", "", dns.RcodeRefused, nil, no, "REFUSED"},
		{"BADVERS", "", dns.RcodeBadVers, []string{a}, no, "BADSIG A/300"},
		{"success disabled", "{\n disable success\n }", 0, []string{a}, no, "NOERROR A/300"},
		{"success disabled elsewhere", "{\n disable success fabrikam.com\n disable denial\n }", 0, []string{a}, 300, "NOERROR A/300"},
		{"success disabled here", "{\n disable success fabrikam.com contoso.com\n }", 0, []string{a}, no, "NOERROR A/300"},
		{"denial disabled", "{\n disable denial contoso.com\n }", 0, []string{"--", soa}, no, "NOERROR SOA/600"},
		{"another zone", "fabrikam.com", 0, []string{a}, no, "NOERROR A/300"},
		{"this zone", "fabrikam.com contoso.com", 0, []string{a}, 300, "NOERROR A/300"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, "cache "+tc.options)
			l.says(tc.rcode, tc.records...)
			l.expect("first", tc.first, 1)
			if tc.life == no {
				l.expect("second", tc.first, 2)
				return
			}
			l.pass(time.Duration(tc.life)*time.Second - 500*time.Millisecond)
			if l.lookup("www.contoso.com."); l.asked.Load() != 1 {
				t.Errorf("asked again before %d s", tc.life)
			}
			l.pass(500 * time.Millisecond)
			l.expect("when it has expired", tc.first, 2)
		})
	}
}

func TestKeepTTL(t *testing.T) {
	l := newLab(t, "cache {\n keepttl\n }")
	l.says(dns.RcodeSuccess, "www.contoso.com. 300 IN A 192.0.2.80")
	l.expect("first", "NOERROR A/300", 1)
	l.pass(100 * time.Second)
	l.expect("later", "NOERROR A/300", 1)
	l.pass(200 * time.Second)
	l.expect("expired", "NOERROR A/300", 2)
}

// A reply with the wrong question, cut or broken, is not kept, and hides nothing.
func TestUnusable(t *testing.T) {
	l := newLab(t, "cache")
	good := message(t, dns.RcodeSuccess, "www.contoso.com. 300 IN A 192.0.2.80")
	for name, change := range map[string]func(q *server.Query){
		"QR clear":              func(q *server.Query) { q.Reply[2] &^= 0x80 },
		"TC set":                func(q *server.Query) { q.Reply[2] |= 0x02 },
		"another name":          func(q *server.Query) { q.Reply[13] = 'x' },
		"another type":          func(q *server.Query) { q.Reply[q.QuestionEnd-3] = 28 },
		"another class":         func(q *server.Query) { q.Reply[q.QuestionEnd-1] = 3 },
		"two questions":         func(q *server.Query) { q.Reply[5] = 2 },
		"a record more":         func(q *server.Query) { q.Reply[7]++ },
		"a record less":         func(q *server.Query) { q.Reply[7]-- },
		"cut":                   func(q *server.Query) { q.Reply = q.Reply[:len(q.Reply)-1] },
		"a failure that is cut": func(q *server.Query) { q.Reply = q.Reply[:len(q.Reply)-1]; q.Reply[3] |= 2 },
		"octets behind":         func(q *server.Query) { q.Reply = append(q.Reply, 0) },
		"pointer forward":       func(q *server.Query) { q.Reply[q.QuestionEnd+1] = 0xFF },
		"pointer to head":       func(q *server.Query) { q.Reply[q.QuestionEnd+1] = 2 },
		"OPT record": func(q *server.Query) {
			q.Reply = append(q.Reply, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0)
			q.Reply[11]++
		},
	} {
		before := l.asked.Load()
		l.answers(func(q *server.Query) server.Verdict {
			if err := q.SetMsg(good); err != nil {
				t.Error(err)
			}
			change(q)
			return server.Answered
		})
		for range 2 {
			l.TryExchange("udp", l.Addrs()[0], servertest.Question("www.contoso.com.", dns.TypeA), 200*time.Millisecond)
		}
		if n := l.asked.Load() - before; n < 2 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
	if got := l.Metric("127.0.0.1:0", `stampdns_cache_drops_total{server="dns://:0"}`); got != "28" {
		t.Errorf("%s drops", got)
	}
}

// A query that must not have others asked is answered from what is here, and its
// reply is not kept.
func TestNoRecursion(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n }")
	l.says(dns.RcodeSuccess, "www.contoso.com. 300 IN A 192.0.2.80")
	m := servertest.Question("www.contoso.com.", dns.TypeA)
	m.RecursionDesired = false
	for range 2 {
		l.Exchange("udp", l.Addrs()[0], m)
	}
	if n := l.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	l.expect("with RD", "NOERROR A/300", 3)
	if l.Exchange("udp", l.Addrs()[0], m); l.asked.Load() != 3 {
		t.Error("no hit")
	}
	l.pass(301 * time.Second)
	l.says(dns.RcodeServerFailure)
	if r := l.Exchange("udp", l.Addrs()[0], m); l.asked.Load() != 4 || brief(r) != "SERVFAIL" {
		t.Errorf("asked %d times, with a stale entry; got\n%s", l.asked.Load(), r)
	}
}

func TestPrefetch(t *testing.T) {
	l := newLab(t, "cache {\n prefetch 3 50s 20%\n }")
	l.says(dns.RcodeSuccess, "www.contoso.com. 100 IN A 192.0.2.80")
	l.expect("miss", "NOERROR A/100", 1)
	l.expect("hit 1", "NOERROR A/100", 1)
	l.pass(50 * time.Second)
	l.expect("hit 1 after a gap", "NOERROR A/50", 1)
	l.pass(31 * time.Second)
	l.expect("hit 2", "NOERROR A/19", 1)
	l.expect("hit 3: prefetch", "NOERROR A/19", 2)
	l.pass(49 * time.Second)
	l.expect("from the new entry, as popular as the old one", "NOERROR A/51", 2)
	l.says(dns.RcodeServerFailure)
	l.pass(40 * time.Second)
	l.expect("prefetch fails", "NOERROR A/11", 3)
	l.expect("not again so soon", "NOERROR A/11", 3)
	l.pass(10 * time.Second)
	l.expect("not again so soon", "NOERROR A/1", 3)
	l.pass(time.Second)
	l.expect("expired", "SERVFAIL", 4)
	if got := l.Metric("127.0.0.1:0", `stampdns_cache_prefetch_total{server="dns://:0"}`); got != "2" {
		t.Errorf("%s prefetches", got)
	}
}

func TestReload(t *testing.T) {
	l := newLab(t, "cache 100")
	l.says(dns.RcodeSuccess, "www.contoso.com. 300 IN A 192.0.2.80")
	l.expect("first", "NOERROR A/100", 1)
	for directive, asked := range map[string]int64{"cache 100": 1, "cache 100 {\n }": 1} {
		l.Rewrite(l.corefile(directive))
		if err := l.Reload(); err != nil {
			t.Fatal(err)
		}
		l.expect("the same options", "NOERROR A/100", asked)
	}
	l.Rewrite(l.corefile("cache 50"))
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	l.expect("other options", "NOERROR A/50", 2)
}

// Two blocks with the same options know nothing of each other.
func TestBlocksApart(t *testing.T) {
	var n atomic.Int64
	s := servertest.Start(t, "contoso.com:0 {\n cache\n answer\n}\nfabrikam.com:0 {\n cache\n answer\n}", Plugin(),
		servertest.Answer(func(q *server.Query) server.Verdict {
			n.Add(1)
			q.SetMsg(message(t, dns.RcodeSuccess, q.Name.String()+" 300 IN A 192.0.2.80"))
			return server.Answered
		}))
	for range 2 {
		s.Ask("www.contoso.com.", dns.TypeA)
		s.Ask("www.fabrikam.com.", dns.TypeA)
	}
	if n.Load() != 2 {
		t.Errorf("asked %d times", n.Load())
	}
}

func TestMetrics(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n }")
	l.says(dns.RcodeSuccess, "www.contoso.com. 300 IN A 192.0.2.80")
	l.expect("miss", "NOERROR A/300", 1)
	l.expect("hit", "NOERROR A/300", 1)
	l.says(dns.RcodeNameError, "--", soa)
	for range 3 {
		l.lookup("no.contoso.com.")
	}
	l.pass(300 * time.Second)
	l.says(dns.RcodeServerFailure)
	l.expect("stale", "NOERROR A/30 EDE3", 3)
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]string{
		`entries{server="dns://:0",type="success"}`:         "1",
		`entries{server="dns://:0",type="denial"}`:          "1",
		`hits_total{server="dns://:0",type="success"}`:      "2",
		`hits_total{server="dns://:0",type="denial"}`:       "2",
		`misses_total{server="dns://:0"}`:                   "2",
		`requests_total{server="dns://:0"}`:                 "6",
		`evictions_total{server="dns://:0",type="success"}`: "0",
		`prefetch_total{server="dns://:0"}`:                 "0",
		`drops_total{server="dns://:0"}`:                    "0",
		`served_stale_total{server="dns://:0"}`:             "1",
		`memory_bytes{server="dns://:0"}`:                   fmt.Sprint(l.h.store.size().memory),
	} {
		if got := l.Metric("127.0.0.1:0", "stampdns_cache_"+series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
}

// TestAliasWithNothing: an alias that leads to no data is kept only if an SOA record
// says that this is all there is (RFC 2308 section 5).
func TestAliasWithNothing(t *testing.T) {
	l := newLab(t, "cache")
	l.says(dns.RcodeSuccess, "www.contoso.com. 100 IN CNAME www.example.org.")
	l.expect("half an answer", "NOERROR CNAME/100", 1)
	l.expect("is not kept", "NOERROR CNAME/100", 2)
	l.says(dns.RcodeSuccess, "www.contoso.com. 100 IN CNAME www.example.org.", "www.example.org. 60 IN A 192.0.2.80")
	l.expect("a whole one", "NOERROR CNAME/100 A/60", 3)
	l.expect("is", "NOERROR CNAME/100 A/60", 3)
}
