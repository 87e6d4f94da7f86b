//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/bench/process"
)

// startup is how a server loads a dataset: with all cores, and a worker each.
type startup struct {
	Server  string         `json:"server"`
	Wrong   string         `json:"wrong,omitempty"`
	Rounds  []startupRound `json:"rounds"`
	Changes []change       `json:"changes"`
}

// startupRound is one start.
type startupRound struct {
	Seconds float64 `json:"seconds"`     // from start to right answers from all over the data
	CPU     float64 `json:"cpu_seconds"` // taken until then
	PSS     float64 `json:"pss_bytes"`   // a moment later
}

// change is how a server takes up one changed zone file.
type change struct {
	How     string  `json:"how"`
	Seconds float64 `json:"seconds"` // from the file's renaming to the new answer
	// Worst is the longest that a query for another name, asked all the while, had
	// to wait, in seconds; Lost are those without an answer.
	Worst float64 `json:"worst_answer_seconds"`
	Lost  int     `json:"lost"`
	Wrong string  `json:"wrong,omitempty"`
}

// series are the values of one figure, round by round.
func (s *startup) series(figure func(startupRound) float64) []float64 {
	var out []float64
	for _, r := range s.Rounds {
		out = append(out, figure(r))
	}
	return out
}

// changeSeries are the changes that a server took up in one way.
type changeSeries struct {
	how            string
	seconds, worst []float64
	lost           int
	wrong          string // the first that failed
}

// changes are the changes by their way, in the order of their first.
func (s *startup) changes() (out []changeSeries) {
	for _, c := range s.Changes {
		i := slices.IndexFunc(out, func(known changeSeries) bool { return known.how == c.How })
		if i < 0 {
			i = len(out)
			out = append(out, changeSeries{how: c.How})
		}
		out[i].seconds, out[i].worst = append(out[i].seconds, c.Seconds), append(out[i].worst, c.Worst)
		out[i].lost += c.Lost
		out[i].wrong = cmp.Or(out[i].wrong, c.Wrong)
	}
	return out
}

// settleTime is how long after loading memory is measured: what a server gives
// back at once, it has given back.
const settleTime = 2 * time.Second

// startups has every program load the dataset in turn, several times over, and
// take up changes: once where that is to load all of it again.
func (b *bench) startups(ctx context.Context, data *dataset) ([]*startup, error) {
	var out []*startup
	for _, p := range b.programs {
		if p.loads() {
			out = append(out, &startup{Server: p.name})
		}
	}
	for n := range min(b.rounds, 3) {
		for _, s := range out {
			if s.Wrong != "" {
				continue
			}
			err := b.startOnce(ctx, s, data, n == 0 || data.folder != "")
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				s.Wrong = err.Error()
				b.note("%s: %s is left out: %v", data.name, s.Server, err)
			}
		}
	}
	return out, nil
}

// loads says whether a program loads zones.
func (p *program) loads() bool { return p.configure != nil && !p.floor && !p.variant }

// startOnce loads once, and with changes also has the server take up changes.
func (b *bench) startOnce(ctx context.Context, s *startup, data *dataset, changes bool) error {
	p := b.program(s.Server)
	i, err := b.launch(ctx, p, data, false)
	if err != nil {
		return err
	}
	defer b.stop(i)
	took, err := i.ready(ctx, everywhere(data))
	if err != nil {
		return err
	}
	cpu, err := i.process.CPU()
	if err != nil {
		return err
	}
	if err := sleep(ctx, settleTime); err != nil {
		return err
	}
	pss, err := i.process.Memory()
	if err != nil {
		return err
	}
	s.Rounds = append(s.Rounds, startupRound{Seconds: took.Seconds(), CPU: cpu.Sub(process.CPUReading{}).Sum().Seconds(), PSS: float64(pss)})
	if !changes || !b.wants("change") {
		return nil
	}
	for _, how := range p.reloads {
		s.Changes = append(s.Changes, b.change(ctx, i, data, how))
	}
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// changeLimit is how long a server may take to show a change.
const changeLimit = time.Minute

// change renames a new version of a zone into place, tells the server, and waits
// for the new answer.
func (b *bench) change(ctx context.Context, i *instance, data *dataset, how reload) change {
	c := change{How: how.how}
	ctx, cancel := context.WithTimeoutCause(ctx, changeLimit, fmt.Errorf("not there after %v", changeLimit))
	defer cancel()
	b.version++
	e, err := data.edit(b.version)
	if err != nil {
		c.Wrong = err.Error()
		return c
	}
	stop := make(chan struct{})
	probes := make(chan probe)
	go func() { probes <- watch(i.addr, everywhere(data)[0], stop) }()
	start := time.Now()
	err = os.Rename(e.fresh, e.zone.path)
	if err == nil {
		// The answer decides: a control program may lose patience before its server.
		told := i.tell(ctx, how, e.zone.origin)
		if err = waitFor(ctx, i.addr, []question{e.question}, time.Millisecond, i.process.Done); err != nil {
			err = errors.Join(told, err)
		}
	}
	c.Seconds = time.Since(start).Seconds()
	close(stop)
	p := <-probes
	c.Worst, c.Lost = p.worst.Seconds(), p.lost
	if err = errors.Join(err, p.err); err != nil {
		c.Wrong = err.Error()
		b.note("%s: %s: change by %s: %v", data.name, i.name, how.how, err)
	}
	return c
}

// tell has the server take up a changed zone.
func (i *instance) tell(ctx context.Context, how reload, zone string) error {
	if how.signal {
		return syscall.Kill(i.process.PID(), syscall.SIGHUP)
	}
	if how.command == nil {
		return nil
	}
	args := how.command(&i.setup, zone)
	path, err := process.FindCommand(args[0])
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, path, args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// probe is what a client noticed that asked all the while.
type probe struct {
	worst time.Duration
	lost  int
	err   error // an answer that is wrong
}

// watch asks the same question a thousand times a second until stop.
func watch(addr netip.AddrPort, q question, stop <-chan struct{}) (p probe) {
	const (
		pause    = time.Millisecond
		patience = 2 * time.Second
	)
	client := dns.Client{Timeout: patience}
	conn, err := client.Dial(addr.String())
	if err != nil {
		return probe{err: err}
	}
	defer conn.Close()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return p
		case <-tick.C:
		}
		start := time.Now()
		m, _, err := client.ExchangeWithConn(q.message(false), conn)
		p.worst = max(p.worst, time.Since(start))
		if err != nil {
			p.lost++
		} else if wrong := q.check(m, false); wrong != nil && p.err == nil {
			p.err = wrong
		}
	}
}
