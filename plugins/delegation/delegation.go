// Package delegation observes how queries reach the name servers: by which path,
// from which resolver, and what the traffic proves about each resolver.
//
// Every worker counts in memory of its own, which is summed when somebody asks.
// All memory is bounded, whatever arrives: resolvers that nobody has named are
// learned, so many at most, and the rest is counted together.
package delegation

import (
	"net/http"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the delegation directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:     "delegation",
		Usage:    "delegation { resolver NAME NETWORK... | learn N }",
		Observer: true,
		Setup:    setup,
	}
}

func setup(d *server.Directive) (server.Handler, error) {
	o := server.Keep(d, "", func() *observer { return newObserver(d.Workers()) })
	c := server.ShareAll(d, func() *config { return newConfig(o, d) })
	if err := c.parse(d); err != nil {
		return nil, err
	}
	if err := c.open(d); err != nil {
		return nil, err
	}
	h := &handler{
		observer: o, config: c, block: d.Block,
		noZone: d.ZoneLabel(noZone), zones: make(map[string]uint32, len(d.Block.Zones)),
	}
	for _, z := range d.Block.Zones {
		h.zones[string(z)] = d.ZoneLabel(z.String())
		h.deepest = max(h.deepest, z.Labels())
	}
	// What the plugins behind have made is known when the block starts.
	d.OnStart(func() {
		h.start()
		if store, ok := server.Shared[*zones.Store](d); ok {
			c.stores = append(c.stores, store)
		}
		for i := range d.Block.NameServers {
			c.addNameServer(d.Block.NameServers[i].Label)
		}
		// The last block to start has seen all others.
		if c.blocks--; c.blocks == 0 {
			c.start(time.Now())
		}
	})
	c.blocks++
	return h, nil
}

// open sets up what is there once for all blocks.
func (c *config) open(d *server.Directive) error {
	if c.opened {
		return nil
	}
	c.opened = true
	d.Every(tickInterval, c.tick)
	if err := d.MountAPI("GET /api/v1/delegation", http.HandlerFunc(c.get)); err != nil {
		return err
	}
	return d.Register(&collector{config: c})
}

// tickInterval is how often what the queries have left is looked through.
const tickInterval = time.Second

// noZone is the zone label of queries that no zone of their block stands for, as
// plugin prometheus has it.
const noZone = "dropped"

// handler observes the queries of one block.
type handler struct {
	observer *observer
	config   *config
	block    *server.Block
	noZone   uint32
	zones    map[string]uint32 // label of each of the block's zones, by wire form
	deepest  int               // the most labels of these

	// Set when the block starts; read-only from then on.
	ns    []uint8 // number of each of the block's name servers, by Query.NS
	hosts []host
}

// host is the host name of a name server.
type host struct {
	name wire.Name
	ns   uint8
}

// start learns what is known only when the whole block is set up.
func (h *handler) start() {
	for _, label := range h.block.NSLabels() {
		h.ns = append(h.ns, h.observer.nsNumber(label))
	}
	for _, ns := range h.block.NameServers {
		if name, err := wire.ParseName(ns.Name); err == nil {
			h.hosts = append(h.hosts, host{name, h.observer.nsNumber(ns.Label)})
		}
	}
}

// In says from whom the query comes, and by which path.
func (h *handler) In(q *server.Query) server.Verdict {
	o, src := h.observer, sourceOf(q.Remote.Addr())
	t := o.table.Load()
	r := t.slots[o.workers[q.Worker].peek(t, src)]
	iterative := wire.Flags(q.Packet)&wire.FlagRD == 0
	if r.slot == otherSlot && t.most > 0 {
		r = o.meet(t, src, iterative, q.Received.UnixNano())
	}
	q.Resolver = &r.Resolver
	switch {
	case iterative:
		q.Path = server.PathIterative
	case r.slot != otherSlot:
		q.Path = server.PathForwarded
	default:
		q.Path = server.PathDirect
	}
	return server.Next
}

// Out counts the query.
func (h *handler) Out(q *server.Query) {
	if q.Resolver == nil {
		return // In panicked
	}
	var f facts
	h.read(q, &f)
	o := h.observer
	w := &o.workers[q.Worker]
	w.mu.Lock()
	defer w.mu.Unlock()
	t := o.table.Load()
	e := w.find(t, f.src)
	if bit := uint8(1) << f.ns; e.met&bit == 0 {
		e.met |= bit
		w.meet(f.ns, o.hash(f.src.network()))
	}
	w.window.add(q, &f)
	w.count(q, &f)
	w.countResolver(t, int(e.slot.Load()), q, &f, o)
}

// zoneLabel is the label of the zone that answered, or else of the block's zone
// that the name is in.
func (h *handler) zoneLabel(q *server.Query) uint32 {
	if q.Zone != 0 {
		return min(q.Zone, maxZones)
	}
	name := shorten(q.Name, h.deepest)
	for n, ok := name, true; ok; n, ok = n.Parent() {
		if label, found := h.zones[string(n)]; found {
			return min(label, maxZones)
		}
	}
	return min(h.noZone, maxZones)
}

// shorten is the name's last labels, so many at most.
func shorten(name wire.Name, labels int) wire.Name {
	off := 0
	for skip := name.Labels() - labels; skip > 0; skip-- {
		off += int(name[off]) + 1
	}
	return name[off:]
}
