//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stampdns/stampdns/bench/process"
)

// latencies are of one server at half of the load that it can bear.
type latencies struct {
	Server string         `json:"server"`
	Rounds []latencyRound `json:"rounds"`
}

// latencyRound is one run of the open loop; times in microseconds from when a
// query was due to its answer.
type latencyRound struct {
	Rate float64 `json:"queries_per_second"`
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	CPU  float64 `json:"cpu_us_per_query"`
	Lost int     `json:"lost"`
}

// openLoop sends queries at times that do not depend on the answers: gaps are
// distributed exponentially, as of many clients that know nothing of each other.
// A query that is sent late counts from when it was due.
type openLoop struct {
	fd      int
	queries [][]byte
	gaps    []time.Duration
	due     [1 << 16]time.Duration // by message ID; 0 is none
	seen    []time.Duration
	sent    int
}

// newOpenLoop makes a loop of so many queries a second at addr.
func newOpenLoop(addr netip.AddrPort, questions []question, rate float64, d time.Duration, seed uint64) (*openLoop, error) {
	o := &openLoop{}
	for _, q := range questions {
		wire, err := q.message(false).Pack()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q, err)
		}
		o.queries = append(o.queries, wire)
	}
	r := newRand(seed)
	for range 1 << 16 {
		o.gaps = append(o.gaps, time.Duration(r.ExpFloat64()/rate*float64(time.Second)))
	}
	o.seen = make([]time.Duration, 0, int(rate*d.Seconds()*1.2)+1000)
	var err error
	o.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, datagramBuffer)
	if err := unix.Connect(o.fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		unix.Close(o.fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	return o, nil
}

// run sends what is due within d, then waits a moment for the last answers. It spins: to sleep
// would cost more time than what it measures.
func (o *openLoop) run(ctx context.Context, d time.Duration) error {
	const last = 100 * time.Millisecond
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var reply [4096]byte
	start := time.Now()
	next, end := time.Duration(1), d+last
	for {
		now := time.Since(start)
		for next <= now && next < d {
			if err := o.send(next); err != nil {
				return err
			}
			next += o.gaps[o.sent%len(o.gaps)]
			// What is sent late is waited for as long.
			end = max(end, now+last)
		}
		if now >= end {
			return ctx.Err()
		}
		n, err := unix.Read(o.fd, reply[:])
		switch {
		case err == nil && n >= 2:
			id := binary.BigEndian.Uint16(reply[:])
			if due := o.due[id]; due > 0 {
				o.seen = append(o.seen, time.Since(start)-due)
				o.due[id] = 0
			}
		case err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("receive: %w", err)
		case o.sent&0xff == 0 && ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// send sends the next query, which was due at the given time.
func (o *openLoop) send(due time.Duration) error {
	q := o.queries[o.sent%len(o.queries)]
	binary.BigEndian.PutUint16(q, uint16(o.sent))
	o.due[uint16(o.sent)] = due
	o.sent++
	if _, err := unix.Write(o.fd, q); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// result is what the loop saw, with the processor time that the server took.
func (o *openLoop) result(d time.Duration, cpu process.CPUTime) (latencyRound, error) {
	if len(o.seen) == 0 {
		return latencyRound{}, errors.New("no query was answered")
	}
	slices.Sort(o.seen)
	us := func(q float64) float64 { return float64(quantile(o.seen, q)) / 1e3 }
	return latencyRound{
		Rate: float64(o.sent) / d.Seconds(), P50: us(0.5), P99: us(0.99), P999: us(0.999),
		CPU: float64(cpu.Sum()) / 1e3 / float64(len(o.seen)), Lost: o.sent - len(o.seen),
	}, nil
}

// latency runs the open loop at half the rate that each contestant has shown,
// round by round.
func (c *contest) latency(ctx context.Context) ([]*latencies, error) {
	var out []*latencies
	field := slices.DeleteFunc(c.qualified(), func(one *contestant) bool { return one.instance.variant })
	for _, one := range field {
		out = append(out, &latencies{Server: one.Server})
	}
	for n := range c.b.rounds {
		for i, one := range field {
			if !one.takesPart(n) {
				continue
			}
			rate := spreadOf(one.series(func(r round) float64 { return r.Rate })).Median / 2
			r, err := c.timeLatency(ctx, one, rate, uint64(n))
			if err != nil {
				return nil, fmt.Errorf("latency of %s: %w", one.Server, err)
			}
			out[i].Rounds = append(out[i].Rounds, r)
		}
	}
	return out, nil
}

func (c *contest) timeLatency(ctx context.Context, one *contestant, rate float64, seed uint64) (latencyRound, error) {
	i := one.instance
	o, err := newOpenLoop(i.addr, c.sample, rate, c.b.seconds, seed)
	if err != nil {
		return latencyRound{}, err
	}
	defer unix.Close(o.fd)
	i.process.Signal(unix.SIGCONT)
	defer i.process.Signal(unix.SIGSTOP)
	if err := c.warmUp(ctx, one); err != nil {
		return latencyRound{}, err
	}
	before, err := i.process.CPU()
	if err != nil {
		return latencyRound{}, err
	}
	if err := o.run(ctx, c.b.seconds); err != nil {
		return latencyRound{}, err
	}
	after, err := i.process.CPU()
	if err != nil {
		return latencyRound{}, err
	}
	return o.result(c.b.seconds, after.Sub(before))
}
