// Package journal keeps the last queries in memory: who asked what, by which path,
// and what became of it. The API shows them, by filters or as they come.
//
// Each worker writes into a ring of its own, which is there from the start: a
// query costs a lock that nobody else wants and the copy of its facts, and
// allocates nothing. All that is text is made when somebody reads.
package journal

import (
	"strconv"

	"github.com/stampdns/stampdns/server"
)

// Plugin is the journal directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:     "journal",
		Usage:    "journal [SIZE] { rate N }",
		Observer: true,
		Setup:    setup,
	}
}

// What a directive may say, and says if it does not.
const (
	defaultSize = 10000
	minSize     = 16
	maxSize     = 1000000

	defaultRate = 10000
	minRate     = 100
	maxRate     = 10000000
)

// options are what a directive says.
type options struct {
	size int // queries to keep
	rate int // queries a second and worker, beyond which not all are recorded
}

func parse(d *server.Directive) (options, error) {
	o := options{defaultSize, defaultRate}
	d.Next()
	args, err := d.Arguments(0, 1)
	if err != nil {
		return o, err
	}
	if len(args) == 1 {
		if o.size, err = number(d, "the size", args[0], minSize, maxSize); err != nil {
			return o, err
		}
	}
	for d.NextBlock() {
		if d.Val() != "rate" {
			return o, d.UnknownProperty("rate")
		}
		args, err := d.Arguments(1, 1)
		if err != nil {
			return o, err
		}
		if o.rate, err = number(d, "rate", args[0], minRate, maxRate); err != nil {
			return o, err
		}
	}
	return o, d.End()
}

func number(d *server.Directive, what, text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, d.UsageErr("%s %q is no number from %d to %d", what, text, least, most)
	}
	return n, nil
}

func setup(d *server.Directive) (server.Handler, error) {
	o, err := parse(d)
	if err != nil {
		return nil, err
	}
	first := false
	c := server.ShareAll(d, func() *config {
		first = true
		j := server.Keep(d, "", func() *journal { return newJournal(d.Workers(), o, d.ZoneLabels()) })
		return &config{journal: j, options: o, stopped: make(chan struct{})}
	})
	switch {
	case first:
		d.OnStart(func() { c.journal.adopt(o) })
		d.OnStop(func() { close(c.stopped) })
		if err := c.mount(d); err != nil {
			return nil, err
		}
		if err := d.Register(&collector{c.journal}); err != nil {
			return nil, err
		}
	case o != c.options:
		return nil, d.Errf("all server blocks write into one journal, which keeps %d queries with rate %d in a block before: give both the same",
			c.options.size, c.options.rate)
	}
	h := &handler{rings: c.journal.rings, block: d.Block}
	d.OnStart(func() { h.ns = h.block.NSLabels() })
	return h, nil
}

// config is what the blocks of one configuration share.
type config struct {
	journal *journal
	options options
	// stopped is closed when the configuration goes out of use.
	stopped chan struct{}
}

// handler writes the queries of one block.
type handler struct {
	rings []ring
	block *server.Block
	ns    []string
}

// In records nothing: the entry is about the reply, too.
func (h *handler) In(*server.Query) server.Verdict { return server.Next }

// Out records the query.
func (h *handler) Out(q *server.Query) {
	ns := ""
	if int(q.NS) < len(h.ns) {
		ns = h.ns[q.NS]
	}
	h.rings[q.Worker].record(q, ns)
}
