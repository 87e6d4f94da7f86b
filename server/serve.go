package server

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// serve takes q, whose packet and addresses are set, through its chain. A panic
// of a handler costs the one query: it is counted, logged and answered SERVFAIL,
// unless it was finished elsewhere before the panic.
func (s *Server) serve(r *router, q *Query) (v Verdict) {
	turn := q.turn.Load()
	defer func() {
		if fault := recover(); fault != nil {
			v = s.caught(q, turn, fault)
		}
	}()
	if !q.parse() {
		return Dropped
	}
	if q.truncated {
		q.state = stateFormErr
	}
	r.route(q)
	return q.chain.in(q)
}

// caught deals with the panic of a handler on the way in; turn is the query's from
// before.
func (s *Server) caught(q *Query, turn uint32, fault any) Verdict {
	if q.turn.CompareAndSwap(turn, turn+1) {
		return s.salvage(q, fault)
	}
	s.panics.Add(1)
	if s.panicLog.allow(time.Now()) {
		s.log.Error("a handler panicked after its query was finished", "panic", fault, "stack", string(debug.Stack()))
	}
	return Pending
}

// finish ends a query that was pending, with the same care.
func (s *Server) finish(q *Query, v Verdict) {
	defer func() {
		if fault := recover(); fault != nil {
			s.salvage(q, fault)
		}
	}()
	q.chain.end(q, v)
}

// salvage answers a query whose handler panicked, and brings it out through the
// handlers that have not seen the end of it. One that panics there as well is
// passed over.
func (s *Server) salvage(q *Query, fault any) Verdict {
	s.panics.Add(1)
	q.tainted = true
	if s.panicLog.allow(time.Now()) {
		s.log.Error("a handler panicked; the query gets SERVFAIL", "panic", fault,
			"name", q.Name.String(), "type", q.Type, "client", q.Remote, "stack", string(debug.Stack()))
	}
	if q.chain == nil {
		return Dropped
	}
	if q.verdict == Next {
		q.depth = max(0, q.depth-1)
		q.verdict = Answered
	}
	for left := q.depth; left >= 0; left-- {
		if q.verdict == Answered {
			q.Fail(fmt.Errorf("panic: %v", fault))
		}
		if s.outAgain(q) {
			return q.verdict
		}
	}
	q.verdict = Dropped
	return Dropped
}

// outAgain goes on with the way out and says whether it came to its end.
func (s *Server) outAgain(q *Query) (done bool) {
	defer func() {
		if recover() != nil {
			s.panics.Add(1)
		}
	}()
	q.chain.out(q)
	return true
}

// throttle lets one event a second through, for log lines that a client can
// provoke.
type throttle struct{ last atomic.Int64 }

func (t *throttle) allow(now time.Time) bool {
	n, last := now.UnixNano(), t.last.Load()
	return n-last >= int64(time.Second) && t.last.CompareAndSwap(last, n)
}
