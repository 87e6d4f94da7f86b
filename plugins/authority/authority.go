// Package authority answers from the zones of its server block. It has no
// directive: it is there in every block in which a plugin such as stamp, file or
// auto brings zones.
package authority

import (
	"errors"
	"fmt"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
)

// Plugin is the handler behind all others.
func Plugin() server.Plugin {
	return server.Plugin{Name: "authority", Implicit: true, Setup: setup}
}

func setup(d *server.Directive) (server.Handler, error) {
	store, ok := server.Shared[*zones.Store](d)
	if !ok {
		return nil, nil
	}
	status := server.ShareAll(d, func() *status { return new(status) })
	if len(status.stores) == 0 {
		if err := d.Register(status); err != nil {
			return nil, err
		}
	}
	status.stores = append(status.stores, store)
	d.OnReady("zones", func() error { return unloaded(store) })
	return &handler{store: store}, nil
}

// unloaded says which of the zones that the server is to be ready with are not
// served. A zone that came later is none of them: whoever may drop a file into a
// folder must not be able to take the server out of service with it.
func unloaded(store *zones.Store) error {
	var first *zones.Status
	n := 0
	for _, s := range store.Status() {
		if s.Loaded || s.Late {
			continue
		}
		if n++; first == nil {
			first = &s
		}
	}
	if first == nil {
		return nil
	}
	reason := first.Err
	if reason == nil {
		reason = errors.New("not loaded yet")
	}
	if n == 1 {
		return fmt.Errorf("zone %s (%s): %w", first.Origin, first.Source, reason)
	}
	return fmt.Errorf("zone %s (%s): %w; and %d more zones", first.Origin, first.Source, reason, n-1)
}

type handler struct {
	store *zones.Store
}

// In answers if the name is in a zone of the block.
func (h *handler) In(q *server.Query) server.Verdict {
	question := zones.Question{Name: q.Name, Type: q.Type, DO: q.EDNS.DO, Stream: q.Transport == server.TCP}
	reply, result := h.store.Set().Answer(q.Reply, question, q.Limit())
	if result.NotLoaded {
		q.SetRCode(server.RCodeServerFailure)
		q.AddEDE(server.EDENotReady, "zone not loaded")
		return server.Answered
	}
	if result.Zone == nil {
		return server.Next
	}
	q.Reply, q.Zone = reply, result.Label
	return server.Answered
}

// Out has nothing to do.
func (h *handler) Out(*server.Query) {}
