package acl

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
)

// series names one counter. The zone is that of the directive, "" with allow.
type series struct {
	server, zone string
	action       action
}

// cell is one worker's part of a counter, with a cache line of its own.
type cell struct {
	n atomic.Uint64
	_ [56]byte
}

// counts are the counters of all blocks. They outlive reloads.
type counts struct {
	workers int

	mu    sync.Mutex
	cells map[series][]cell // by worker
}

func newCounts(workers int) *counts {
	return &counts{workers: workers, cells: make(map[series][]cell)}
}

// of is the cells of a series.
func (c *counts) of(s series) []cell {
	c.mu.Lock()
	defer c.mu.Unlock()
	cells, ok := c.cells[s]
	if !ok {
		cells = make([]cell, c.workers)
		c.cells[s] = cells
	}
	return cells
}

// collector shows the counts; it is there once for all blocks.
type collector struct {
	counts *counts
}

func desc(a action) *prometheus.Desc {
	labels := []string{"server", "zone"}
	if a == allow {
		labels = labels[:1]
	}
	return prometheus.NewDesc(server.MetricsNamespace+"_acl_"+a.String()+"_requests_total",
		"Queries that plugin acl has "+a.String()+".", labels, nil)
}

// Describe sends what Collect will.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for a := range actionCount {
		ch <- desc(a)
	}
}

// Collect sums the workers' cells.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	for s, cells := range c.counts.cells {
		var sum uint64
		for i := range cells {
			sum += cells[i].n.Load()
		}
		values := []string{s.server, s.zone}
		if s.action == allow {
			values = values[:1]
		}
		ch <- prometheus.MustNewConstMetric(desc(s.action), prometheus.CounterValue, float64(sum), values...)
	}
}
