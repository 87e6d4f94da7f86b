package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The interval of top, unless told otherwise and at the least.
const (
	topInterval = time.Second
	minInterval = 100 * time.Millisecond
)

// topFlags are what the verb top is told.
type topFlags struct {
	apiFlags
	interval time.Duration
	plain    bool
	count    uint16
}

func (c *command) top() *cobra.Command {
	var t topFlags
	cmd := &cobra.Command{
		Use:   "top",
		Short: "watch a running server on the terminal",
		Long: `Watch a running server on the terminal: queries per second by path and name
server, the resolvers and what they have proven, what seems to be wrong, faults
that are in use, forwarders and their state, and the last queries. It shows what
the server has directives for: delegation, journal, fault, forward and status.

The keys are q (quit), p (pause) and f (the next resolver alone, then all again).
Where standard output is no terminal, or with --plain or --count, snapshots are
printed as plain text: one, or as many as --count says.`,
		Example: `  stampdns top
  stampdns top --plain
  stampdns top --count 6 --interval 10s
  stampdns top -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return t.run() },
	}
	t.add(c, cmd)
	t.addOutput()
	f := cmd.Flags()
	f.DurationVar(&t.interval, "interval", topInterval, "ask the server after each `DURATION`")
	f.BoolVar(&t.plain, "plain", false, "print plain text on a terminal, too")
	f.Uint16Var(&t.count, "count", 1, "print this `NUMBER` of snapshots and end")
	return cmd
}

// run shows the server until it is told to stop.
func (t *topFlags) run() error {
	if err := oneOf("output", t.output, apiFormats[:]); err != nil {
		return err
	}
	switch {
	case t.interval < minInterval:
		return usagef("%s %s: want %s or more", t.command.origin(t.cmd, "interval"), t.interval, minInterval)
	case t.count == 0:
		return usagef("%s 0: want a number from 1 on", t.command.origin(t.cmd, "count"))
	}
	client, err := t.client()
	if err != nil {
		return err
	}
	if transport, ok := client.http.Transport.(*http.Transport); ok {
		// Each poll is many requests.
		transport.DisableKeepAlives = false
		transport.MaxIdleConnsPerHost = topSlow
		defer transport.CloseIdleConnections()
	}
	ctx, stop := signal.NotifyContext(t.cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	poller := newTopPoller(client, t.patience)
	first, err := poller.poll(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	if terminal := t.terminal(); terminal != nil {
		w := &topWatch{terminal: terminal, poller: poller, interval: t.interval, before: first, screen: topScreen{api: client.base}}
		return w.run(ctx)
	}
	return t.print(ctx, poller, first)
}

// stopped is the error, nil where the user has ended the command.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// terminal is the terminal to draw on, nil where plain text is wanted.
func (t *topFlags) terminal() *terminal {
	if t.plain || t.given("count") || t.output == "json" {
		return nil
	}
	kind := t.command.variable("TERM")
	if kind == "" || kind == "dumb" {
		return nil
	}
	out, ok := t.command.stdout.(*os.File)
	if !ok {
		return nil
	}
	// Where keys come from elsewhere, there are none.
	in, _ := t.command.stdin.(*os.File)
	return newTerminal(in, out, t.command.variable("NO_COLOR") == "")
}

// variable is a variable of the environment, empty where it is not set.
func (c *command) variable(name string) string {
	for _, v := range c.vars {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// print prints snapshots, each an interval after the one before. A server that does
// not answer in between is told of, and asked again as often as there are snapshots to come.
func (t *topFlags) print(ctx context.Context, poller *topPoller, before *topSample) error {
	printed := false
	var failed error
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	for left := t.count; left > 0; left-- {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now, err := poller.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && errors.As(err, new(*usageError)):
			return err
		case err != nil:
			if failed = err; left > 1 {
				t.command.note("%w; trying again", err)
			}
			continue
		}
		if err := t.snapshot(poller.client.base, newTopView(before, now), printed); err != nil {
			return err
		}
		before, printed, failed = now, true, nil
	}
	return failed
}

// snapshot prints a view; more says that one was printed before.
func (t *topFlags) snapshot(api string, v *topView, more bool) error {
	if t.output == "json" {
		return writeObject(t.command.stdout, v)
	}
	var text strings.Builder
	if more {
		text.WriteString("\n")
	}
	screen := topScreen{view: v, width: noWidth, api: api}
	for _, line := range screen.lines() {
		text.WriteString(line.String() + "\n")
	}
	_, err := io.WriteString(t.command.stdout, text.String())
	return err
}
