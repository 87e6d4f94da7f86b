// Package log writes a line for each query. Lines go through a bounded queue to
// one goroutine: a reader that is slow or gone costs lines, which are counted,
// and never an answer.
package log

import (
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the log directive. Lines go to standard output.
func Plugin() server.Plugin { return plugin(os.Stdout) }

func plugin(w io.Writer) server.Plugin {
	return server.Plugin{
		Name:     "log",
		Usage:    "log [NAMES...] [FORMAT] { class all|success|denial|error...; format text|json }",
		Observer: true,
		Setup:    func(d *server.Directive) (server.Handler, error) { return setup(d, w) },
	}
}

func setup(d *server.Directive, w io.Writer) (server.Handler, error) {
	rules, err := parse(d)
	if err != nil {
		return nil, err
	}
	s := server.Keep(d, "", func() *sink { return newSink(w) })
	h := &handler{block: d.Block, rules: rules, sink: s, zoneName: d.ZoneLabels()}
	server.ShareAll(d, func() *collector {
		c := &collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: server.MetricsNamespace + "_log_dropped_total",
			Help: "Lines of the query log that were not written.",
		}, func() float64 { return float64(s.dropped.Load()) })}
		err = d.Register(c)
		return c
	})
	log := d.Logger()
	d.OnStart(func() {
		h.ns = h.block.NSLabels()
		s.start(func(n uint64) {
			log.Warn("lines of the query log were dropped: their reader is too slow, or gone", "lines", n)
		})
	})
	d.OnStop(s.stop)
	return h, err
}

// collector is there once for all blocks.
type collector struct{ prometheus.Collector }

// rule says how the queries for a name and those below it are logged.
type rule struct {
	name    wire.Name
	classes classes
	format  format
}

type handler struct {
	block    *server.Block
	rules    []rule
	sink     *sink
	zoneName func(uint32) string
	ns       []string
}

// In logs nothing: the line is about the reply, too.
func (h *handler) In(*server.Query) server.Verdict { return server.Next }

// Out logs the query by the first rule for its name.
func (h *handler) Out(q *server.Query) {
	for i := range h.rules {
		r := &h.rules[i]
		if !q.Name.Within(r.name) {
			continue
		}
		if !r.classes.has(q) {
			return
		}
		line, ok := h.sink.take()
		if !ok {
			return
		}
		e := entry{q: q, took: q.Took(), zone: h.zoneName(q.Zone)}
		if int(q.NS) < len(h.ns) {
			e.ns = h.ns[q.NS]
		}
		h.sink.put(append(r.format.append(line, e), '\n'))
		return
	}
}
