//go:build linux

// Soak puts a full load on stampdns, looks at every answer, and meanwhile makes
// its life hard: zone files change, break, come and go, the configuration reloads
// twice a second, and hostile packets and connections are mixed in.
//
//	go run ./bench/soak -h
//
// It fails, with status 1 and the findings, where an answer is wrong, is lost
// without a socket that dropped it, or where the server's memory, goroutines or
// open files grow. README.md in the folder above says how each is told.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// options are the command line.
type options struct {
	duration, bound, patience, every, reloadEvery, look time.Duration
	sockets, conns, window, rate                        int
	stay, come, hostile, badConns                       int
	seed                                                uint64
	out, binary                                         string
	race, mayGoBack                                     bool
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.DurationVar(&o.duration, "for", 10*time.Minute, "how `long` the load lasts")
	f.DurationVar(&o.bound, "bound", 5*time.Second, "how `long` after a change it must be served")
	f.DurationVar(&o.patience, "patience", 5*time.Second, "how `long` after a query its answer counts as lost")
	f.DurationVar(&o.every, "every", 500*time.Millisecond, "how `long` a zone's file stays as it is, on average, once it is served")
	f.DurationVar(&o.reloadEvery, "reload", 450*time.Millisecond, "how `often` the Corefile changes")
	f.DurationVar(&o.look, "look", 0, "how `often` the server is told to look at zone files, 0 for its own default")
	f.IntVar(&o.sockets, "sockets", 8, "UDP `sockets` of the load")
	f.IntVar(&o.conns, "conns", 4, "TCP `connections` of the load")
	f.IntVar(&o.window, "window", 24, "queries under way on each, at most 256")
	f.IntVar(&o.rate, "rate", 0, "`queries` a second, 0 for as many as are answered")
	f.IntVar(&o.stay, "zones", 16, "`zones` that stay")
	f.IntVar(&o.come, "come", 8, "`zones` that come and go")
	f.IntVar(&o.hostile, "hostile", 2000, "hostile `packets` a second, 0 for no hostility at all")
	f.IntVar(&o.badConns, "bad-conns", 200, "hostile `connections` at a time; from 1024 on the server makes room by closing some")
	f.Uint64Var(&o.seed, "seed", 0, "`seed` of all that is random, 0 for another each time")
	f.StringVar(&o.out, "out", "bin/soak", "`folder` for the server's log")
	f.StringVar(&o.binary, "server", "", "this stampdns `program` rather than one built from the source")
	f.BoolVar(&o.race, "race", false, "build the server with the race detector")
	f.BoolVar(&o.mayGoBack, "may-go-back", false,
		"let answers go back to what a zone was before, as long as a change is not due")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.duration <= 0 || o.bound <= 0 || o.patience <= 0 || o.every <= 0 || o.reloadEvery <= 0:
		return nil, errors.New("-for, -bound, -patience, -every and -reload must be more than 0")
	case o.window < 1 || o.window > maxWindow:
		return nil, fmt.Errorf("-window must be from 1 to %d", maxWindow)
	case o.sockets < 1 || o.conns < 0 || o.rate < 0 || o.stay < 0 || o.stay > 100 || o.come < 0 || o.come > 100:
		return nil, errors.New("-sockets must be 1 or more, -zones and -come at most 100, and nothing less than 0")
	case o.hostile < 0 || o.badConns < 0:
		return nil, errors.New("-hostile and -bad-conns must be 0 or more")
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	return o, nil
}

func main() {
	err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	root, err := process.ModuleRoot()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(o.out) {
		o.out = filepath.Join(root, o.out)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	say := func(text string) { fmt.Println(text) }
	say(fmt.Sprintf("soak of %s, seed %d; the server's log is %s", o.duration, o.seed, filepath.Join(o.out, "server.log")))
	report, failed, err := soakOnce(ctx, o, root, say)
	if report != "" {
		fmt.Print(report)
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("stopped")
	case err != nil:
		return err
	case failed:
		return fmt.Errorf("the server failed; run it again with -seed %d", o.seed)
	}
	return nil
}

// soakOnce is a whole run. The report is there as soon as the load was.
func soakOnce(ctx context.Context, o *options, root string, say func(string)) (report string, failed bool, err error) {
	// A run that hangs is a failed one.
	const grace = 4 * time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, o.duration+o.patience+grace, errors.New("the run hangs"))
	defer cancel()
	s, err := newSoak(ctx, o, root, say)
	if s != nil {
		defer s.close()
	}
	if err != nil {
		return "", false, err
	}
	err = s.run(ctx)
	report = s.verdict()
	return report, s.findings.total() > 0, err
}
