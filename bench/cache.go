//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"
)

// cacheMemory is what the names in a forwarder's cache take.
type cacheMemory struct {
	Server string `json:"server"`
	Wrong  string `json:"wrong,omitempty"`
	// Names are those that came into the cache between before and after.
	Names  int     `json:"names"`
	Before float64 `json:"pss_bytes_before"`
	After  float64 `json:"pss_bytes_after"`
}

// each is the memory of one name.
func (c *cacheMemory) each() float64 { return (c.After - c.Before) / float64(c.Names) }

// cacheLoad are the files of questions for the part cache.
type cacheLoad struct {
	data        *dataset
	all, sample string
	names       int
	sampled     int
}

// address asks for the address of the i-th name.
func (l *cacheLoad) address(i int) (name string, qtype uint16) {
	return label(i) + "." + forwardZone, typeA
}

// newCacheLoad makes a load of so many names, each once, in an order that is no
// server's, and of a share of them again.
func (b *bench) newCacheLoad(names int) (*cacheLoad, error) {
	l := &cacheLoad{
		all: filepath.Join(b.dir, "cache.queries"), sample: filepath.Join(b.dir, "cache-sample.queries"),
		names: names, sampled: names / 20,
	}
	l.data = &dataset{name: "cache", upstream: b.upstream.addr, cached: names, draw: func(r *rand.Rand) question {
		return forwarded(names+r.IntN(missSample), missAge)
	}}
	order := newRand(b.seed).Perm(names)
	if err := writeNames(l.all, slices.Values(order), l.address); err != nil {
		return nil, err
	}
	sample := newRand(b.seed + 1).Perm(names)[:l.sampled]
	return l, writeNames(l.sample, slices.Values(sample), l.address)
}

// cacheMemories fills the cache of each forwarder.
func (b *bench) cacheMemories(ctx context.Context) ([]*cacheMemory, error) {
	var out []*cacheMemory
	if !slices.ContainsFunc(b.programs, func(p *program) bool { return p.forward != nil }) {
		return nil, nil
	}
	if err := b.startUpstream(ctx); err != nil {
		return nil, err
	}
	l, err := b.newCacheLoad(b.cacheNames())
	if err != nil {
		return nil, err
	}
	for _, p := range b.programs {
		if p.forward == nil {
			continue
		}
		b.note("cache: %s and %d names", p.name, l.names)
		c := &cacheMemory{Server: p.name, Names: l.names}
		out = append(out, c)
		if err := b.fillCache(ctx, p, l, c); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			c.Wrong = err.Error()
			b.note("cache: %s is left out: %v", p.name, err)
		}
	}
	return out, nil
}

// fillCache starts a forwarder, and measures its memory before it is asked for all
// names and a moment after.
func (b *bench) fillCache(ctx context.Context, p *program, l *cacheLoad, c *cacheMemory) error {
	i, err := b.launch(ctx, p, l.data, true)
	if err != nil {
		return err
	}
	defer b.stop(i)
	if err := i.settle(ctx, l.data); err != nil {
		return err
	}
	if c.Before, err = i.memory(ctx); err != nil {
		return err
	}
	reached, err := b.askOnce(ctx, i, l.all, l.names)
	if err != nil {
		return err
	}
	if reached < int64(l.names) {
		return fmt.Errorf("%d of %d names reached the upstream, none of which was in the cache", reached, l.names)
	}
	if c.After, err = i.memory(ctx); err != nil {
		return err
	}
	if reached, err = b.askOnce(ctx, i, l.sample, l.sampled); err != nil {
		return err
	}
	return c.hold(reached, l.sampled)
}

// hold corrects the number of names by what reached the upstream of a sample that
// was asked again. A few may: dnsdist stores no answer that another one's hash is
// equal to, nor one that it would have to wait for a lock for.
func (c *cacheMemory) hold(reached int64, sampled int) error {
	share := float64(reached) / float64(sampled)
	if share > mostReachedHit {
		return fmt.Errorf("%.2f%% of the names reached the upstream again: they are not in the cache", 100*share)
	}
	c.Names = int(math.Round(float64(c.Names) * (1 - share)))
	return nil
}

// memory is the instance's proportional set size once it has come to rest.
func (i *instance) memory(ctx context.Context) (float64, error) {
	if err := sleep(ctx, settleTime); err != nil {
		return 0, err
	}
	pss, err := i.process.Memory()
	return float64(pss), err
}

// askOnce asks all questions of a file once, which must all be answered, and
// returns how many reached the upstream.
func (b *bench) askOnce(ctx context.Context, i *instance, path string, questions int) (int64, error) {
	const patience = 5 * time.Minute
	before, err := b.upstream.count(ctx)
	if err != nil {
		return 0, err
	}
	seen, err := b.dnsperf(ctx, i.addr, load{queries: path, once: true, duration: patience})
	if err != nil {
		return 0, err
	}
	if good := seen.Answered - seen.Failed; good != int64(questions) {
		return 0, fmt.Errorf("%d of %d questions were answered", good, questions)
	}
	after, err := b.upstream.count(ctx)
	return after - before, err
}
