//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// forwarding is what forwarders do with the questions of a mix.
type forwarding int

const (
	forwardsNothing forwarding = iota
	forwardsHit                // all answers come from their caches
	forwardsMiss               // all questions go on to the upstream
)

// The mixes for forwarders.
const (
	hitMix  = "forward-hit"
	missMix = "forward-miss"
)

// forwardZone is where all names are that are forwarded.
const forwardZone = "forward.example."

// The numbers of names: those of the mix forward-hit, those that stand in the
// sample of forward-miss, behind which are those that are timed.
const (
	hitNames   = 20_000
	missSample = 1_000_000
)

// How many seconds an answer may have been in a cache: that of the mix
// forward-hit is filled a moment before answers are compared, and a miss is not
// cached.
const (
	hitAge  = 600
	missAge = 1
)

// forwardedName is what is asked of the i-th name: of twenty, 18 are addresses, one
// is a type that the name has not, and one a name that does not exist.
func forwardedName(i int) (name string, qtype uint16) {
	switch i % 20 {
	case 18:
		return label(i) + "." + forwardZone, dns.TypeAAAA
	case 19:
		return fmt.Sprintf("nx%07d.%s", i, forwardZone), typeA
	}
	return label(i) + "." + forwardZone, typeA
}

// forwarded is the question for the i-th name with its answer, which may have been
// in a cache for age seconds.
func forwarded(i, age int) question {
	name, _ := forwardedName(i)
	q := hosts(name, address(i))
	switch i % 20 {
	case 18:
		q = noData(name, forwardZone)
	case 19:
		q = noName(name, forwardZone)
	}
	q.want.forwarded, q.want.age = true, age
	return q
}

// newForward is what forwarders are asked in a mix.
func newForward(kind forwarding, upstream netip.AddrPort) *dataset {
	if kind == forwardsHit {
		return &dataset{name: hitMix, upstream: upstream, cached: hitNames, draw: func(r *rand.Rand) question {
			return forwarded(r.IntN(hitNames), hitAge)
		}}
	}
	return &dataset{name: missMix, upstream: upstream, draw: func(r *rand.Rand) question {
		return forwarded(r.IntN(missSample), missAge)
	}}
}

// mixDataset is the dataset of a mix; what forwarders forward to is started with
// it.
func (b *bench) mixDataset(ctx context.Context, m mix) (*dataset, error) {
	if m.forward == forwardsNothing {
		return b.dataset(m.data)
	}
	if err := b.startUpstream(ctx); err != nil {
		return nil, err
	}
	return newForward(m.forward, b.upstream.addr), nil
}

// writeNames writes a file for dnsperf with what is asked of so many names.
func writeNames(path string, numbers iter.Seq[int], ask func(i int) (name string, qtype uint16)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	for i := range numbers {
		name, qtype := ask(i)
		question{name: name, qtype: qtype}.write(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// span are the numbers from first on.
func span(first, count int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := first; i < first+count && yield(i); i++ {
		}
	}
}

// fill has an instance cache all names of the mix forward-hit: each is asked once.
func (c *contest) fill(ctx context.Context, i *instance) error {
	path := filepath.Join(c.b.dir, "fill.queries")
	numbers := slices.Values(newRand(c.b.seed).Perm(hitNames))
	if err := writeNames(path, numbers, forwardedName); err != nil {
		return err
	}
	seen, err := c.b.dnsperf(ctx, i.addr, load{queries: path, once: true, duration: time.Minute})
	if err != nil {
		return err
	}
	if bad := seen.Lost + seen.Failed; bad > 0 {
		return fmt.Errorf("of %d names that it was to cache, %d were not answered", hitNames, bad)
	}
	return nil
}

// missRate is how many questions a second there are names for: more than any load
// that one core makes.
const missRate = 400_000

// load is what dnsperf is to ask a contestant for d. The names of forward-miss are
// such as it was not asked for before.
func (c *contest) load(one *contestant, d time.Duration) (load, error) {
	l := load{queries: c.queries, tcp: c.mix.tcp, do: c.mix.do, duration: d}
	if c.mix.forward != forwardsMiss {
		return l, nil
	}
	const more = 10_000
	l.names = more + int(missRate*d.Seconds())
	first := missSample + one.named
	one.named += l.names
	l.queries = filepath.Join(c.b.dir, fmt.Sprintf("miss-%d.queries", first))
	return l, writeNames(l.queries, span(first, l.names), forwardedName)
}

// perf puts a load on a contestant, and counts what of it reached the upstream.
func (c *contest) perf(ctx context.Context, one *contestant, l load) (seen loadResult, err error) {
	if c.mix.forward == forwardsNothing {
		return c.b.dnsperf(ctx, one.instance.addr, l)
	}
	before, err := c.b.upstream.count(ctx)
	if err != nil {
		return seen, err
	}
	if seen, err = c.b.dnsperf(ctx, one.instance.addr, l); err != nil {
		return seen, err
	}
	after, err := c.b.upstream.count(ctx)
	if err != nil {
		return seen, err
	}
	seen.Reached = after - before
	if l.names == 0 {
		return seen, nil
	}
	if asked := seen.Answered + seen.Lost; asked > int64(l.names) {
		return seen, fmt.Errorf("%d names are too few for %d questions", l.names, asked)
	}
	return seen, os.Remove(l.queries)
}

// The shares of answered questions that may and must reach the upstream, and that
// may have another RCODE than NOERROR and NXDOMAIN.
const (
	mostReachedHit   = 0.01
	leastReachedMiss = 0.99
	mostFailed       = 0.001
)

// wrong says why what was seen of a forwarder is not the load that the mix is
// named for, nil if it is.
func (kind forwarding) wrong(seen loadResult) error {
	if kind == forwardsNothing || seen.Answered == 0 {
		return nil
	}
	share := seen.reached()
	switch failed := float64(seen.Failed) / float64(seen.Answered); {
	case failed > mostFailed:
		return fmt.Errorf("%.2f%% of its answers under load are neither NOERROR nor NXDOMAIN", 100*failed)
	case kind == forwardsHit && share > mostReachedHit:
		return fmt.Errorf("%.2f%% of the questions reached the upstream, for all of which it had an answer in its cache", 100*share)
	case kind == forwardsMiss && share < leastReachedMiss:
		return fmt.Errorf("only %.2f%% of the questions reached the upstream, none of which was asked before", 100*share)
	}
	return nil
}

// reached is the share of the answered questions that reached the upstream.
func (seen loadResult) reached() float64 { return float64(seen.Reached) / float64(seen.Answered) }

// unaged gives the records of a reply the TTLs again that they had before they
// were cached, if that is no longer ago than it may be.
func (q question) unaged(section []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range section {
		rr = dns.Copy(rr)
		if h := rr.Header(); h.Ttl <= resolverTTL && int(h.Ttl) >= resolverTTL-q.want.age {
			h.Ttl = resolverTTL
		}
		out = append(out, rr)
	}
	return out
}
