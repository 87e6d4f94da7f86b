// Package cache keeps the answers of the handlers behind it.
package cache

import (
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the cache directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name: "cache",
		Usage: "cache [TTL] [ZONES...] { success CAPACITY [TTL] [MINTTL] | denial CAPACITY [TTL] [MINTTL] | servfail DURATION | " +
			"prefetch AMOUNT [DURATION] [PERCENTAGE%] | serve_stale [DURATION] [immediate|verify] | " +
			"disable success|denial [ZONES...] | keepttl | capacity SIZE }",
		Setup: setup,
	}
}

func setup(d *server.Directive) (server.Handler, error) {
	o, err := parse(d)
	if err != nil {
		return nil, err
	}
	h := &handler{
		options: o,
		block:   d.Block,
		counts:  server.Keep(d, "", func() *counts { return newCounts(d.Workers()) }),
		store: server.Keep(d, o.name(d.Block), func() *store {
			return newStore(o.capacity, [2]int{o.bounds[0].entries, o.bounds[1].entries}, o.staleFor)
		}),
	}
	c := server.ShareAll(d, func() *collector {
		c := &collector{counts: h.counts}
		err = d.Register(c)
		return c
	})
	c.handlers = append(c.handlers, h)
	d.OnStart(h.start)
	d.OnForget(h.store.forget)
	return h, err
}

// handler is the cache of one server block. The store may be that of the
// configuration before, whose last queries use it still.
type handler struct {
	*options
	block  *server.Block
	store  *store
	counts *counts
	cells  [][]cell // by Query.Server, then by worker
}

// start gets the counters, which need the block's addresses.
func (h *handler) start() {
	for _, label := range h.block.ServerLabels() {
		h.cells = append(h.cells, h.counts.of(label))
	}
}

func (h *handler) cell(q *server.Query) *cell { return &h.cells[q.Server()][q.Worker] }

// wantsRecursion says whether a query may be answered by asking others. One that
// may not is answered from what is here, and leaves no trace.
func wantsRecursion(q *server.Query) bool { return wire.Flags(q.Packet)&wire.FlagRD != 0 }

// step is what is done with a query next.
type step struct {
	verdict server.Verdict
	fork    *server.Query // to be run
	again   bool          // look again then
	hit     kind          // of the entry that answers; 0 is a miss
	state   state         // of it
	code    server.EDE    // that goes with it
}

// In answers what it can, has queries wait for one that asks the same already, and
// passes the others on. Where an answer has expired, or is about to, a query of
// the cache's own asks for a new one.
func (h *handler) In(q *server.Query) server.Verdict {
	if !h.covers(q.Name) {
		return server.Next
	}
	c := h.cell(q)
	k, now := h.store.key(q), h.store.ticks(q.Received)
	st := h.look(q, &k, now, false)
	if st.again {
		// Who answers at once has put a new answer there.
		st.fork.Run()
		st = h.look(q, &k, now, true)
	}
	if st.hit == 0 {
		// A query that waits may be another goroutine's already.
		c.misses.Add(1)
		return st.verdict
	}
	c.hits[st.hit.group()].Add(1)
	if st.state == stale {
		c.stale.Add(1)
	}
	if st.code != server.EDENone {
		q.AddEDE(st.code, "")
	}
	if st.fork != nil {
		c.prefetches.Add(1)
		st.fork.Run()
	}
	return st.verdict
}

// look decides on the next step of a query; refreshed says that a query of the
// cache's own was sent for it.
func (h *handler) look(q *server.Query, k *key, now ticks, refreshed bool) step {
	s := h.store.shard(k.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(k)
	switch st := s.state(e, now); {
	case st == fresh, st == stale && (refreshed || e.resting(now) || !h.verify && s.flights[k.hash] != nil):
		return h.hit(q, s, k, e, st, now)
	case st == stale && !h.verify && wantsRecursion(q):
		if f := q.Fork(); f != nil {
			s.lead(k, f)
			return step{fork: f, again: true}
		}
	}
	return h.miss(q, s, k)
}

// hit answers q from an entry.
func (h *handler) hit(q *server.Query, s *shard, k *key, e entry, st state, now ticks) step {
	e.mark(bitUsed)
	var f *server.Query
	if h.prefetch > 0 && st == fresh && h.due(e, now) && wantsRecursion(q) && s.flights[k.hash] == nil {
		if f = q.Fork(); f != nil {
			s.lead(k, f)
		}
	}
	e.reply(q, now, st, h.keepTTL)
	return step{verdict: server.Answered, fork: f, hit: e.kind(), state: st, code: e.remark(st)}
}

// miss passes q on, or has it wait for a query that went on before.
func (h *handler) miss(q *server.Query, s *shard, k *key) step {
	v := server.Next
	if wantsRecursion(q) {
		if f := s.flights[k.hash]; f == nil {
			s.lead(k, q)
		} else if f.leader.Received.After(s.forgot) {
			v = f.park(q, k, &h.store.parked)
		}
	}
	return step{verdict: v}
}

// due counts a query for a fresh entry and says whether it is time to ask again: it
// is popular, and a small part of its life is left, or a second.
func (h *handler) due(e entry, now ticks) bool {
	hits, left := e.ask(now, h.gap), e.left(now)
	return hits >= h.prefetch && e.kind() != failure && !e.resting(now) &&
		(left <= perSecond || uint64(left)*100 <= uint64(h.percentage)*uint64(e.life()))
}

// recheck is how long it is until a name is asked about again that could not be
// refreshed (RFC 8767 section 5).
const recheck = 30 * perSecond

// Out keeps the reply of a query that went on, and answers those that wait for it.
func (h *handler) Out(q *server.Query) {
	if !q.Passed() || !h.covers(q.Name) || !wantsRecursion(q) {
		return
	}
	a, o := h.judgeQuery(q)
	k := h.store.key(q)
	code, st, parked := h.settle(q, &k, &a, o)
	if code != server.EDENone {
		q.AddEDE(code, "")
	}
	if st == stale {
		n := len(parked)
		if !q.Forked() {
			n++
		}
		h.cell(q).stale.Add(uint64(n))
	}
	if len(parked) > 0 {
		h.finish(parked, q, o != broken || st != none, code)
	}
}

// settle does to the entry what the reply to q means for it, and ends the flight
// that q leads. Where an entry answers after all, st is its state.
func (h *handler) settle(q *server.Query, k *key, a *answer, o outcome) (code server.EDE, st state, parked []*server.Query) {
	now := h.store.ticks(h.store.now())
	s := h.store.shard(k.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	parked = s.land(k, q)
	// What was asked before all was forgotten is no news of now.
	late := !q.Received.After(s.forgot)
	switch o {
	case keep:
		if late {
			return server.EDENone, none, parked
		}
		s.put(k, a, q.Reply, q.QuestionEnd, now)
	case forget:
		s.remove(k)
	default:
		if !late {
			code, st = h.fail(q, s, k, now, o)
			return code, st, parked
		}
	}
	return server.EDENone, none, parked
}

// judgeQuery says what becomes of the reply to q.
func (h *handler) judgeQuery(q *server.Query) (answer, outcome) {
	if q.Verdict() != server.Answered {
		return answer{}, broken
	}
	a, o := h.judge(q.Reply, q.QuestionEnd, q.Name, q.Type)
	switch {
	case o == broken:
		h.cell(q).drops.Add(1)
	case q.RCode() > 0xF: // BADVERS is NOERROR in the header
		o = failed
	}
	return a, o
}

// fail deals with a query that got no answer. What was known of the name holds, and
// is q's reply then (RFC 8767 section 5): no failure takes its place. Otherwise
// the failure is kept, for the time that the configuration says (RFC 9520).
func (h *handler) fail(q *server.Query, s *shard, k *key, now ticks, o outcome) (server.EDE, state) {
	e := s.find(k)
	if st := s.state(e, now); st != none && e.kind() != failure {
		e.rest(now + recheck)
		e.reply(q, now, st, h.keepTTL)
		q.Answer()
		return e.remark(st), st
	}
	if o == failed && q.RCode() == server.RCodeServerFailure && h.servfail > 0 {
		a := answer{kind: failure, rcode: server.RCodeServerFailure, life: h.servfail}
		s.put(k, &a, q.Reply, q.QuestionEnd, now)
	}
	return server.EDENone, none
}

// glimpse is what is known of a question.
type glimpse struct {
	state   state
	kind    kind
	rcode   uint8
	age     time.Duration // since it was stored
	left    time.Duration // of its TTL
	resting bool          // could not be refreshed, and is not tried again yet
	asking  bool          // a query for it is under way
}

// peek looks at what is known of q's question, without a trace.
func (h *handler) peek(q *server.Query) glimpse {
	k, now := h.store.key(q), h.store.ticks(h.store.now())
	s := h.store.shard(k.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(&k)
	g := glimpse{state: s.state(e, now), asking: s.flights[k.hash] != nil}
	if g.state != none {
		const tick = time.Second / perSecond
		g.kind, g.rcode, g.resting = e.kind(), e[atRCode], e.resting(now)
		g.age, g.left = time.Duration(e.age(now))*tick, time.Duration(e.left(now))*tick
	}
	return g
}
