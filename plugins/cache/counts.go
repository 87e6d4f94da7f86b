package cache

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// cell is what one worker counted at one address; it fills a cache line. Requests
// are the hits and the misses.
type cell struct {
	hits       [2]atomic.Uint64 // by group
	misses     atomic.Uint64
	prefetches atomic.Uint64
	drops      atomic.Uint64
	stale      atomic.Uint64
	_          [16]byte
}

// counts are the counters of all blocks. They outlive reloads.
type counts struct {
	workers int

	mu    sync.Mutex
	cells map[string][]cell // by server label, then by worker
}

func newCounts(workers int) *counts {
	return &counts{workers: workers, cells: make(map[string][]cell)}
}

// of is the cells of an address.
func (c *counts) of(label string) []cell {
	c.mu.Lock()
	defer c.mu.Unlock()
	cells, ok := c.cells[label]
	if !ok {
		cells = make([]cell, c.workers)
		c.cells[label] = cells
	}
	return cells
}

// collector shows the counts and the stores; it is there once for all blocks.
type collector struct {
	counts   *counts
	handlers []*handler
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_cache_"+name, help, append([]string{"server"}, labels...), nil)
}

// groupNames are the values of the type label.
func groupNames() [2]string { return [...]string{"success", "denial"} }

// Describe sends nothing: the collector is unchecked, its descriptions being made
// where they are used.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sums the workers' cells, and asks the stores.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.collectCounts(ch)
	sizes := make(map[string]*size)
	for _, h := range c.handlers {
		// The store is one, whatever the number of the block's addresses: it is
		// shown at the first.
		label := h.block.ServerLabels()[0]
		sum := sizes[label]
		if sum == nil {
			sum = new(size)
			sizes[label] = sum
		}
		one := h.store.size()
		for g := range sum.entries {
			sum.entries[g] += one.entries[g]
			sum.evicted[g] += one.evicted[g]
		}
		sum.memory += one.memory
	}
	entries := desc("entries", "Answers that are kept, expired ones among them.", "type")
	evictions := desc("evictions_total", "Answers that made room for others before they expired.", "type")
	memory := desc("memory_bytes", "Memory of the answers and their index.")
	for label, s := range sizes {
		for g, name := range groupNames() {
			ch <- prometheus.MustNewConstMetric(entries, prometheus.GaugeValue, float64(s.entries[g]), label, name)
			ch <- prometheus.MustNewConstMetric(evictions, prometheus.CounterValue, float64(s.evicted[g]), label, name)
		}
		ch <- prometheus.MustNewConstMetric(memory, prometheus.GaugeValue, float64(s.memory), label)
	}
}

func (c *collector) collectCounts(ch chan<- prometheus.Metric) {
	hits := desc("hits_total", "Queries answered from the cache.", "type")
	misses := desc("misses_total", "Queries that the cache could not answer.")
	requests := desc("requests_total", "Queries that the cache was asked.")
	prefetches := desc("prefetch_total", "Answers asked for again before they expired.")
	drops := desc("drops_total", "Replies not kept because they are no whole replies to the question.")
	served := desc("served_stale_total", "Queries answered with what had expired.")
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	for label, cells := range c.counts.cells {
		send := func(d *prometheus.Desc, n uint64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{label}, labels...)...)
		}
		var hit [2]uint64
		var missed, prefetched, dropped, stale uint64
		for i := range cells {
			for g := range hit {
				hit[g] += cells[i].hits[g].Load()
			}
			missed += cells[i].misses.Load()
			prefetched += cells[i].prefetches.Load()
			dropped += cells[i].drops.Load()
			stale += cells[i].stale.Load()
		}
		for g, name := range groupNames() {
			send(hits, hit[g], name)
		}
		send(misses, missed)
		send(requests, hit[0]+hit[1]+missed)
		send(prefetches, prefetched)
		send(drops, dropped)
		send(served, stale)
	}
}
