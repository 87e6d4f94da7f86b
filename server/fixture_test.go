package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// The handlers of the tests' plugins.

// handler is a Handler made of functions; nil ones pass.
type handler struct {
	in  func(*Query) Verdict
	out func(*Query)
}

func (h handler) In(q *Query) Verdict {
	if h.in == nil {
		return Next
	}
	return h.in(q)
}

func (h handler) Out(q *Query) {
	if h.out != nil {
		h.out(q)
	}
}

// appendTXT answers with one TXT record at the owner, as zone data would be
// appended.
func appendTXT(q *Query, text string) {
	wire.SetFlags(q.Reply, wire.Flags(q.Reply)|wire.FlagAA)
	n := len(text)
	q.Reply = append(q.Reply, 0xC0, wire.HeaderLen, 0, byte(dns.TypeTXT), 0, 1, 0, 0, 0, 60, byte((n+1)>>8), byte(n+1), byte(n))
	q.Reply = append(q.Reply, text...)
	wire.SetCount(q.Reply, wire.CountAN, wire.Count(q.Reply, wire.CountAN)+1)
}

// lab is what the tests' plugins report to, and what they take from the test.
type lab struct {
	pending chan *Query // queries of the hold plugin
	seen    atomic.Int64
	outs    atomic.Int64
	starts  atomic.Int64
	stops   atomic.Int64
	ready   atomic.Pointer[error]
	mu      sync.Mutex
	sizes   []int // of the replies that the observer saw go out
	logs    strings.Builder
}

func newLab() *lab { return &lab{pending: make(chan *Query, 1024)} }

// Write collects the log.
func (l *lab) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logs.Write(b)
}

func (l *lab) log() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logs.String()
}

// plugins are the directives that the tests' Corefiles use.
func (l *lab) plugins() []Plugin {
	args := func(f func(d *Directive, args []string) (Handler, error)) func(*Directive) (Handler, error) {
		return func(d *Directive) (h Handler, err error) {
			for d.Next() {
				if h, err = f(d, d.RemainingArgs()); err != nil {
					return nil, err
				}
			}
			return h, nil
		}
	}
	return []Plugin{
		{Name: "watch", Observer: true, Setup: l.watch},
		{Name: "bind", Usage: "bind ADDRESS…", Setup: args(setupBind)},
		{Name: "udpsize", Setup: args(func(d *Directive, a []string) (Handler, error) {
			_, err := fmt.Sscan(a[0], &d.Block.UDPSize)
			return nil, err
		})},
		{Name: "servers", Setup: args(setupServers)},
		{Name: "proxies", Setup: args(func(d *Directive, a []string) (Handler, error) {
			networks, err := d.Networks(a)
			d.Block.Proxies = networks
			return nil, err
		})},
		{Name: "mount", Setup: args(l.mount)},
		{Name: "check", Setup: args(l.check)},
		{Name: "keep", Setup: args(func(d *Directive, a []string) (Handler, error) {
			n := Keep(d, a[0], func() *atomic.Int64 { return new(atomic.Int64) })
			n.Add(1)
			return handler{in: func(q *Query) Verdict { appendTXT(q, fmt.Sprint(n.Load())); return Answered }}, nil
		})},
		{Name: "bad", Usage: "bad HABITS", Setup: args(setupBad)},
		{Name: "boom", Setup: args(setupBoom)},
		{Name: "drop", Setup: args(func(*Directive, []string) (Handler, error) {
			return handler{in: func(*Query) Verdict { return Dropped }}, nil
		})},
		{Name: "hold", Setup: args(l.hold)},
		{Name: "big", Setup: args(setupBig)},
		{Name: "where", Setup: args(func(*Directive, []string) (Handler, error) {
			return handler{in: where}, nil
		})},
		{Name: "who", Setup: args(func(*Directive, []string) (Handler, error) {
			return handler{in: who}, nil
		})},
		{Name: "say", Usage: "say TEXT", Setup: args(func(d *Directive, a []string) (Handler, error) {
			if len(a) != 1 {
				return nil, d.ArgErr()
			}
			return handler{in: func(q *Query) Verdict { appendTXT(q, a[0]); return Answered }}, nil
		})},
	}
}

func (l *lab) watch(d *Directive) (Handler, error) {
	d.OnStart(func() { l.starts.Add(1) })
	d.OnStop(func() { l.stops.Add(1) })
	return handler{
		in: func(*Query) Verdict { l.seen.Add(1); return Next },
		out: func(q *Query) {
			l.outs.Add(1)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.sizes = append(l.sizes, len(q.Reply))
		},
	}, nil
}

func setupBind(d *Directive, args []string) (Handler, error) {
	for _, a := range args {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return nil, d.UsageErr("%q is no address", a)
		}
		d.Block.Binds = append(d.Block.Binds, addr)
	}
	return nil, nil
}

// setupServers reads LABEL=ADDRESS.
func setupServers(d *Directive, args []string) (Handler, error) {
	for _, a := range args {
		label, addr, _ := strings.Cut(a, "=")
		ns := NameServer{Label: label}
		if addr != "" {
			ns.Addrs = []netip.Addr{netip.MustParseAddr(addr)}
		}
		d.Block.NameServers = append(d.Block.NameServers, ns)
	}
	return nil, nil
}

func (l *lab) mount(d *Directive, a []string) (Handler, error) {
	return nil, d.Mount(a[0], a[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, a[2]) }))
}

func (l *lab) check(d *Directive, a []string) (Handler, error) {
	d.OnReady(a[0], func() error {
		if p := l.ready.Load(); p != nil {
			return *p
		}
		return nil
	})
	return nil, nil
}

func setupBad(d *Directive, args []string) (Handler, error) {
	switch strings.Join(args, " ") {
	case "plain":
		return nil, errors.New("a plain error")
	case "errf":
		return nil, d.Errf("wrong: do it right")
	case "usage":
		return nil, d.UsageErr("wrong")
	case "caddy":
		return nil, d.Dispenser.ArgErr()
	case "panic":
		panic("set-up bug")
	}
	for d.NextBlock() {
		return nil, d.UnknownProperty("first", "second")
	}
	return nil, d.ArgErr()
}

func setupBoom(_ *Directive, args []string) (Handler, error) {
	h := handler{}
	switch args[0] {
	case "in":
		h.in = func(*Query) Verdict { panic("in") }
	case "out":
		h.out = func(*Query) { panic("out") }
	case "both":
		h.in = func(*Query) Verdict { panic("in") }
		h.out = func(*Query) { panic("out") }
	}
	return h, nil
}

func (l *lab) hold(*Directive, []string) (Handler, error) {
	return handler{in: func(q *Query) Verdict { l.pending <- q; return Pending }}, nil
}

// setupBig answers with COUNT TXT records, whatever the limit; "msg" does it by
// way of a dns.Msg.
func setupBig(_ *Directive, args []string) (Handler, error) {
	var n int
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return nil, err
	}
	text := strings.Repeat("x", 99)
	return handler{in: func(q *Query) Verdict {
		if len(args) == 1 {
			for range n {
				appendTXT(q, text)
			}
			return Answered
		}
		m := new(dns.Msg)
		m.SetQuestion("other.example.", dns.TypeMX)
		m.Authoritative = true
		for range n {
			rr, _ := dns.NewRR(fmt.Sprintf("%s 60 IN TXT %s", q.Name, text))
			m.Answer = append(m.Answer, rr)
		}
		m.SetEdns0(9999, true)
		if err := q.SetMsg(m); err != nil {
			q.Fail(err)
		}
		return Answered
	}}, nil
}

// where answers with what the server knows of the query's way.
func where(q *Query) Verdict {
	appendTXT(q, fmt.Sprintf("%s %s [%s]", q.Transport, q.Local.Addr(), q.Block().NSLabels()[q.NS]))
	return Answered
}

// who answers with the addresses that a query came from and was sent to, the name
// server, and the listener.
func who(q *Query) Verdict {
	appendTXT(q, fmt.Sprintf("%s > %s [%s] %d", q.Remote, q.Local, q.Block().NSLabels()[q.NS], q.Server()))
	return Answered
}

// newServer makes a server of the lab's plugins that ends with the test.
func (l *lab) newServer(t testing.TB, change ...func(*Options)) *Server {
	t.Helper()
	o := Options{Plugins: l.plugins(), Workers: 2, Logger: slog.New(slog.NewTextHandler(l, nil))}
	for _, f := range change {
		f(&o)
	}
	s := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

// start serves text.
func (l *lab) start(t testing.TB, text string, change ...func(*Options)) *Server {
	t.Helper()
	s := l.newServer(t, change...)
	if err := s.Start(Corefile{Name: "Corefile", Text: []byte(text)}); err != nil {
		t.Fatal(err)
	}
	return s
}

// startFile serves text from a file, and returns its path.
func (l *lab) startFile(t testing.TB, text string, change ...func(*Options)) (*Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Corefile")
	write(t, path, text)
	s := l.newServer(t, change...)
	cf, err := ReadCorefile(path)
	if err == nil {
		err = s.Start(cf)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// question is a query for TXT.
func question(name string) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	m.RecursionDesired = false
	return m
}

// ask sends m to addr and returns the reply.
func ask(t testing.TB, network string, addr netip.AddrPort, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 3 * time.Second, UDPSize: 4096}
	r, _, err := c.Exchange(m, addr.String())
	if err != nil {
		t.Fatalf("%s %s %s: %v", network, addr, m.Question[0].Name, err)
	}
	return r
}

// askRaw sends octets over UDP; nil means that no reply came before one to a
// good query sent after them.
func askRaw(t testing.TB, addr netip.AddrPort, packet []byte) []byte {
	t.Helper()
	c, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mark := question("mark.invalid.")
	mark.Id = 0xBEEF
	end, err := mark.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{packet, end} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	var first []byte
	for {
		buf := make([]byte, 65536)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("the server stopped answering: %v", err)
		}
		if n >= 2 && wire.ID(buf[:n]) == 0xBEEF && wire.Count(buf[:n], wire.CountQD) == 1 {
			return first
		}
		first = buf[:n]
	}
}

// text is the first TXT record of a reply.
func text(t testing.TB, m *dns.Msg) string {
	t.Helper()
	if len(m.Answer) == 0 {
		t.Fatalf("no answer in\n%s", m)
	}
	return strings.Join(m.Answer[0].(*dns.TXT).Txt, "")
}

// loopback is port on 127.0.0.n.
func loopback(n byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, n}), port)
}

// eventually waits until ok, which must come soon.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 5 s: %s", what)
}

// metric is the sum of a metric's values in the configuration in use.
func metric(t testing.TB, s *Server, name string) float64 {
	t.Helper()
	s.mu.Lock()
	g := s.current
	s.mu.Unlock()
	families, err := g.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		var sum float64
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}
