package cache

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// withHit calls f with the handler and a query that it answers from the cache.
func withHit(t testing.TB, directive string, rrtype uint16, f func(h *handler, q *server.Query), records ...string) {
	t.Helper()
	var h server.Handler
	m := message(t, dns.RcodeSuccess, records...)
	var try atomic.Bool
	probe := servertest.Probe(false, func(q *server.Query) {
		if try.Load() {
			f(h.(*handler), q)
		}
	}, nil)
	s := servertest.Start(t, ".:0 {\n probe\n "+directive+"\n answer\n}", probe, servertest.Capture(Plugin(), &h),
		servertest.Answer(func(q *server.Query) server.Verdict {
			if try.Load() {
				t.Error("no hit")
			}
			q.SetMsg(m)
			return server.Answered
		}))
	s.Ask("host-00000001.contoso.com.au.", rrtype)
	try.Store(true)
	s.Ask("host-00000001.contoso.com.au.", rrtype)
}

const hostA = "host-00000001.contoso.com.au. 300 IN A 192.0.2.80"

func TestAllocs(t *testing.T) {
	for name, records := range map[string][]string{
		"answer": {hostA},
		"chain": {"host-00000001.contoso.com.au. 300 IN CNAME web.contoso.com.au.", "web.contoso.com.au. 300 IN A 192.0.2.1",
			"--", "contoso.com.au. 300 IN NS ns1.contoso.com.au."},
	} {
		for _, directive := range []string{"cache", "cache contoso.com.au {\n prefetch 3\n serve_stale\n success 1000\n }"} {
			withHit(t, directive, dns.TypeA, func(h *handler, q *server.Query) {
				if n := servertest.Allocs(func() {
					if h.In(q) != server.Answered {
						t.Error("no hit")
					}
					h.Out(q)
				}); n != 0 {
					t.Errorf("%s, %s: %v allocations a hit", name, directive, n)
				}
			}, records...)
		}
	}
	withHit(t, "cache {\n serve_stale\n }", dns.TypeA, func(h *handler, q *server.Query) {
		q.Received = q.Received.Add(time.Hour)
		if n := servertest.Allocs(func() { h.In(q); h.Out(q) }); n != 0 {
			t.Errorf("%v allocations a stale hit", n)
		}
	}, hostA)
}

func BenchmarkHit(b *testing.B) {
	withHit(b, "cache", dns.TypeA, func(h *handler, q *server.Query) {
		b.ReportAllocs()
		for b.Loop() {
			h.In(q)
			h.Out(q)
		}
	}, hostA)
}

// BenchmarkHitAmongMany has a million other answers there, so that neither index
// nor entry are in the processor's cache.
func BenchmarkHitAmongMany(b *testing.B) {
	withHit(b, "cache {\n capacity 512MB\n }", dns.TypeA, func(h *handler, q *server.Query) {
		const n = 1 << 20
		for i := range n {
			made(h.store, fmt.Sprintf("host-%08d.contoso.com.au", i), success, 36000, 0).put(h.store, 0)
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			digits := q.Name[6:14]
			for d, v := 7, i*7919%n; d >= 0; d, v = d-1, v/10 {
				digits[d] = byte('0' + v%10)
			}
			if h.In(q) != server.Answered {
				b.Fatal("no hit")
			}
			h.Out(q)
		}
	}, hostA)
}

// peek tells what is there and changes nothing.
func TestPeek(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n }")
	var seen []string
	look := func(q *server.Query) {
		for range 2 {
			g := l.h.peek(q)
			seen = append(seen, fmt.Sprintf("%d %d %d %v %v %t %t", g.state, g.kind, g.rcode,
				g.age.Round(time.Minute), g.left.Round(time.Minute), g.resting, g.asking))
		}
	}
	expect := func(what, want string) {
		t.Helper()
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(seen) != 2 || seen[0] != want || seen[1] != want {
			t.Errorf("%s: %q, want %s twice", what, seen, want)
		}
		seen = nil
	}
	l.front = look
	l.says(dns.RcodeSuccess, "www.contoso.com. 600 IN A 192.0.2.80")
	l.expect("miss", "NOERROR A/600", 1)
	expect("nothing", "0 0 0 0s 0s false false")
	l.pass(4 * time.Minute)
	l.expect("hit", "NOERROR A/360", 1)
	expect("an answer", "1 1 0 4m0s 6m0s false false")
	l.pass(7 * time.Minute)
	held := l.holds()
	l.expect("stale", "NOERROR A/30 EDE3", 2)
	expect("a stale answer", "2 1 0 11m0s 0s false false")
	l.expect("stale", "NOERROR A/30 EDE3", 2)
	expect("a stale answer, asked for", "2 1 0 11m0s 0s false true")
	q := <-held
	q.SetRCode(server.RCodeServerFailure)
	q.Finish(server.Answered)
	l.expect("stale", "NOERROR A/30 EDE3", 2)
	expect("a stale answer that could not be renewed", "2 1 0 11m0s 0s true false")
}
