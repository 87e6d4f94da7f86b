package prometheus

import (
	"sync"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// maxZones bounds the memory of the counters: zones beyond the first maxZones
// that the server knew are counted together, as zone "other".
const maxZones = 1000

// noZone is the zone label of queries that no zone of their block stands for:
// names outside all of them, and packets without a readable question. It has no
// last dot, so it is no zone's name.
const noZone = "dropped"

// series names what one cell per worker counts.
type series struct {
	server string
	zone   uint32 // label, or maxZones for "other"
	ns     string
}

// traffic holds the counters of all blocks. It outlives reloads, so that
// counters only go up.
type traffic struct {
	workers int

	mu    sync.Mutex
	cells map[series][]*cell // one for each worker
	seen  map[place]*seen
}

// place is what a query was sent to.
type place struct{ server, ns string }

// seen are the cells that queries to one place have met, by zone. All blocks of a
// place share them, as there may be as many blocks as zones.
type seen [maxZones + 1]atomic.Pointer[[]*cell]

func newTraffic(workers int) *traffic {
	return &traffic{workers: workers, cells: make(map[series][]*cell), seen: make(map[place]*seen)}
}

// seenAt is what queries to a place have met, made when it is first asked for.
func (t *traffic) seenAt(p place) *seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seen[p]
	if s == nil {
		s = new(seen)
		t.seen[p] = s
	}
	return s
}

// cells of a series, made when it is first counted.
func (t *traffic) cellsOf(s series) []*cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	cells, ok := t.cells[s]
	if !ok {
		cells = make([]*cell, t.workers)
		for i := range cells {
			cells[i] = new(cell)
		}
		t.cells[s] = cells
	}
	return cells
}

// counter is the handler of one block.
type counter struct {
	traffic *traffic
	block   *server.Block
	bounds  [sizeBuckets]int
	noZone  uint32
	zones   map[string]uint32 // label of each of the block's zones, by wire form

	// Set when the block starts; read-only from then on.
	servers []string
	ns      []string
	seen    []*seen // at server*len(ns) + ns
}

// start learns the labels that are known only when the whole block is set up.
func (c *counter) start() {
	c.servers = c.block.ServerLabels()
	c.ns = c.block.NSLabels()
	if len(c.ns) == 0 {
		c.ns = []string{""}
	}
	for _, srv := range c.servers {
		for _, ns := range c.ns {
			c.seen = append(c.seen, c.traffic.seenAt(place{srv, ns}))
		}
	}
}

// In counts nothing: what a query came to is known on its way out.
func (c *counter) In(*server.Query) server.Verdict { return server.Next }

// Out counts the query.
func (c *counter) Out(q *server.Query) {
	zone := q.Zone
	if zone == 0 {
		zone = c.blockZone(q.Name)
	}
	srv, ns := q.Server(), min(int(q.NS), len(c.ns)-1)
	zone = min(zone, maxZones)
	at := &c.seen[srv*len(c.ns)+ns][zone]
	cells := at.Load()
	if cells == nil {
		made := c.traffic.cellsOf(series{server: c.servers[srv], zone: zone, ns: c.ns[ns]})
		cells = &made
		at.Store(cells)
	}
	(*cells)[q.Worker].count(q, &c.bounds)
}

// blockZone is the label of the block's zone that name is in.
func (c *counter) blockZone(name wire.Name) uint32 {
	for n, ok := name, true; ok; n, ok = n.Parent() {
		if label, found := c.zones[string(n)]; found {
			return label
		}
	}
	return c.noZone
}
