package probe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// result is a label of the counter.
type result uint8

// The results.
const (
	asked result = iota
	confirmed
	failed
)

// String is the result as metrics and the API spell it.
func (r result) String() string { return [...]string{"asked", "confirmed", "failed"}[r] }

// maxResolvers bounds the resolvers with series of their own. Those that the traffic
// taught come and go.
const maxResolvers = 256

// other is the label of resolvers that have no name.
const other = "other"

// counts are the metrics of probes, guarded by the record's lock.
type counts struct {
	resolvers map[string]bool
	total     map[series]uint64
	verified  map[verified]bool
}

type series struct {
	resolver string
	path     server.Path
	result   result
}

type verified struct {
	resolver string
	path     server.Path
	ns       string
}

func newCounts() counts {
	return counts{make(map[string]bool), make(map[series]uint64), make(map[verified]bool)}
}

// named is a resolver as a label.
func (c *counts) named(resolver string) string {
	switch {
	case resolver == "":
		return other
	case c.resolvers[resolver]:
	case len(c.resolvers) >= maxResolvers:
		return other
	default:
		c.resolvers[resolver] = true
	}
	return resolver
}

func (c *counts) count(resolver string, path server.Path, r result) {
	c.total[series{c.named(resolver), path, r}]++
}

// verify notes how the last probe of this kind ended.
func (c *counts) verify(resolver string, path server.Path, ns string, ok bool) {
	c.verified[verified{c.named(resolver), path, ns}] = ok
}

func totalDesc() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_delegation_probe_total",
		"Probes that were asked for here, and those whose asker said that the answer came back, or did not.",
		[]string{"resolver", "path", "result"}, nil)
}

func verifiedDesc() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_delegation_verified",
		"Whether the last probe on this way, of those whose asker told, came back: 1 or 0.",
		[]string{"resolver", "path", "ns"}, nil)
}

// Describe sends what Collect will.
func (r *record) Describe(ch chan<- *prometheus.Desc) {
	ch <- totalDesc()
	ch <- verifiedDesc()
}

// Collect shows the counts.
func (r *record) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	desc := totalDesc()
	for s, n := range r.counts.total {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), s.resolver, s.path.String(), s.result.String())
	}
	desc = verifiedDesc()
	for v, ok := range r.counts.verified {
		value := 0.0
		if ok {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, v.resolver, v.path.String(), v.ns)
	}
}
