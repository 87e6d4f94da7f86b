package cache

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

// holds has the handler behind keep its queries pending, and hand them over.
func (l *lab) holds() <-chan *server.Query {
	held := make(chan *server.Query, 20000)
	l.answers(func(q *server.Query) server.Verdict {
		held <- q
		return server.Pending
	})
	return held
}

// client sends queries that are answered later.
type client struct {
	t    testing.TB
	conn net.Conn
}

func (l *lab) client() *client {
	l.t.Helper()
	conn, err := net.Dial("udp", servertest.Reachable(l.Addrs()[0]).String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	return &client{l.t, conn}
}

func (c *client) send(id uint16, name string, rrtype uint16, change func(*dns.Msg)) {
	c.t.Helper()
	m := servertest.Question(name, rrtype)
	m.Id = id
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err == nil {
		_, err = c.conn.Write(b)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() *dns.Msg {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(servertest.Patience))
	b := make([]byte, 4096)
	n, err := c.conn.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(b[:n]); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// waits until n queries are parked.
func (l *lab) waits(n int64) {
	l.t.Helper()
	l.Wait(fmt.Sprintf("%d queries to wait", n), func() bool { return l.h.store.parked.Load() == n })
}

// flights is how many there are.
func (l *lab) flights() (n int) {
	for i := range l.h.store.shards {
		s := &l.h.store.shards[i]
		s.mu.Lock()
		n += len(s.flights)
		s.mu.Unlock()
	}
	return n
}

// Of the queries that ask the same at once one goes on; the others get what it
// gets, each as its own.
func TestFlight(t *testing.T) {
	for _, tc := range []struct {
		name  string
		end   func(q *server.Query) server.Verdict
		reply string
		led   string // the leader's reply, where it is another
		asked int64  // after one more query
	}{
		{"answer", respond(t, dns.RcodeSuccess, www), "NOERROR A/300", "", 1},
		{"TTL 0", respond(t, dns.RcodeSuccess, "www.contoso.com. 0 IN A 192.0.2.80"), "NOERROR A/0", "", 2},
		{"denial", respond(t, dns.RcodeNameError, "--", soa), "NXDOMAIN SOA/60", "", 1},
		{"SERVFAIL", respond(t, dns.RcodeServerFailure), "SERVFAIL", "", 1},
		{"REFUSED", respond(t, dns.RcodeRefused), "REFUSED", "", 2},
		{"BADVERS", respond(t, dns.RcodeBadVers), "BADSIG", "", 2},
		{"dropped", func(*server.Query) server.Verdict { return server.Dropped }, "SERVFAIL", "none", 2},
		{"another question", func(q *server.Query) server.Verdict {
			q.Reply[wire.HeaderLen+1] = 'x'
			return server.Answered
		}, "SERVFAIL", "NOERROR", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, "cache")
			held := l.holds()
			leader, others := l.client(), l.client()
			leader.send(1, "www.contoso.com.", dns.TypeA, nil)
			q := <-held
			const n = 50
			for i := range n {
				name := "www.contoso.com."
				if i%2 == 1 {
					name = "Www.CONTOSO.com."
				}
				others.send(uint16(100+i), name, dns.TypeA, func(m *dns.Msg) { m.AuthenticatedData = i%3 == 0 })
			}
			l.waits(n)
			v := tc.end(q)
			if q.Finish(v); v == server.Answered {
				want := tc.led
				if want == "" {
					want = tc.reply
				}
				if r := leader.receive(); r.Id != 1 || brief(r) != want {
					t.Errorf("the leader got\n%s", r)
				}
			}
			seen := make(map[uint16]bool)
			for range n {
				r := others.receive()
				i := int(r.Id) - 100
				name := "www.contoso.com."
				if i%2 == 1 {
					name = "Www.CONTOSO.com."
				}
				ad := i%3 == 0 && (tc.reply != "SERVFAIL" || tc.name == "SERVFAIL")
				if brief(r) != tc.reply || r.Question[0].Name != name || seen[r.Id] || !r.RecursionDesired ||
					!r.RecursionAvailable || r.Authoritative || r.AuthenticatedData != ad {
					t.Errorf("query %d got\n%s", i, r)
				}
				seen[r.Id] = true
			}
			if n := l.asked.Load(); n != 1 || l.flights() != 0 || l.h.store.parked.Load() != 0 {
				t.Errorf("asked %d times, %d flights, %d wait", n, l.flights(), l.h.store.parked.Load())
			}
			l.says(dns.RcodeNotImplemented)
			if l.lookup("www.contoso.com."); l.asked.Load() != tc.asked {
				t.Errorf("asked %d times", l.asked.Load())
			}
		})
	}
}

// respond makes a reply.
func respond(t *testing.T, rcode int, records ...string) func(*server.Query) server.Verdict {
	m := message(t, rcode, records...)
	return func(q *server.Query) server.Verdict {
		if err := q.SetMsg(m); err != nil {
			t.Error(err)
		}
		return server.Answered
	}
}

// What does not ask the same does not wait for it.
func TestFlightsApart(t *testing.T) {
	l := newLab(t, "cache")
	held := l.holds()
	c := l.client()
	for i, ask := range []func(){
		func() { c.send(1, "www.contoso.com.", dns.TypeA, nil) },
		func() { c.send(2, "www.contoso.com.", dns.TypeAAAA, nil) },
		func() { c.send(3, "web.contoso.com.", dns.TypeA, nil) },
		func() { c.send(4, "www.contoso.com.", dns.TypeA, func(m *dns.Msg) { m.IsEdns0().SetDo() }) },
		func() { c.send(5, "www.contoso.com.", dns.TypeA, func(m *dns.Msg) { m.CheckingDisabled = true }) },
		func() { c.send(6, "www.contoso.com.", dns.TypeA, func(m *dns.Msg) { m.RecursionDesired = false }) },
	} {
		ask()
		l.Wait("the query to go on", func() bool { return l.asked.Load() == int64(i+1) })
	}
	if l.flights() != 5 {
		t.Errorf("%d flights", l.flights())
	}
	for range 6 {
		q := <-held
		q.SetRCode(server.RCodeRefused)
		q.Finish(server.Answered)
		c.receive()
	}
	if l.flights() != 0 {
		t.Errorf("%d flights are left", l.flights())
	}
}

// However the handlers behind fail, a flight ends.
func TestFlightPanics(t *testing.T) {
	l := newLab(t, "cache {\n servfail 0s\n }")
	held := make(chan *server.Query, 1)
	proceed := make(chan bool)
	l.answers(func(q *server.Query) server.Verdict {
		held <- q
		<-proceed
		panic("in")
	})
	leader, other := l.client(), l.client()
	for _, finished := range []bool{false, true} {
		leader.send(1, "www.contoso.com.", dns.TypeA, nil)
		q := <-held
		// The leader's worker is busy, and so is the socket that it reads.
		parked := make(chan *dns.Msg, 1)
		go func() {
			m := servertest.Question("www.contoso.com.", dns.TypeA)
			m.Id = 7
			r, _ := l.TryExchange("tcp", l.Addrs()[0], m, servertest.Patience)
			parked <- r
		}()
		l.waits(1)
		want := "SERVFAIL"
		if finished {
			if err := q.SetMsg(message(t, dns.RcodeSuccess, "www.contoso.com. 0 IN A 192.0.2.80")); err != nil {
				t.Fatal(err)
			}
			q.Finish(server.Answered)
			want = "NOERROR A/0"
		}
		proceed <- true
		if r := leader.receive(); brief(r) != want {
			t.Errorf("the leader got\n%s", r)
		}
		if r := <-parked; r == nil || brief(r) != want {
			t.Errorf("who waited got\n%s", r)
		}
		if l.flights() != 0 || l.h.store.parked.Load() != 0 {
			t.Errorf("%d flights, %d wait", l.flights(), l.h.store.parked.Load())
		}
	}
	l.says(dns.RcodeSuccess, www)
	other.send(9, "www.contoso.com.", dns.TypeA, nil)
	if r := other.receive(); brief(r) != "NOERROR A/300" {
		t.Errorf("got\n%s", r)
	}
}

// More than so many queries do not wait, and do not go on either.
func TestFlightBound(t *testing.T) {
	l := newLab(t, "cache")
	held := l.holds()
	c := l.client()
	c.send(1, "www.contoso.com.", dns.TypeA, nil)
	first := <-held
	for i := range maxParked {
		c.send(uint16(2+i), "www.contoso.com.", dns.TypeA, nil)
		if i%100 == 99 {
			l.waits(int64(i + 1))
		}
	}
	for i := range 5 {
		c.send(uint16(5000+i), "www.contoso.com.", dns.TypeA, nil)
	}
	// Of another name, the first goes on, and the others find no room to wait.
	l.h.store.parked.Add(maxParkedAll - maxParked)
	for i := range 3 {
		c.send(uint16(6000+i), "web.contoso.com.", dns.TypeA, nil)
	}
	second := <-held
	c.send(7000, "last.contoso.com.", dns.TypeA, nil)
	third := <-held
	if len(held) > 0 {
		t.Errorf("%d more went on", len(held))
	}
	l.h.store.parked.Add(maxParked - maxParkedAll)
	l.waits(maxParked)
	for _, q := range []*server.Query{third, second, first} {
		respond(t, dns.RcodeSuccess, q.Name.String()+" 0 IN A 192.0.2.80")(q)
		q.Finish(server.Answered)
	}
	l.waits(0)
	if l.flights() != 0 {
		t.Errorf("%d flights are left", l.flights())
	}
}

// A query of the cache's own leads as a client's does.
func TestFlightOfFork(t *testing.T) {
	l := newLab(t, "cache {\n prefetch 1\n }")
	l.says(dns.RcodeSuccess, "www.contoso.com. 100 IN A 192.0.2.80")
	l.expect("miss", "NOERROR A/100", 1)
	held := l.holds()
	l.pass(95 * time.Second)
	l.expect("prefetch begins", "NOERROR A/5", 2)
	l.expect("and is one", "NOERROR A/5", 2)
	l.pass(5 * time.Second)
	c := l.client()
	c.send(5, "www.contoso.com.", dns.TypeA, nil)
	l.waits(1)
	q := <-held
	respond(t, dns.RcodeSuccess, www)(q)
	q.Finish(server.Answered)
	if r := c.receive(); r.Id != 5 || brief(r) != "NOERROR A/300" {
		t.Errorf("got\n%s", r)
	}
	l.expect("hit", "NOERROR A/300", 2)
}

// Queries that wait for one of the configuration before are answered, and hold it
// up no longer than it takes.
func TestFlightOverReload(t *testing.T) {
	l := newLab(t, "cache")
	held := l.holds()
	first, second := l.client(), l.client()
	first.send(1, "www.contoso.com.", dns.TypeA, nil)
	q := <-held
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	second.send(2, "www.contoso.com.", dns.TypeA, nil)
	l.waits(1)
	respond(t, dns.RcodeSuccess, www)(q)
	q.Finish(server.Answered)
	for _, c := range []*client{first, second} {
		if r := c.receive(); brief(r) != "NOERROR A/300" {
			t.Errorf("got\n%s", r)
		}
	}
	l.expect("hit", "NOERROR A/300", 1)
}
