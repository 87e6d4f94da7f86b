package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/plugins"
	"github.com/stampdns/stampdns/server"
)

// loadRoom is how much memory loading may take before the garbage is collected.
const loadRoom = 64 << 20

// drainTime is how long queries in hand may take after a signal to end.
const drainTime = 10 * time.Second

func (c *command) serve() *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "serve a stamp's DNS",
		Long: `Serve the DNS of a stamp: the sample stamp unless flags, a stamp file or a
Corefile say otherwise. SIGHUP reloads the configuration; SIGTERM and Ctrl-C
let the queries in hand finish and exit with 0, a second one exits at once
with 1.`,
		Example: `  stampdns serve
  stampdns serve --stamp AzureStackStampInformation.json
  stampdns serve --region north --domain cloud.contoso.com --zones zones
  stampdns serve --listen 192.0.2.11,192.0.2.12 --port 53
  stampdns serve --without appservice --print-conf > Corefile
  stampdns serve --conf Corefile`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := flags.plan()
			if err != nil {
				return err
			}
			c.warnUnknown(cmd.Root(), plan.text)
			if flags.printConf {
				_, err := fmt.Fprint(c.stdout, plan.text)
				return err
			}
			r := c.newRunner(flags.logFormat)
			if flags.check {
				if err := r.server.Validate(plan.corefile()); err != nil {
					return flags.explain(err)
				}
				what := plan.name
				if plan.stamp != nil {
					what = "flags"
				}
				_, err := fmt.Fprintf(c.stdout, "%s: ok\n", what)
				return err
			}
			if err := r.start(plan); err != nil {
				return flags.explain(err)
			}
			return r.untilSignal(cmd.Context())
		},
	}
	flags.add(c, cmd)
	return cmd
}

// runner is a server and what its user sees of it.
type runner struct {
	*command
	server    *server.Server
	inventory *inventory
	log       *slog.Logger
	json      bool
	signals   chan os.Signal
}

// newRunner makes a server that logs to stderr.
func (c *command) newRunner(format string) *runner {
	r := &runner{command: c, inventory: new(inventory), json: format == "json", signals: make(chan os.Signal, 4)}
	var handler slog.Handler = slog.NewTextHandler(c.stderr, nil)
	if r.json {
		handler = slog.NewJSONHandler(c.stderr, nil)
	}
	r.log = slog.New(handler)
	r.server = server.New(server.Options{
		Plugins: append(plugins.All(thisBuild().version), r.inventory.plugin()),
		Logger:  r.log,
	})
	return r
}

// start serves the plan. From now on, that nobody reads what is written is an
// error of the write alone: the Go runtime would end the process.
func (r *runner) start(p *plan) error {
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(r.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// The first garbage collections have little to find and much to go through:
	// this has them wait until there is as much as it pretends to hold. Nobody
	// touches it, so that it takes no memory.
	room := make([]byte, loadRoom)
	err := r.server.Start(p.corefile())
	runtime.KeepAlive(room)
	if err != nil {
		signal.Stop(r.signals)
		return err
	}
	if err := r.tell(p); err != nil {
		r.log.Warn("summary", "error", err)
	}
	// Loading takes about three times the memory that the zones lie in; the rest
	// goes back to the system now rather than in the minutes to come.
	debug.FreeOSMemory()
	return nil
}

// untilSignal serves until a signal says to end, then drains.
func (r *runner) untilSignal(ctx context.Context) error {
	defer signal.Stop(r.signals)
	done := make(chan struct{})
	defer close(done)
	go tidyUp(done)
	for s := range r.signals {
		if s != syscall.SIGHUP {
			break
		}
		// The server logs how it went.
		_ = r.server.Reload()
	}
	return r.drain(ctx)
}

var errSecondSignal = errors.New("a second signal")

// drain ends the server: what is in hand may finish, within drainTime and until
// the next signal. The time that the configuration has it answer on comes first.
func (r *runner) drain(ctx context.Context) error {
	duck := r.server.LameDuck()
	if duck > 0 {
		r.log.Info("stopping: not ready any more, and answering on", "lameduck", duck)
	}
	r.log.Info("stopping: finishing the queries in hand", "limit", drainTime)
	ctx, cancel := context.WithTimeoutCause(ctx, duck+drainTime, fmt.Errorf("they took longer than %s", drainTime))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		for {
			select {
			case s := <-r.signals:
				if s != syscall.SIGHUP {
					stop(errSecondSignal)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	err := r.server.Shutdown(ctx)
	if errors.Is(context.Cause(ctx), errSecondSignal) {
		// Who asks twice gets no promise about what was in hand.
		err = errSecondSignal
	}
	if err != nil {
		return fmt.Errorf("stopped before all queries were answered: %w", err)
	}
	return nil
}
