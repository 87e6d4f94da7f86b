package server

import "time"

// Fork is a query of the server's own that asks what q asks: a copy without a
// client, counted like any other, so that its configuration stops after it. It is
// called from In or Out of a handler, which then calls Run, once.
//
// What q's packet, addresses, transport and worker are, the copy's are too. Fork
// returns nil where the packet is longer than a Query's own buffer, or the handler
// is an observer.
func (q *Query) Fork() *Query {
	at := q.depth
	if q.verdict == Next { // on the way in, depth counts the handler that asks
		at--
	}
	if at < q.chain.gate || len(q.Packet) > inSize {
		return nil
	}
	gen := q.chain.gen
	f := gen.server.query()
	f.Packet = f.in[:copy(f.in, q.Packet)]
	if !f.parse() {
		gen.server.release(f)
		return nil
	}
	f.Transport, f.Worker, f.Received = q.Transport, q.Worker, time.Now()
	f.Local, f.Remote, f.NS = q.Local, q.Remote, q.NS
	f.relayed, f.door = q.relayed, q.door
	f.truncated = false
	f.chain, f.floor, f.forked, f.done = q.chain, at, true, endFork
	gen.enter(f.Worker, 1)
	return f
}

// Run sends a forked query through the handlers behind the one that forked it.
// When it ends, at once or later, Out of those is called, and last that of the
// handler itself; nothing is sent. The query must not be used after Run but in
// these calls.
func (q *Query) Run() {
	if q.chain.gen.server.run(q, q.floor+1) != Pending {
		q.done(q)
	}
}

// Forked says whether the query was made by Fork.
func (q *Query) Forked() bool { return q.forked }

// run is serve for a query that begins at the i-th handler of its chain.
func (s *Server) run(q *Query, i int) (v Verdict) {
	turn := q.turn.Load()
	defer func() {
		if fault := recover(); fault != nil {
			v = s.caught(q, turn, fault)
		}
	}()
	return q.chain.from(q, i)
}

// endFork takes a forked query back.
func endFork(q *Query) {
	gen, worker := q.chain.gen, q.Worker
	gen.server.release(q)
	gen.leave(worker, 1)
}
