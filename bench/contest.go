//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// mix is one kind of load.
type mix struct {
	name, about string
	data        string // the dataset, see bench.dataset
	tcp, do     bool
	forward     forwarding
}

// mixes are all kinds of load.
func mixes() []mix {
	return []mix{
		{name: "stamp", data: "stamp", about: "35% endpoint A, 45% names below wildcards, 8% AAAA with no data, 4% SOA and NS, 8% NXDOMAIN"},
		{name: "do", data: "stamp", do: true, about: "the mix stamp with EDNS and the DO bit; the zones are not signed"},
		{name: "tcp", data: "stamp", tcp: true, about: "the mix stamp over 10 TCP connections, pipelined"},
		{name: "large", data: "large", about: "one zone of 1,000,000 names: 90% A, 5% AAAA with no data, 5% NXDOMAIN"},
		{name: "referral", data: "referral", about: "names below 10,000 delegations with glue"},
		{name: "zones", data: "zones", about: "10,000 zones: 60% A, 20% names below wildcards, 5% MX, 7% AAAA with no data, 8% NXDOMAIN"},
		{name: "signed", data: "signed", do: true, about: "one signed zone of 50,000 names, with EDNS and DO: 55% A, 15% names below wildcards, 8% AAAA with no data, 8% NXDOMAIN, 14% referrals, half of them with DS"},
		{name: hitMix, forward: forwardsHit, about: "20,000 names that a forwarder has in its cache: 90% A, 5% AAAA with no data, 5% NXDOMAIN"},
		{name: missMix, forward: forwardsMiss, about: "names that a forwarder was never asked before and asks its upstream for, without a cache: 90% A, 5% AAAA with no data, 5% NXDOMAIN"},
	}
}

// sample is how many answers of a mix are compared before it is timed.
const sample = 300

// contestant is an instance and what was measured of it, round by round.
type contestant struct {
	Server string `json:"server"`
	// Wrong says why it was not timed.
	Wrong  string  `json:"wrong,omitempty"`
	Rounds []round `json:"rounds"`

	instance *instance
	named    int // questions of forward-miss that it may have been asked
}

// round is one timed load: CPU microseconds per answered query, of the server's
// tree of processes over all of dnsperf's life.
type round struct {
	User    float64 `json:"user_us"`
	System  float64 `json:"system_us"`
	Rate    float64 `json:"queries_per_second"`
	Busy    float64 `json:"busy"` // share of a core
	LostPPM float64 `json:"lost_ppm"`
	Size    float64 `json:"reply_octets"`
	// Reached is the share of the answered queries that reached the upstream of a
	// forwarder.
	Reached float64 `json:"reached_upstream,omitempty"`
}

func (r round) sum() float64  { return r.User + r.System }
func (r round) user() float64 { return r.User }

// series are the values of one figure, round by round.
func (c *contestant) series(figure func(round) float64) []float64 {
	var out []float64
	for _, r := range c.Rounds {
		out = append(out, figure(r))
	}
	return out
}

// contest is one mix on several servers that run at the same time, of which all
// but the one that is measured are stopped.
type contest struct {
	b           *bench
	mix         mix
	queries     string // file
	sample      []question
	contestants []*contestant
}

// restTime is how long servers are left alone once all have started: what they do
// a moment after loading, such as to collect garbage, or to look at a file again
// that was young when they read it, is none of the load's cost.
const restTime = 5 * time.Second

// newContest starts the programs with a dataset, and leaves them stopped, once
// they have answered the sample right. What answers wrong is disqualified.
func (b *bench) newContest(ctx context.Context, m mix, data *dataset, programs []*program) (*contest, error) {
	c := &contest{b: b, mix: m, queries: filepath.Join(b.dir, m.name+"-"+data.name+".queries")}
	var err error
	c.sample, err = writeQueries(c.queries, b.queryLines(), sample, b.seed, data.draw)
	if err != nil {
		return nil, err
	}
	for _, p := range programs {
		if !p.takes(m) {
			continue
		}
		one := &contestant{Server: p.name}
		c.contestants = append(c.contestants, one)
		if err := c.enter(ctx, one, p, data); err != nil {
			if ctx.Err() != nil {
				return c, ctx.Err()
			}
			c.disqualify(one, err)
		}
	}
	if !b.quick {
		if err := sleep(ctx, restTime); err != nil {
			return c, err
		}
	}
	for _, one := range c.qualified() {
		one.instance.process.Signal(syscall.SIGSTOP)
	}
	return c, nil
}

// disqualify ends a contestant that is not to be timed, or whose times mean
// nothing.
func (c *contest) disqualify(one *contestant, err error) {
	one.Wrong, one.Rounds = err.Error(), nil
	c.b.note("%s: %s is DISQUALIFIED: %v", c.mix.name, one.Server, err)
	if one.instance != nil {
		c.b.stop(one.instance)
	}
}

// takes says whether a program is made for a mix.
func (p *program) takes(m mix) bool {
	switch m.forward {
	case forwardsHit:
		return p.forward != nil || p.floor
	case forwardsMiss:
		return p.forward != nil
	}
	return p.configure != nil && !(p.udpOnly && m.tcp) && !(p.unsigned && m.name == "signed")
}

// enter starts one program, holds its answers against what is right, and warms
// it up.
func (c *contest) enter(ctx context.Context, one *contestant, p *program, data *dataset) error {
	i, err := c.b.launch(ctx, p, data, true)
	if err != nil {
		return err
	}
	one.instance = i
	if _, err := i.ready(ctx, c.sample[:1]); err != nil {
		return err
	}
	if !p.floor {
		if err := i.settle(ctx, data); err != nil {
			return err
		}
		if c.mix.forward == forwardsHit {
			if err := c.fill(ctx, i); err != nil {
				return err
			}
		}
		if err := compare(ctx, i.addr, c.sample, c.mix.tcp, c.mix.do); err != nil {
			return fmt.Errorf("wrong answer: %w", err)
		}
	}
	if err := c.warmUp(ctx, one); err != nil {
		return err
	}
	if p == c.b.ours {
		return i.checkMetrics(ctx, c.mix)
	}
	return nil
}

// settle waits until all zones are there: questions from all over the dataset
// are answered right.
func (i *instance) settle(ctx context.Context, data *dataset) error {
	_, err := i.ready(ctx, everywhere(data))
	return err
}

// everywhere are questions from all over a dataset.
func everywhere(data *dataset) []question {
	const questions = 50
	r := newRand(7)
	out := make([]question, questions)
	for i := range out {
		out[i] = data.draw(r)
	}
	return out
}

// qualified are the contestants that may be timed.
func (c *contest) qualified() []*contestant {
	return slices.DeleteFunc(slices.Clone(c.contestants), func(one *contestant) bool { return one.Wrong != "" })
}

// slowRounds is how many rounds the servers take part in that are far from the
// best, so that a run with many rounds is one of bearable length.
const slowRounds = 5

// takesPart says whether a contestant is timed in the n-th round, from 0.
func (one *contestant) takesPart(n int) bool { return n < slowRounds || !one.instance.slow }

// run times the n-th round: each contestant once.
func (c *contest) run(ctx context.Context, n int) error {
	for _, one := range c.qualified() {
		if !one.takesPart(n) {
			continue
		}
		if err := c.time(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// warmUp has a contestant answer for a moment untimed: what fell due while it
// was stopped, such as timers and garbage collection, is none of the load's cost.
func (c *contest) warmUp(ctx context.Context, one *contestant) error {
	const moment = 300 * time.Millisecond
	l, err := c.load(one, moment)
	if err != nil {
		return err
	}
	if _, err := c.perf(ctx, one, l); err != nil {
		return fmt.Errorf("%s: %w", one.Server, err)
	}
	return nil
}

// time has one contestant run alone under load.
func (c *contest) time(ctx context.Context, one *contestant) error {
	l, err := c.load(one, c.b.seconds)
	if err != nil {
		return err
	}
	p := one.instance.process
	p.Signal(syscall.SIGCONT)
	defer p.Signal(syscall.SIGSTOP)
	if err := c.warmUp(ctx, one); err != nil {
		return err
	}
	before, err := p.CPU()
	if err != nil {
		return err
	}
	seen, err := c.perf(ctx, one, l)
	if err != nil {
		return fmt.Errorf("%s: %w", one.Server, err)
	}
	after, err := p.CPU()
	if err != nil {
		return err
	}
	if seen.Answered == 0 {
		return p.Failure(fmt.Errorf("no query was answered"))
	}
	if err := c.mix.forward.wrong(seen); err != nil {
		c.disqualify(one, err)
		return nil
	}
	one.Rounds = append(one.Rounds, newRound(seen, after.Sub(before)))
	return nil
}

// newRound puts what dnsperf saw and the processor time together.
func newRound(seen loadResult, cpu process.CPUTime) round {
	n := float64(seen.Answered)
	return round{
		User: float64(cpu.User) / 1e3 / n, System: float64(cpu.System) / 1e3 / n,
		Rate: n / seen.Seconds, Busy: cpu.Sum().Seconds() / seen.Seconds,
		LostPPM: 1e6 * float64(seen.Lost) / (n + float64(seen.Lost)),
		Size:    seen.ReplySize, Reached: seen.reached(),
	}
}

// close ends all servers.
func (c *contest) close() {
	for _, one := range c.contestants {
		if one.instance != nil && one.Wrong == "" {
			c.b.stop(one.instance)
		}
	}
}
