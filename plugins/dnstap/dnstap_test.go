package dnstap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

// collectorAt accepts one writer after the other, and passes on what they say.
type collectorAt struct {
	t        *testing.T
	listener net.Listener
	messages chan tapped
	ends     chan error // of each stream: nil for STOP
	mu       sync.Mutex
	conns    []net.Conn
}

// collect listens; an address of package net in the second argument, or "".
func collect(t *testing.T, network, addr string) *collectorAt {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &collectorAt{t: t, listener: l, messages: make(chan tapped, 1<<16), ends: make(chan error, 16)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns = append(c.conns, conn)
			c.mu.Unlock()
			c.ends <- c.serve(conn)
		}
	}()
	t.Cleanup(c.close)
	return c
}

// serve is a reader's side of Frame Streams.
func (c *collectorAt) serve(conn net.Conn) error {
	defer conn.Close()
	for _, want := range []uint32{controlReady, controlStart} {
		fields, kind, err := readFrame(conn)
		if err != nil {
			return err
		}
		if kind != want || !bytes.Contains(fields, []byte("\x00\x00\x00\x01\x00\x00\x00\x16protobuf:dnstap.Dnstap")) {
			return fmt.Errorf("control frame %d %q", kind, fields)
		}
		if want == controlReady {
			conn.Write(control(controlAccept, true))
		}
	}
	for {
		data, kind, err := readFrame(conn)
		switch {
		case err != nil:
			return err
		case kind == controlStop:
			_, err := conn.Write(control(controlFinish, false))
			return err
		case kind != 0:
			return fmt.Errorf("control frame %d", kind)
		}
		m, err := decode(data)
		if err != nil {
			return err
		}
		c.messages <- m
	}
}

// close goes away, with all connections.
func (c *collectorAt) close() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// next is the next message.
func (c *collectorAt) next() tapped {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(servertest.Patience):
		c.t.Fatal("no message came")
		return tapped{}
	}
}

// end is how the next stream to end did: nil for STOP.
func (c *collectorAt) end() error {
	c.t.Helper()
	select {
	case err := <-c.ends:
		return err
	case <-time.After(servertest.Patience):
		c.t.Fatal("the stream does not end")
		return nil
	}
}

// answering are the plugins of the tests: dnstap, name servers, and answers by the
// first label of the name.
func answering() []server.Plugin {
	var zone uint32
	return []server.Plugin{
		Plugin("1.2.3"),
		{Name: "servers", Setup: func(d *server.Directive) (server.Handler, error) {
			d.Block.NameServers = []server.NameServer{{Label: "ns01"}, {Label: "ns02"}}
			return nil, nil
		}},
		{Name: "zone", Setup: func(d *server.Directive) (server.Handler, error) {
			zone = d.ZoneLabel("Example.org.")
			return nil, nil
		}},
		servertest.Answer(func(q *server.Query) server.Verdict {
			switch name := q.Name.String(); {
			case strings.HasPrefix(name, "drop."):
				return server.Dropped
			case strings.HasPrefix(name, "far."):
				wire.SetFlags(q.Reply, wire.Flags(q.Reply)|wire.FlagRA)
			default:
				wire.SetFlags(q.Reply, wire.Flags(q.Reply)|wire.FlagAA)
				q.Zone = zone
			}
			return server.Answered
		}),
	}
}

func tcpTarget(c *collectorAt) string { return "tcp://" + c.listener.Addr().String() }

func TestMessages(t *testing.T) {
	c := collect(t, "tcp", "127.0.0.1:0")
	s := servertest.Start(t, ".:0 {\n bind2\n servers\n zone\n dnstap "+tcpTarget(c)+"\n answer\n}",
		append([]server.Plugin{{Name: "bind2", Setup: bindTwo}}, answering()...)...)
	begin := time.Now()
	for _, tc := range []struct {
		network, name string
		kinds         [2]uint64
		zone          string
	}{
		{"udp", "WwW.example.org.", [2]uint64{1, 2}, "\x07example\x03org\x00"},
		{"tcp", "www.example.org.", [2]uint64{1, 2}, "\x07example\x03org\x00"},
		{"udp", "far.example.com.", [2]uint64{5, 6}, ""},
	} {
		m := servertest.Question(tc.name, dns.TypeTXT)
		reply := s.Exchange(tc.network, s.Addrs()[1], m)
		query, response := c.next(), c.next()
		end := time.Now()
		for i, got := range []tapped{query, response} {
			protocol := map[string]uint64{"udp": 1, "tcp": 2}[tc.network]
			if got.kind != tc.kinds[i] || got.family != 1 || got.protocol != protocol {
				t.Errorf("%s %s: type %d, family %d, protocol %d", tc.network, tc.name, got.kind, got.family, got.protocol)
			}
			if got.identity != "ns02" || got.version != "stampdns 1.2.3" || string(got.zone) != tc.zone {
				t.Errorf("%s %s: identity %q, version %q, zone %q", tc.network, tc.name, got.identity, got.version, got.zone)
			}
			if got.query.Addr().String() != "127.0.0.1" || got.query.Port() == 0 || got.response != s.Addrs()[1] {
				t.Errorf("%s %s: from %s to %s", tc.network, tc.name, got.query, got.response)
			}
			if !got.hasQueryTime || got.queryTime.Before(begin.Add(-time.Millisecond)) || got.queryTime.After(end) {
				t.Errorf("%s %s: query time %s", tc.network, tc.name, got.queryTime)
			}
		}
		if query.hasReplyBytes || query.hasReplyTime || response.hasQueryBytes || !response.hasReplyTime || response.responseTime.Before(response.queryTime) {
			t.Errorf("%s %s: query %+v, response %+v", tc.network, tc.name, query, response)
		}
		asked, answered := new(dns.Msg), new(dns.Msg)
		if err := errors.Join(asked.Unpack(query.queryMessage), answered.Unpack(response.replyMessage)); err != nil {
			t.Fatal(err)
		}
		if asked.String() != m.String() || answered.String() != reply.String() {
			t.Errorf("asked\n%s\nand told\n%s\ngot\n%s\nand told\n%s", m, asked, reply, answered)
		}
	}
	// Of a dropped query there is the query alone.
	if _, err := s.TryExchange("udp", s.Addrs()[0], servertest.Question("drop.example.org.", dns.TypeA), 50*time.Millisecond); err == nil {
		t.Fatal("not dropped")
	}
	if m := c.next(); m.kind != 1 || m.identity != "ns01" || !m.hasQueryBytes {
		t.Errorf("dropped: %+v", m)
	}
	s.Exchange("udp", s.Addrs()[0], servertest.Question("a.", dns.TypeA))
	if m := c.next(); m.kind != 1 || m.queryTime.Before(begin) {
		t.Errorf("after a dropped query: %+v", m)
	}
	s.Stop()
	if err := c.end(); err != nil {
		t.Errorf("the stream ended with %v, want STOP", err)
	}
}

func bindTwo(d *server.Directive) (server.Handler, error) {
	d.Block.Binds = append(d.Block.Binds, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"))
	return nil, nil
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		text  string
		kinds []uint64
		who   string
	}{
		{"dnstap TO full {\n identity the stamp\n version v 1\n}", []uint64{1, 2, 5, 6}, "the stamp/v 1"},
		{"dnstap TO {\n identity x\n version y\n message_types AUTH_RESPONSE client_query\n}", []uint64{2, 5}, "x/y"},
		{"dnstap TO {\n identity x\n version y\n message_types CLIENT_RESPONSE\n}", []uint64{6}, "x/y"},
	} {
		c := collect(t, "unix", filepath.Join(t.TempDir(), "s"))
		text := strings.Replace(tc.text, "TO", "unix://"+c.listener.Addr().String(), 1)
		s := servertest.Start(t, ".:0 {\n "+text+"\n answer\n}", answering()...)
		s.Ask("a.example.org.", dns.TypeA)
		s.Ask("far.example.org.", dns.TypeA)
		s.WaitLog("dnstap output is open")
		s.Stop()
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
		var kinds []uint64
		for len(c.messages) > 0 {
			m := <-c.messages
			kinds = append(kinds, m.kind)
			if m.identity+"/"+m.version != tc.who {
				t.Errorf("%s: by %s/%s", tc.text, m.identity, m.version)
			}
		}
		slices.Sort(kinds) // queries that different workers had may change places
		if fmt.Sprint(kinds) != fmt.Sprint(tc.kinds) {
			t.Errorf("%s: types %v, want %v", tc.text, kinds, tc.kinds)
		}
	}
}

// A collector that comes late, goes and comes back gets what the buffers kept.
func TestCollectorRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.sock")
	var metrics prometheus.Gatherer
	s := servertest.Start(t, ".:0 {\n gather\n dnstap unix://"+path+"\n answer\n}", append(answering(), gathering(&metrics))...)
	connected := func(want float64) {
		t.Helper()
		s.Wait(fmt.Sprint("connected is ", want), func() bool {
			got, _ := metric(t, metrics, "stampdns_dnstap_connected")
			return got == want
		})
	}
	s.Ask("early.example.org.", dns.TypeA)
	s.WaitLog("does not work and is tried again")
	for _, name := range []string{"early.example.org.", "second.example.org."} {
		c := collect(t, "unix", path)
		connected(1)
		if name != "early.example.org." {
			s.Ask(name, dns.TypeA)
		}
		for _, kind := range []uint64{1, 2} {
			if m := c.next(); m.kind != kind || !bytes.Contains(append(m.queryMessage, m.replyMessage...), []byte(name[:5])) {
				t.Errorf("%s: got %+v", name, m)
			}
		}
		c.close()
		c.end()
		connected(0)
	}
	if got, _ := metric(t, metrics, "stampdns_dnstap_dropped_total"); got != 0 {
		t.Errorf("%v dropped", got)
	}
}

// A reload leaves the connection alone.
func TestReloadKeepsOutput(t *testing.T) {
	c := collect(t, "tcp", "127.0.0.1:0")
	s := servertest.Start(t, ".:0 {\n dnstap "+tcpTarget(c)+" {\n identity one\n }\n answer\n}", answering()...)
	for _, who := range []string{"one", "two", "three"} {
		if who != "one" {
			s.Rewrite(".:0 {\n dnstap " + tcpTarget(c) + " {\n identity " + who + "\n }\n answer\n}")
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		s.Ask("a.", dns.TypeA)
		if m := c.next(); m.identity != who {
			t.Errorf("identity %q, want %s", m.identity, who)
		}
		c.next()
	}
	if len(c.ends) > 0 {
		t.Error("the stream ended")
	}
	s.Rewrite(".:0 {\n answer\n}")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Errorf("without the directive the stream ends with %v, want STOP", err)
	}
}

// A collector that stalls costs messages, and no answer.
func TestStalledCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.(*net.TCPConn).SetReadBuffer(4096)
			readFrame(conn)
			conn.Write(control(controlAccept, true))
		}
	}()
	var tap server.Handler
	flood := make(chan int, 1)
	probe := servertest.Probe(true, nil, func(q *server.Query) {
		for range <-flood {
			tap.Out(q)
		}
	})
	s := servertest.Start(t, ".:0 {\n probe\n dnstap tcp://"+l.Addr().String()+"\n answer\n}",
		append([]server.Plugin{probe, servertest.Capture(Plugin(""), &tap)}, answering()[1:]...)...)
	out := tap.(*handler).taps[0].out
	s.Wait("the collector is connected", out.connected.Load)
	const most = 3 * laneRecords
	for round := 0; out.dropped() == 0; round++ {
		if round == 1000 {
			t.Fatal("nothing was dropped")
		}
		flood <- most
		s.Ask("a.example.org.", dns.TypeA)
	}
	flood <- 0
	s.Ask("still.answered.example.org.", dns.TypeA)
	begin := time.Now()
	s.Stop()
	if took := time.Since(begin); took > stopWait+2*time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestAllocs(t *testing.T) {
	var tap server.Handler
	allocs := make(chan float64, 1)
	probe := servertest.Probe(true, nil, func(q *server.Query) {
		allocs <- servertest.Allocs(func() { tap.Out(q) })
	})
	path := filepath.Join(t.TempDir(), "tap")
	s := servertest.Start(t, ".:0 {\n probe\n dnstap "+path+"\n answer\n}",
		append([]server.Plugin{probe, servertest.Capture(Plugin(""), &tap)}, answering()[1:]...)...)
	for _, name := range []string{"a.example.org.", "drop.example.org.", "far.example.org."} {
		s.TryExchange("udp", s.Addrs()[0], servertest.Question(name, dns.TypeA), 100*time.Millisecond)
		// The writer, which allocates now and then, runs beside it.
		if n := <-allocs; n >= 1 {
			t.Errorf("%s: %v allocations a query", name, n)
		}
	}
}

// stored reads a file's stream, whose last frame must be STOP.
func stored(t *testing.T, path string) (all []tapped) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, kind, err := readFrame(f); kind != controlStart || err != nil {
		t.Fatalf("%s begins with %d, %v", path, kind, err)
	}
	for {
		data, kind, err := readFrame(f)
		if err != nil {
			t.Fatal(err)
		}
		if kind == controlStop {
			if _, err := f.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s goes on behind its end", path)
			}
			return all
		}
		m, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// A file that was moved away is ended, and begun anew, with the next reload; one that
// is there at the start is kept.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.fstrm")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := ".:0 {\n gather\n dnstap " + path + "\n answer\n}"
	var metrics prometheus.Gatherer
	s := servertest.Start(t, text, append(answering(), gathering(&metrics))...)
	out := func(n float64) {
		t.Helper()
		s.Wait(fmt.Sprint(n, " messages are written"), func() bool {
			got, output := metric(t, metrics, "stampdns_dnstap_frames_total")
			return got == n && output == path
		})
	}
	s.Ask("first.", dns.TypeA)
	out(2)
	s.Rewrite("# again\n" + text)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.Ask("second.", dns.TypeA)
	out(4)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.Wait("a new file", func() bool { _, err := os.Stat(path); return err == nil })
	s.Ask("third.", dns.TypeA)
	s.Stop()
	if n := len(stored(t, path+".1")); n != 4 {
		t.Errorf("%d messages in the first file", n)
	}
	if all := stored(t, path); len(all) != 2 || !bytes.Contains(all[0].queryMessage, []byte("third")) {
		t.Errorf("in the second file: %v", all)
	}
	kept, err := filepath.Glob(path + ".*Z")
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); string(text) != "before" || err != nil {
		t.Errorf("kept %q, %v", text, err)
	}
}

// gathering is a plugin by which a test looks at the metrics.
func gathering(g *prometheus.Gatherer) server.Plugin {
	return server.Plugin{Name: "gather", Setup: func(d *server.Directive) (server.Handler, error) {
		*g = d.Gatherer()
		return nil, nil
	}}
}

// metric is the value of a metric with one series, and that series' output.
func metric(t *testing.T, g prometheus.Gatherer, name string) (value float64, output string) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue(), m.GetLabel()[0].GetValue()
		}
	}
	t.Fatalf("no metric %s with one series", name)
	return 0, ""
}
