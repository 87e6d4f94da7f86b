// Package acl decides by client, type and zone which queries are answered.
package acl

import (
	"slices"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the acl directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:  "acl",
		Usage: "acl [ZONES...] { allow|block|filter|drop [type QTYPE...] [net SOURCE...] }",
		Setup: setup,
	}
}

func setup(d *server.Directive) (server.Handler, error) {
	h := &handler{block: d.Block, counts: server.Keep(d, "", func() *counts { return newCounts(d.Workers()) })}
	for d.Next() {
		l, err := parse(d)
		if err != nil {
			return nil, err
		}
		h.lists = append(h.lists, l)
	}
	var err error
	server.ShareAll(d, func() *collector {
		c := &collector{h.counts}
		err = d.Register(c)
		return c
	})
	d.OnStart(h.start)
	return h, err
}

// action is what becomes of a query.
type action uint8

const (
	allow  action = iota // on to the next handler
	block                // REFUSED
	filter               // an empty NOERROR
	drop                 // nothing
	actionCount
)

func (a action) String() string {
	return [actionCount]string{"allowed", "blocked", "filtered", "dropped"}[a]
}

// list is one directive: the first policy that matches a query to one of the
// zones decides.
type list struct {
	zones    []wire.Name
	policies []policy
	first    int // the list's first in handler.cells
}

// policy matches queries by type and client.
type policy struct {
	action action
	types  []uint16        // nil for all
	nets   server.Networks // nil for all
	text   string          // as it was written
	place  string          // FILE:LINE
}

func (p *policy) matches(q *server.Query) bool {
	if p.types != nil && !slices.Contains(p.types, q.Type) {
		return false
	}
	return p.nets == nil || p.nets.Contains(q.Remote.Addr())
}

// zone is the index of the list's longest zone that name is in, -1 for none.
func (l *list) zone(name wire.Name) int {
	best := -1
	for i, z := range l.zones {
		if name.Within(z) && (best < 0 || len(z) > len(l.zones[best])) {
			best = i
		}
	}
	return best
}

type handler struct {
	block  *server.Block
	lists  []list
	counts *counts
	// cells are the counters, by Query.Server, then by cellIndex, then by worker.
	cells [][][]cell
}

// start gets the counters, which need the block's addresses.
func (h *handler) start() {
	for _, name := range h.block.ServerLabels() {
		cells := [][]cell{h.counts.of(series{name, "", allow})}
		for i := range h.lists {
			h.lists[i].first = len(cells)
			for _, z := range h.lists[i].zones {
				for a := block; a < actionCount; a++ {
					cells = append(cells, h.counts.of(series{name, z.String(), a}))
				}
			}
		}
		h.cells = append(h.cells, cells)
	}
}

// In applies the policy that matches. To be allowed by one is the same as being
// matched by none.
func (h *handler) In(q *server.Query) server.Verdict {
	l, z, p := h.match(q)
	if p == nil {
		return h.apply(q, allow, nil, 0)
	}
	return h.apply(q, p.action, l, z)
}

// match is the first policy that matches, list by list, with its list and the
// index of the list's zone; nil if there is none.
func (h *handler) match(q *server.Query) (l *list, zone int, p *policy) {
	for i := range h.lists {
		l := &h.lists[i]
		z := l.zone(q.Name)
		if z < 0 {
			continue
		}
		for j := range l.policies {
			if p := &l.policies[j]; p.matches(q) {
				return l, z, p
			}
		}
	}
	return nil, 0, nil
}

func (h *handler) apply(q *server.Query, a action, l *list, zone int) server.Verdict {
	at := 0
	if a != allow {
		at = l.first + zone*int(actionCount-block) + int(a-block)
	}
	h.cells[q.Server()][at][q.Worker].n.Add(1)
	switch a {
	case block:
		q.Refuse(server.EDEProhibited, "")
		return server.Answered
	case filter:
		q.SetRCode(server.RCodeSuccess)
		return server.Answered
	case drop:
		return server.Dropped
	}
	return server.Next
}

// Out has nothing to do.
func (h *handler) Out(*server.Query) {}
