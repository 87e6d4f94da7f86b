package authority

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
)

// status shows the state of all zones of the configuration when somebody
// scrapes.
type status struct {
	stores []*zones.Store
}

// gauge is one metric of a zone.
type gauge struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*zones.Status) float64
}

func gauges() []gauge {
	const g, c = prometheus.GaugeValue, prometheus.CounterValue
	return []gauge{
		{describe("serial", "Serial of the zone that is served."), g,
			func(s *zones.Status) float64 { return float64(s.Serial) }},
		{describe("records", "Records of the zone that is served."), g,
			func(s *zones.Status) float64 { return float64(s.Records) }},
		{describe("loaded", "Whether the zone is served: 1 or 0."), g,
			func(s *zones.Status) float64 { return number(s.Loaded) }},
		{describe("load_timestamp_seconds", "When the zone that is served was loaded, in Unix time."), g,
			func(s *zones.Status) float64 {
				if !s.Loaded {
					return 0
				}
				return float64(s.LoadedAt.UnixMilli()) / 1000
			}},
		{describe("last_load_successful", "Whether the last attempt to load the zone succeeded: 1 or 0."), g,
			func(s *zones.Status) float64 { return number(s.Loaded && s.Err == nil) }},
		{describe("load_failed_total", "Failed attempts to load the zone, in this configuration."), c,
			func(s *zones.Status) float64 { return float64(s.Failures) }},
	}
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_zone_"+name, help, []string{"zone"}, nil)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe sends what Collect will.
func (s *status) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges() {
		ch <- g.desc
	}
}

// Collect reads the stores. Where several blocks serve a zone of one name, the
// one that is worst off is shown.
func (s *status) Collect(ch chan<- prometheus.Metric) {
	shown := make(map[string]zones.Status)
	for _, store := range s.stores {
		for _, z := range store.Status() {
			name := z.Origin.String()
			if other, ok := shown[name]; !ok || worse(&z, &other) {
				shown[name] = z
			}
		}
	}
	all := gauges()
	for name, z := range shown {
		for _, g := range all {
			ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.value(&z), name)
		}
	}
}

// worse says whether a is in a worse state than b.
func worse(a, b *zones.Status) bool {
	if a.Loaded != b.Loaded {
		return !a.Loaded
	}
	return a.Err != nil && b.Err == nil
}
