package prometheus

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// enabled shows which directives stand in the blocks that have metrics.
type enabled struct {
	blocks []enabledBlock
}

type enabledBlock struct {
	block      *server.Block
	directives func() []string
}

func (e *enabled) add(d *server.Directive) {
	e.blocks = append(e.blocks, enabledBlock{d.Block, d.Directives()})
}

func (e *enabled) desc() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_plugin_enabled",
		"Directives that stand in a server block; always 1.", []string{"server", "zone", "name"}, nil)
}

// Describe sends what Collect will.
func (e *enabled) Describe(ch chan<- *prometheus.Desc) { ch <- e.desc() }

// Collect sends each directive once for every address and zone of its block.
func (e *enabled) Collect(ch chan<- prometheus.Metric) {
	desc := e.desc()
	type series struct{ server, zone, name string }
	sent := make(map[series]bool)
	for _, b := range e.blocks {
		for _, address := range b.block.ServerLabels() {
			for _, zone := range b.block.Zones {
				for _, name := range b.directives() {
					s := series{address, zone.String(), name}
					if !sent[s] {
						ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, s.server, s.zone, s.name)
					}
					sent[s] = true
				}
			}
		}
	}
}
