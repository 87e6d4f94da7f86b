package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// explaining is a handler that explains and counts what else is asked of it.
type explaining struct {
	handler
	explain func(*Query) Step
}

func (h explaining) Explain(q *Query) Step { return h.explain(q) }

// withExplainers adds plugins that explain: "tell TEXT" decides, "pass" does
// not, "hang" waits for the test, "panic" panics.
func withExplainers(l *lab, hang chan struct{}) func(*Options) {
	plugin := func(name string, explain func(text string, q *Query) Step) Plugin {
		return Plugin{Name: name, Setup: func(d *Directive) (Handler, error) {
			d.Next()
			text := strings.Join(d.RemainingArgs(), " ")
			count := handler{in: func(*Query) Verdict { l.seen.Add(1); return Dropped }}
			return explaining{count, func(q *Query) Step { return explain(text, q) }}, nil
		}}
	}
	return func(o *Options) {
		o.Plugins = append([]Plugin{
			plugin("pass", func(text string, q *Query) Step {
				return Step{Plugin: "pass", Text: fmt.Sprintf("%s %d from %s to %s, %s, NS %d", q.Name, q.Type, q.Remote.Addr(), q.Local, q.Transport, q.NS)}
			}),
			plugin("hang", func(string, *Query) Step { hang <- struct{}{}; <-hang; return Step{Plugin: "hang"} }),
			plugin("panic", func(string, *Query) Step { panic("a bug") }),
			plugin("tell", func(text string, q *Query) Step {
				return Step{Plugin: "tell", Decides: true, Verdict: ExplainAnswered, Text: text, Facts: map[string]string{"k": "v"}}
			}),
		}, o.Plugins...)
	}
}

func TestExplain(t *testing.T) {
	l := newLab()
	s := l.start(t, `example.org:0 {
	bind 127.0.0.1
	watch
	servers ns01=127.0.0.9 ns02=127.0.0.1
	pass
	tell org
	say never
}
a.example.org:0 {
	bind 127.0.0.1
	watch
	pass
}
b.example.org:0 {
	bind 127.0.0.1
	tell b
}`, withExplainers(l, nil))
	to := s.Addrs()[0]
	for _, c := range []struct {
		name                 string
		rrtype               uint16
		block, verdict, text string
		steps                int
	}{
		{"www.Example.ORG", 0, "Corefile:1", "answered", "org", 2},
		{"x.b.example.org.", dns.TypeMX, "Corefile:14", "answered", "b", 1},
		{"b.example.org", dns.TypeDS, "Corefile:1", "answered", "org", 2},
		{"x.b.example.org", dns.TypeDS, "Corefile:14", "answered", "b", 1},
		{"a.example.org", dns.TypeA, "Corefile:9", "refused",
			"Nothing in the server block at Corefile:9 answers a.example.org.: it is refused as not ours (EDE 20).", 2},
		{"example.net", dns.TypeA, "", "refused",
			"No server block at " + to.String() + " serves example.net.: it is refused as not ours (EDE 20).", 1},
		{"example.org", dns.TypeAXFR, "Corefile:1", "refused", "The server refuses zone transfers: it has none to give.", 1},
		{"example.org", dns.TypeOPT, "Corefile:1", "answered", "The server answers FORMERR: OPT is a type that nobody can ask for.", 1},
	} {
		e, err := s.Explain(ExplainQuestion{Name: c.name, Type: c.rrtype})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if e.Block != c.block || e.Verdict != c.verdict || e.Text != c.text || len(e.Steps) != c.steps {
			t.Errorf("%s %d: %+v", c.name, c.rrtype, e)
		}
		last := e.Steps[len(e.Steps)-1]
		if !last.Decides || last.Text != e.Text || last.Verdict != e.Verdict {
			t.Errorf("%s: the last step is %+v", c.name, last)
		}
		if want := dns.CanonicalName(c.name); e.Name != want || e.To != to || e.From != to.Addr() {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
	e, err := s.Explain(ExplainQuestion{Name: "example.org", From: netip.MustParseAddr("::ffff:192.0.2.7")})
	if want := fmt.Sprintf("example.org. 1 from 192.0.2.7 to %s, udp, NS 2", to); err != nil || e.Steps[0].Text != want {
		t.Errorf("%+v, %v: want %s", e.Steps, err, want)
	}
	if l.seen.Load() != 0 || l.outs.Load() != 0 {
		t.Error("a handler was asked to do more than to explain")
	}
	if n := metric(t, s, "stampdns_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// The address asked decides which blocks there are.
func TestExplainTo(t *testing.T) {
	l := newLab()
	port, other := freePort(t), freePort(t)
	s := l.start(t, fmt.Sprintf(`.:%[1]d {
	tell all
}
one.example:%[1]d {
	bind 127.0.0.2
	tell one
}
.:%[2]d {
	bind 0.0.0.0
	tell other
}`, port, other), withExplainers(l, nil))
	addr := netip.MustParseAddr
	for _, c := range []struct {
		to   netip.AddrPort
		from string
		want string // the text, and the address, or a part of the error
	}{
		{netip.AddrPort{}, "", fmt.Sprintf("all 127.0.0.1:%d", port)},
		{netip.AddrPort{}, "2001:db8::1", fmt.Sprintf("all [::1]:%d", port)},
		{netip.AddrPortFrom(addr("127.0.0.2"), 0), "", fmt.Sprintf("one 127.0.0.2:%d", port)},
		{netip.AddrPortFrom(addr("127.0.0.2"), uint16(other)), "", fmt.Sprintf("other 127.0.0.2:%d", other)},
		{netip.AddrPortFrom(addr("192.0.2.53"), 0), "", fmt.Sprintf("other 192.0.2.53:%d", other)},
		{netip.AddrPortFrom(addr("192.0.2.53"), uint16(port)), "", fmt.Sprintf("all 192.0.2.53:%d", port)},
		{netip.AddrPortFrom(addr("2001:db8::53"), 0), "", fmt.Sprintf("all [2001:db8::53]:%d", port)},
		{netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(other)), "", fmt.Sprintf("other 127.0.0.1:%d", other)},
		{netip.AddrPortFrom(addr("127.0.0.2"), 1), "", "127.0.0.2:1 is not served: served are "},
		{netip.AddrPortFrom(addr("2001:db8::53"), uint16(other)), "", "is not served"},
		{netip.AddrPortFrom(netip.Addr{}, 1), "", "port 1 is not served"},
		{netip.AddrPortFrom(addr("127.0.0.2"), 0), "2001:db8::1", "no packet goes from 2001:db8::1 to 127.0.0.2"},
	} {
		question := ExplainQuestion{Name: "one.example", To: c.to}
		if c.from != "" {
			question.From = addr(c.from)
		}
		e, err := s.Explain(question)
		if got := e.Text + " " + e.To.String(); err == nil && got != c.want {
			t.Errorf("to %s from %q: %s, want %s", c.to, c.from, got, c.want)
		} else if err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("to %s from %q: %v, want %s", c.to, c.from, err, c.want)
		}
	}
	v4 := l.start(t, ".:0 {\n bind 127.0.0.1\n}\n", withExplainers(l, nil))
	if _, err := v4.Explain(ExplainQuestion{Name: "a", From: addr("2001:db8::1")}); err == nil || !strings.Contains(err.Error(), "served are 127.0.0.1:") {
		t.Errorf("from IPv6 to IPv4: %v", err)
	}
}

// A configuration is not stopped while it explains.
func TestExplainHoldsReload(t *testing.T) {
	l, hang := newLab(), make(chan struct{})
	s := l.newServer(t, withExplainers(l, hang))
	text := ".:0 {\n bind 127.0.0.1\n watch\n hang\n tell old\n}\n"
	if err := s.Start(Corefile{Name: "Corefile", Text: []byte(text)}); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		Explanation
		error
	}
	done := make(chan outcome, 1)
	go func() {
		e, err := s.Explain(ExplainQuestion{Name: "a"})
		done <- outcome{e, err}
	}()
	<-hang
	s.mu.Lock()
	old := s.current
	s.mu.Unlock()
	if n := old.inflight[0].n.Load(); n != 1 {
		t.Errorf("%d under way, want the explanation", n)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain", old.retired.Load)
	if l.stops.Load() != 0 {
		t.Error("OnStop came before the explanation")
	}
	hang <- struct{}{}
	if o := <-done; o.error != nil || o.Text != "old" {
		t.Errorf("%+v", o)
	}
	eventually(t, "OnStop", func() bool { return l.stops.Load() == 1 })
}

func TestExplainErrors(t *testing.T) {
	l := newLab()
	s := l.newServer(t, withExplainers(l, nil))
	if _, err := s.Explain(ExplainQuestion{Name: "a"}); !errors.Is(err, errNotStarted) {
		t.Errorf("before the start: %v", err)
	}
	if err := s.Start(Corefile{Text: []byte(".:0 {\n bind 127.0.0.1\n panic\n}\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Explain(ExplainQuestion{Name: "a..b"}); err == nil || !strings.Contains(err.Error(), "empty label") {
		t.Errorf("no name: %v", err)
	}
	if _, err := s.Explain(ExplainQuestion{Name: "a"}); !errors.Is(err, errExplain) || !strings.Contains(l.log(), "a bug") {
		t.Errorf("panic: %v, log %s", err, l.log())
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err) // an explanation would still be under way
	}
	if _, err := s.Explain(ExplainQuestion{Name: "a"}); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestExplainHTTP(t *testing.T) {
	l := newLab()
	mount := Plugin{Name: "api", Setup: func(d *Directive) (Handler, error) {
		return nil, d.Mount("127.0.0.1:0", "GET /api/v1/explain", d.ExplainHandler())
	}}
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n api\n pass\n tell a < b\n}\n", withExplainers(l, nil),
		func(o *Options) { o.Plugins = append(o.Plugins, mount) })
	to := s.Addrs()[0].String()
	for _, c := range []struct {
		query  string
		status int
		want   string
	}{
		{"name=www.example.org&type=aaaa&from=192.0.2.1&to=" + to, 200,
			`{"name":"www.example.org.","type":"AAAA","from":"192.0.2.1","to":"` + to + `","block":"Corefile:1","verdict":"answered","steps":[` +
				`{"plugin":"pass","decides":false,"text":"www.example.org. 28 from 192.0.2.1 to ` + to + `, udp, NS 0"},` +
				`{"plugin":"tell","decides":true,"text":"a < b","facts":{"k":"v"}}],"text":"a < b"}`},
		{"name=a&to=127.0.0.1&type=type65280", 200, `"type":"TYPE65280"`},
		{"name=%C3%A9", 200, `"name":"\\195\\169."`},
		{"", 400, `{"error":"no name: `},
		{"name=a&type=AAAAA", 400, `unknown query type \"AAAAA\"; did you mean`},
		{"name=a&type=TYPE0", 400, "unknown query type"},
		{"name=a&from=here", 400, `from: \"here\" is no address`},
		{"name=a&to=here", 400, `to: \"here\" is no address`},
		{"name=a&to=192.0.2.9", 400, "192.0.2.9 is not served: served are " + to},
		{"name=a..b", 400, "empty label"},
		{"name=a&name=b", 400, "name stands there twice"},
		{"nam=a", 400, `unknown parameter \"nam\"; did you mean \"name\"?`},
		{"name=%zz", 400, "cannot be read"},
		{"name=" + strings.Repeat("a.", 200), 400, "longer than 255 octets"},
	} {
		r, err := http.Get("http://" + s.HTTPAddrs()["127.0.0.1:0"].String() + "/api/v1/explain?" + c.query)
		if err != nil {
			t.Fatal(err)
		}
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("%s: %v", c.query, err)
		}
		r.Body.Close()
		if r.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %s, want %d …%s…", c.query, r.StatusCode, body, c.status, c.want)
		}
		if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", c.query, got)
		}
	}
}

// FuzzExplainQuery says that no URL makes a question that cannot be explained.
func FuzzExplainQuery(f *testing.F) {
	l := newLab()
	s := l.start(f, "example.org:0 {\n bind 127.0.0.1\n pass\n}\n", withExplainers(l, nil))
	for _, seed := range []string{"name=example.org&type=DS&from=::1&to=127.0.0.1", "name=a%00b", "from=fe80::1%25eth0&name=."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		question, err := parseExplain(query)
		if err != nil {
			return
		}
		if values, err := url.ParseQuery(query); err != nil || values.Get("name") == "" {
			t.Fatalf("%q was read", query)
		}
		e, err := s.Explain(question)
		if errors.Is(err, errExplain) || err == nil && (e.Verdict == "" || e.Text == "" || len(e.Steps) == 0) {
			t.Errorf("%q: %+v, %v", query, e, err)
		}
	})
}
