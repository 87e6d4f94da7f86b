package fault

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
)

// maxLabels is how many name servers hits are told apart by; those of further ones
// count as the first, which is none.
const maxLabels = 16

// rule is a fault in use: what it says, and how far it has come. What is not atomic
// is the engine's, under its lock.
type rule struct {
	*spec
	name      string
	injection server.Injection
	ede       string
	source    string
	key       string   // of a rule of the Corefile: what it is found by after a reload
	blocks    []*block // of a rule of the Corefile; nil is all
	started   time.Time
	ends      time.Time
	off       bool
	ended     time.Time // zero while it is in use
	reason    string    // why it ended
	told      uint64    // hits that the log has

	seen  atomic.Uint64 // queries that it was about
	left  atomic.Int64  // of count: what may be hit still
	hits  atomic.Uint64
	by    [maxLabels]atomic.Uint64 // hits by name server
	spent func()                   // called once, when count is reached
}

// newRule makes a rule of what is said.
func newRule(s *spec, name, source string, now time.Time) *rule {
	r := &rule{spec: s, source: source, started: now}
	r.rename(name)
	r.ends = now.Add(s.lasts)
	if !s.until.IsZero() {
		r.ends = s.until
	}
	r.left.Store(int64(s.count))
	return r
}

// rename gives the rule a name, before any query sees it.
func (r *rule) rename(name string) {
	kind := r.kind.String()
	r.name, r.injection, r.ede = name, server.Injection{Rule: name, Kind: kind}, "fault "+name+": "+kind
}

// anew is the rule as it is now without its name, for another one: queries see r.
func (r *rule) anew() *rule {
	s := *r.spec
	s.name = ""
	s.document()
	n := newRule(&s, "", r.source, r.started)
	n.ends, n.off, n.told, n.spent = r.ends, r.off, r.told, r.spent
	n.seen.Store(r.seen.Load())
	n.left.Store(r.left.Load())
	n.hits.Store(r.hits.Load())
	return n
}

// about says whether the rule is about a query; ns is the label of the name server
// that was asked, name the question's as patterns match it.
func (r *rule) about(q *server.Query, ns string, name []byte) bool {
	if !r.over.has(q.Transport) || r.kind.needsEDNS() && !q.EDNS.Present {
		return false
	}
	if r.types != nil && !slices.Contains(r.types, q.Type) {
		return false
	}
	if !r.at(ns) || r.clients != nil && !r.clients.Contains(q.Remote.Addr()) {
		return false
	}
	if r.resolvers != nil && (q.Resolver == nil || !slices.Contains(r.resolvers, q.Resolver.Name)) {
		return false
	}
	if r.names == nil {
		return true
	}
	for _, p := range r.names {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// at says whether the rule is about a name server.
func (r *rule) at(ns string) bool { return r.ns == nil || slices.Contains(r.ns, ns) }

// take decides whether the rule acts on what it is about, and returns what chance has
// said for its delay.
func (r *rule) take() (chance uint64, ok bool) {
	n := r.seen.Add(1)
	if r.every > 1 && n%r.every != 0 {
		return 0, false
	}
	if r.draws() {
		// A generator a query: what the n-th query gets depends on nothing else, so
		// that there is no order and no lock.
		var g rand.PCG
		g.Seed(r.seed, n)
		if float64(g.Uint64()>>11)/(1<<53) >= r.probability {
			return 0, false
		}
		chance = g.Uint64()
	}
	return chance, r.count == 0 || r.takeOne()
}

// takeOne takes one of those that count leaves.
func (r *rule) takeOne() bool {
	for {
		n := r.left.Load()
		if n <= 0 {
			return false
		}
		if r.left.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// hit counts that the fault was made, at a name server.
func (r *rule) hit(label int) {
	r.by[label].Add(1)
	if r.hits.Add(1) == r.count && r.spent != nil {
		r.spent()
	}
}

// miss takes take back: there was nothing that the fault could be made on.
func (r *rule) miss() {
	if r.count > 0 {
		r.left.Add(1)
	}
}

// late is how long the reply waits.
func (r *rule) late(chance uint64) time.Duration {
	if r.jitter == 0 {
		return r.delay
	}
	return r.delay - r.jitter + time.Duration(chance%uint64(2*r.jitter+1))
}

// act makes the reply that the kind makes by itself, or says that others are to.
func (r *rule) act(q *server.Query) server.Verdict {
	if r.kind.silent() {
		return server.Dropped
	}
	rcode, ok := r.kind.rcode()
	if !ok {
		return server.Next
	}
	q.SetRCode(rcode)
	if r.kind == nxdomain || r.kind == empty {
		setAA(q.Reply)
	}
	return server.Answered
}

// tell adds the extended error, where it does not push out what is in the reply.
func (r *rule) tell(q *server.Query) {
	if len(q.Reply)+r.noteLen(q) <= q.Limit() {
		q.AddEDE(server.EDEOther, r.ede)
	}
}

// noteLen is how much longer tell makes the reply.
func (r *rule) noteLen(q *server.Query) int {
	if !q.EDNS.Present {
		return 0
	}
	return 6 + len(r.ede)
}
