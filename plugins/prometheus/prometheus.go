// Package prometheus counts queries and serves the metrics of the whole server
// over HTTP.
//
// Every worker counts in cells of its own, and the cells are summed when
// somebody scrapes: counting takes no lock, looks up no label and allocates
// nothing but the cells of a series when it is first met.
package prometheus

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stampdns/stampdns/server"
)

// Plugin is the prometheus directive. The metric build_info shows version.
func Plugin(version string) server.Plugin {
	return server.Plugin{
		Name:     "prometheus",
		Usage:    "prometheus [ADDRESS] { namespace NAME }",
		Observer: true,
		Setup: func(d *server.Directive) (server.Handler, error) {
			return setup(d, version)
		},
	}
}

func setup(d *server.Directive, version string) (server.Handler, error) {
	o, err := parse(d)
	if err != nil {
		return nil, err
	}
	c := &counter{
		traffic: server.Keep(d, "", func() *traffic { return newTraffic(d.Workers()) }),
		block:   d.Block,
		bounds:  sizes(),
		noZone:  d.ZoneLabel(noZone),
		zones:   make(map[string]uint32, len(d.Block.Zones)),
	}
	for _, z := range d.Block.Zones {
		c.zones[string(z)] = d.ZoneLabel(z.String())
	}
	d.OnStart(c.start)
	page := server.ShareAll(d, newPage)
	if err := page.open(d, c.traffic, version); err != nil {
		return nil, err
	}
	page.enabled.add(d)
	return c, page.mount(d, o)
}

// page is what the blocks of one configuration show together.
type page struct {
	registered bool
	enabled    enabled
	mounted    map[string]string // namespace by address
}

func newPage() *page { return &page{mounted: make(map[string]string)} }

// open registers what is there once for all blocks.
func (p *page) open(d *server.Directive, t *traffic, version string) error {
	if p.registered {
		return nil
	}
	p.registered = true
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        server.MetricsNamespace + "_build_info",
		Help:        "What is running; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision(), "goversion": runtime.Version()},
	})
	info.Set(1)
	return d.Register(
		&reader{traffic: t, zoneName: d.ZoneLabels()}, &p.enabled, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
}

// mount serves the metrics at the address, once however many blocks name it.
func (p *page) mount(d *server.Directive, o options) error {
	if namespace, ok := p.mounted[o.address]; ok {
		if namespace != o.namespace {
			return d.UsageErr("%s already serves metrics under namespace %s: use another address", o.address, namespace)
		}
		return nil
	}
	p.mounted[o.address] = o.namespace
	g := d.Gatherer()
	if o.namespace != server.MetricsNamespace {
		g = renamed{Gatherer: g, namespace: o.namespace}
	}
	log := d.Logger()
	h := promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog:      scrapeLog(func(v ...any) { log.Error("scrape", "error", v) }),
		ErrorHandling: promhttp.ContinueOnError,
		// With a timeout the page is made in memory, so that a client that does
		// not read holds no place among the scrapes.
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	})
	return d.Mount(o.address, "GET /metrics", http.Handler(h))
}

// What metrics cost at most: so many scrapes at a time, each for as long as
// Prometheus waits by default.
const (
	maxScrapes    = 8
	scrapeTimeout = 10 * time.Second
)

// scrapeLog takes promhttp's complaints to the plugin's logger.
type scrapeLog func(v ...any)

// Println logs v.
func (f scrapeLog) Println(v ...any) { f(v...) }

// revision is the commit that the program was built from, if it knows.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
