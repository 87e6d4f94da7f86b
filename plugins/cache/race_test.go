package cache

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// addressOf is the one right answer for a name.
func addressOf(name string) net.IP {
	h := fnv.New32a()
	h.Write([]byte(dns.CanonicalName(name)))
	s := h.Sum32()
	return net.IPv4(10, byte(s>>16), byte(s>>8), byte(s))
}

// TestCrowd has many clients ask for few names in a small cache, with handlers
// behind that answer at once, later, in another order, or not: all get an answer,
// and each its own.
func TestCrowd(t *testing.T) {
	l := newLab(t, "cache {\n capacity 1MB\n prefetch 2 1m 90%\n serve_stale\n servfail 1s\n success 300\n }")
	later := make(chan *server.Query, 10000)
	l.answers(func(q *server.Query) server.Verdict {
		switch rand.IntN(8) {
		case 0:
			answerRight(q)
			return server.Answered
		case 1:
			q.SetRCode(server.RCodeServerFailure)
			return server.Answered
		case 2:
			panic("behind")
		}
		later <- q
		return server.Pending
	})
	var finishers, clients sync.WaitGroup
	for range 2 {
		finishers.Go(func() {
			var held []*server.Query
			for q := range later {
				held = append(held, q)
				if len(held) > 20 || len(later) == 0 {
					rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
					for _, q := range held {
						answerRight(q)
						q.Finish(server.Answered)
					}
					held = nil
				}
			}
		})
	}
	for i := range 8 {
		clients.Go(func() { l.ask(i, 400) })
	}
	clients.Wait()
	l.Wait("the last flight to end", func() bool { return l.flights() == 0 })
	close(later)
	finishers.Wait()
	check(t, l.h.store)
	if n := l.h.store.parked.Load(); n != 0 {
		t.Errorf("%d queries wait", n)
	}
}

// answerRight answers with the address of the name, for a TTL that is often 0 or
// short.
func answerRight(q *server.Query) {
	m := new(dns.Msg)
	name := q.Name.String()
	m.RecursionDesired, m.RecursionAvailable = true, true
	m.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: []uint32{0, 6, 100}[rand.IntN(3)]}, A: addressOf(name),
	}}
	if err := q.SetMsg(m); err != nil {
		q.Fail(err)
	}
}

// ask sends n questions, and looks at the replies.
func (l *lab) ask(client, n int) {
	network := []string{"udp", "tcp"}[client%2]
	c := dns.Client{Net: network, Timeout: servertest.Patience}
	conn, err := c.Dial(servertest.Reachable(l.Addrs()[0]).String())
	if err != nil {
		l.t.Error(err)
		return
	}
	defer conn.Close()
	for i := range n {
		name := fmt.Sprintf("n%d.contoso.com.", rand.IntN(20))
		if i%4 == 0 {
			name = fmt.Sprintf("n%d-%d.Contoso.com.", client, i)
		}
		if i%50 == 0 {
			l.pass(time.Second)
		}
		m := servertest.Question(name, dns.TypeA)
		r, _, err := c.ExchangeWithConn(m, conn)
		if err != nil {
			l.t.Errorf("%s: %v", name, err)
			return
		}
		if r.Question[0].Name != name || r.Rcode == dns.RcodeSuccess && !r.Answer[0].(*dns.A).A.Equal(addressOf(name)) ||
			r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeServerFailure {
			l.t.Errorf("%s: got\n%s", name, r)
		}
	}
}
