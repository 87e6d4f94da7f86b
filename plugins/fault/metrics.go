package fault

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// collector shows the rules; it is there once for all blocks.
type collector struct {
	engine *engine
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_fault_"+name, help, labels, nil)
}

func activeDesc() *prometheus.Desc {
	return desc("active", "1 for each fault that is in use.", "rule", "kind")
}

func injectedDesc() *prometheus.Desc {
	return desc("injected_total", "Queries, and connections, that a fault was put into on purpose.", "rule", "kind", "ns")
}

func remainingDesc() *prometheus.Desc {
	return desc("remaining_seconds", "How long a fault is in use still.", "rule", "kind")
}

func heldDesc() *prometheus.Desc {
	return desc("delayed_queries", "Queries whose reply a fault holds back now.")
}

func overflowDesc() *prometheus.Desc {
	return desc("delay_dropped_total", "Queries that were dropped since too many were held back.")
}

// Describe sends what Collect will.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{activeDesc(), injectedDesc(), remainingDesc(), heldDesc(), overflowDesc()} {
		ch <- d
	}
}

// Collect shows the rules in use, and the counts of those that ended not long ago
// unless another has their name now.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := c.engine
	ch <- prometheus.MustNewConstMetric(heldDesc(), prometheus.GaugeValue, float64(e.waiting.Load()))
	ch <- prometheus.MustNewConstMetric(overflowDesc(), prometheus.CounterValue, float64(e.overflow.Load()))
	e.mu.Lock()
	defer e.mu.Unlock()
	at := now()
	shown := make(map[string]bool)
	for _, r := range slices.Concat(e.rules, reversed(e.recent)) {
		if shown[r.name] {
			continue
		}
		shown[r.name] = true
		kind := r.kind.String()
		if r.ended.IsZero() && !r.off {
			ch <- prometheus.MustNewConstMetric(activeDesc(), prometheus.GaugeValue, 1, r.name, kind)
			ch <- prometheus.MustNewConstMetric(remainingDesc(), prometheus.GaugeValue, max(0, r.ends.Sub(at).Seconds()), r.name, kind)
		}
		for i, label := range e.labels {
			if n := r.by[i].Load(); n > 0 {
				ch <- prometheus.MustNewConstMetric(injectedDesc(), prometheus.CounterValue, float64(n), r.name, kind, label)
			}
		}
	}
}

func reversed(rules []*rule) []*rule {
	rules = slices.Clone(rules)
	slices.Reverse(rules)
	return rules
}
