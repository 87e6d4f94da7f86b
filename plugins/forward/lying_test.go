package forward

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// rawUpstream answers UDP packets by f, which sends what it wants to whom it wants.
func rawUpstream(t testing.TB, f func(c *net.UDPConn, from *net.UDPAddr, q *dns.Msg)) string {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) == nil {
				f(c, from, q)
			}
		}
	}()
	return c.LocalAddr().String()
}

func packed(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// TestLies: before the right answer come others: under another ID, about another
// question, no reply at all, from another port, garbage. None is taken.
func TestLies(t *testing.T) {
	wrongSource, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer wrongSource.Close()
	addr := rawUpstream(t, func(c *net.UDPConn, from *net.UDPAddr, q *dns.Msg) {
		lie := func(change func(m *dns.Msg)) []byte {
			m := address4("203.0.113.66")(q)
			change(m)
			return packed(m)
		}
		c.WriteToUDP(lie(func(m *dns.Msg) { m.Id++ }), from)
		c.WriteToUDP(lie(func(m *dns.Msg) { m.Question[0].Name = "other.example." }), from)
		c.WriteToUDP(lie(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }), from)
		c.WriteToUDP(lie(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), from)
		c.WriteToUDP(lie(func(m *dns.Msg) { m.Response = false }), from)
		c.WriteToUDP(lie(func(m *dns.Msg) { m.Question = nil }), from)
		c.WriteToUDP([]byte{1, 2, 3}, from)
		wrongSource.WriteToUDP(lie(func(*dns.Msg) {}), from)
		c.WriteToUDP(packed(address4("192.0.2.1")(q)), from)
	})
	s := start(t, "forward . "+addr)
	for range 20 {
		wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	}
	for reason, least := range map[string]int{"unexpected": 20, "question": 60, "malformed": 20} {
		var n int
		fmt.Sscan(s.Metric("127.0.0.1:0", fmt.Sprintf(`stampdns_forward_responses_ignored_total{reason=%q}`, reason)), &n)
		if n < least {
			t.Errorf("%d answers were ignored as %s, want %d", n, reason, least)
		}
	}
}

// TestRandomizeCase: the upstream sees letters by chance, an answer in other letters
// is none, and the client gets its own.
func TestRandomizeCase(t *testing.T) {
	seen := make(map[string]bool)
	var mu sync.Mutex
	addr := rawUpstream(t, func(c *net.UDPConn, from *net.UDPAddr, q *dns.Msg) {
		mu.Lock()
		seen[q.Question[0].Name] = true
		mu.Unlock()
		lie := address4("203.0.113.66")(q)
		lie.Question[0].Name = "www.abcdefghijklmnop.example."
		c.WriteToUDP(packed(lie), from)
		c.WriteToUDP(packed(address4("192.0.2.1")(q)), from)
	})
	s := start(t, "forward . "+addr+" {\n randomize_case\n}")
	for range 8 {
		m := s.Ask("www.abcdefghijklmnop.example", dns.TypeA)
		wantA(t, m, "192.0.2.1")
		if got := m.Question[0].Name; got != "www.abcdefghijklmnop.example." {
			t.Errorf("the client's question came back as %s", got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) < 8 {
		t.Errorf("the upstream saw %v", seen)
	}
}

// TestRightClient: ten thousand distinct questions at a time through an upstream that
// answers in another order, some twice and some late: each client gets the answer to
// its own. What full socket buffers lose, or make fail, is asked again.
func TestRightClient(t *testing.T) {
	const clients, each = 100, 100
	var mu sync.Mutex
	var held []func()
	addr := rawUpstream(t, func(c *net.UDPConn, from *net.UDPAddr, q *dns.Msg) {
		var a, b int
		fmt.Sscanf(q.Question[0].Name, "n%d-%d.example.", &a, &b)
		m := packed(address4(fmt.Sprintf("10.%d.%d.%d", a, b, (a+b)%256))(q))
		mu.Lock()
		defer mu.Unlock()
		if held == nil {
			// What came within a few milliseconds goes out in any order.
			time.AfterFunc(5*time.Millisecond, func() {
				mu.Lock()
				defer mu.Unlock()
				rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
				for _, send := range held {
					send()
				}
				held = nil
			})
		}
		send := func() { c.WriteToUDP(m, from) }
		held = append(held, send)
		if rand.IntN(8) == 0 {
			held = append(held, send)
		}
	})
	s := start(t, "forward . "+addr+" {\n max_concurrent 20000\n}")
	end := time.Now().Add(6 * servertest.Patience)
	var wg sync.WaitGroup
	var right, failed atomic.Int64
	for a := range clients {
		wg.Go(func() {
			c := &rightClient{t: t, number: a, answered: make(map[int]bool)}
			c.run(s.Addrs()[0].String(), each, end)
			right.Add(int64(len(c.answered)))
			failed.Add(int64(c.failed))
		})
	}
	wg.Wait()
	if right.Load() < clients*each*9/10 {
		t.Errorf("%d of %d are answered, and %d failures", right.Load(), clients*each, failed.Load())
	}
}

// rightClient asks questions that nobody else asks.
type rightClient struct {
	t        *testing.T
	number   int
	answered map[int]bool
	failed   int
}

// run asks until all questions are answered, or the time is over.
func (r *rightClient) run(to string, questions int, end time.Time) {
	c, err := dns.Dial("udp", to)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer c.Close()
	for len(r.answered) < questions && time.Now().Before(end) && !r.t.Failed() {
		asked := 0
		for b := range questions {
			if r.answered[b] {
				continue
			}
			q := servertest.Question(fmt.Sprintf("n%d-%d.example", r.number, b), dns.TypeA)
			q.Id = uint16(b)
			if err := c.WriteMsg(q); err != nil {
				r.t.Error(err)
				return
			}
			asked++
		}
		c.SetReadDeadline(time.Now().Add(servertest.Patience))
		for range asked {
			m, err := c.ReadMsg()
			if err != nil {
				break
			}
			r.take(m, questions)
		}
	}
}

// take looks at a reply: it must be to the question that has its ID.
func (r *rightClient) take(m *dns.Msg, questions int) {
	a, b := r.number, int(m.Id)
	switch {
	case m.Rcode != dns.RcodeSuccess:
		r.failed++
	case b < questions && len(m.Answer) == 1 && m.Answer[0].(*dns.A).A.String() == fmt.Sprintf("10.%d.%d.%d", a, b, (a+b)%256) &&
		m.Question[0].Name == fmt.Sprintf("n%d-%d.example.", a, b):
		r.answered[b] = true
	default:
		r.t.Errorf("client %d got an answer to another question: %v", a, m)
	}
}

// TestLossy: an upstream that loses each third query costs no answer.
func TestLossy(t *testing.T) {
	var n atomic.Int64
	u := startUpstream(t, func(q *dns.Msg) *dns.Msg {
		if n.Add(1)%3 == 0 {
			return nil
		}
		return address4("192.0.2.1")(q)
	})
	u2 := startUpstream(t, address4("192.0.2.1"))
	for _, to := range []string{u.addr, u.addr + " " + u2.addr} {
		s := start(t, "forward . "+to)
		for i := range 12 {
			wantA(t, s.Ask(fmt.Sprintf("n%d.example", i), dns.TypeA), "192.0.2.1")
		}
	}
}

// TestSlow: an answer that comes after another attempt was made is taken still.
func TestSlow(t *testing.T) {
	addr := rawUpstream(t, func(c *net.UDPConn, from *net.UDPAddr, q *dns.Msg) {
		time.AfterFunc(1200*time.Millisecond, func() { c.WriteToUDP(packed(address4("192.0.2.1")(q)), from) })
	})
	s := start(t, "forward . "+addr)
	begin := time.Now()
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	if d := time.Since(begin); d > 1500*time.Millisecond {
		t.Errorf("answered after %s", d)
	}
}

// TestStreamRestart: queries that wait at a connection which the upstream closes are
// asked again over another one.
func TestStreamRestart(t *testing.T) {
	var mu sync.Mutex
	closed := 0
	u := startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		first := q.Question[0].Name == "again.example." && closed == 0
		if first {
			closed++
		}
		mu.Unlock()
		if first {
			w.Close()
			return
		}
		w.WriteMsg(address4("192.0.2.1")(q))
	})
	s := start(t, "forward . "+u.addr+" {\n force_tcp\n}")
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	begin := time.Now()
	wantA(t, s.Ask("again.example", dns.TypeA), "192.0.2.1")
	if d := time.Since(begin); d > 300*time.Millisecond || closed != 1 {
		t.Errorf("answered after %s; %d connections were closed", d, closed)
	}
}

// TestRetiredSocket: ports change, and no answer is lost by it.
func TestRetiredSocket(t *testing.T) {
	var mu sync.Mutex
	ports := make(map[string]bool)
	u := startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		ports[w.RemoteAddr().String()] = true
		mu.Unlock()
		w.WriteMsg(address4("192.0.2.1")(q))
	})
	s := start(t, "forward . "+u.addr)
	for i := range 200 {
		wantA(t, s.Ask(fmt.Sprintf("n%d.example", i), dns.TypeA), "192.0.2.1")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ports) < socketsPerUpstream-2 {
		t.Errorf("queries came from %d ports", len(ports))
	}
}
