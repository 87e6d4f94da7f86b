package delegation

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// TestAfterTruncation says who comes over TCP after a truncated reply.
func TestAfterTruncation(t *testing.T) {
	s := start(t, "resolver corp 127.0.0.1")
	large := func(prefix string) *dns.Msg { return iterative("large."+prefix+".east.cloud.fabrikam.com", dns.TypeA) }
	s.ask(1, large("a"))
	s.ask(1, large("a")) // again: the time runs from the first
	s.askOver("tcp", 2, large("a"))
	s.want(map[string]string{`tcp_after_tc_total{resolver="corp"}`: "1", `tcp_without_tc_total{resolver="corp"}`: "", `tc_unretried_total{resolver="corp"}`: ""})
	s.askOver("tcp", 1, large("b"))
	s.want(map[string]string{`tcp_after_tc_total{resolver="corp"}`: "1", `tcp_without_tc_total{resolver="corp"}`: "1"})
}

// TestFailover says that a resolver which turns to the other server is noticed.
func TestFailover(t *testing.T) {
	s := start(t, "")
	for _, name := range []string{"fails1", "drops1", "fails2"} {
		m := iterative(name+".east.cloud.fabrikam.com", dns.TypeA)
		if name == "drops1" {
			_, err := s.TryExchange("udp", s.Addrs()[0], m, 100*time.Millisecond)
			if err == nil {
				t.Fatal("the query was answered")
			}
		} else {
			s.ask(1, m)
		}
		if name != "fails2" {
			s.ask(2, m)
		}
	}
	s.ask(2, iterative("fails3.east.cloud.fabrikam.com", dns.TypeA))
	s.ask(1, iterative("fails3.east.cloud.fabrikam.com", dns.TypeA))
	s.want(map[string]string{
		`failover_total{from="ns01",resolver="127.0.0.1",to="ns02"}`: "2",
		`failover_total{from="ns02",resolver="127.0.0.1",to="ns01"}`: "",
		`failover_delay_seconds_count`:                               "2",
		`failover_delay_seconds_bucket{le="10"}`:                     "2",
	})
}

// lab is an observer whose clock is the test's.
type lab struct {
	t   *testing.T
	o   *observer
	now int64
}

func newLab(t *testing.T, learn int) *lab {
	o := newObserver(2)
	l := &lab{t: t, o: o, now: time.Now().UnixNano()}
	l.configure(learn)
	return l
}

func (l *lab) configure(learn int, names ...string) {
	c := &config{observer: l.o, learn: learn, names: names}
	c.cuts.Store(new(cuts))
	l.o.configure(c)
}

// TestRepetition says what the same question again means, by the clock.
func TestRepetition(t *testing.T) {
	type step struct {
		after time.Duration
		facts
	}
	udp := func(after time.Duration, ns uint8, reply replyKind, ttl uint32) step {
		return step{after, facts{ns: ns, reply: reply, ttl: ttl}}
	}
	for name, tc := range map[string]struct {
		steps []step
		want  resolverCounts
		delay uint64
	}{
		"refetched early":     {[]step{udp(0, 1, replyOK, 100), udp(40*time.Second, 2, replyOK, 100)}, resolverCounts{refetch: histogram{buckets: [10]uint64{1: 1}, sum: .4}}, 0},
		"refetched in time":   {[]step{udp(0, 1, replyOK, 100), udp(100*time.Second, 1, replyOK, 100)}, resolverCounts{refetch: histogram{buckets: [10]uint64{3: 1}, sum: 1}}, 0},
		"too late for TCP":    {[]step{udp(0, 1, replyCut, 0), {11 * time.Second, facts{ns: 1, tcp: 1}}}, resolverCounts{tcpWithoutTC: 1}, 0},
		"TC twice, far apart": {[]step{udp(0, 1, replyCut, 0), udp(11*time.Second, 1, replyCut, 0)}, resolverCounts{unretried: 1}, 0},
		"TC at both in turn":  {[]step{udp(0, 1, replyCut, 0), udp(4*time.Second, 2, replyCut, 0), udp(4*time.Second, 1, replyCut, 0), udp(4*time.Second, 2, replyCut, 0)}, resolverCounts{unretried: 1}, 0},
		"fault, late":         {[]step{udp(0, 1, replyFault, 0), udp(11*time.Second, 2, replyOK, 0)}, resolverCounts{}, 0},
		"fault held back":     {[]step{udp(0, 2, replyOK, 0), udp(-2*time.Second, 1, replyFault, 0)}, resolverCounts{failover: failed(1, 2)}, 1},
		"faults, then over":   {[]step{udp(0, 1, replyFault, 0), udp(time.Second, 1, replyFault, 0), udp(time.Second, 2, replyOK, 0)}, resolverCounts{failover: failed(1, 2)}, 1},
	} {
		l := newLab(t, 0)
		w, h := &l.o.workers[0], newHistory(1)
		e := &h.shards[0].sets[0][0]
		r := w.resolver(otherSlot)
		for _, s := range tc.steps {
			l.now += int64(s.after)
			s.now = l.now
			if e.follow(w, r, &s.facts, true) {
				*e = entry{key: 1, at: s.now, ns: s.ns, ttl: s.ttl, reply: s.reply}
			}
		}
		if *r != tc.want {
			t.Errorf("%s: %+v, want %+v", name, *r, tc.want)
		}
		var delays uint64
		for _, n := range w.delays.buckets {
			delays += n
		}
		if delays != tc.delay {
			t.Errorf("%s: %d delays, want %d", name, delays, tc.delay)
		}
	}
}

func failed(from, to uint8) (f [maxNS][maxNS]uint64) {
	f[from][to] = 1
	return f
}

// TestSweep says that a truncated reply which nobody follows is found.
func TestSweep(t *testing.T) {
	l := newLab(t, 0)
	h := l.o.strangers
	h.shards[3].sets[5][1] = entry{key: 1, at: l.now, reply: replyCut}
	h.open.Add(1)
	l.o.sweep(time.Unix(0, l.now+patience))
	if n := l.o.workers[0].resolvers; len(n) > 0 && n[0].unretried != 0 {
		t.Error("counted before its time")
	}
	for range 2 {
		l.o.sweep(time.Unix(0, l.now+patience+1))
	}
	if n := l.o.workers[0].resolver(otherSlot).unretried; n != 1 {
		t.Errorf("counted %d times", n)
	}
	if n := h.open.Load(); n != 0 {
		t.Errorf("%d entries wait still", n)
	}
}

// TestBusy says that a busy worker passes over what tells nothing but how soon a
// question comes again, misses no failover by it, and takes no two questions for
// neighbors that are none.
func TestBusy(t *testing.T) {
	l := newLab(t, 0)
	w, h := &l.o.workers[0], newHistory(64)
	r := w.resolver(otherSlot)
	q := &server.Query{Type: dns.TypeA}
	ask := func(name string, f facts) {
		q.Name, f.now = wire.Name(name), l.now
		h.see(l.o, w, otherSlot, r, q, &f)
	}
	const most, looked = 40, 8
	var names, lucky []string
	for i := 0; len(names) < most || len(lucky) < looked; i++ {
		name := string([]byte{2, byte(i >> 8), byte(i), 0})
		if chosen(l.o.question(q.Type, wire.Name(name), source{})) {
			lucky = append(lucky, name)
		} else if len(names) < most {
			names = append(names, name)
		}
	}
	names = append(names, lucky[:looked]...)
	all := func(f facts) {
		for _, name := range names {
			ask(name, f)
		}
	}
	ratios := func() (n uint64) {
		for _, b := range r.refetch.buckets {
			n += b
		}
		return n
	}
	good := facts{ns: 1, ttl: 100}
	all(good)
	for range busyRate {
		w.pace.add(l.now)
	}
	l.now += second
	w.pace.add(l.now)
	all(good)
	overTCP := good
	overTCP.tcp = 1
	ask(names[0], overTCP)
	if w.passed--; r.tcpWithoutTC != 1 {
		t.Errorf("%d queries over TCP without TC, want 1", r.tcpWithoutTC)
	}
	if w.passed != most || ratios() != looked {
		t.Fatalf("%d of %d passed over, %d ratios", w.passed, len(names), ratios())
	}
	ask("\x01x\x00", facts{ns: 1, reply: replyFault})
	l.now += 2 * second
	passed := w.passed
	all(good)
	ask("\x01x\x00", facts{ns: 2})
	if w.passed != passed || r.failover[1][2] != 1 {
		t.Errorf("%d passed over with a fault about, failovers %v", w.passed-passed, r.failover)
	}
	if got := ratios(); got != 2*looked {
		t.Errorf("%d ratios, want %d: of the chosen names", got, 2*looked)
	}
	if h.open.Load() != 0 {
		t.Error("the fault is over, and waits still")
	}
	w.pace.busy = false
	l.now += 3 * second
	all(good)
	if got := ratios(); got != 3*looked+most {
		t.Errorf("%d ratios in the end", got)
	}
}

// FuzzFirstTTL holds the reader to the codec.
func FuzzFirstTTL(f *testing.F) {
	m := question("a.example.org", dns.TypeA)
	rr, _ := dns.NewRR("a.example.org. 77 IN A 192.0.2.1")
	m.Answer = append(m.Answer, rr)
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	if got := firstTTL(b, wire.HeaderLen+19); got != 77 {
		f.Errorf("TTL is %d", got)
	}
	f.Add(b, wire.HeaderLen+19)
	f.Add(b[:40], 31)
	f.Add([]byte{}, -1)
	f.Fuzz(func(t *testing.T, reply []byte, at int) {
		ttl := firstTTL(reply, at)
		if ttl == 0 {
			return
		}
		if want := binary.BigEndian.Uint32(reply[at+6 : at+10]); ttl != want {
			t.Errorf("%d, want %d", ttl, want)
		}
	})
}
