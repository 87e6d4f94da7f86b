package delegation

import (
	"slices"
	"time"
)

// start takes the configuration into use.
func (c *config) start(now time.Time) {
	c.observer.configure(c)
	c.tick(now)
	var all []string
	for _, s := range c.stores {
		for _, status := range s.Status() {
			all = append(all, status.Origin.String())
		}
	}
	for _, zone := range watchFirst(all) {
		c.observer.watch(c.label(zone))
	}
}

// watchFirst are the zones to count for each resolver: the two of a stamp before
// all others, and no more than there is room for.
func watchFirst(all []string) []string {
	var first, rest []string
	for _, zone := range all {
		if region := regionOf(zone); region != "" && slices.Contains(all, region) {
			first = append(first, region, zone)
		} else if len(rest) < 2*maxWatched {
			rest = append(rest, zone)
		}
	}
	first = append(first, slices.DeleteFunc(rest, func(z string) bool { return slices.Contains(first, z) })...)
	return first[:min(len(first), maxWatched)]
}

// tick looks through what the queries have left behind.
func (c *config) tick(now time.Time) {
	if c.cuts.Load().stale(c.stores) {
		c.cuts.Store(newCuts(c.stores))
	}
	c.observer.decay(now)
	c.observer.sweep(now)
	w := c.observer.look()
	if w == nil || !c.observer.hidden.judge(w, now) {
		return
	}
	if addr, text := c.observer.hidden.get(); addr.IsValid() {
		c.log.Warn(text, "address", addr)
	} else {
		c.log.Info("queries come from more than one address again")
	}
}

// sweep counts the replies with TC after which nobody came over TCP.
func (o *observer) sweep(now time.Time) {
	o.mu.Lock() // that no slot is another resolver's meanwhile
	defer o.mu.Unlock()
	for _, h := range []*history{o.known, o.strangers} {
		for slot, n := range h.sweep(now.UnixNano()) {
			w := &o.workers[0]
			w.mu.Lock()
			w.resolver(int(slot)).unretried += n
			w.mu.Unlock()
		}
	}
}

// look takes what the workers saw of sources, if that is enough to judge by; nil
// if not.
func (o *observer) look() *window {
	var sum window
	for i := range o.workers {
		w := &o.workers[i]
		w.mu.Lock()
		part := w.window
		w.mu.Unlock()
		sum.merge(&part)
	}
	if sum.queries < windowQueries {
		return nil
	}
	for i := range o.workers {
		w := &o.workers[i]
		w.mu.Lock()
		w.window = window{}
		w.mu.Unlock()
	}
	return &sum
}
