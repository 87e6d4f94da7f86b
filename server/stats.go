package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are the server's own counts of one listener, written by one worker
// group and summed at scrape. They fill a cache line.
type counters struct {
	receiveErrors atomic.Uint64 // failed reads
	truncated     atomic.Uint64 // datagrams longer than the buffer
	sendErrors    atomic.Uint64 // replies that could not be sent
	// Datagrams and connections of proxies, by their PROXY header.
	proxied        atomic.Uint64
	proxyMissing   atomic.Uint64
	proxyMalformed atomic.Uint64
	_              [16]byte
}

// collector shows what the server itself counts, and the Corefile in use. Every
// generation's registry has one of its own over the same counts.
type collector struct {
	server *Server
	hash   string
}

// The server's metrics, with the names that CoreDNS gives those that it has.
func metricDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(MetricsNamespace+"_"+name, help, labels, nil)
}

// Describe sends nothing: the collector is unchecked, its descriptions being
// made where they are used.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sums the counts.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	s := c.server
	send(metricDesc("panics_total", "Panics of handlers that were caught."),
		prometheus.CounterValue, float64(s.panics.Load()))
	send(metricDesc("reload_failed_total", "Reloads that failed, so that the configuration before went on."),
		prometheus.CounterValue, float64(s.reloadsFailed.Load()))
	send(metricDesc("reload_version_info", "Hash of the Corefile in use.", "hash", "value"),
		prometheus.GaugeValue, 1, "sha512", c.hash)

	open := metricDesc("tcp_connections", "Open DNS connections over TCP.", "server")
	shed := metricDesc("tcp_connections_shed_total", "Connections closed to make room for new ones.", "server")
	receive := metricDesc("udp_receive_errors_total", "Failed reads from UDP sockets.", "server")
	truncated := metricDesc("udp_truncated_total", "Datagrams that were longer than any query.", "server")
	sends := metricDesc("udp_send_errors_total", "Replies over UDP that could not be sent.", "server")
	headers := metricDesc("proxy_protocol_headers_total", "PROXY headers that were read.", "server")
	rejected := metricDesc("proxy_protocol_rejected_total",
		"Datagrams dropped and connections closed for want of a sound PROXY header.", "server", "reason")
	for _, l := range s.open() {
		var sum struct{ receive, truncated, send, proxied, missing, malformed uint64 }
		for i := range l.counters {
			n := &l.counters[i]
			sum.receive += n.receiveErrors.Load()
			sum.truncated += n.truncated.Load()
			sum.send += n.sendErrors.Load()
			sum.proxied += n.proxied.Load()
			sum.missing += n.proxyMissing.Load()
			sum.malformed += n.proxyMalformed.Load()
		}
		label := l.key.String()
		count, total := l.tcp.count()
		send(open, prometheus.GaugeValue, float64(count), label)
		send(shed, prometheus.CounterValue, float64(total), label)
		send(receive, prometheus.CounterValue, float64(sum.receive), label)
		send(truncated, prometheus.CounterValue, float64(sum.truncated), label)
		send(sends, prometheus.CounterValue, float64(sum.send), label)
		if l.router.Load().proxies != nil {
			send(headers, prometheus.CounterValue, float64(sum.proxied), label)
			send(rejected, prometheus.CounterValue, float64(sum.missing), label, "missing")
			send(rejected, prometheus.CounterValue, float64(sum.malformed), label, "malformed")
		}
	}
}
