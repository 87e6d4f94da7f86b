package forward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// patience is how long a client is kept waiting, from the query to SERVFAIL: less
// than the common clients wait themselves.
const patience = 2 * time.Second

// maxAttempts is how often one query is sent, to whichever upstreams.
const maxAttempts = 6

// Why a query ends without an answer.
var (
	errTimeout  = errors.New("no forwarder answered in time")
	errNetwork  = errors.New("no forwarder could be reached")
	errAllDown  = errors.New("all forwarders are down")
	errUnusable = errors.New("the forwarders' answers cannot be used")
)

// exchange is one query that is being forwarded: from the moment that it is taken
// from its chain until it is finished, by whoever holds mu and finds it not done.
type exchange struct {
	engine *engine
	start  int64 // by the engine's clock, as all times here
	// What goes to the upstreams: the header, whose ID is each attempt's own, the
	// question and the OPT record. Written once.
	packet      [wire.HeaderLen + wire.MaxName + 4 + wire.OPTLen]byte
	packetLen   int
	questionEnd int
	exactCase   bool // the question's case is random, and must come back
	key         uint64

	// timer: guarded by the wheel.
	timer timer

	mu       sync.Mutex
	query    *server.Query // nil when done
	rest     []*group      // the group in use and those behind it
	tried    uint32        // the group's upstreams that were asked
	attempts []attempt     // in few as long as there is room
	few      [2]attempt
	plain    bool // an upstream took the OPT record ill: go on without
	rooted   bool // it is being resolved from the root
	// unreachable says that no upstream was left but some that could not be reached.
	unreachable bool
	batched     bool // what is sent goes out with the batch that worker has in hand
	worker      int
	// fallback says that an upstream answered with an RCODE that another may do
	// better than; with which one is what the client gets otherwise.
	fallback      bool
	fallbackRCode uint16
	reasons       []extendedError // that came with it
	err           error           // the last failure
}

// attempt is one time that the query was sent.
type attempt struct {
	upstream *upstream
	at       int64
	id       uint16
	socket   *socket // that waits for the answer, nil if none does
	stream   *stream
}

// forward takes q away, unless there are too many.
func (e *engine) forward(q *server.Query, candidates []*group) server.Verdict {
	g := candidates[0]
	key, ok := e.flights.enter(q.Name, q.Type, q.Remote.Addr())
	if !ok {
		return e.reject(q, "the same is being asked too often")
	}
	if g.inflight.Add(1) > g.options.maxConcurrent {
		g.inflight.Add(-1)
		e.flights.leave(key)
		return e.reject(q, "too many queries are being forwarded")
	}
	x := &exchange{engine: e, query: q, rest: candidates, start: e.now(), questionEnd: q.QuestionEnd, key: key}
	x.write(q, g.options)
	x.mu.Lock()
	x.batched, x.worker = q.Batched(), q.Worker
	x.attempts = x.few[:0]
	over := x.try(x.start)
	x.batched = false
	x.unlock(over, nil)
	return server.Pending
}

// reject refuses a query that is one too many.
func (e *engine) reject(q *server.Query, why string) server.Verdict {
	e.counters.rejected.Add(1)
	q.SetRCode(server.RCodeRefused)
	q.AddEDE(server.EDEOther, why)
	return server.Answered
}

// unlock gives mu back, and where the exchange is over ends it: of those who find
// that out, the first one takes the query. Where there is a batch, the reply goes out
// with it.
func (x *exchange) unlock(over bool, batch *server.Batch) {
	var q *server.Query
	if over {
		q, x.query = x.query, nil
	}
	x.mu.Unlock()
	if q != nil {
		x.finish(q, batch)
	}
}

// write makes the packet: the client's question, flags and EDNS facts, and nothing
// else of what it sent.
func (x *exchange) write(q *server.Query, o *options) {
	p := append(x.packet[:0], q.Packet[:q.QuestionEnd]...)
	wire.SetFlags(p, wire.FlagRD|wire.Flags(q.Packet)&(wire.FlagCD|wire.FlagAD))
	wire.SetCount(p, wire.CountAN, 0)
	wire.SetCount(p, wire.CountNS, 0)
	wire.SetCount(p, wire.CountAR, 0)
	if o.randomizeCase {
		x.exactCase = true
		randomizeCase(p[wire.HeaderLen : q.QuestionEnd-4])
	}
	if q.EDNS.Present {
		size := min(max(q.EDNS.Size, dns.MinMsgSize), uint16(q.Block().UDPSize))
		p = wire.AppendOPT(p, size, 0, q.EDNS.DO, nil)
		wire.SetCount(p, wire.CountAR, 1)
	}
	x.packetLen = len(p)
}

// randomizeCase makes each letter of a name upper or lower case by chance
// (draft-vixie-dnsext-dns0x20): an answer to the same name in other letters is not
// by the server that was asked.
func randomizeCase(name []byte) {
	bits, left := uint64(0), 0
	for i, c := range name {
		// Length octets are no letters.
		if c|0x20-'a' >= 26 {
			continue
		}
		if left == 0 {
			bits, left = rand.Uint64(), 64
		}
		name[i] = c&^0x20 | byte(bits&1)<<5
		bits >>= 1
		left--
	}
}

// message is the packet to send, without the OPT record once that was taken ill.
func (x *exchange) message() []byte {
	if x.plain && x.packetLen > x.questionEnd {
		x.packetLen = x.questionEnd
		wire.SetCount(x.packet[:], wire.CountAR, 0)
	}
	return x.packet[:x.packetLen]
}

// deadline is when the client's patience ends.
func (x *exchange) deadline() int64 { return x.start + int64(patience) }

// try sends the query to the next upstream that is worth it. It returns true if
// the exchange is over and the reply is made; mu is held, here and below.
func (x *exchange) try(now int64) (over bool) {
	for len(x.attempts) < maxAttempts {
		g := x.rest[0]
		i := g.choose(x.tried, !x.fallback, now)
		if i < 0 {
			break
		}
		u := g.upstreams[i]
		again := x.tried&(1<<i) != 0
		x.tried |= 1 << i
		if err := x.send(u, u.tls != nil || u.options.forceTCP, now); err != nil {
			x.err = fmt.Errorf("%w: %s: %w", errNetwork, u.address, err)
			u.failed()
			if again {
				break
			}
			continue
		}
		wait := int64(u.wait())
		if again || len(x.attempts) > len(g.upstreams) {
			wait *= 2
		}
		x.engine.wheels.arm(x, min(now+wait, x.deadline()))
		return false
	}
	switch {
	case x.fallback:
		return x.settle()
	case (x.waits() || x.rooted) && now < x.deadline():
		// A late answer is better than none.
		x.engine.wheels.arm(x, x.deadline())
		return false
	}
	return x.giveUp()
}

// waits says whether an attempt may still be answered.
func (x *exchange) waits() bool {
	return slices.ContainsFunc(x.attempts, attempt.waits)
}

// waits says whether an answer to the attempt may come still.
func (a attempt) waits() bool { return a.socket != nil || a.stream != nil }

// send sends the query to u as one more attempt.
func (x *exchange) send(u *upstream, stream bool, now int64) error {
	n := len(x.attempts)
	x.attempts = append(x.attempts, attempt{upstream: u, at: now})
	var err error
	if stream {
		err = u.sendStream(x, n)
	} else {
		err = u.sendUDP(x, n, now)
	}
	if err != nil {
		x.attempts = x.attempts[:n]
		return err
	}
	u.queries.Add(1)
	return nil
}

// expired is the timer's call.
func (x *exchange) expired() {
	x.mu.Lock()
	if x.query == nil {
		x.mu.Unlock()
		return
	}
	waited := false
	if n := len(x.attempts); n > 0 && x.attempts[n-1].waits() {
		a := &x.attempts[n-1]
		a.upstream.failed()
		if a.stream != nil {
			a.stream.missed(a.at)
		}
		if waited = true; !x.unreachable {
			x.err = errTimeout
		}
	}
	var over bool
	now := x.engine.now()
	switch {
	case now >= x.deadline()-int64(tick),
		// Systems do not tell of every datagram that nobody takes: silence after such news
		// means the same.
		waited && x.unreachable && x.rest[0].choose(x.tried, false, now) < 0:
		over = x.giveUp()
	default:
		over = x.try(now)
	}
	x.unlock(over, nil)
}

// pause is how long it takes until an upstream that could not be reached is asked once
// more: by then a probe may have found it dead.
const pause = 200 * time.Millisecond

// lost is the call of a socket or stream that failed while attempt n waited at it. worn
// says that it was good before: then the same upstream may be asked again at once.
func (x *exchange) lost(n int, err error, worn bool) {
	x.mu.Lock()
	if x.query == nil {
		x.mu.Unlock()
		return
	}
	a := &x.attempts[n]
	a.socket, a.stream = nil, nil
	x.err = fmt.Errorf("%w: %s: %w", errNetwork, a.upstream.address, err)
	over := false
	if n == len(x.attempts)-1 { // nobody else has been asked meanwhile
		now := x.engine.now()
		switch {
		case worn || x.rest[0].choose(x.tried, false, now) >= 0:
			over = x.try(now)
		case x.unreachable:
			over = x.giveUp()
		default:
			x.unreachable = true
			x.engine.wheels.arm(x, min(now+int64(pause), x.deadline()))
		}
	}
	x.unlock(over, nil)
}

// received is the call of a socket or stream with the answer to attempt n. What is
// no answer that can be used lets the exchange go on.
func (x *exchange) received(n int, m []byte, stream bool, batch *server.Batch) {
	x.mu.Lock()
	if x.query == nil {
		x.mu.Unlock()
		return
	}
	a := &x.attempts[n]
	a.socket, a.stream = nil, nil
	over := x.judge(a, m, stream)
	x.unlock(over, batch)
}

// judge decides what becomes of an answer to the question asked.
func (x *exchange) judge(a *attempt, m []byte, stream bool) (over bool) {
	u, q := a.upstream, x.query
	rcode := uint16(wire.RCode(m))
	now := x.engine.now()
	u.answered(time.Duration(now-a.at), rcode)
	switch {
	case wire.Flags(m)&wire.FlagTC != 0:
		// Half an answer is none (RFC 2181 section 9), whatever it came over.
		if !stream && len(x.attempts) < maxAttempts && x.send(u, true, now) == nil {
			x.engine.wheels.arm(x, min(now+int64(mostWait), x.deadline()))
			return false
		}
		x.err = fmt.Errorf("%w: %s: truncated", errUnusable, u.address)
		return x.try(now)
	case rcode == dns.RcodeFormatError && x.packetLen > x.questionEnd && !x.plain:
		// A server of before EDNS (RFC 6891 section 7).
		x.plain = true
		if len(x.attempts) < maxAttempts && x.send(u, stream, now) == nil {
			return false
		}
		return x.try(now)
	case len(x.rest) > 1 && slices.Contains(x.rest[0].options.next, rcode):
		x.behind()
		return x.try(now)
	case slices.Contains(x.rest[0].options.failover, rcode):
		x.fallback, x.fallbackRCode, x.reasons = true, rcode, reasons(m, x.questionEnd)
		return x.try(now)
	}
	if err := answer(q, m, x.questionEnd, x.rest[0].from); err != nil {
		x.engine.counters.ignored[malformed].Add(1)
		x.err = fmt.Errorf("%w: %s: %w", errUnusable, u.address, err)
		return x.try(now)
	}
	return true
}

// behind goes over to the next group.
func (x *exchange) behind() {
	x.rest[0].inflight.Add(-1)
	x.rest = x.rest[1:]
	x.rest[0].inflight.Add(1)
	x.tried, x.fallback = 0, false
}

// settle answers with the RCODE that the upstreams gave.
func (x *exchange) settle() bool {
	q := x.query
	q.SetRCode(x.fallbackRCode)
	for _, e := range x.reasons {
		q.AddEDE(e.code, e.text)
	}
	recursed(q, 0)
	return true
}

// giveUp answers SERVFAIL, or has the name resolved from the root, and says why
// (RFC 8914 sections 4.23 and 4.24).
func (x *exchange) giveUp() bool {
	if x.fallback {
		return x.settle()
	}
	if x.err == nil {
		x.err = errAllDown
		x.engine.counters.broken.Add(1)
	}
	if x.engine.fromRoot(x) {
		return false
	}
	switch {
	case errors.Is(x.err, errNetwork):
		x.fail(server.EDENetworkError, errNetwork.Error())
	case errors.Is(x.err, errUnusable):
		x.fail(server.EDENoReachable, errUnusable.Error())
	case errors.Is(x.err, errAllDown):
		x.fail(server.EDENoReachable, errAllDown.Error())
	default:
		x.fail(server.EDENoReachable, errTimeout.Error())
	}
	return true
}

// fail makes the reply SERVFAIL, with an extended error.
func (x *exchange) fail(code server.EDE, text string) {
	x.query.Fail(fmt.Errorf("forward %s: %w", x.rest[0].from, x.err))
	recursed(x.query, 0)
	x.query.AddEDE(code, text)
}

// finish hands the query, whose reply is made, back to its chain. The exchange has
// no query any more, and so nobody else changes it.
func (x *exchange) finish(q *server.Query, batch *server.Batch) {
	x.engine.wheels.disarm(x)
	for i := range x.attempts {
		x.attempts[i].forget(x)
	}
	x.engine.flights.leave(x.key)
	x.rest[0].inflight.Add(-1)
	if batch == nil {
		q.Finish(server.Answered)
		return
	}
	batch.Finish(q, server.Answered)
}

// forget lets nobody wait for the attempt's answer any more.
func (a *attempt) forget(x *exchange) {
	if a.socket != nil {
		a.socket.forget(a.id, x)
	}
	if a.stream != nil {
		a.stream.forget(a.id, x)
	}
}

// asked says whether m is an answer to the exchange's question: what an answer by
// somebody else would have to guess (RFC 5452 section 9.1). An error may come
// without a question.
func (x *exchange) asked(m []byte) reason {
	if len(m) < wire.HeaderLen || wire.Flags(m)&wire.FlagQR == 0 || wire.Opcode(m) != dns.OpcodeQuery {
		return malformed
	}
	if wire.Count(m, wire.CountQD) == 0 && isComplaint(wire.RCode(m)) && len(m) <= wire.HeaderLen+maxErrorExtra {
		return none
	}
	end := x.questionEnd
	if wire.Count(m, wire.CountQD) != 1 || len(m) < end {
		return wrongQuestion
	}
	ours, theirs := x.packet[wire.HeaderLen:end], m[wire.HeaderLen:end]
	if string(ours) == string(theirs) {
		return none
	}
	if x.exactCase || !equalFold(ours[:len(ours)-4], theirs[:len(theirs)-4]) ||
		binary.BigEndian.Uint32(ours[len(ours)-4:]) != binary.BigEndian.Uint32(theirs[len(theirs)-4:]) {
		return wrongQuestion
	}
	return none
}

// isComplaint says whether an RCODE is about the query as a whole, so that it may come
// without the question. NXDOMAIN and the like are answers: whoever forges one has to
// know the question.
func isComplaint(rcode uint8) bool {
	switch rcode {
	case dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
		return true
	}
	return false
}

// maxErrorExtra bounds what stands behind the header of an error without a question:
// an OPT record.
const maxErrorExtra = 64

// equalFold compares two names in wire form without regard to case.
func equalFold(a, b []byte) bool {
	for i, c := range a {
		d := b[i]
		if c != d && (c^d != 0x20 || c|0x20-'a' >= 26) {
			return false
		}
	}
	return true
}
