package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// request sends a GET for path and returns the response, read whole.
func request(c net.Conn, path string) (*http.Response, error) {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n", path)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		r.Body.Close()
	}
	return r, err
}

const mounted = ".:0 {\n bind 127.0.0.1\n mount 127.0.0.1:0 /health OK\n say hello\n}\n"

// Clients that keep their connections open, before a request or after one, do
// not keep a probe out.
func TestHTTPIdleClientsDoNotKeepProbesOut(t *testing.T) {
	s := newLab().start(t, mounted)
	at := s.HTTPAddrs()["127.0.0.1:0"]
	conns := s.http["127.0.0.1:0"].conns
	conns.allow(4)
	first := dialTCP(t, at)
	for i := range 12 {
		c := first
		if i > 0 {
			c = dialTCP(t, at)
		}
		switch i % 3 {
		case 0, 1:
			if r, err := request(c, "/health"); err != nil || r.StatusCode != http.StatusOK {
				t.Fatalf("connection %d: %v %v", i, r, err)
			}
		}
	}
	if got := get(t, s, "127.0.0.1:0", "/health"); got != "OK" {
		t.Error(got)
	}
	wantClosed(t, first)
	eventually(t, "connections within the bound", func() bool { return conns.count() <= 4 })
}

// Nor do those that begin to send a body and do not go on.
func TestHTTPSlowClientsDoNotKeepProbesOut(t *testing.T) {
	s := newLab().start(t, mounted)
	at := s.HTTPAddrs()["127.0.0.1:0"]
	conns := s.http["127.0.0.1:0"].conns
	conns.allow(2)
	var slow []net.Conn
	for range 2 {
		c := dialTCP(t, at)
		fmt.Fprint(c, "POST /health HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\nbody")
		slow = append(slow, c)
		eventually(t, "requests begun", func() bool { return busy(conns) == len(slow) })
	}
	// As if a while had passed.
	conns.mu.Lock()
	for e := conns.order.Front(); e != nil; e = e.Next() {
		c := e.Value.(*httpConn)
		c.since = c.since.Add(-httpPatience)
	}
	conns.mu.Unlock()
	c := dialTCP(t, at)
	if r, err := request(c, "/health"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%v %v", r, err)
	}
	wantClosed(t, slow[0])
}

// busy counts the connections that have a request under way.
func busy(h *httpConns) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for e := h.order.Front(); e != nil; e = e.Next() {
		if e.Value.(*httpConn).busy {
			n++
		}
	}
	return n
}

// Where every request is young, the new connection goes.
func TestHTTPConnsAllBusy(t *testing.T) {
	h := newHTTPConns()
	h.allow(1)
	old, oldEnd := net.Pipe()
	fresh, freshEnd := net.Pipe()
	for _, c := range []net.Conn{old, oldEnd, fresh, freshEnd} {
		defer c.Close()
	}
	h.note(old, http.StateNew)
	h.note(old, http.StateActive)
	h.note(fresh, http.StateNew)
	wantClosed(t, freshEnd)
	h.note(fresh, http.StateClosed)
	if h.count() != 1 || h.place[old] == nil {
		t.Error("the busy connection was given up")
	}
	h.note(old, http.StateClosed)
	if h.count() != 0 || len(h.place) != 0 {
		t.Error("a closed connection is remembered")
	}
}

// An HTTP address that is given up can be had again while a query of the old
// configuration is still pending, and is not answered meanwhile.
func TestReloadBackToHTTPAddress(t *testing.T) {
	l := newLab()
	addr := netip.AddrPortFrom(loopback(1, 0).Addr(), freePort(t)).String()
	dnsPort := freePort(t)
	conf := func(mount, say string) string {
		return fmt.Sprintf(".:%d {\n bind 127.0.0.1\n watch\n %s\n %s\n}\n", dnsPort, mount, say)
	}
	with := fmt.Sprintf("mount %s /x ", addr)
	s, path := l.startFile(t, conf(with+"one", "hold"))
	kept := dialTCP(t, netip.MustParseAddrPort(addr))
	if r, err := request(kept, "/x"); err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	c, err := dns.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	held := <-l.pending
	write(t, path, conf("", "say without"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		c.Close()
		t.Error("the address that was given up is served")
	}
	// At once, not only when it has been idle for long.
	kept.SetDeadline(time.Now().Add(httpIdleTimeout / 2))
	wantClosed(t, kept)
	write(t, path, conf(with+"two", "say back"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, addr, "/x"); got != "two" {
		t.Error(got)
	}
	if l.stops.Load() == 2 {
		t.Error("the first configuration was not pending any more")
	}
	held.Finish(Answered)
	eventually(t, "OnStop of both", func() bool { return l.stops.Load() == 2 })
	if strings.Contains(l.log(), "HTTP listener ended") {
		t.Error("closing a listener is logged as a fault:\n" + l.log())
	}
}

// A probe is answered while Shutdown waits for the last query.
func TestShutdownServesHTTPWhileDraining(t *testing.T) {
	l := newLab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n mount 127.0.0.1:0 /health OK\n hold\n}\n")
	at := s.HTTPAddrs()["127.0.0.1:0"]
	conn := &dns.Conn{Conn: dialTCP(t, s.Addrs()[0])}
	if err := conn.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	held := <-l.pending
	done := make(chan error)
	go func() { done <- s.Shutdown(t.Context()) }()
	eventually(t, "shutdown begins", func() bool { return s.Ready() == errClosed })
	if r, err := request(dialTCP(t, at), "/health"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%v %v", r, err)
	}
	held.Finish(Answered)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
