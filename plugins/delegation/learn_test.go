package delegation

import (
	"encoding/binary"
	"math"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

// crowd sends the same query from many sources through a handler.
type crowd struct {
	h *handler
	q *server.Query
}

// crowdOf runs f with a crowd at a server with the lines in directive delegation.
func crowdOf(t testing.TB, lines string, f func(c *crowd)) {
	t.Helper()
	var h server.Handler
	servertest.Start(t, ".:0 {\n delegation {\n"+lines+"\n }\n}", servertest.Capture(Plugin(), &h))
	packet, err := question(portal, dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	f(&crowd{h.(*handler), &server.Query{
		Packet: packet, Name: name(t, portal), Type: dns.TypeA, Class: dns.ClassINET, QuestionEnd: len(packet), Received: time.Now(),
	}})
}

// from is the n-th source: IPv4 and IPv6 in turn.
func from(n int) netip.Addr {
	var b [16]byte
	if n&1 == 0 {
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	b[0] = 0x20
	binary.BigEndian.PutUint32(b[4:], uint32(n))
	b[15] = 1
	return netip.AddrFrom16(b)
}

// send sends one query.
func (c *crowd) send(a netip.Addr, iterative bool) {
	c.q.Remote = netip.AddrPortFrom(a, 53)
	wire.SetFlags(c.q.Packet, wire.FlagRD)
	if iterative {
		wire.SetFlags(c.q.Packet, 0)
	}
	c.q.Resolver, c.q.Path = nil, server.PathUnknown
	c.h.In(c.q)
	c.h.Out(c.q)
}

// counts are those of the resolver, nil where there is none of the name.
func (c *crowd) counts(name string) *resolverCounts {
	for _, r := range c.h.observer.sum().resolvers {
		if r.Name == name {
			return r.resolverCounts
		}
	}
	return nil
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestTenMillionSources says that memory is bounded, whatever arrives, and that
// the sums are right all the same. On a machine that is too busy for ten million it
// does with as many as come in time.
func TestTenMillionSources(t *testing.T) {
	const least = 200_000
	sources := 10_000_000
	if raceEnabled || testing.Short() {
		sources = least
	}
	crowdOf(t, "", func(c *crowd) {
		c.send(from(0), true)
		before, end := heap(), time.Now().Add(time.Minute)
		for n := range sources {
			if n >= least && n%10_000 == 0 && time.Now().After(end) {
				t.Logf("the machine is busy: %d sources", n)
				sources = n
				break
			}
			c.q.Received = c.q.Received.Add(50 * time.Microsecond)
			c.send(from(n), n%3 == 0)
		}
		if grown := int64(heap()) - int64(before); grown > 2<<20 {
			t.Errorf("%d bytes of memory for %d sources", grown, sources)
		}
		s := c.h.observer.sum()
		if len(s.resolvers) > 1+defaultLearn {
			t.Errorf("%d resolvers", len(s.resolvers))
		}
		var sum uint64
		for _, r := range s.resolvers {
			sum += r.total()
		}
		if want := uint64(sources) + 1; sum != want {
			t.Errorf("%d queries are counted of %d", sum, want)
		}
		if got := s.distinct[0].count(); math.Abs(got/float64(sources)-1) > .06 {
			t.Errorf("%v different sources, want about %d", got, sources)
		}
	})
}

// TestFloodDoesNotEvict says that a flood of sources that ask once takes no
// resolver's place, however it asks.
func TestFloodDoesNotEvict(t *testing.T) {
	crowdOf(t, "learn 4", func(c *crowd) {
		for range 20 {
			for n := range 4 {
				c.send(from(n), true)
			}
		}
		table := c.h.observer.table.Load()
		sources := 300_000
		if raceEnabled {
			sources = 50_000
		}
		for n := range sources {
			c.q.Received = c.q.Received.Add(10 * time.Millisecond)
			c.send(from(1000+n), n%2 == 0)
		}
		if now := c.h.observer.table.Load(); now != table {
			t.Errorf("the table has changed %d times", now.number-table.number)
		}
		for n := range 4 {
			if got := c.counts(sourceOf(from(n)).String()); got == nil || got.total() != 20 {
				t.Errorf("source %d has %+v", n, got)
			}
		}
	})
}

// TestBusierTakesThePlace says that a busy source is learned in the place of the
// one that asks least, whose counts are not lost.
func TestBusierTakesThePlace(t *testing.T) {
	crowdOf(t, "learn 2", func(c *crowd) {
		for range 30 {
			c.send(from(0), true)
		}
		c.send(from(1), true)
		for n := range 40 {
			c.q.Received = c.q.Received.Add(time.Second)
			c.send(from(2), true)
			if n == 10 && c.counts(sourceOf(from(1)).String()) == nil {
				t.Error("a source is learned that has asked ten times")
			}
		}
		if c.counts(sourceOf(from(1)).String()) != nil {
			t.Error("the least busy resolver is still there")
		}
		busy, other := c.counts(sourceOf(from(2)).String()), c.counts(otherName)
		if busy == nil || busy.total()+other.total() != 41 || busy.total() < 20 {
			t.Errorf("the new one has %+v, all others %+v", busy, other)
		}
		if first := c.counts(sourceOf(from(0)).String()); first == nil || first.total() != 30 {
			t.Errorf("the busiest has %+v", first)
		}
	})
}

// TestDecay says that what was asked long ago does not hold a place for ever.
func TestDecay(t *testing.T) {
	crowdOf(t, "learn 1", func(c *crowd) {
		for range 10_000 {
			c.send(from(0), true)
		}
		busier := func() bool {
			for range 40 {
				c.q.Received = c.q.Received.Add(time.Second)
				c.send(from(1), true)
			}
			return c.counts(sourceOf(from(1)).String()) != nil
		}
		if busier() {
			t.Error("a source with 40 queries is busier than one with 10000")
		}
		now := time.Now()
		for range 150 {
			now = now.Add(decayInterval)
			c.h.observer.decay(now)
		}
		if !busier() {
			t.Error("the place is still held")
		}
		if got := c.counts(otherName).total(); got < 10_000 {
			t.Errorf("all others have %d queries", got)
		}
	})
}

// TestManyNetworks says that the longest prefix counts, in both families.
func TestManyNetworks(t *testing.T) {
	lines := "resolver any *\nresolver wide 192.0.2.0/24 2001:db8::/32\nresolver narrow 192.0.2.128/25 2001:db8:1::/48\nresolver one 192.0.2.200 2001:db8:1::53"
	crowdOf(t, lines, func(c *crowd) {
		for addr, want := range map[string]string{
			"198.51.100.1": "any", "2001:db9::1": "any", "192.0.2.1": "wide", "2001:db8::1": "wide",
			"192.0.2.129": "narrow", "2001:db8:1::1": "narrow", "192.0.2.200": "one", "2001:db8:1::53": "one",
		} {
			c.send(netip.MustParseAddr(addr), false)
			if got := c.q.Resolver.Name; got != want || c.q.Path != server.PathForwarded {
				t.Errorf("%s is %s (%s), want %s", addr, got, c.q.Path, want)
			}
		}
	})
	crowdOf(t, "resolver six ::/0", func(c *crowd) {
		c.send(netip.MustParseAddr("192.0.2.1"), false)
		if got := c.q.Resolver.Name; got != otherName {
			t.Errorf("an IPv4 address is %s", got)
		}
	})
}

// TestDistinct says how many sources are told.
func TestDistinct(t *testing.T) {
	o := newObserver(1)
	var a, b distinct
	n := 0
	for _, want := range []int{0, 1, 100, 128, 1000, 20_000, 300_000} {
		for ; n < want; n++ {
			part := &a
			if n%3 == 0 {
				part = &b
			}
			part.add(o.hash(source{0, uint64(n)}))
			part.add(o.hash(source{0, uint64(n)}))
		}
		var sum distinct
		sum.merge(&a)
		sum.merge(&b)
		got := sum.count()
		if want <= exactMost && got != float64(want) || math.Abs(got-float64(want)) > .06*float64(want) {
			t.Errorf("%v of %d", got, want)
		}
	}
}

// TestSketch says that a source that asks often is told from a crowd of those that
// ask once.
func TestSketch(t *testing.T) {
	o, s := newObserver(1), newSketch()
	worst := uint32(0)
	for n := range 500_000 {
		worst = max(worst, s.add(o.hash(source{1, uint64(n)})))
	}
	if worst >= enough {
		t.Errorf("a source that asked once looks like one that asked %d times", worst)
	}
	var seen uint32
	for range enough {
		seen = s.add(o.hash(source{2, 2}))
	}
	if seen < enough {
		t.Errorf("a source that asked %d times looks like one that asked %d times", enough, seen)
	}
}
