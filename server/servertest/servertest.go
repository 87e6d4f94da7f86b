// Package servertest runs servers in tests, over loopback and on free ports.
package servertest

import (
	"bytes"
	"context"
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
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// Patience is how long tests wait for what must happen.
const Patience = 10 * time.Second

// Server is a running server with a Corefile of its own.
type Server struct {
	*server.Server
	t        testing.TB
	corefile string
	log      *logBuffer
}

// Start runs a server until the test ends. Keys of the Corefile give port 0.
func Start(t testing.TB, corefile string, plugins ...server.Plugin) *Server {
	t.Helper()
	s, err := Try(t, corefile, plugins...)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

// Try is Start for a Corefile that may be wrong.
func Try(t testing.TB, corefile string, plugins ...server.Plugin) (*Server, error) {
	t.Helper()
	return TryIn(t, t.TempDir(), corefile, plugins...)
}

// TryIn is Try with the folder that the Corefile is written to.
func TryIn(t testing.TB, dir, corefile string, plugins ...server.Plugin) (*Server, error) {
	t.Helper()
	return try(t, server.Options{Plugins: plugins}, dir, corefile)
}

// StartPolling is Start without news from the system: files are looked at from
// time to time.
func StartPolling(t testing.TB, corefile string, plugins ...server.Plugin) *Server {
	t.Helper()
	s, err := try(t, server.Options{Plugins: plugins, Polling: true}, t.TempDir(), corefile)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

func try(t testing.TB, o server.Options, dir, corefile string) (*Server, error) {
	t.Helper()
	s := &Server{t: t, corefile: filepath.Join(dir, "Corefile"), log: new(logBuffer)}
	s.Rewrite(corefile)
	o.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.Server = server.New(o)
	cf, err := server.ReadCorefile(s.corefile)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Server.Start(cf); err != nil {
		return nil, err
	}
	t.Cleanup(s.Stop)
	return s, nil
}

// Stop shuts the server down. It may be called before the test ends.
func (s *Server) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		s.t.Errorf("shutdown: %v", err)
	}
}

// Rewrite changes the Corefile, which Reload then takes up.
func (s *Server) Rewrite(corefile string) {
	s.t.Helper()
	if err := os.WriteFile(s.corefile, []byte(corefile), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Ask sends one question to the server's first address over UDP.
func (s *Server) Ask(name string, rrtype uint16) *dns.Msg {
	s.t.Helper()
	return s.Exchange("udp", s.Addrs()[0], Question(name, rrtype))
}

// Question is a query with EDNS.
func Question(name string, rrtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(name), rrtype).SetEdns0(1232, false)
}

// Exchange sends m and returns the reply.
func (s *Server) Exchange(network string, to netip.AddrPort, m *dns.Msg) *dns.Msg {
	s.t.Helper()
	r, err := s.TryExchange(network, to, m, Patience)
	if err != nil {
		s.t.Fatalf("query %s %s: %v", m.Question[0].Name, dns.Type(m.Question[0].Qtype), err)
	}
	return r
}

// TryExchange is Exchange for queries that may get no reply, for which it waits as
// long as it is told; it takes whatever time it needs to send the query.
func (s *Server) TryExchange(network string, to netip.AddrPort, m *dns.Msg, wait time.Duration) (*dns.Msg, error) {
	c := dns.Client{Net: network, DialTimeout: Patience, WriteTimeout: Patience, ReadTimeout: wait}
	r, _, err := c.Exchange(m, Reachable(to).String())
	return r, err
}

// Reachable is where a listener on all addresses is reached.
func Reachable(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
	}
	return a
}

// Get fetches path from the HTTP listener that the Corefile calls addr.
func (s *Server) Get(addr, path string) (status int, body string) {
	s.t.Helper()
	at, ok := s.HTTPAddrs()[addr]
	if !ok {
		s.t.Fatalf("no HTTP listener %q in %v", addr, s.HTTPAddrs())
	}
	r, err := http.Get(fmt.Sprintf("http://%s%s", Reachable(at), path))
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// Metric is the value of the series that a scrape of addr shows as series, such
// as stampdns_zone_loaded{zone="example.org."}; "" if it is not there.
func (s *Server) Metric(addr, series string) string {
	s.t.Helper()
	_, page := s.Get(addr, "/metrics")
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			return value
		}
	}
	return ""
}

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.log.String() }

// WaitLog waits until the log contains text.
func (s *Server) WaitLog(text string) {
	s.t.Helper()
	s.Wait(fmt.Sprintf("log line %q", text), func() bool { return strings.Contains(s.Log(), text) })
}

// Wait polls until done is true, and fails the test if that takes too long.
func (s *Server) Wait(what string, done func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(Patience)
	for !done() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s; log:\n%s", what, s.Log())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Answer is a plugin that answers every query by what f does to it. It needs the
// directive "answer".
func Answer(f func(q *server.Query) server.Verdict) server.Plugin {
	return server.Plugin{Name: "answer", Usage: "answer", Setup: func(*server.Directive) (server.Handler, error) {
		return answer(f), nil
	}}
}

type answer func(q *server.Query) server.Verdict

func (f answer) In(q *server.Query) server.Verdict { return f(q) }

func (answer) Out(*server.Query) {}

// logBuffer is a log in memory.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// FreePort is a TCP port of 127.0.0.1 that nobody listens on just now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
