package server

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// deaf sends queries and never reads, until the connection ends.
func deaf(t *testing.T, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	c := dialTCP(t, addr)
	c.SetReadBuffer(4096)
	var many []byte
	for range 200 {
		many = append(many, framed(t, question("a."))...)
	}
	go func() {
		for {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
	}()
	return c
}

// connections are those of the server's first listener.
func connections(s *Server) (all []*tcpConn) {
	tcp := s.open()[0].tcp
	tcp.mu.Lock()
	defer tcp.mu.Unlock()
	for e := tcp.conns.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*tcpConn))
	}
	return all
}

// Clients that ask and do not read do not keep others out: the one that has not
// read for longest goes.
func TestTCPShedsLongestBlocked(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		big 500
	}
	small.:0 {
		bind 127.0.0.1
		say hello
	}`, func(o *Options) { o.TCPConns = 3 })
	for range 3 {
		deaf(t, s.Addrs()[0])
	}
	var first *tcpConn
	eventually(t, "all writes blocked", func() bool {
		all, longest := connections(s), time.Duration(0)
		if len(all) != 3 {
			return false
		}
		now := all[0].on.now()
		for _, c := range all {
			began := time.Duration(c.blocked.Load())
			if began == 0 || now-began < stuck {
				return false
			}
			if first == nil || now-began > longest {
				first, longest = c, now-began
			}
		}
		return true
	})
	if got := text(t, ask(t, "tcp", s.Addrs()[0], question("a.small."))); got != "hello" {
		t.Error(got)
	}
	for _, c := range connections(s) {
		if c == first {
			t.Error("another one was closed than the one blocked for longest")
		}
	}
	if n := metric(t, s, "stampdns_tcp_connections_shed_total"); n != 1 {
		t.Errorf("%v shed connections counted", n)
	}
}

// One client's pending queries do not keep others out; the new connection is
// closed if it is that client's as well.
func TestTCPShedsCrowd(t *testing.T) {
	l := newLab()
	s := l.start(t, `slow.:0 {
		bind 127.0.0.1
		hold
	}
	.:0 {
		bind 127.0.0.1
		say hello
	}`, func(o *Options) { o.TCPConns = 4 })
	addr := s.Addrs()[0]
	var crowd []*dns.Conn
	for range 4 {
		c := &dns.Conn{Conn: dialTCP(t, addr)}
		if err := c.WriteMsg(question("a.slow.")); err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
		held := <-l.pending
		defer held.Finish(Dropped)
	}
	before := connections(s)
	wantClosed(t, dialTCP(t, addr))
	if !slices.Equal(connections(s), before) {
		t.Error("a client's new connection took the place of one of its own")
	}
	other, err := net.DialTCP("tcp", net.TCPAddrFromAddrPort(loopback(2, 0)), net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetDeadline(time.Now().Add(10 * time.Second))
	conn := &dns.Conn{Conn: other}
	if err := conn.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.ReadMsg(); err != nil || text(t, r) != "hello" {
		t.Errorf("%v %v", r, err)
	}
	wantClosed(t, crowd[0])
	other.Close()
	eventually(t, "the other client is forgotten", func() bool {
		tcp := s.open()[0].tcp
		tcp.mu.Lock()
		defer tcp.mu.Unlock()
		one := clientOf(addr.Addr())
		return len(tcp.clients) == 1 && tcp.clients[one] == 3 && tcp.conns.Len() == 3
	})
}

func TestClientOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "2001:db8::1:2:3:4": "2001:db8::/64", "fe80::1%lo": "fe80::/64",
	} {
		if got := clientOf(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
}

// A connection that was shed with a query pending does not outlive a drain.
func TestTCPShedThenShutdown(t *testing.T) {
	l := newLab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n hold\n}\n")
	c := &dns.Conn{Conn: dialTCP(t, s.Addrs()[0])}
	if err := c.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	held := <-l.pending
	tcp := s.open()[0].tcp
	// As if the query had come between the look at it and its end.
	tcp.conns.Front().Value.(*tcpConn).active.Store(0)
	if !tcp.shedOne() {
		t.Fatal("not shed")
	}
	wantClosed(t, c.Conn)
	done := make(chan struct{})
	go func() {
		tcp.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("the connection waits for its pending query")
	}
	held.Finish(Dropped)
}

// A handler that takes a query away and panics then ends it once, whoever comes
// first.
func TestPanicAfterPending(t *testing.T) {
	for _, finishFirst := range []bool{false, true} {
		taken := make(chan *Query, 1)
		park := Plugin{Name: "park", Setup: func(d *Directive) (Handler, error) {
			for d.Next() {
			}
			return handler{in: func(q *Query) Verdict {
				if finishFirst {
					appendTXT(q, "finished")
					q.Finish(Answered)
				} else {
					taken <- q
				}
				panic("after all")
			}}, nil
		}}
		s := newLab().start(t, ".:0 {\n bind 127.0.0.1\n park\n}\n", func(o *Options) { o.Plugins = append(o.Plugins, park) })
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, network, s.Addrs()[0], question("a."))
			if !finishFirst {
				(<-taken).Finish(Answered)
			}
			if served := r.Rcode == dns.RcodeSuccess; served != finishFirst {
				t.Errorf("%s, finished first: %t: got\n%s", network, finishFirst, r)
			}
		}
		eventually(t, "no query under way", func() bool {
			var sum int64
			for i := range s.current.inflight {
				sum += s.current.inflight[i].n.Load()
			}
			return sum == 0
		})
		if n := metric(t, s, "stampdns_panics_total"); n != 2 {
			t.Errorf("%v panics counted", n)
		}
	}
}
