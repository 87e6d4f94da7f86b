// Package status serves the status page: what the stamp is, who asked for what, and
// how the last hour was.
//
// It observes queries itself for two things: counts that become a history, and the
// time of the last query of each resolver for each endpoint. All else the page takes
// from the API's own routes, as any other client would, so that whatever it shows is
// there for scripts as well. All memory is fixed, and no name that was asked for is
// kept.
package status

import (
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/stamp"
)

// Plugin is the status directive. The page shows version.
func Plugin(version string) server.Plugin {
	return server.Plugin{
		Name:     "status",
		Usage:    "status",
		Observer: true,
		Setup:    func(d *server.Directive) (server.Handler, error) { return setup(d, version) },
	}
}

// tickInterval is how often what the workers counted is taken over: a step of the
// history is exact to that.
const tickInterval = time.Second

func setup(d *server.Directive, version string) (server.Handler, error) {
	d.Next()
	if _, err := d.Arguments(0, 0); err != nil {
		return nil, err
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	if lines, err := d.Corefile().Occurrences("api"); err != nil || len(lines) == 0 {
		return nil, d.Errf("the page is served where the API is, and there is none: add a line api")
	}
	o := server.Keep(d, "", func() *observer { return newObserver(d.Workers(), time.Now()) })
	var err error
	c := server.ShareAll(d, func() *config {
		c := &config{
			observer: o, version: version, ready: d.Ready(), blocks: d.Blocks(), now: time.Now,
			client: client{d.API()}, rendering: make(chan struct{}, maxRenderings),
			templates: sync.OnceValue(newTemplates),
		}
		d.Every(tickInterval, o.tick)
		err = c.mount(d)
		return c
	})
	if err != nil {
		return nil, err
	}
	// What the plugins behind have made is known when the block starts.
	d.OnStart(func() {
		if store, ok := server.Shared[*zones.Store](d); ok {
			c.stores = append(c.stores, store)
		}
		if s, ok := server.Shared[*stamp.Stamp](d); ok && c.stamp == nil {
			c.stamp = s
		}
		// The last block to start has seen all others.
		if c.waiting--; c.waiting == 0 {
			c.start(d.ZoneLabel)
		}
	})
	c.waiting++
	return &handler{o}, nil
}

// config is what the blocks of one configuration share. It is read-only once it is
// started.
type config struct {
	observer  *observer
	version   string
	ready     func() error
	blocks    func() []server.BlockInfo
	now       func() time.Time
	client    client
	templates func() *template.Template
	rendering chan struct{} // one held by each page that is being made
	waiting   int           // blocks that are set up and not started

	stores    []*zones.Store
	stamp     *stamp.Stamp // the first one; nil where there is none
	endpoints []endpoint
}

// start learns the endpoints of the stamp.
func (c *config) start(label func(zone string) uint32) {
	if c.stamp == nil {
		c.observer.watch(nil, ".", 0)
		return
	}
	rows, err := c.stamp.Endpoints()
	if err != nil {
		return // its zones could not have been made either
	}
	for _, r := range rows {
		if r.FQDN == "" || len(c.endpoints) == maxEndpoints {
			continue
		}
		c.endpoints = append(c.endpoints, newEndpoint(&r, c.stamp.External()))
	}
	names := make([]string, len(c.endpoints))
	for i, e := range c.endpoints {
		names[i] = strings.ToLower(e.Name)
	}
	c.observer.watch(names, c.stamp.External(), label(c.stamp.External()+"."))
}

// mount puts the routes beside the directive.
func (c *config) mount(d *server.Directive) error {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /{$}":            c.getPage,
		"GET /endpoints.csv":  c.getCSV,
		"GET /status/{file}":  getAsset,
		"GET /api/v1/status":  c.getStatus,
		"GET /api/v1/history": c.getHistory,
	} {
		if err := d.MountAPI(pattern, h); err != nil {
			return err
		}
	}
	return nil
}

// handler observes the queries of one block.
type handler struct{ observer *observer }

// In does nothing: all that is counted is known in the end.
func (h *handler) In(*server.Query) server.Verdict { return server.Next }

// Out counts the query.
func (h *handler) Out(q *server.Query) {
	h.observer.workers[q.Worker].count(q)
	h.observer.ticks.Load().tick(h.observer, q)
}
