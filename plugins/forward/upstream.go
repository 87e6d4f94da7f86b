package forward

import (
	"crypto/tls"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// status is what is known of an upstream. Up to suspect it is worth asking.
type status int32

const (
	unknown  status = iota // not asked yet
	up                     // answers
	suspect                // did not answer last time; a probe is on its way
	refusing               // answers, but refuses us
	down                   // answers neither queries nor probes: not asked
)

// String is the status as the API and metrics spell it.
func (s status) String() string {
	return [...]string{"unknown", "up", "suspect", "refusing", "down"}[s]
}

// statuses are all of them, for metrics.
func statuses() []status { return []status{unknown, up, suspect, refusing, down} }

// upstreamKey tells upstreams apart: the same address with other options is another
// one.
type upstreamKey struct {
	address
	options string
}

// upstream is a server that is asked. It lives as long as some table has it, over
// reloads, so that what is known of it is not forgotten.
type upstream struct {
	engine  *engine
	address address
	options *options
	tls     *tls.Config // nil for plain DNS

	state   atomic.Int32
	rtt     atomic.Int64 // smoothed, nanoseconds; 0 while unknown
	fails   atomic.Int32 // since the last answer
	refused atomic.Int32 // answers in a row that were REFUSED
	queries atomic.Uint64
	// askAgain is when an upstream that refuses us is asked once more before others.
	askAgain atomic.Int64
	probing  atomic.Bool
	closed   atomic.Bool
	stats    upstreamStats
	left     int // how often no table had it any more; the engine's lock guards it

	mu      sync.Mutex
	sockets [socketsPerUpstream]*socket // the UDP sockets in use; nil where there is none
	streams []*stream
	// Queries that were read at the time batch go by the socket turn.
	batch time.Time
	turn  int
}

func newUpstream(e *engine, a address, o *options) *upstream {
	u := &upstream{engine: e, address: a, options: o}
	if a.tls {
		u.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.tls != nil {
			u.tls = o.tls.Clone()
		}
		switch {
		case a.serverName != "":
			u.tls.ServerName = a.serverName
		case o.serverName != "":
			u.tls.ServerName = o.serverName
		default:
			u.tls.ServerName = a.at.Addr().WithZone("").String()
		}
		u.tls.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	return u
}

func (u *upstream) status() status { return status(u.state.Load()) }

// set changes the status and says so in the log where it matters to the operator.
func (u *upstream) set(s status) {
	before := status(u.state.Swap(int32(s)))
	if before == s {
		return
	}
	switch {
	case s == down:
		u.engine.log.Warn("forwarder is down: it answers neither queries nor probes", "forwarder", u.address)
	case s == refusing:
		u.engine.log.Warn("forwarder refuses to answer this server", "forwarder", u.address)
	case s == up && before >= refusing:
		u.engine.log.Info("forwarder is up again", "forwarder", u.address)
	}
}

// refusedPause is how long an upstream that refuses us is left alone. No probe tells
// when it does not any more: what it refuses may be the probe.
const refusedPause = 5 * time.Second

// ranks says whether the upstream is to be asked among those of a status. One that
// refuses us is now and then among the best, for one query.
func (u *upstream) ranks(as status, now int64) bool {
	s := u.status()
	if s == refusing && as == up {
		at := u.askAgain.Load()
		return now >= at && u.askAgain.CompareAndSwap(at, now+int64(refusedPause))
	}
	return s == as || s == unknown && as == up
}

// answered notes an answer that came rtt after the query, 0 where that is not known.
func (u *upstream) answered(rtt time.Duration, rcode uint16) {
	if rtt > 0 {
		// RFC 6298 section 2: one part in eight is new.
		if old := u.rtt.Load(); old == 0 {
			u.rtt.Store(int64(rtt))
		} else {
			u.rtt.Store(old + (int64(rtt)-old)/8)
		}
	}
	u.stats.observe(rtt, rcode)
	if u.fails.Load() != 0 {
		u.fails.Store(0)
	}
	if rcode == dns.RcodeRefused {
		if u.refused.Add(1) >= refusals && u.status() != refusing {
			u.askAgain.Store(u.engine.now() + int64(refusedPause))
			u.set(refusing)
		}
		return
	}
	if u.refused.Load() != 0 {
		u.refused.Store(0)
	}
	if u.status() != up {
		u.set(up)
	}
}

// refusals is how many answers in a row make an upstream one that refuses us: a
// single one may be about the name.
const refusals = 3

// failed notes that an upstream did not answer, or could not be reached. Others
// go before it from now on, until a probe says what is the matter.
func (u *upstream) failed() {
	u.fails.Add(1)
	if s := u.status(); s < suspect {
		u.set(suspect)
	}
	u.probe()
}

// Attempts to reach an upstream wait for some of its usual time, within bounds; one
// that is not known yet for firstWait.
const (
	firstWait = 400 * time.Millisecond
	leastWait = 200 * time.Millisecond
	mostWait  = 800 * time.Millisecond
)

// wait is how long the answer may take before another upstream is asked.
func (u *upstream) wait() time.Duration {
	rtt := time.Duration(u.rtt.Load())
	if rtt == 0 {
		return firstWait
	}
	return min(max(4*rtt, leastWait), mostWait)
}

// Probes: so many unanswered in a row say that an upstream is dead, and the time
// between such rows grows.
const (
	probeTries   = 3
	probeTimeout = 400 * time.Millisecond
	longestPause = 4 * time.Second
)

// probe finds out, in the background, whether the upstream is dead or answers, until
// it does.
func (u *upstream) probe() {
	if u.closed.Load() || !u.probing.CompareAndSwap(false, true) {
		return
	}
	u.engine.running.Go(func() {
		defer u.probing.Store(false)
		pause := u.options.health.interval
		for {
			for try := range probeTries {
				if u.closed.Load() {
					return
				}
				if rcode, err := u.probeOnce(probeTimeout << try); err == nil {
					u.fails.Store(0)
					if rcode != dns.RcodeRefused {
						u.refused.Store(0)
					}
					// A server of some zones alone refuses the probe, which is about
					// another: only its answers to queries say that it refuses us.
					if u.refused.Load() >= refusals {
						u.set(refusing)
					} else {
						u.set(up)
					}
					return
				}
				u.stats.probeFailures.Add(1)
			}
			if u.isDead() {
				u.set(down)
			}
			// Not all servers of a lab shall probe a dead one at the same moment.
			if !u.engine.sleep(pause + rand.N(pause/4+1)) {
				return
			}
			pause = min(2*pause, max(longestPause, u.options.health.interval))
		}
	})
}

// isDead says whether an upstream that does not answer probes is down.
func (u *upstream) isDead() bool {
	most := u.options.maxFails
	return u.status() == down || most > 0 && u.fails.Load() >= most
}

// probeOnce sends one query that any server answers, one way or another.
func (u *upstream) probeOnce(patience time.Duration) (rcode int, err error) {
	m := new(dns.Msg).SetQuestion(u.options.health.domain.String(), dns.TypeNS)
	m.RecursionDesired = !u.options.health.noRec
	c := dns.Client{Timeout: patience, Net: "udp", TLSConfig: u.tls, UDPSize: 1232}
	switch {
	case u.tls != nil:
		c.Net, c.Timeout = "tcp-tls", 2*patience
	case u.options.forceTCP:
		c.Net = "tcp"
	}
	r, _, err := c.ExchangeContext(u.engine.context, m, u.address.at.String())
	if err != nil {
		return 0, err
	}
	return r.Rcode, nil
}

// close lets everything go that belongs to the upstream. Queries that wait for it
// end by their timers.
func (u *upstream) close() {
	u.closed.Store(true)
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, s := range u.sockets {
		if s != nil {
			s.conn.Close()
			u.sockets[i] = nil
		}
	}
	for _, s := range u.streams {
		s.close(errUnused)
	}
	u.streams = nil
}
