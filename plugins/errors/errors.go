// Package errors logs what went wrong with queries: the faults behind SERVFAIL.
//
// Faults pass a bounded queue to one goroutine: a flood of them costs log lines,
// which are counted, and never an answer.
package errors

import (
	"context"
	"log/slog"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// queueLen is the most faults that wait to be logged.
const queueLen = 256

// Plugin is the errors directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:     "errors",
		Usage:    "errors [stdout] { consolidate DURATION REGEXP [LEVEL]; stacktrace }",
		Observer: true,
		Setup:    setup,
	}
}

func setup(d *server.Directive) (server.Handler, error) {
	rules, err := parse(d)
	if err != nil {
		return nil, err
	}
	h := &handler{
		rules: rules, log: d.Logger(), queue: make(chan fault, queueLen),
		done: make(chan struct{}), gone: make(chan struct{}),
	}
	d.OnStart(func() { go h.run() })
	d.OnStop(h.stop)
	return h, nil
}

// fault is one query that went wrong.
type fault struct {
	name, rrtype, client string
	err                  error
}

// rule counts the faults whose text matches, and logs how many there were some
// time after the first.
type rule struct {
	pattern *regexp.Regexp
	period  time.Duration
	level   slog.Level
	count   atomic.Uint64
	due     chan struct{} // told of the first
}

// add counts one fault. It does not block: the channel has one place, and after
// the first fault no other is the first until the count was taken, which happens
// after the channel was read.
func (r *rule) add() {
	if r.count.Add(1) > 1 {
		return
	}
	select {
	case r.due <- struct{}{}:
	default:
	}
}

type handler struct {
	rules      []*rule
	log        *slog.Logger
	queue      chan fault
	dropped    atomic.Uint64
	done, gone chan struct{}
}

// In has nothing to see yet.
func (h *handler) In(*server.Query) server.Verdict { return server.Next }

// Out takes up the query's fault, if it has one.
func (h *handler) Out(q *server.Query) {
	err := q.Fault()
	if err == nil {
		return
	}
	if len(h.rules) > 0 {
		text := err.Error()
		for _, r := range h.rules {
			if r.pattern.MatchString(text) {
				r.add()
				return
			}
		}
	}
	f := fault{name: q.Name.String(), client: q.Remote.String(), err: err}
	if q.QuestionEnd > wire.HeaderLen {
		f.rrtype = dns.Type(q.Type).String()
	}
	select {
	case h.queue <- f:
	default:
		h.dropped.Add(1)
	}
}

// run logs until stop.
func (h *handler) run() {
	defer close(h.gone)
	for _, r := range h.rules {
		go h.consolidate(r)
	}
	for {
		select {
		case f := <-h.queue:
			h.show(f)
		case <-h.done:
			for len(h.queue) > 0 {
				h.show(<-h.queue)
			}
			for _, r := range h.rules {
				h.sum(r)
			}
			return
		}
	}
}

func (h *handler) show(f fault) {
	h.log.Error("query failed", "name", f.name, "type", f.rrtype, "client", f.client, "error", f.err)
	if len(h.queue) == 0 {
		if n := h.dropped.Swap(0); n > 0 {
			h.log.Error("more queries failed than could be logged", "not logged", n)
		}
	}
}

// consolidate logs one rule's count each time its period is over.
func (h *handler) consolidate(r *rule) {
	for {
		select {
		case <-r.due:
		case <-h.done:
			return
		}
		timer := time.NewTimer(r.period)
		select {
		case <-timer.C:
			h.sum(r)
		case <-h.done:
			timer.Stop()
			return
		}
	}
}

func (h *handler) sum(r *rule) {
	if n := r.count.Swap(0); n > 0 {
		h.log.Log(context.Background(), r.level, "queries failed",
			"errors", n, "like", r.pattern.String(), "within", r.period)
	}
}

// stopWait is how long stop waits for the last lines: a log that takes none must
// not keep the server from ending.
const stopWait = time.Second

func (h *handler) stop() {
	close(h.done)
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-h.gone:
	case <-timer.C:
	}
}
