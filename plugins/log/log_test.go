package log

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// output collects lines.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// answers is a plugin that answers by the first letter of a name: n is NXDOMAIN,
// e is NODATA, r is a referral, s is SERVFAIL, d is dropped, the rest is there.
func answers() server.Plugin {
	return servertest.Answer(func(q *server.Query) server.Verdict {
		m := new(dns.Msg)
		soa, _ := dns.NewRR("example.org. 300 IN SOA ns01.example.org. hostmaster.example.org. 1 2 3 4 5")
		ns, _ := dns.NewRR("r.example.org. 300 IN NS ns01.example.org.")
		a, _ := dns.NewRR("a.example.org. 300 IN A 192.0.2.1")
		m.Authoritative = true
		switch q.Name[1] {
		case 'n':
			m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{soa}
		case 'e':
			m.Ns = []dns.RR{soa}
		case 'r':
			m.Ns, m.Authoritative = []dns.RR{ns}, false
		case 's':
			q.Fail(errors.New("failed"))
			return server.Answered
		case 'd':
			return server.Dropped
		default:
			m.Answer = []dns.RR{a}
		}
		if err := q.SetMsg(m); err != nil {
			q.Fail(err)
		}
		return server.Answered
	})
}

// run asks for the names and returns the lines that the directive writes.
func run(t *testing.T, directive string, names ...string) []string {
	t.Helper()
	var out output
	s := servertest.Start(t, ".:0 {\n "+directive+"\n answer\n}", plugin(&out), answers())
	for _, name := range names {
		if strings.HasPrefix(name, "d") {
			if _, err := s.TryExchange("udp", s.Addrs()[0], servertest.Question(name, dns.TypeA), 100*time.Millisecond); err == nil {
				t.Fatal("answered what was to be dropped")
			}
			continue
		}
		s.Ask(name, dns.TypeA)
	}
	s.Stop()
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestCommon(t *testing.T) {
	lines := run(t, "log", "a.example.ORG.", "d.example.org.")
	want := []string{
		`^127\.0\.0\.1:\d+ - \d+ "A IN a\.example\.org\. udp 42 false 1232" NOERROR qr,aa 58 0\.\d{9}s$`,
		`^127\.0\.0\.1:\d+ - \d+ "A IN d\.example\.org\. udp 42 false 1232" - - - 0\.\d{9}s$`,
	}
	if len(lines) != len(want) {
		t.Fatalf("lines: %q", lines)
	}
	for i := range want {
		if !regexp.MustCompile(want[i]).MatchString(lines[i]) {
			t.Errorf("line %q, want %s", lines[i], want[i])
		}
	}
}

func TestFormats(t *testing.T) {
	for _, tc := range []struct{ directive, want string }{
		{`log . "{proto} Request: {name} {type} {>id}"`, `^udp Request: a\.example\.org\. A \d+$`},
		{`log . {combined}`, `s "0"$`},
		{`log "{remote} {local} {size} { x } {zone} {ns} {>opcode}"`, `^127\.0\.0\.1 127\.0\.0\.1 42 \{ x \} - - 0$`},
		{`log {time}`, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`},
	} {
		lines := run(t, tc.directive, "a.example.org.")
		if len(lines) != 1 || !regexp.MustCompile(tc.want).MatchString(lines[0]) {
			t.Errorf("%s: %q, want %s", tc.directive, lines, tc.want)
		}
	}
}

// TestSender: who asked, by which path, and what was done on purpose is logged where
// somebody told, and nothing of it can be taken for another line.
func TestSender(t *testing.T) {
	const format = `"{resolver} {path} {fault}"`
	if lines := run(t, "log "+format, "a.example.org."); lines[0] != "- - -" {
		t.Errorf("where nobody told: %q", lines)
	}
	for directive, want := range map[string]string{
		"log " + format:           "co?rp iterative r1:servfail",
		"log {\n format json\n }": `"resolver":"co?rp","path":"iterative","fault":"r1:servfail"`,
	} {
		var out output
		told := servertest.Probe(true, func(q *server.Query) {
			q.Resolver, q.Path = &server.Resolver{Name: "co\nrp"}, server.PathIterative
			q.Injected = &server.Injection{Rule: "r1", Kind: "servfail"}
		}, nil)
		s := servertest.Start(t, ".:0 {\n probe\n "+directive+"\n answer\n}", told, plugin(&out), answers())
		s.Ask("a.example.org.", dns.TypeA)
		s.Stop()
		if got := out.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q, want %s", directive, got, want)
		}
	}
}

func TestClasses(t *testing.T) {
	names := []string{"a.example.org.", "n.example.org.", "e.example.org.", "r.example.org.", "s.example.org.", "d.example.org."}
	for _, tc := range []struct{ class, want string }{
		{"class success", "a r"},
		{"class denial", "n e"},
		{"class error", "s d"},
		{"class denial error", "n e s d"},
		{"class denial\n class success", "a n e r"},
		{"class all", "a n e r s d"},
		{"class error all", "a n e r s d"},
	} {
		lines := run(t, "log . {name} {\n "+tc.class+"\n }", names...)
		got := strings.Join(lines, " ")
		if got = strings.ReplaceAll(got, ".example.org.", ""); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.class, got, tc.want)
		}
	}
}

func TestNames(t *testing.T) {
	lines := run(t, "log b.example.org example.net \"1 {name}\"\n log example.org \"2 {name}\"",
		"a.example.org.", "x.b.example.org.", "a.example.net.", "a.example.com.")
	want := "2 a.example.org.|1 x.b.example.org.|1 a.example.net."
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("lines %s, want %s", got, want)
	}
}

func TestJSON(t *testing.T) {
	lines := run(t, "log {\n format json\n }", "a.example.org.", `n\"\\\007\200.example.org.`, "d.example.org.")
	if len(lines) != 3 {
		t.Fatalf("lines: %q", lines)
	}
	var all [3]map[string]any
	for i := range lines {
		if err := json.Unmarshal([]byte(lines[i]), &all[i]); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
	}
	for key, want := range map[string]any{
		"name": "a.example.org.", "type": "A", "class": "IN", "proto": "udp", "remote": "127.0.0.1", "do": false,
		"rcode": "NOERROR", "rflags": "qr,aa", "size": 42.0, "rsize": 58.0, "bufsize": 1232.0, "opcode": 0.0,
	} {
		if all[0][key] != want {
			t.Errorf("%s is %v, want %v", key, all[0][key], want)
		}
	}
	if _, err := time.Parse(time.RFC3339, all[0]["time"].(string)); err != nil {
		t.Error(err)
	}
	if d, ok := all[0]["duration"].(float64); !ok || d <= 0 || d > 60 {
		t.Errorf("duration is %v", all[0]["duration"])
	}
	if got := all[1]["name"]; got != `n\"\\\007\200.example.org.` {
		t.Errorf("hostile name is %s", got)
	}
	if _, ok := all[2]["rcode"]; ok {
		t.Error("a dropped query has an rcode")
	}
}

// TestBroken says that packets without a question are logged as well.
func TestBroken(t *testing.T) {
	var out output
	s := servertest.Start(t, ".:0 {\n log . \"{name} {type} {class} {rcode}\"\n answer\n}", plugin(&out), answers())
	c, err := net.Dial("udp", servertest.Reachable(s.Addrs()[0]).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff}); err != nil {
		t.Fatal(err)
	}
	s.Wait("the line", func() bool { return out.String() == ". - - FORMERR\n" })
}

// stuck is a writer that hangs until it is let go.
type stuck struct {
	output
	entered, free chan struct{}
}

func (w *stuck) Write(p []byte) (int, error) {
	select {
	case w.entered <- struct{}{}:
	default:
	}
	<-w.free
	return w.output.Write(p)
}

// TestNeverBlocks says that a reader that hangs costs lines and not answers.
func TestNeverBlocks(t *testing.T) {
	w := &stuck{entered: make(chan struct{}, 1), free: make(chan struct{})}
	s := servertest.Start(t, ".:0 {\n prometheus 127.0.0.1:0\n log\n answer\n}", prometheus.Plugin(""), plugin(w), answers())
	c := dns.Client{Timeout: servertest.Patience}
	conn, err := c.Dial(servertest.Reachable(s.Addrs()[0]).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const queries = queueLen + 500
	for range queries {
		if _, _, err := c.ExchangeWithConn(servertest.Question("a.example.org.", dns.TypeA), conn); err != nil {
			t.Fatalf("no answer with the log stuck: %v", err)
		}
	}
	<-w.entered
	dropped := s.Metric("127.0.0.1:0", "stampdns_log_dropped_total")
	if dropped == "0" || dropped == "" {
		t.Errorf("dropped: %q", dropped)
	}
	close(w.free)
	s.WaitLog("lines of the query log were dropped")
	s.WaitLog("lines=" + dropped)
}

// TestStop says that lines under way are written before the end.
func TestStop(t *testing.T) {
	w := &stuck{entered: make(chan struct{}, 1), free: make(chan struct{})}
	s := newSink(w)
	s.start(func(n uint64) { t.Errorf("%d lines dropped", n) })
	const lines = 100
	for i := range lines {
		line, ok := s.take()
		if !ok {
			t.Fatal("no line is free")
		}
		s.put(append(line, "line\n"...))
		if i == 0 {
			<-w.entered
		}
	}
	stopped, done := make(chan struct{}), s.done
	go func() {
		s.stop()
		close(stopped)
	}()
	<-done
	close(w.free)
	<-stopped
	if got := w.String(); got != strings.Repeat("line\n", lines) {
		t.Errorf("%d octets written, want %d lines", len(got), lines)
	}
}

// TestReload says that the log goes on over a reload, and loses nothing.
func TestReload(t *testing.T) {
	var out output
	s := servertest.Start(t, ".:0 {\n log . {name}\n answer\n}", plugin(&out), answers())
	for range 3 {
		s.Ask("a.example.org.", dns.TypeA)
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	s.Ask("a.example.org.", dns.TypeA)
	s.Stop()
	if n := strings.Count(out.String(), "a.example.org.\n"); n != 4 {
		t.Errorf("%d lines, want 4", n)
	}
}

func TestAllocs(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var handler server.Handler
		allocs := make(chan float64, 1)
		probe := servertest.Probe(true, nil, func(q *server.Query) {
			allocs <- servertest.Allocs(func() { handler.Out(q) })
		})
		s := servertest.Start(t, ".:0 {\n probe\n log {\n format "+format+"\n }\n answer\n}",
			probe, servertest.Capture(plugin(discard{}), &handler), answers())
		s.Ask("a.example.org.", dns.TypeA)
		if n := <-allocs; n != 0 {
			t.Errorf("%s: %v allocations a line", format, n)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"log . {nmae}", `unknown placeholder {nmae}; did you mean "{name}"?`},
		{"log . {foo}", `unknown placeholder {foo} (usage`},
		{"log stdout", "lines go to standard output anyway: remove the word"},
		{"log . {/metadata/label}", `unknown placeholder {/metadata/label}`},
		{"log {\n class succes\n }", `unknown class "succes"`},
		{"log {\n class\n }", "class takes at least one argument, not 0 (usage: log"},
		{"log {\n format xml\n }", `unknown format "xml"`},
		{"log {\n clas all\n }", `unknown property "clas"`},
		{"log a..b", "empty label"},
		{"log \"{name}\tx\"", "control character"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", plugin(discard{}))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}

// FuzzLine says that no packet's name makes a line that is not one line of
// printable ASCII, or an object that is not JSON.
func FuzzLine(f *testing.F) {
	f.Add([]byte("\x03a\"\n\x07example\x00"), uint16(1), uint16(1), "10.0.0.1")
	f.Add([]byte("\x05\x1b[2J\\\x00"), uint16(65280), uint16(9), "2001:db8::1")
	plain, err := parseText(combined + " {zone} {ns} {local} {time}")
	if err != nil {
		f.Fatal(err)
	}
	object := newObject()
	f.Fuzz(func(t *testing.T, name []byte, rrtype, class uint16, addr string) {
		from, _ := netip.ParseAddr(addr)
		packet := make([]byte, 12, 12+len(name)+4)
		q := &server.Query{
			Packet: append(packet, name...), Name: name, Type: rrtype, Class: class, QuestionEnd: 12 + len(name),
			Remote: netip.AddrPortFrom(from, 53),
		}
		e := entry{q: q, zone: "example.org.", ns: "ns01"}
		line := plain.append(nil, e)
		for _, c := range line {
			if c < ' ' || c > '~' {
				t.Fatalf("line with octet %#x: %q", c, line)
			}
		}
		line = object.append(nil, e)
		if !json.Valid(line) || !utf8.Valid(line) {
			t.Fatalf("no JSON: %q", line)
		}
	})
}
