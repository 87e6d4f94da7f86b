package delegation

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// TestConcurrent says that no query is lost while resolvers are learned, take one
// another's place, get names and lose them, and somebody looks on.
func TestConcurrent(t *testing.T) {
	const askers, queries = 4, 5000
	crowdOf(t, "learn 3", func(c *crowd) {
		o := c.h.observer
		var asking, looking sync.WaitGroup
		for i := range askers {
			q := &server.Query{
				Packet: append([]byte(nil), c.q.Packet...), Name: c.q.Name, Type: c.q.Type, Class: c.q.Class,
				QuestionEnd: c.q.QuestionEnd, Received: c.q.Received, Worker: i % len(o.workers),
			}
			asking.Go(func() {
				one := &crowd{c.h, q}
				for n := range queries {
					q.Received = q.Received.Add(50 * time.Millisecond)
					one.send(from(n*n%(20+i)), n%3 == 0)
				}
			})
		}
		done := make(chan struct{})
		looking.Go(func() {
			plain := &config{observer: o, learn: 3}
			named := &config{observer: o, learn: 1, names: []string{"a", "b"}, named: map[string][]netip.Prefix{
				"a": {netip.MustParsePrefix("0.0.0.0/29")}, "b": {netip.MustParsePrefix("2000::/16")},
			}}
			now := time.Now()
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				now = now.Add(decayInterval)
				o.configure([]*config{plain, named}[n%2])
				o.sweep(now)
				o.decay(now)
				metrics := make(chan prometheus.Metric, 10_000)
				(&collector{c.h.config}).Collect(metrics)
				c.h.config.document()
			}
		})
		asking.Wait()
		close(done)
		looking.Wait()
		var sum uint64
		for _, r := range o.sum().resolvers {
			sum += r.total()
		}
		if sum != askers*queries {
			t.Errorf("%d queries are counted of %d", sum, askers*queries)
		}
	})
}
