package dnstap

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

var errGone = errors.New("the collector has closed the connection")

// collector shows what became of messages, by output. There is one for all blocks.
type collector struct{ outputs map[string]*output }

// Describe sends nothing: the collector is unchecked.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the counts.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(server.MetricsNamespace+"_dnstap_"+name, help, []string{"output"}, nil)
	}
	frames := desc("frames_total", "Messages of dnstap that were written.")
	dropped := desc("dropped_total", "Messages of dnstap that were not written: the output is too slow, or gone.")
	connected := desc("connected", "1 while the output of dnstap is open.")
	for name, o := range c.outputs {
		up := 0.0
		if o.connected.Load() {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(frames, prometheus.CounterValue, float64(o.frames.Load()), name)
		ch <- prometheus.MustNewConstMetric(dropped, prometheus.CounterValue, float64(o.dropped()), name)
		ch <- prometheus.MustNewConstMetric(connected, prometheus.GaugeValue, up, name)
	}
}
