package forward

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// engine is what forwards, for all server blocks of all configurations: upstreams
// with what is known of them, what was set at run time, and counts go on over
// reloads.
type engine struct {
	log      *slog.Logger
	born     time.Time
	flights  *flights
	wheels   *wheel
	counters counters

	// context ends with the last configuration that forwards; running are the
	// goroutines that belong to it.
	context context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	loopLogged atomic.Int64
	hosts      atomic.Pointer[map[netip.Addr]struct{}] // of the upstreams in use
	iterator   atomic.Pointer[iterator]                // nil where there are no root hints in use

	outgoing []outgoing // by worker

	mu        sync.Mutex
	config    *config // in use
	hints     *hints  // of the iterator
	upstreams map[upstreamKey]*upstream
	// leaving are upstreams that no table has any more. Queries that took theirs from
	// a table before may wait for them still.
	leaving map[upstreamKey]*upstream
	overlay overlay
}

func newEngine(log *slog.Logger, workers int) *engine {
	e := &engine{log: log, born: time.Now(), flights: newFlights(), upstreams: make(map[upstreamKey]*upstream), leaving: make(map[upstreamKey]*upstream),
		outgoing: make([]outgoing, workers)}
	e.wheels = &wheel{engine: e}
	e.context, e.cancel = context.WithCancel(context.Background())
	return e
}

// now is the engine's clock, in nanoseconds.
func (e *engine) now() int64 { return int64(time.Since(e.born)) }

// sleep waits for t; false says that the engine stops.
func (e *engine) sleep(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.context.Done():
		return false
	}
}

// outgoing are the sockets with queries that wait for the end of a batch. Several
// goroutines may have one worker's number, one for each address.
type outgoing struct {
	mu      sync.Mutex
	sockets []*socket
	_       [32]byte // a cache line
}

// gathered notes that a socket has queries that wait for the end of worker's batch.
func (e *engine) gathered(s *socket, worker int) {
	o := &e.outgoing[worker]
	o.mu.Lock()
	o.sockets = append(o.sockets, s)
	o.mu.Unlock()
}

// flush sends what the queries of worker's batch are to have sent.
func (e *engine) flush(worker int) {
	o := &e.outgoing[worker]
	for {
		o.mu.Lock()
		n := len(o.sockets)
		if n == 0 {
			o.mu.Unlock()
			return
		}
		s := o.sockets[n-1]
		o.sockets[n-1] = nil
		o.sockets = o.sockets[:n-1]
		o.mu.Unlock()
		s.flush()
	}
}

// config is the forwarding of one configuration: the handlers of its blocks.
type config struct {
	engine   *engine
	bucket   *server.Bucket
	handlers []*handler
	hints    *hints
	// replaced are the domains that the next configuration forwards elsewhere.
	replaced []wire.Name
}

// routes says, by domain, where c's blocks forward names to, and but for which.
func (c *config) routes() map[string]string {
	all := make(map[string]string)
	for i, h := range c.handlers {
		for domain, groups := range h.table.Load().groups {
			for _, g := range groups {
				if string(g.from) != domain {
					continue
				}
				all[domain] += fmt.Sprint(i, g.options.except)
				for _, u := range g.upstreams {
					all[domain] += " " + u.address.String()
				}
			}
		}
	}
	return all
}

// forget has the blocks' caches forget what was answered about some domains.
func (c *config) forget(domains []wire.Name) {
	for _, domain := range domains {
		for _, h := range c.handlers {
			h.caches.Forget(domain)
		}
	}
}

// configure makes h a part of the configuration in hand.
func configure(d *server.Directive, h *handler) error {
	log, workers := d.Logger(), d.Workers()
	h.engine = server.Keep(d, "", func() *engine { return newEngine(log, workers) })
	h.table.Store(newTable(nil))
	var err error
	c := server.ShareAll(d, func() *config {
		c := &config{engine: h.engine, bucket: d.Bucket()}
		if err = d.Register(&collector{c.engine}); err == nil {
			err = c.mount(d)
		}
		d.OnStart(func() { c.engine.start(c) })
		d.OnStop(func() { c.engine.stop(c) })
		d.OnBatch(c.engine.flush)
		return c
	})
	if err != nil {
		return err
	}
	c.handlers = append(c.handlers, h)
	for _, dir := range h.base {
		if dir.hints == "" {
			continue
		}
		hints, err := readHints(dir.hints)
		if err != nil {
			return d.UsageErr("root_hints: %w", err)
		}
		c.hints = hints
	}
	return nil
}

// start has the engine serve c from now on.
func (e *engine) start(c *config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.config
	e.config, e.overlay = c, overlay{}
	if o, err := load(c.bucket); err != nil {
		e.log.Error("the forwarders that were set at run time cannot be read: set them again", "error", err)
	} else if o != nil {
		e.overlay = *o
	}
	e.apply()
	if old != nil {
		old.replaced = difference(old.routes(), c.routes())
		c.forget(old.replaced)
	}
}

// difference are the domains for which two configurations have other routes.
func difference(a, b map[string]string) (domains []wire.Name) {
	for domain, route := range a {
		if b[domain] != route {
			domains = append(domains, wire.Name(domain))
		}
	}
	for domain := range b {
		if _, ok := a[domain]; !ok {
			domains = append(domains, wire.Name(domain))
		}
	}
	return domains
}

// stop ends the engine if no other configuration has taken over.
func (e *engine) stop(c *config) {
	e.mu.Lock()
	last := e.config == c
	if !last && e.config != nil {
		// Until the change-over c's blocks answered as before.
		e.config.forget(c.replaced)
	}
	if last {
		e.config = nil
		for _, all := range []map[upstreamKey]*upstream{e.upstreams, e.leaving} {
			for key, u := range all {
				u.close()
				delete(all, key)
			}
		}
	}
	e.mu.Unlock()
	if last {
		e.cancel()
		e.running.Wait()
	}
}

// apply makes the tables of what the Corefile and the overlay say, and publishes
// them. mu is held.
func (e *engine) apply() {
	used := make(map[upstreamKey]*upstream)
	for _, h := range e.config.handlers {
		groups := e.groups(h, used)
		t := newTable(groups)
		if h.store != nil {
			h.store.Cede(t.domains())
			e.warnShadowed(h, groups)
		}
		h.table.Store(t)
	}
	for key, u := range e.upstreams {
		if used[key] == nil {
			e.leave(key, u)
		}
	}
	e.upstreams = used
	hosts := make(map[netip.Addr]struct{}, len(used))
	for _, u := range used {
		hosts[u.address.at.Addr().WithZone("")] = struct{}{}
	}
	e.hosts.Store(&hosts)
	e.chooseRoot()
}

// groups are those of a block: what was set at run time takes the place of what the
// Corefile has for the same domain.
func (e *engine) groups(h *handler, used map[upstreamKey]*upstream) []*group {
	var groups []*group
	add := func(from wire.Name, to []address, o *options, source string) {
		if len(to) == 0 {
			return
		}
		g := &group{from: from, options: o, source: source}
		for _, a := range to {
			g.upstreams = append(g.upstreams, e.upstream(a, o, used))
		}
		groups = append(groups, g)
	}
	for _, dir := range h.base {
		if dir.from != nil && !e.overlay.has(dir.from) {
			add(dir.from, dir.to, dir.options, dir.place)
		}
	}
	for _, c := range e.overlay.custom {
		o := h.options
		if len(c.domain) > 1 && len(o.except) > 0 {
			// What is left out of the Corefile's domain may be what this is for.
			own := *o
			own.except, o = nil, &own
		}
		add(c.domain, c.to, o, runtimeSource)
	}
	root := func(g *group) bool { return len(g.from) == 1 }
	if e.rooted() && !slices.ContainsFunc(groups, root) {
		groups = append(groups, &group{from: wire.Root(), options: h.options, source: "root_hints"})
	}
	return groups
}

// rooted says whether names are resolved from the root where no forwarder answers.
// mu is held.
func (e *engine) rooted() bool { return e.config.hints != nil && e.overlay.usesRootHint() }

// upstream is the one with an address and the options that concern it alone.
func (e *engine) upstream(a address, o *options, used map[upstreamKey]*upstream) *upstream {
	key := upstreamKey{a, fmt.Sprint(o.forceTCP, o.maxFails, o.health, o.expire, o.serverName, fmt.Sprintf("%p", o.tls))}
	u := used[key]
	if u == nil {
		u = e.upstreams[key]
	}
	if u == nil {
		u = e.leaving[key]
		delete(e.leaving, key)
	}
	if u == nil {
		u = newUpstream(e, a, o)
	}
	used[key] = u
	return u
}

// leaveTime is how long an upstream is kept that no table has: longer than any query
// waits.
const leaveTime = 2 * patience

// leave has an upstream go once nobody can wait for it. mu is held.
func (e *engine) leave(key upstreamKey, u *upstream) {
	e.leaving[key] = u
	u.left++
	times := u.left
	e.running.Go(func() {
		if !e.sleep(leaveTime) {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.leaving[key] == u && u.left == times {
			delete(e.leaving, key)
			u.close()
		}
	})
}

// warnShadowed tells of forwarders that a zone of the same name keeps from being
// asked.
func (e *engine) warnShadowed(h *handler, groups []*group) {
	for _, g := range groups {
		if source, ok := h.store.Declared(g.from); ok {
			e.log.Warn("zone and forwarder have the same name: the zone answers", "zone", g.from.String(), "from", source, "forwarder", g.source)
		}
	}
}

// chooseRoot sets what resolves names when no forwarder does. mu is held.
func (e *engine) chooseRoot() {
	if !e.rooted() {
		e.iterator.Store(nil)
		return
	}
	// What an iterator has learned of zones is good for as long as the hints are.
	if e.iterator.Load() == nil || !reflect.DeepEqual(e.hints, e.config.hints) {
		e.iterator.Store(newIterator(e.config.hints, time.Now))
		e.hints = e.config.hints
	}
}
