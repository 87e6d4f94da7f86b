//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// bench is a run under way. close ends whatever it started.
type bench struct {
	*options
	root        string // of the repository
	dir         string // everything that is written while measuring
	machine     process.Machine
	spawner     process.Spawner
	dnsperfPath string
	programs    []*program
	ours        *program
	upstream    *upstream // of forwarders; nil until it is started
	datasets    map[string]*dataset
	version     int      // of the zones that were changed last
	profiles    []string // files, one a mix, where -profile asks for them
	started     time.Time

	mu      sync.Mutex
	running []*instance
}

// newBench finds and builds all that the run needs. Where it returns an error
// and a bench, the bench must be closed.
func newBench(ctx context.Context, o *options, root string) (*bench, error) {
	b := &bench{
		options: o, root: root, machine: process.ReadMachine(), spawner: process.NewSpawner(),
		datasets: make(map[string]*dataset), version: 1, started: time.Now(),
	}
	if b.machine.Cores < 2 || o.serverCore == o.loadCore {
		return nil, errors.New("it takes two cores: one for the server, one for the load")
	}
	var err error
	if b.dnsperfPath, err = process.FindCommand("dnsperf"); err != nil {
		return nil, errors.New("dnsperf is not installed: run .ci/install bench, or install Debian's dnsperf")
	}
	if b.dir, err = os.MkdirTemp("", "stampdns-bench-"); err != nil {
		return nil, err
	}
	if err := b.findPrograms(ctx); err != nil {
		return b, err
	}
	return b, process.PinSelf(b.loadCore)
}

// findPrograms finds the servers that were asked for, and builds those that no
// package brings. All that are missing are named at once.
func (b *bench) findPrograms(ctx context.Context) error {
	all := append(peers(), forwarders()...)
	var missing []error
	for _, p := range all {
		if slices.Contains(b.servers, p.name) {
			missing = append(missing, p.find())
		}
	}
	if err := errors.Join(missing...); err != nil {
		return err
	}
	command, err := b.buildStampdns(ctx)
	if err != nil {
		return err
	}
	b.ours = stampdns(command, false)
	all = append([]*program{b.ours, metricsOnly(command)}, all...)
	if slices.Contains(b.servers, "coredns") {
		if command, err = b.buildCoreDNS(ctx, b.coreDNS); err != nil {
			return err
		}
		all = append(all, coreDNS(command))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, p := range append(all, echo(self)) {
		if slices.Contains(b.servers, p.name) {
			b.programs = append(b.programs, p)
		}
	}
	return nil
}

// note tells the user what is going on.
func (b *bench) note(format string, args ...any) {
	at := time.Since(b.started).Round(time.Second)
	fmt.Fprintf(os.Stderr, "bench: %6s: %s\n", at, fmt.Sprintf(format, args...))
}

func (b *bench) keep(i *instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = append(b.running, i)
}

func (b *bench) forget(i *instance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = slices.DeleteFunc(b.running, func(other *instance) bool { return other == i })
}

// close ends all servers that still run and removes all files.
func (b *bench) close() {
	b.mu.Lock()
	running := slices.Clone(b.running)
	b.mu.Unlock()
	for _, i := range running {
		b.stop(i)
	}
	if b.upstream != nil {
		b.upstream.process.Kill()
	}
	os.RemoveAll(b.dir)
}

func (b *bench) wants(part string) bool { return slices.Contains(b.parts, part) }

// program finds a program of this run by its name.
func (b *bench) program(name string) *program {
	return b.programs[slices.IndexFunc(b.programs, func(p *program) bool { return p.name == name })]
}

// choose picks programs of this run by their names.
func (b *bench) choose(names ...string) []*program {
	return slices.DeleteFunc(slices.Clone(b.programs), func(p *program) bool { return !slices.Contains(names, p.name) })
}

// The sizes of things, and those for a look whether all works.
func (b *bench) largeNames() int  { return pickSize(b.quick, 20_000, 1_000_000) }
func (b *bench) userZones() int   { return pickSize(b.quick, 500, 10_000) }
func (b *bench) cuts() int        { return pickSize(b.quick, 500, 10_000) }
func (b *bench) signedNames() int { return pickSize(b.quick, 1000, 50_000) }
func (b *bench) cacheNames() int  { return pickSize(b.quick, 20_000, 1_000_000) }
func (b *bench) queryLines() int  { return pickSize(b.quick, 20_000, 500_000) }

func (b *bench) growthSizes() []int {
	if b.quick {
		return []int{1000, 10_000}
	}
	return []int{1000, 10_000, 100_000, 1_000_000}
}

func pickSize(quick bool, small, full int) int {
	if quick {
		return small
	}
	return full
}

// dataset makes a dataset when it is first asked for. Those called large-N are
// one zone of N names.
func (b *bench) dataset(name string) (*dataset, error) {
	switch name {
	case "large":
		name = fmt.Sprintf("large-%d", b.largeNames())
	case "zones":
		name = fmt.Sprintf("zones-%d", b.userZones())
	}
	if d := b.datasets[name]; d != nil {
		return d, nil
	}
	d, err := b.makeDataset(name)
	if err != nil {
		return nil, fmt.Errorf("make zones %s: %w", name, err)
	}
	b.datasets[name] = d
	return d, nil
}

func (b *bench) makeDataset(name string) (*dataset, error) {
	dir := filepath.Join(b.dir, "data-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if name == "stamp" {
		return newStamp(dir, b.ours.command)
	}
	stamp, err := b.dataset("stamp")
	if err != nil {
		return nil, err
	}
	kind, size, _ := strings.Cut(name, "-")
	n, _ := strconv.Atoi(size)
	switch kind {
	case "large":
		return newLarge(dir, n, stamp.stamp)
	case "zones":
		return newUserZones(dir, n, stamp.stamp)
	case "referral":
		return newReferral(dir, b.cuts(), stamp.stamp)
	case "signed":
		return newSigned(dir, b.signedNames(), stamp.stamp, signZone)
	}
	return nil, fmt.Errorf("no dataset is called %q", name)
}

// measure goes through the parts of the run.
func (b *bench) measure(ctx context.Context) (*results, error) {
	r := &results{
		Machine: b.machine, Go: runtime.Version(), Revision: b.revision(ctx), Versions: make(map[string]string),
		Rounds: b.rounds, Seconds: b.seconds.Seconds(), Quick: b.quick,
	}
	for _, p := range b.programs {
		r.Versions[p.name] = p.release(ctx)
	}
	for _, m := range mixes() {
		if !b.wants("cpu") || !slices.Contains(b.mixes, m.name) {
			continue
		}
		if err := b.measureMix(ctx, m, r); err != nil {
			return nil, fmt.Errorf("mix %s: %w", m.name, err)
		}
	}
	if err := b.mergeProfiles(ctx); err != nil {
		return nil, err
	}
	if b.wants("growth") {
		b.note("growth: zones of %v names", b.growthSizes())
		var err error
		if r.Growth, err = b.grow(ctx, b.growthSizes()); err != nil {
			return nil, fmt.Errorf("growth: %w", err)
		}
	}
	if b.wants("startup") || b.wants("change") {
		if err := b.measureStartups(ctx, r); err != nil {
			return nil, err
		}
	}
	if b.wants("cache") {
		var err error
		if r.Caches, err = b.cacheMemories(ctx); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return r, nil
}

// measureStartups has the servers load the two large datasets.
func (b *bench) measureStartups(ctx context.Context, r *results) error {
	if !slices.ContainsFunc(b.programs, (*program).loads) {
		return nil
	}
	for _, name := range []string{"large", "zones"} {
		data, err := b.dataset(name)
		if err != nil {
			return err
		}
		b.note("startup: %s", data.name)
		servers, err := b.startups(ctx, data)
		if err != nil {
			return fmt.Errorf("startup with %s: %w", data.name, err)
		}
		r.Startups = append(r.Startups, &startupSet{Data: data.name, Servers: servers})
	}
	return nil
}

// measureMix times one mix, and latencies with it where they are wanted.
func (b *bench) measureMix(ctx context.Context, m mix, r *results) error {
	data, err := b.mixDataset(ctx, m)
	if err != nil {
		return err
	}
	b.note("mix %s: starting servers and comparing their answers", m.name)
	c, err := b.newContest(ctx, m, data, b.programs)
	if c != nil {
		defer c.close()
	}
	if err != nil {
		return err
	}
	for n := range b.rounds {
		b.note("mix %s: round %d of %d", m.name, n+1, b.rounds)
		if err := c.run(ctx, n); err != nil {
			return err
		}
	}
	result := &mixResult{Mix: m.name, About: m.about, Servers: c.contestants}
	r.Mixes = append(r.Mixes, result)
	if slices.ContainsFunc(c.qualified(), func(one *contestant) bool { return one.Server == ourName }) {
		if result.Allocations, err = c.inspect(ctx, data); err != nil {
			return err
		}
	}
	if m.name == "stamp" && b.wants("latency") {
		b.note("latency at half load")
		r.Latencies, err = c.latency(ctx)
	}
	return err
}
