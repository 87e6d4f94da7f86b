package forward

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// reason is why something that came from an upstream was not taken.
type reason uint8

const (
	none          reason = iota // it was
	malformed                   // no whole message, or no answer
	unexpected                  // nobody waits under its ID
	wrongQuestion               // another question than was asked under its ID
	reasonCount
)

func (r reason) String() string {
	return [...]string{"none", "malformed", "unexpected", "question"}[r]
}

// counters are the engine's own counts.
type counters struct {
	rejected atomic.Uint64 // for max_concurrent
	broken   atomic.Uint64 // queries for which all forwarders were down
	loops    atomic.Uint64
	root     atomic.Uint64 // queries resolved from the root
	ignored  [reasonCount]atomic.Uint64
}

// Buckets of the time that upstreams take: firstBucket times powers of two, the
// buckets that CoreDNS has.
const (
	timeBuckets = 16
	firstBucket = 250 * time.Microsecond
)

// maxRCode is the largest RCODE that is counted by its name.
const maxRCode = 10

// histogram is the time that answers with one RCODE took.
type histogram struct {
	buckets [timeBuckets + 1]uint64
	sum     time.Duration
}

// upstreamStats are the counts of one upstream.
type upstreamStats struct {
	connOpened, connReused atomic.Uint64
	probeFailures          atomic.Uint64

	mu    sync.Mutex
	times [maxRCode + 2]histogram // the last one for other RCODEs
}

func (s *upstreamStats) observe(d time.Duration, rcode uint16) {
	h := &s.times[min(int(rcode), maxRCode+1)]
	bucket := min(bits.Len64(uint64(max(d-1, 0)/firstBucket)), timeBuckets)
	s.mu.Lock()
	h.buckets[bucket]++
	h.sum += d
	s.mu.Unlock()
}

// collector shows what the engine counts.
type collector struct{ engine *engine }

// Describe sends nothing: the collector is unchecked.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_"+name, help, labels, nil)
}

// Collect sums the counts. Names and labels are CoreDNS's where it has the metric.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	n := &c.engine.counters
	send(desc("forward_max_concurrent_rejects_total", "Queries refused because too many were being forwarded."),
		prometheus.CounterValue, float64(n.rejected.Load()))
	send(desc("forward_healthcheck_broken_total", "Queries for which all forwarders were down."),
		prometheus.CounterValue, float64(n.broken.Load()))
	send(desc("forward_loops_total", "Queries that came back from the server they were forwarded to."),
		prometheus.CounterValue, float64(n.loops.Load()))
	send(desc("forward_root_queries_total", "Queries resolved from the root hints because no forwarder answered."),
		prometheus.CounterValue, float64(n.root.Load()))
	ignored := desc("forward_responses_ignored_total", "What came from forwarders and is no answer to what they were asked.", "reason")
	for r := malformed; r < reasonCount; r++ {
		send(ignored, prometheus.CounterValue, float64(n.ignored[r].Load()), r.String())
	}
	state := desc("forward_upstream_state", "State of each forwarder: 1 for the one it is in.", "to", "state")
	probes := desc("proxy_healthcheck_failures_total", "Probes that a forwarder did not answer.", "proxy_name", "to")
	reused := desc("proxy_conn_cache_hits_total", "Queries over a connection that was open.", "proxy_name", "to", "proto")
	opened := desc("proxy_conn_cache_misses_total", "Queries for which a connection was opened.", "proxy_name", "to", "proto")
	took := desc("proxy_request_duration_seconds", "Time that forwarders took to answer.", "proxy_name", "to", "rcode")
	for _, u := range c.engine.all() {
		to := u.address.String()
		for _, s := range statuses() {
			v := 0.0
			if u.status() == s {
				v = 1
			}
			send(state, prometheus.GaugeValue, v, to, s.String())
		}
		proto := "tcp"
		if u.tls != nil {
			proto = "tcp-tls"
		}
		send(probes, prometheus.CounterValue, float64(u.stats.probeFailures.Load()), proxyName, to)
		send(reused, prometheus.CounterValue, float64(u.stats.connReused.Load()), proxyName, to, proto)
		send(opened, prometheus.CounterValue, float64(u.stats.connOpened.Load()), proxyName, to, proto)
		u.stats.collect(ch, took, to)
	}
}

// proxyName is what CoreDNS's plugin of the same name calls itself in these metrics.
const proxyName = "forward"

// collect sends the histograms of one upstream.
func (s *upstreamStats) collect(ch chan<- prometheus.Metric, d *prometheus.Desc, to string) {
	s.mu.Lock()
	times := s.times
	s.mu.Unlock()
	for code := range times {
		h := &times[code]
		bounds, count := make(map[float64]uint64, timeBuckets), uint64(0)
		for i, n := range h.buckets {
			count += n
			if i < timeBuckets {
				bounds[(firstBucket << i).Seconds()] = count
			}
		}
		if count == 0 {
			continue
		}
		name, ok := dns.RcodeToString[code]
		if !ok || code > maxRCode {
			name = "other"
		}
		ch <- prometheus.MustNewConstHistogram(d, count, h.sum.Seconds(), bounds, proxyName, to, name)
	}
}
