//go:build linux

// Bench puts the same load on stampdns and on its peers, in one run on one
// machine, and says what an answered query costs each of them: microseconds of
// processor time of the server's whole tree of processes, as the operating
// system counts it.
//
//	go run ./bench -h
//
// A run goes through the parts cpu (the mixes of queries, servers taking turns
// round by round), latency, growth, startup, change and cache. README.md in this folder
// says how each is measured, and has the numbers of one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// options are the command line.
type options struct {
	mixes, servers, parts []string
	rounds                int
	seconds, limit        time.Duration
	out, from             string
	echo, upstream        string
	profile               string
	coreDNS               string
	quick, list, readme   bool
	serverCore, loadCore  int
	seed                  uint64
}

// parts are what a run is made of.
func parts() []string { return []string{"cpu", "latency", "growth", "startup", "change", "cache"} }

func serverNames() []string {
	return []string{ourName, metricsName, "nsd", "knot", "bind", "pdns", "coredns", "dnsdist", "unbound", echoName}
}

func mixNames() (names []string) {
	for _, m := range mixes() {
		names = append(names, m.name)
	}
	return names
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	var mix, servers, part string
	var seconds float64
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&mix, "mix", "", "the `mixes` of queries, of "+strings.Join(mixNames(), ",")+" (default all)")
	f.StringVar(&servers, "servers", "", "the `servers`, of "+strings.Join(serverNames(), ",")+" (default all)")
	f.StringVar(&part, "parts", "", "the `parts`, of "+strings.Join(parts(), ",")+" (default all)")
	f.IntVar(&o.rounds, "rounds", 5, "how often the servers take turns")
	f.Float64Var(&seconds, "seconds", 1, "how long a server is timed in a round")
	f.DurationVar(&o.limit, "limit", 90*time.Minute, "how `long` the run may take at most")
	f.StringVar(&o.out, "out", "bin/bench", "`folder` for results.json, report.md, cpu.svg and growth.svg")
	f.StringVar(&o.from, "from", "", "measure nothing: report what is in this results.json `file`")
	f.BoolVar(&o.quick, "quick", false, "see that everything works: one short round, small zones; the numbers mean nothing")
	f.BoolVar(&o.list, "list", false, "list mixes, servers and parts")
	f.BoolVar(&o.readme, "readme", false, "put the report and the plots into bench/ as well")
	f.StringVar(&o.profile, "profile", "", "also write a CPU profile of stampdns under the mixes into this `file`, for go build -pgo")
	f.StringVar(&o.coreDNS, "coredns", coreDNSVersion, "`version` of CoreDNS to build")
	f.IntVar(&o.serverCore, "server-core", 0, "`core` of the servers")
	f.IntVar(&o.loadCore, "load-core", 1, "`core` of the load")
	f.Uint64Var(&o.seed, "seed", 1, "`seed` of the queries")
	f.StringVar(&o.echo, "echo", "", "be the UDP echo server at this `address`, and nothing else")
	f.StringVar(&o.upstream, "upstream", "", "be what the forwarders ask, at this `address`, and nothing else")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		o.rounds, seconds = 1, 0.3
	}
	if o.rounds < 1 || !(seconds >= 0.1 && seconds <= 600) {
		return nil, errors.New("-rounds must be 1 or more, -seconds from 0.1 to 600")
	}
	o.seconds = time.Duration(seconds * float64(time.Second))
	var err [3]error
	o.mixes, err[0] = pick("mix", mix, mixNames())
	o.servers, err[1] = pick("servers", servers, serverNames())
	o.parts, err[2] = pick("parts", part, parts())
	return o, errors.Join(err[:]...)
}

// pick reads a list of names of which all must be known; an empty one is all.
func pick(flag, list string, known []string) ([]string, error) {
	if list == "" {
		return known, nil
	}
	chosen := strings.Split(list, ",")
	for _, name := range chosen {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-%s: there is no %q; there are %s", flag, name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parseOptions(args)
	switch {
	case err != nil:
		return err
	case o.echo != "":
		return serveEcho(o.echo)
	case o.upstream != "":
		return serveResolver(o.upstream)
	case o.list:
		list()
		return nil
	}
	root, err := process.ModuleRoot()
	if err != nil {
		return err
	}
	r, err := o.results(root)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(o.out) {
		o.out = filepath.Join(root, o.out)
	}
	return r.publish(o, root)
}

// results measures, or reads what was measured.
func (o *options) results(root string) (*results, error) {
	if o.from != "" {
		return readResults(o.from)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %v (-limit)", o.limit))
	defer cancel()
	b, err := newBench(ctx, o, root)
	if b != nil {
		defer b.close()
	}
	var r *results
	if err == nil {
		r, err = b.measure(ctx)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return r, err
}

func list() {
	fmt.Println("mixes:")
	for _, m := range mixes() {
		fmt.Printf("  %-12s %s\n", m.name, m.about)
	}
	fmt.Printf("servers:\n  %s\nparts:\n  %s\n", strings.Join(serverNames(), " "), strings.Join(parts(), " "))
}
