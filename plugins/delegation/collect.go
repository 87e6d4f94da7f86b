package delegation

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// collector shows the counts at a scrape.
type collector struct{ config *config }

// Describe sends nothing: what there is depends on the queries.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sums the workers' counts.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := emitter{ch, c.config.observer.nsNames()}
	s := c.config.observer.sum()
	e.traffic(s, c.config.zoneName)
	e.servers(s)
	for _, r := range s.resolvers {
		e.resolver(r)
	}
	e.learning(s)
	hidden := 0.0
	if addr, _ := c.config.observer.hidden.get(); addr.IsValid() {
		hidden = 1
	}
	e.gauge(desc("source_hidden", "1 if all queries seem to come from one address that is not their senders'."), hidden)
}

// totals are the sums over all workers.
type totals struct {
	traffic   map[uint32]*[maxNS]traffic
	servers   [maxNS]serverCounts
	sizes     sizeHistogram
	delays    histogram
	passed    uint64
	distinct  [maxNS]*distinct
	resolvers []resolverTotals
	learned   int
}

// resolverTotals are those of one resolver.
type resolverTotals struct {
	*resolver
	*resolverCounts
}

// sum adds up what the workers counted.
func (o *observer) sum() *totals {
	// That no slot is another resolver's meanwhile.
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.table.Load()
	s := &totals{traffic: make(map[uint32]*[maxNS]traffic), learned: len(t.learned)}
	slots := make([]*resolverCounts, len(t.slots))
	for i := range o.workers {
		o.workers[i].addTo(s, slots)
	}
	for i, r := range t.slots {
		if r == nil {
			continue
		}
		if slots[i] == nil {
			slots[i] = new(resolverCounts)
		}
		s.resolvers = append(s.resolvers, resolverTotals{r, slots[i]})
	}
	return s
}

// addTo adds the worker's counts to the sums.
func (w *worker) addTo(s *totals, slots []*resolverCounts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for zone, from := range w.traffic {
		if from == nil {
			continue
		}
		to := s.traffic[uint32(zone)]
		if to == nil {
			to = new([maxNS]traffic)
			s.traffic[uint32(zone)] = to
		}
		for ns := range from {
			to[ns].add(&from[ns])
		}
	}
	for ns := range w.servers {
		s.servers[ns].add(&w.servers[ns])
		if d := w.distinct[ns]; d != nil {
			if s.distinct[ns] == nil {
				s.distinct[ns] = new(distinct)
			}
			s.distinct[ns].merge(d)
		}
	}
	addAll(s.sizes.buckets[:], w.sizes.buckets[:])
	s.sizes.sum += w.sizes.sum
	s.delays.add(&w.delays)
	s.passed += w.passed
	for slot, r := range w.resolvers {
		if r == nil || slot >= len(slots) {
			continue
		}
		if slots[slot] == nil {
			slots[slot] = new(resolverCounts)
		}
		slots[slot].add(r)
	}
}

func (t *traffic) add(o *traffic) {
	for p := range t.queries {
		for i := range t.queries[p] {
			addAll(t.queries[p][i][:], o.queries[p][i][:])
		}
	}
	t.belowCut += o.belowCut
}

func (s *serverCounts) add(o *serverCounts) {
	addAll(s.flags[:], o.flags[:])
	addAll(s.edns[:], o.edns[:])
	addAll(s.options[:], o.options[:])
	addAll(s.dnssec[:], o.dnssec[:])
}

// emitter sends metrics.
type emitter struct {
	ch chan<- prometheus.Metric
	ns []string // labels by number
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_delegation_"+name, help, labels, nil)
}

// counter sends a counter unless it is zero: a series is there from its first
// query on.
func (e *emitter) counter(d *prometheus.Desc, n uint64, values ...string) {
	if n > 0 {
		e.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), values...)
	}
}

func (e *emitter) gauge(d *prometheus.Desc, v float64, values ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, values...)
}

// histogram sends a histogram unless it is empty.
func (e *emitter) histogram(d *prometheus.Desc, counts []uint64, sum float64, bounds []float64, values ...string) {
	buckets := make(map[float64]uint64, len(bounds))
	var count uint64
	for i, n := range counts[:len(bounds)+1] {
		count += n
		if i < len(bounds) {
			buckets[bounds[i]] = count
		}
	}
	if count > 0 {
		e.ch <- prometheus.MustNewConstHistogram(d, count, sum, buckets, values...)
	}
}

func (e *emitter) traffic(s *totals, zoneName func(uint32) string) {
	queries := desc("queries_total", "Queries by the way they seem to have come.", "ns", "zone", "path", "transport", "family")
	below := desc("below_cut_recursive_total", "Queries with RD that got a referral, which a forwarder cannot follow.", "ns", "zone")
	families := [2]string{"1", "2"}
	for zone, servers := range s.traffic {
		name := otherName
		if zone < maxZones {
			name = zoneName(zone)
		}
		for ns, label := range e.ns {
			t := &servers[ns]
			e.counter(below, t.belowCut, label, name)
			for p := range t.queries {
				for tr := range t.queries[p] {
					for f, n := range t.queries[p][tr] {
						e.counter(queries, n, label, name, pathName(p), server.Transport(tr).String(), families[f])
					}
				}
			}
		}
	}
}

func (e *emitter) servers(s *totals) {
	flags := desc("flags_total", "Queries with a header flag set.", "ns", "flag")
	edns := desc("edns_queries_total", "Queries by the version of EDNS.", "ns", "version")
	options := desc("edns_options_total", "Queries with an EDNS option or the DO bit.", "ns", "option")
	dnssec := desc("dnssec_queries_total", "Queries as validators send them.", "ns", "type")
	seen := desc("resolvers_seen", "Different sources so far: IPv4 addresses and IPv6 networks of 64 bits.", "ns")
	for ns, label := range e.ns {
		c := &s.servers[ns]
		for i, name := range flagNames() {
			e.counter(flags, c.flags[i], label, name)
		}
		for i, name := range ednsNames() {
			e.counter(edns, c.edns[i], label, name)
		}
		for i, name := range optionNames() {
			e.counter(options, c.options[i], label, name)
		}
		for i, name := range dnssecNames() {
			e.counter(dnssec, c.dnssec[i], label, name)
		}
		if d := s.distinct[ns]; d != nil {
			e.gauge(seen, d.count(), label)
		}
	}
	e.histogram(desc("edns_udp_size_bytes", "The UDP size that queries with EDNS ask for."),
		s.sizes.buckets[:], float64(s.sizes.sum), sizeBounds())
	e.histogram(desc("failover_delay_seconds", "Time from a query that met a fault to the same one at another name server."),
		s.delays.buckets[:], s.delays.sum, delayBounds())
	e.counter(desc("refetch_skipped_total", "Queries that a busy server did not look at for the refetch ratio."), s.passed)
}

func (e *emitter) learning(s *totals) {
	e.gauge(desc("resolvers_learned", "Resolvers that have no name and are told apart by their address."), float64(s.learned))
}

// resolver sends what one resolver did.
func (e *emitter) resolver(r resolverTotals) {
	name := r.Name
	queries := desc("resolver_queries_total", "Queries of a resolver.", "resolver", "ns", "path")
	last := desc("resolver_last_seen_timestamp_seconds", "When a resolver last asked.", "resolver", "ns")
	glue := desc("glue_queries_total", "Queries for the address of a name server.", "resolver", "target")
	failover := desc("failover_total", "Queries that came to another name server after a fault of the first.", "resolver", "from", "to")
	for ns, label := range e.ns {
		for p, n := range r.queries[ns] {
			e.counter(queries, n, name, label, pathName(p))
		}
		if at := r.lastSeen[ns]; at > 0 {
			e.gauge(last, float64(at)/1e9, name, label)
		}
		e.counter(glue, r.glue[ns], name, label)
		for to, n := range r.failover[ns] {
			if n > 0 {
				e.counter(failover, n, name, label, e.ns[to])
			}
		}
	}
	if r.slot != otherSlot && r.total() > 0 {
		capability := desc("resolver_capability", "1 if the queries of a resolver prove that it can do it.", "resolver", "capability")
		for i, label := range capNames() {
			e.gauge(capability, float64(r.caps>>i&1), name, label)
		}
	}
	signals := desc("qname_minimization_total", "Queries for a part of a name, soon before the whole.", "resolver", "signal")
	for i, label := range signalNames() {
		e.counter(signals, r.signals[i], name, label)
	}
	outside := desc("out_of_zone_total", "Queries for names in no zone that is served.", "resolver", "kind")
	for i, label := range outsideNames() {
		e.counter(outside, r.outside[i], name, label)
	}
	for _, c := range []struct {
		name, help string
		n          uint64
	}{
		{"case_randomized_total", "Queries for a name in mixed case.", r.caseRandom},
		{"ds_at_child_total", "Queries for the DS records of a zone at the zone itself.", r.dsAtChild},
		{"apex_ns_queries_total", "Queries for the NS records of a zone.", r.apexNS},
		{"tcp_after_tc_total", "Truncated replies after which the query came over TCP within ten seconds.", r.tcpAfterTC},
		{"tc_unretried_total", "Truncated replies after which it did not.", r.unretried},
		{"tcp_without_tc_total", "Queries over TCP that no truncated reply had asked for.", r.tcpWithoutTC},
	} {
		e.counter(desc(c.name, c.help, "resolver"), c.n, name)
	}
	e.histogram(desc("refetch_ratio", "Time between two queries of a source for the same records, as a part of their TTL.", "resolver"),
		r.refetch.buckets[:], r.refetch.sum, ratioBounds(), name)
}
