package delegation

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// probes are the last questions of a resolver that may stand for a longer name, as
// QNAME minimisation asks them (RFC 9156). It may be used by many goroutines.
type probes struct {
	until atomic.Int64 // when the last of them is too old
	mu    sync.Mutex
	last  [4]probe
	next  int
}

// probe is one such question.
type probe struct {
	hash   uint64 // of name and source
	at     int64
	labels uint8
	signal uint8
	proof  bool // what follows it proves minimisation
}

// probeTime is how soon the longer name has to follow.
const probeTime = int64(5 * time.Second)

// see counts the questions of which q asks for a longer name, and keeps q if it
// may be such a one.
func (p *probes) see(o *observer, q *server.Query, f *facts, r *resolverCounts) {
	if f.probe == 0 && f.now > p.until.Load() {
		return
	}
	labels := q.Name.Labels()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.last {
		e := &p.last[i]
		if e.labels == 0 || int(e.labels) >= labels+e.underscore() || f.now-e.at > probeTime || f.now < e.at {
			continue
		}
		if o.hashName(shorten(q.Name, int(e.labels)-e.underscore()), f.src) != e.hash {
			continue
		}
		if e.underscore() == 1 && len(q.Name) > 1 && q.Name[1] == '_' && q.Name[0] == 1 {
			continue
		}
		r.signals[e.signal]++
		if e.proof {
			r.caps |= capQmin
		}
		*e = probe{}
	}
	if f.probe == 0 {
		return
	}
	e := &p.last[p.next]
	p.next = (p.next + 1) % len(p.last)
	*e = probe{at: f.now, labels: uint8(labels), signal: f.probe - 1}
	// The NS records of the apex are asked for by those, too, who only look who
	// serves the zone.
	e.proof = e.signal != signalApex || q.Type == dns.TypeA
	e.hash = o.hashName(shorten(q.Name, labels-e.underscore()), f.src)
	p.until.Store(f.now + probeTime)
}

// underscore is 1 where the question's first label "_" stands for another one.
func (p *probe) underscore() int {
	if p.signal == signalUnderscore {
		return 1
	}
	return 0
}
