package fault

import (
	"sync"
	"time"

	"github.com/stampdns/stampdns/server"
)

// held are the queries of one block whose replies wait. When the block goes out of
// use they go on at once, so that neither a reload nor the end of the server waits.
type held struct {
	engine *engine

	mu     sync.Mutex
	all    map[*late]struct{}
	closed bool
}

// late is one query that waits.
type late struct {
	q     *server.Query
	rule  *rule
	timer *time.Timer
}

// hold takes q away for a time. It is dropped where too many wait already.
func (h *held) hold(q *server.Query, r *rule, wait time.Duration) server.Verdict {
	if h.engine.waiting.Add(1) > maxHeld {
		h.engine.waiting.Add(-1)
		h.engine.overflow.Add(1)
		return server.Dropped
	}
	h.mu.Lock()
	if h.closed || wait <= 0 {
		h.mu.Unlock()
		h.engine.waiting.Add(-1)
		return r.act(q)
	}
	l := &late{q: q, rule: r}
	if h.all == nil {
		h.all = make(map[*late]struct{})
	}
	h.all[l] = struct{}{}
	// The timer needs the lock to go on, so l is whole when it does.
	l.timer = time.AfterFunc(wait, func() { h.due(l) })
	h.mu.Unlock()
	return server.Pending
}

// due lets a query go on whose time has come, unless release did.
func (h *held) due(l *late) {
	h.mu.Lock()
	_, waits := h.all[l]
	delete(h.all, l)
	h.mu.Unlock()
	if waits {
		h.goOn(l)
	}
}

// goOn does to a query what the rule would have done to it without delay.
func (h *held) goOn(l *late) {
	h.engine.waiting.Add(-1)
	if v := l.rule.act(l.q); v == server.Next {
		l.q.Resume()
	} else {
		l.q.Finish(v)
	}
}

// release lets all go on, and none wait from now on.
func (h *held) release() {
	h.mu.Lock()
	all := h.all
	h.all, h.closed = nil, true
	h.mu.Unlock()
	for l := range all {
		l.timer.Stop()
		h.goOn(l)
	}
}
