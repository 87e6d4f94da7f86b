package prometheus

import (
	"sort"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/stampdns/stampdns/server"
)

// reader shows the traffic at a scrape.
type reader struct {
	traffic  *traffic
	zoneName func(uint32) string
}

// Describe sends nothing: the ns label is there only for queries to a name
// server, and a described metric has one set of labels.
func (r *reader) Describe(chan<- *prometheus.Desc) {}

// Collect sums the workers' cells.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	r.traffic.mu.Lock()
	all := make(map[series][]*cell, len(r.traffic.cells))
	for s, cells := range r.traffic.cells {
		all[s] = cells
	}
	r.traffic.mu.Unlock()
	for s, cells := range all {
		zone := "other"
		if s.zone < maxZones {
			zone = r.zoneName(s.zone)
		}
		e := emitter{ch: ch, counts: sum(cells), labels: []string{"server", zoneLabel}, values: []string{s.server, zone}}
		if s.ns != "" {
			e.labels, e.values = append(e.labels, "ns"), append(e.values, s.ns)
		}
		e.emit()
	}
}

const zoneLabel = "zone"

// emitter sends the metrics of one series.
type emitter struct {
	ch             chan<- prometheus.Metric
	counts         *counts
	labels, values []string
}

func (e *emitter) emit() {
	names, protos, families := types(), [2]string{server.UDP.String(), server.TCP.String()}, [2]string{"1", "2"}
	requests := e.desc("requests_total", "Queries received.", "proto", "family", "type")
	for p, proto := range protos {
		for f, family := range families {
			for t, name := range names {
				e.counter(requests, e.counts.requests[p][f][t], proto, family, name)
			}
		}
	}
	responses := e.desc("responses_total", "Replies sent.", "rcode")
	for i := range rcodeCount + 1 {
		e.counter(responses, e.counts.responses[i], rcodeName(i))
	}
	e.counter(e.desc("do_requests_total", "Queries received with the DO bit set."), e.counts.do)
	e.durations()
	querySize := e.desc("request_size_bytes", "Length of the queries received.", "proto")
	replySize := e.desc("response_size_bytes", "Length of the replies sent.", "proto")
	for p, proto := range protos {
		e.sizes(querySize, &e.counts.query[p], proto)
		e.sizes(replySize, &e.counts.reply[p], proto)
	}
}

func (e *emitter) desc(name, help string, labels ...string) *prometheus.Desc {
	all := append(e.labels[:len(e.labels):len(e.labels)], labels...)
	return prometheus.NewDesc(server.MetricsNamespace+"_dns_"+name, help, all, nil)
}

// values of a metric: those of the series and its own.
func (e *emitter) with(values []string) []string {
	return append(e.values[:len(e.values):len(e.values)], values...)
}

// counter sends a counter unless it is zero: a series is there from its first
// query on.
func (e *emitter) counter(desc *prometheus.Desc, n uint64, values ...string) {
	if n > 0 {
		e.ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), e.with(values)...)
	}
}

func (e *emitter) durations() {
	desc := e.desc("request_duration_seconds", "Time from reading the query to its reply.")
	buckets := make(map[float64]uint64, durationBuckets)
	var count uint64
	for i := range durationBuckets + 1 {
		count += e.counts.duration.buckets[i]
		if i < durationBuckets {
			buckets[(firstBucket << i).Seconds()] = count
		}
	}
	e.ch <- prometheus.MustNewConstHistogram(desc, count, float64(e.counts.duration.sum)/1e9, buckets, e.with(nil)...)
}

func (e *emitter) sizes(desc *prometheus.Desc, h *sizeHistogram, proto string) {
	buckets := make(map[float64]uint64, sizeBuckets)
	bounds := sizes()
	var count uint64
	for i := range sizeBuckets + 1 {
		count += h.buckets[i]
		if i < sizeBuckets {
			buckets[float64(bounds[i])] = count
		}
	}
	if count == 0 {
		return
	}
	e.ch <- prometheus.MustNewConstHistogram(desc, count, float64(h.sum), buckets, e.with([]string{proto})...)
}

// rcodeName is the rcode label of an index of cell.responses.
func rcodeName(i int) string {
	if i == rcodeCount {
		return "other"
	}
	if i == server.RCodeBadVers {
		return "BADVERS"
	}
	if s, ok := dns.RcodeToString[i]; ok {
		return s
	}
	return strconv.Itoa(i)
}

// renamed gathers with another first part of our metrics' names.
type renamed struct {
	prometheus.Gatherer
	namespace string
}

// Gather renames; the families are this call's own.
func (r renamed) Gather() ([]*dto.MetricFamily, error) {
	families, err := r.Gatherer.Gather()
	for _, f := range families {
		if rest, ours := strings.CutPrefix(f.GetName(), server.MetricsNamespace+"_"); ours {
			name := r.namespace + "_" + rest
			f.Name = &name
		}
	}
	sort.Slice(families, func(i, j int) bool { return families[i].GetName() < families[j].GetName() })
	return families, err
}
