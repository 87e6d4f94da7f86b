package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stampdns/stampdns/server"
)

// fromRoot has x's name resolved from the root, if that is what to do when no
// forwarder answers. It returns false if it is not.
func (e *engine) fromRoot(x *exchange) bool {
	it := e.iterator.Load()
	if it == nil || len(x.rest[0].from) > 1 || x.rooted || errors.Is(x.err, errTimeout) && x.rest[0].choose(0, false, e.now()) >= 0 {
		return false
	}
	left := x.deadline() - e.now()
	if left <= 0 {
		return false
	}
	x.rooted = true
	e.wheels.arm(x, x.deadline())
	q := x.query
	name, rrtype, do := slices.Clone(q.Name), q.Type, q.EDNS.DO
	e.counters.root.Add(1)
	e.running.Go(func() {
		ctx, cancel := context.WithTimeout(e.context, time.Duration(left))
		defer cancel()
		m, err := it.resolve(ctx, name, rrtype, do)
		x.mu.Lock()
		if x.query == nil {
			x.mu.Unlock()
			return
		}
		if err == nil {
			m.Extra = nil
			err = q.SetMsg(m)
		}
		if err != nil {
			x.err = fmt.Errorf("from the root: %w", err)
			x.fail(server.EDENoReachable, "no forwarder answers, and the name was not resolved from the root")
		} else {
			recursed(q, 0)
		}
		x.unlock(true, nil)
	})
	return true
}
