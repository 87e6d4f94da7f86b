package journal

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// collector shows what the journal has taken and left out; it is there once for all
// blocks.
type collector struct {
	journal *journal
}

func (c *collector) recorded() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_journal_recorded_total", "Queries written into the journal.", nil, nil)
}

func (c *collector) skipped() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_journal_skipped_total",
		"Queries that were not written into the journal.", []string{"reason"}, nil)
}

func (c *collector) entries() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_journal_entries", "Queries that the journal has.", nil, nil)
}

// Describe sends what Collect will.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.recorded()
	ch <- c.skipped()
	ch <- c.entries()
}

// Collect sums over the workers.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	floor, top := c.journal.span()
	n := c.journal.count(0)
	ch <- prometheus.MustNewConstMetric(c.recorded(), prometheus.CounterValue, float64(top))
	ch <- prometheus.MustNewConstMetric(c.skipped(), prometheus.CounterValue, float64(n.skipped), skipSampled)
	ch <- prometheus.MustNewConstMetric(c.entries(), prometheus.GaugeValue, float64(top-floor))
}
