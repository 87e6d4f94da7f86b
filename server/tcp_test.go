package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// framed is messages as they go over TCP.
func framed(t testing.TB, messages ...*dns.Msg) []byte {
	t.Helper()
	var b []byte
	for _, m := range messages {
		p, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		b = append(b, p...)
	}
	return b
}

func dialTCP(t testing.TB, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

// wantClosed reads until the server closes the connection, and returns what came.
func wantClosed(t testing.TB, c net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the server did not close the connection")
	}
	return b
}

func TestTCPPipeline(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		say hello
	}`)
	c := dialTCP(t, s.Addrs()[0])
	const queries = 500
	var all []*dns.Msg
	for i := range queries {
		all = append(all, question(fmt.Sprintf("q%d.example.", i)))
	}
	go c.Write(framed(t, all...))
	conn := &dns.Conn{Conn: c}
	for _, m := range all {
		r, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if r.Id != m.Id || r.Question[0] != m.Question[0] || text(t, r) != "hello" {
			t.Fatalf("out of order: asked %s, got\n%s", m.Question[0].Name, r)
		}
	}
	// A message in single octets, then one that is read together with its end.
	for _, b := range framed(t, all[0]) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := conn.ReadMsg(); err != nil || r.Id != all[0].Id {
		t.Fatal(r, err)
	}
	c.Write(framed(t, all[1]))
	c.CloseWrite()
	if got := wantClosed(t, c); len(got) < 2 || binary.BigEndian.Uint16(got[2:]) != all[1].Id {
		t.Errorf("half-closed connection got % x", got)
	}
}

func TestTCPLongMessages(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		big 550
	}`)
	m := question("a.example.")
	for range 700 {
		m.Extra = append(m.Extra, &dns.TXT{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: 1}, Txt: []string{strings.Repeat("x", 70)},
		})
	}
	if b := framed(t, m); len(b) < 50000 {
		t.Fatal(len(b))
	}
	for range 2 {
		if r := ask(t, "tcp", s.Addrs()[0], m); len(r.Answer) != 550 {
			t.Errorf("got %d records", len(r.Answer))
		}
	}
}

func TestTCPReplyTooLongIsServFail(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		big 700
	}`)
	if r := ask(t, "tcp", s.Addrs()[0], question("a.")); r.Rcode != dns.RcodeServerFailure || r.Truncated {
		t.Errorf("got\n%s", r)
	}
}

func TestTCPBrokenFramesEndTheConnection(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		say hello
	}`)
	good := framed(t, question("a."))
	for name, b := range map[string][]byte{
		"empty":          {0, 0},
		"short":          {0, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
		"good and empty": append(good[:len(good):len(good)], 0, 0),
	} {
		c := dialTCP(t, s.Addrs()[0])
		c.Write(b)
		if got := wantClosed(t, c); (len(got) > 0) != strings.HasPrefix(name, "good") {
			t.Errorf("%s: got % x", name, got)
		}
	}
}

func TestTCPTimeouts(t *testing.T) {
	limits := defaultTCPLimits()
	limits.first, limits.idle, limits.frame = 20*time.Millisecond, 30*time.Millisecond, 40*time.Millisecond
	query := framed(t, question("a."))
	l := newLab()
	s := l.newServer(t)
	s.tcp = limits
	if err := s.Start(Corefile{Text: []byte(".:0 {\n bind 127.0.0.1\n say hello\n}\n")}); err != nil {
		t.Fatal(err)
	}
	t.Run("silent", func(t *testing.T) {
		wantClosed(t, dialTCP(t, s.Addrs()[0]))
	})
	t.Run("idle", func(t *testing.T) {
		c := dialTCP(t, s.Addrs()[0])
		c.Write(query)
		if len(wantClosed(t, c)) == 0 {
			t.Error("no reply")
		}
	})
	t.Run("slow", func(t *testing.T) {
		// One octet now and then puts nothing off.
		c := dialTCP(t, s.Addrs()[0])
		done := make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for _, b := range framed(t, question(strings.Repeat("abcdefg.", 25))) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				<-tick.C
			}
		}()
		if got := wantClosed(t, c); len(got) > 0 {
			t.Errorf("got % x", got)
		}
		<-done
	})
}

// When connections run out, the one that was quiet longest goes; one whose
// query is pending does not.
func TestTCPShedsOldestIdle(t *testing.T) {
	l := newLab()
	s := l.start(t, `.:0 {
		bind 127.0.0.1
		say hello
	}
	slow.:0 {
		bind 127.0.0.1
		hold
	}`, func(o *Options) { o.TCPConns = 3 })
	addr := s.Addrs()[0]
	busy := &dns.Conn{Conn: dialTCP(t, addr)}
	if err := busy.WriteMsg(question("a.slow.")); err != nil {
		t.Fatal(err)
	}
	held := <-l.pending
	var quiet [2]*dns.Conn
	exchange := func(c *dns.Conn) error {
		if err := c.WriteMsg(question("a.")); err != nil {
			return err
		}
		_, err := c.ReadMsg()
		return err
	}
	for i := range quiet {
		quiet[i] = &dns.Conn{Conn: dialTCP(t, addr)}
	}
	// The first one opened is the last one active.
	for _, i := range []int{1, 0} {
		if err := exchange(quiet[i]); err != nil {
			t.Fatal(err)
		}
	}
	if n := metric(t, s, "stampdns_tcp_connections"); n != 3 {
		t.Errorf("%v connections counted", n)
	}
	if err := exchange(&dns.Conn{Conn: dialTCP(t, addr)}); err != nil {
		t.Errorf("new connection: %v", err)
	}
	wantClosed(t, quiet[1])
	if err := exchange(quiet[0]); err != nil {
		t.Errorf("the connection that was active last was closed: %v", err)
	}
	held.SetRCode(RCodeNameError)
	held.Finish(Answered)
	if r, err := busy.ReadMsg(); err != nil || r.Rcode != dns.RcodeNameError {
		t.Errorf("busy connection: %v %v", r, err)
	}
	if n := metric(t, s, "stampdns_tcp_connections_shed_total"); n != 1 {
		t.Errorf("%v shed connections counted", n)
	}
}

func TestTCPSlowlorisDoesNotKeepOthersOut(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		say hello
	}`, func(o *Options) { o.TCPConns = 8 })
	for range 40 {
		dialTCP(t, s.Addrs()[0]).Write([]byte{0, 200, 1, 2, 3})
	}
	if got := text(t, ask(t, "tcp", s.Addrs()[0], question("a."))); got != "hello" {
		t.Error(got)
	}
	if n := metric(t, s, "stampdns_tcp_connections"); n > 8 {
		t.Errorf("%v connections", n)
	}
}

func TestTCPPendingAnswersOutOfOrderAndIsBounded(t *testing.T) {
	l := newLab()
	s := l.newServer(t)
	s.tcp.pending = 4
	if err := s.Start(Corefile{Text: []byte(".:0 {\n bind 127.0.0.1\n hold\n}\nnow.:0 {\n bind 127.0.0.1\n say now\n}\n")}); err != nil {
		t.Fatal(err)
	}
	c := dialTCP(t, s.Addrs()[0])
	conn := &dns.Conn{Conn: c}
	var all []*dns.Msg
	for i := range 9 {
		all = append(all, question(fmt.Sprintf("q%d.", i)))
	}
	all[1] = question("x.now.")
	if _, err := c.Write(framed(t, all...)); err != nil {
		t.Fatal(err)
	}
	// What is ready is not held up by what is pending.
	if r, err := conn.ReadMsg(); err != nil || r.Id != all[1].Id {
		t.Fatal(r, err)
	}
	var held []*Query
	for range 4 {
		held = append(held, <-l.pending)
	}
	for left := 8; left > 0; left-- {
		if n := len(l.pending); n != 0 {
			t.Fatalf("%d queries above the bound", n)
		}
		q := held[len(held)-1]
		held = held[:len(held)-1]
		id := q.Packet
		want := binary.BigEndian.Uint16(id)
		appendTXT(q, "late")
		q.Finish(Answered)
		if r, err := conn.ReadMsg(); err != nil || r.Id != want || text(t, r) != "late" {
			t.Fatal(r, err)
		}
		if left > 4 {
			held = append(held, <-l.pending)
		}
	}
	// Dropped ones make room too, and the client's end does not lose the rest.
	c.Write(framed(t, all[0], all[2]))
	c.CloseWrite()
	one, two := <-l.pending, <-l.pending
	one.Finish(Dropped)
	appendTXT(two, "last")
	two.Finish(Answered)
	if r, err := conn.ReadMsg(); err != nil || text(t, r) != "last" {
		t.Fatal(r, err)
	}
	wantClosed(t, c)
}

// A connection that waits for pending replies is not idle.
func TestTCPPendingIsNotIdle(t *testing.T) {
	l := newLab()
	s := l.newServer(t)
	s.tcp.idle = 10 * time.Millisecond
	if err := s.Start(Corefile{Text: []byte(".:0 {\n bind 127.0.0.1\n hold\n}\n")}); err != nil {
		t.Fatal(err)
	}
	conn := &dns.Conn{Conn: dialTCP(t, s.Addrs()[0])}
	if err := conn.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	first := <-l.pending
	<-time.After(5 * s.tcp.idle)
	if err := conn.WriteMsg(question("b.")); err != nil {
		t.Fatal(err)
	}
	select {
	case second := <-l.pending:
		second.Finish(Answered)
	case <-time.After(5 * time.Second):
		t.Error("the connection was not read any more")
	}
	first.Finish(Answered)
	for range 2 {
		if _, err := conn.ReadMsg(); err != nil {
			t.Fatal(err)
		}
	}
	wantClosed(t, conn)
}

// Replies to pending queries that pile up behind a write end the connection.
func TestTCPRepliesDoNotPileUp(t *testing.T) {
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(loopback(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := &tcpConn{conn: dialTCP(t, ln.Addr().(*net.TCPAddr).AddrPort()), writing: true}
	c.changed.L = &c.mu
	q := &Query{Reply: make([]byte, 60000)}
	for range outMost/len(q.Reply) + 1 {
		if c.failed {
			t.Fatal("failed too early")
		}
		c.settle(q, Answered)
	}
	if !c.failed || c.out != nil {
		t.Errorf("failed: %t, %d octets held", c.failed, len(c.out))
	}
	if c.settle(q, Answered); c.out != nil {
		t.Error("a failed connection holds replies")
	}
}

// A client that asks and never reads ends in a timeout, not in memory.
func TestTCPSlowReader(t *testing.T) {
	s := newLab().newServer(t)
	s.tcp.write = 50 * time.Millisecond
	if err := s.Start(Corefile{Text: []byte(".:0 {\n bind 127.0.0.1\n big 500\n}\n")}); err != nil {
		t.Fatal(err)
	}
	c := dialTCP(t, s.Addrs()[0])
	c.SetReadBuffer(4096)
	many := framed(t, question("a."))
	for range 12 {
		many = append(many, many...)
	}
	for {
		if _, err := c.Write(many); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the server neither reads nor closes")
			}
			break
		}
	}
	eventually(t, "connection gone", func() bool { return metric(t, s, "stampdns_tcp_connections") == 0 })
}

func TestTCPShutdownFinishesPending(t *testing.T) {
	l := newLab()
	s := l.start(t, `.:0 {
		bind 127.0.0.1
		watch
		hold
	}`)
	addr := s.Addrs()[0]
	conn := &dns.Conn{Conn: dialTCP(t, addr)}
	if err := conn.WriteMsg(question("tcp.")); err != nil {
		t.Fatal(err)
	}
	tcp := <-l.pending
	udp, err := dns.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	udp.SetDeadline(time.Now().Add(10 * time.Second))
	if err := udp.WriteMsg(question("udp.")); err != nil {
		t.Fatal(err)
	}
	datagram := <-l.pending
	idle := dialTCP(t, addr)

	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	wantClosed(t, idle)
	select {
	case err := <-done:
		t.Fatalf("shut down with queries under way: %v", err)
	default:
	}
	if l.stops.Load() != 0 {
		t.Error("OnStop came before the last query ended")
	}
	for q, c := range map[*Query]*dns.Conn{tcp: conn, datagram: udp} {
		appendTXT(q, "late")
		q.Finish(Answered)
		if r, err := c.ReadMsg(); err != nil || text(t, r) != "late" {
			t.Errorf("%v %v", r, err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if l.stops.Load() != 1 {
		t.Error("OnStop was not called once")
	}
	if _, err := net.DialTimeout("tcp", addr.String(), time.Second); err == nil {
		t.Error("still listening")
	}
}

func TestShutdownGivesUpWithContext(t *testing.T) {
	l := newLab()
	s := l.start(t, `.:0 {
		bind 127.0.0.1
		watch
		hold
	}`)
	conn := &dns.Conn{Conn: dialTCP(t, s.Addrs()[0])}
	udp, err := dns.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, c := range []*dns.Conn{conn, udp} {
		if err := c.WriteMsg(question("a.")); err != nil {
			t.Fatal(err)
		}
	}
	one, two := <-l.pending, <-l.pending
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if l.stops.Load() != 1 {
		t.Error("OnStop was not called")
	}
	// Finishing after the end is harmless.
	one.Finish(Answered)
	two.Finish(Answered)
	if err := s.Start(Corefile{Text: []byte(".:0 {\n}\n")}); !errors.Is(err, errClosed) {
		t.Errorf("start after shutdown: %v", err)
	}
}
