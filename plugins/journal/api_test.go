package journal

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// web is where the tests' servers have the API.
const web = "127.0.0.1:0"

// observed is a server with a journal. All that its API answers is held against the
// API's document.
type observed struct {
	*servertest.Server
	t       *testing.T
	handler server.Handler
	doc     *servertest.Document
}

// observe starts a server that answers everything, with the lines of a directive in
// its block.
func observe(t *testing.T, directive string) *observed {
	t.Helper()
	o := &observed{t: t, doc: servertest.ReadDocument(t)}
	o.Server = servertest.Start(t, corefile(directive), prometheus.Plugin(""), api.Plugin(), senders(),
		servertest.Capture(Plugin(), &o.handler), answers())
	return o
}

func corefile(directive string) string {
	return ".:0 {\n prometheus " + web + "\n api " + web + "\n probe\n " + directive + "\n answer\n}"
}

// senders tells the senders apart as a test wants: RD clear is resolver corp, by
// delegation; names that begin with f are hurt by rule r1.
func senders() server.Plugin {
	corp, other := &server.Resolver{Name: "corp"}, &server.Resolver{Name: "other"}
	hurt := &server.Injection{Rule: "r1", Kind: "servfail"}
	return servertest.Probe(true, func(q *server.Query) {
		q.Resolver, q.Path = other, server.PathDirect
		if q.Packet[2]&1 == 0 {
			q.Resolver, q.Path = corp, server.PathIterative
		}
		if len(q.Name) > 1 && q.Name[1] == 'f' {
			q.Injected = hurt
		}
	}, nil)
}

// answers answers with one address; names that begin with n do not exist, those that
// begin with d get no reply.
func answers() server.Plugin {
	return servertest.Answer(func(q *server.Query) server.Verdict {
		m := new(dns.Msg)
		m.Authoritative = true
		switch q.Name[1] {
		case 'n':
			m.Rcode = dns.RcodeNameError
		case 'd':
			return server.Dropped
		default:
			rr, _ := dns.NewRR("a.example.org. 300 IN A 192.0.2.1")
			m.Answer = []dns.RR{rr}
		}
		if err := q.SetMsg(m); err != nil {
			q.Fail(err)
		}
		return server.Answered
	})
}

// get asks the API and returns the answer.
func (o *observed) get(query string) (int, string) {
	o.t.Helper()
	return o.doc.Call(o.Server, web, http.MethodGet, "/journal"+query, "")
}

// list asks for entries.
func (o *observed) list(query string) (l listing) {
	o.t.Helper()
	status, body := o.get(query)
	if status != 200 {
		o.t.Fatalf("%s: %d %s", query, status, body)
	}
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		o.t.Fatal(err)
	}
	return l
}

// names are the first labels of the entries.
func (l *listing) names() string {
	var all []string
	for _, e := range l.Entries {
		label, _, _ := strings.Cut(e.Name, ".")
		all = append(all, label)
	}
	return strings.Join(all, " ")
}

// ask sends a question with RD clear.
func (o *observed) ask(name string, rrtype uint16) {
	o.t.Helper()
	m := servertest.Question(name, rrtype)
	m.RecursionDesired = false
	o.Exchange("udp", o.Addrs()[0], m)
}

// TestEntry looks at all that an entry says.
func TestEntry(t *testing.T) {
	o := observe(t, "journal")
	m := new(dns.Msg).SetQuestion("X.blOb.example.org.", dns.TypeAAAA)
	m.RecursionDesired, m.CheckingDisabled = false, true
	m.SetEdns0(1400, true)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
	before := time.Now()
	reply := o.Exchange("tcp", o.Addrs()[0], m)
	reply.Compress = true
	l := o.list("")
	if len(l.Entries) != 1 || l.Seen != 1 || l.Recorded != 1 || l.Sampled || l.More || l.Lost != 0 || l.Size != defaultSize ||
		l.Oldest == nil || !l.Oldest.Equal(l.Entries[0].Time) {
		t.Fatalf("%+v", l)
	}
	e := l.Entries[0]
	if e.Time.Before(before.Add(-time.Millisecond)) || e.Time.After(time.Now()) || e.Took <= 0 || e.Took > 1e7 || !strings.HasPrefix(e.Source, "127.0.0.1:") {
		t.Errorf("time %s, took %v, source %s", e.Time, e.Took, e.Source)
	}
	e.Time, e.Took, e.Source = time.Time{}, 0, ""
	got, _ := json.Marshal(e)
	want := `{"id":1,"time":"0001-01-01T00:00:00Z","ns":"","source":"","resolver":"corp","name":"x.blob.example.org.","asked":"X.blOb.example.org.",` +
		`"type":"AAAA","zone":"","rd":false,"flags":["cd","do"],"edns":{"version":0,"size":1400,"do":true,"options":["cookie"]},` +
		`"transport":"tcp","rcode":"NOERROR","aa":true,"tc":false,"path":"iterative","took_us":0,"size":` + fmt.Sprint(reply.Len()) + `,"answers":1}`
	if string(got) != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// TestOddEntries: what is broken, dropped, hostile or hurt on purpose is there as well.
func TestOddEntries(t *testing.T) {
	o := observe(t, "journal")
	if _, err := o.TryExchange("udp", o.Addrs()[0], servertest.Question("d.example.org.", dns.TypeA), 100*time.Millisecond); err == nil {
		t.Fatal("answered what was to be dropped")
	}
	o.Ask("f.example.org.", dns.TypeA)
	o.Ask(`n\"\\\007\200<.example.org.`, dns.TypeTXT)
	chaos := servertest.Question("version.bind.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	o.Exchange("udp", o.Addrs()[0], chaos)
	update := new(dns.Msg).SetUpdate("example.org.")
	o.Exchange("udp", o.Addrs()[0], update)
	c, err := net.Dial("udp", servertest.Reachable(o.Addrs()[0]).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff}); err != nil {
		t.Fatal(err)
	}
	o.Wait("the broken query", func() bool { return len(o.list("").Entries) == 6 })
	e := o.list("").Entries
	if e[0].RCode != "" || e[0].Size != 0 || e[0].Name != "d.example.org." {
		t.Errorf("dropped: %+v", e[0])
	}
	if e[1].Fault == nil || *e[1].Fault != (fault{"r1", "servfail"}) {
		t.Errorf("hurt: %+v", e[1])
	}
	if e[2].Name != `n\"\\\007\200<.example.org.` || e[2].RCode != "NXDOMAIN" {
		t.Errorf("hostile: %+v", e[2])
	}
	if e[3].Class != "CH" || e[3].RCode != "REFUSED" || e[3].Opcode != "" {
		t.Errorf("of class CH: %+v", e[3])
	}
	if e[4].Opcode != "UPDATE" || e[4].RCode != "NOTIMP" {
		t.Errorf("an update: %+v", e[4])
	}
	if e[5].Name != "" || e[5].Type != "" || e[5].RCode != "FORMERR" || e[5].EDNS != nil {
		t.Errorf("broken: %+v", e[5])
	}
}

// TestList asks for entries by filters and pages.
func TestList(t *testing.T) {
	o := observe(t, "journal 16")
	if l := o.list(""); len(l.Entries) != 0 || l.Oldest != nil || l.Recorded != 0 {
		t.Errorf("before the first query: %+v", l)
	}
	for i := range 20 {
		o.ask(fmt.Sprintf("a%d.example.org.", i), dns.TypeA)
	}
	o.Ask("n.example.org.", dns.TypeTXT)
	o.Ask("f.blob.example.org.", dns.TypeA)
	first := o.list("?limit=1&after=0")
	for query, want := range map[string]string{
		"?limit=3":                               "a19 n f",
		"?limit=3&order=newest":                  "f n a19",
		"?before=10":                             "a6 a7 a8",
		"?before=10&limit=2":                     "a7 a8",
		"?before=10&limit=2&order=newest":        "a8 a7",
		"?before=0":                              "",
		"?before=99&limit=1":                     "f",
		"?after=20":                              "n f",
		"?after=18&limit=2":                      "a18 a19",
		"?after=18&before=21":                    "a18 a19",
		"?after=18&limit=2&order=newest":         "a19 a18",
		"?after=22":                              "",
		"?after=" + first.Cursor + "&limit=2":    "a7 a8",
		"?after=other-20&limit=2":                "a6 a7",
		"?resolver=corp&limit=2":                 "a18 a19",
		"?resolver=other":                        "n f",
		"?path=direct&rcode=NXDOMAIN":            "n",
		"?name=*.blob.*":                         "f",
		"?fault=any":                             "f",
		"?fault=r2":                              "",
		"?type=TXT":                              "n",
		"?since=1h&type=TXT":                     "n",
		"?since=2100-01-01T00:00:00Z":            "",
		"?source=127.0.0.0/8&transport=udp&ns=x": "",
	} {
		l := o.list(query)
		if got := l.names(); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		if l.Recorded != 22 || l.Seen != 22 || l.Size != 16 {
			t.Errorf("%s: %+v", query, l)
		}
	}
	if first.Lost != 6 || !first.More || first.names() != "a6" {
		t.Errorf("behind the start: %+v", first)
	}
	if l := o.list("?after=20"); l.More || l.Lost != 0 || !strings.HasSuffix(l.Cursor, "-22") {
		t.Errorf("to the end: %+v", l)
	}
	for query, want := range map[string]string{
		"?limit=0": "from 1 to 1000", "?limit=1001": "from 1 to 1000", "?order=up": "neither oldest nor newest", "?after=x": "neither the id of an entry nor a cursor",
		"?before=-1": "neither the id", "?max=1": "there is no filter", "?type=x": "unknown query type",
	} {
		if status, body := o.get(query); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", query, status, body, want)
		}
	}
	for series, want := range map[string]string{
		"stampdns_journal_recorded_total": "22", "stampdns_journal_entries": "16", `stampdns_journal_skipped_total{reason="sampled"}`: "0",
	} {
		if got := o.Metric(web, series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
}

// TestSampledIsSaid: the API and the metrics tell that queries were left out.
func TestSampledIsSaid(t *testing.T) {
	o := observe(t, "journal {\n  rate 100\n }")
	var asked atomic.Int64
	o.Wait("sampling", func() bool {
		for range 50 {
			o.ask("a.example.org.", dns.TypeA)
			asked.Add(1)
		}
		return o.list("").Sampled
	})
	l := o.list("?limit=1000")
	if l.Seen != uint64(asked.Load()) || l.Recorded >= l.Seen || l.SampledFrom == nil || l.SampledTo == nil || l.SampledTo.Before(*l.SampledFrom) {
		t.Errorf("%d asked: seen %d, recorded %d, from %v to %v", asked.Load(), l.Seen, l.Recorded, l.SampledFrom, l.SampledTo)
	}
	most := uint32(0)
	for _, e := range l.Entries {
		most = max(most, e.OneIn)
	}
	if most < 2 {
		t.Error("no entry stands for more than one query")
	}
	if got := o.Metric(web, `stampdns_journal_skipped_total{reason="sampled"}`); got != fmt.Sprint(l.Seen-l.Recorded) {
		t.Errorf("skipped: %s, want %d", got, l.Seen-l.Recorded)
	}
}

// TestReload: the journal goes on over a reload, also with another size.
func TestReload(t *testing.T) {
	o := observe(t, "journal 100")
	for i := range 30 {
		o.ask(fmt.Sprintf("a%d.example.org.", i), dns.TypeA)
	}
	o.Rewrite(corefile("journal 20"))
	if err := o.Reload(); err != nil {
		t.Fatal(err)
	}
	if l := o.list(""); len(l.Entries) != 20 || l.Entries[0].Name != "a10.example.org." || l.Recorded != 30 || l.Size != 20 {
		t.Errorf("after a reload: %s %+v", l.names(), l)
	}
	// A configuration that is not taken up changes nothing.
	o.Rewrite(corefile("journal 16\n nonsense"))
	if err := o.Reload(); err == nil {
		t.Error("took up a broken configuration")
	}
	o.ask("b.example.org.", dns.TypeA)
	if l := o.list(""); len(l.Entries) != 20 || l.Size != 20 {
		t.Errorf("after a reload that failed: %d entries of %d", len(l.Entries), l.Size)
	}
}

func TestAllocs(t *testing.T) {
	var handler server.Handler
	allocs := make(chan float64, 1)
	probe := servertest.Probe(true, nil, func(q *server.Query) {
		allocs <- servertest.Allocs(func() { handler.Out(q) })
	})
	s := servertest.Start(t, ".:0 {\n probe\n journal\n answer\n}", probe, servertest.Capture(Plugin(), &handler), answers())
	s.Ask("a.example.org.", dns.TypeA)
	if n := <-allocs; n != 0 {
		t.Errorf("%v allocations a query", n)
	}
}

func TestWrongConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"journal 15":                               `Corefile:2: journal: the size "15" is no number from 16 to 1000000 (usage: journal [SIZE]`,
		"journal 1000001":                          "from 16 to 1000000",
		"journal many":                             "from 16 to 1000000",
		"journal 16 16":                            "takes at most one argument, not 2",
		"journal {\n rate 99\n }":                  `rate "99" is no number from 100 to 10000000`,
		"journal {\n rate\n }":                     "rate takes one argument, not 0",
		"journal {\n rat 1\n }":                    `unknown property "rat"; did you mean "rate"?`,
		"journal\n journal":                        "stands twice",
		"journal\n}\nexample.org:0 {\n journal 20": "Corefile:5: journal: all server blocks write into one journal, which keeps 10000 queries with rate 10000 in a block before: give both the same",
	} {
		_, err := servertest.Try(t, ".:0 {\n "+text+"\n}", Plugin())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestBlocks: the queries of all blocks with the directive are in one journal.
func TestBlocks(t *testing.T) {
	o := &observed{t: t}
	o.Server = servertest.Start(t, ".:0 {\n api "+web+"\n journal\n answer\n}\nexample.org:0 {\n journal\n answer\n}\nexample.net:0 {\n answer\n}",
		api.Plugin(), Plugin(), answers())
	for _, name := range []string{"a.example.com.", "b.example.org.", "c.example.net."} {
		o.Ask(name, dns.TypeA)
	}
	_, body := o.Get(web, "/api/v1/journal")
	var l listing
	if err := json.Unmarshal([]byte(body), &l); err != nil || l.names() != "a b" {
		t.Errorf("%s: %v", body, err)
	}
}
