package main

import (
	"context"
	"slices"
	"time"
)

// topWatch shows a server on a terminal.
type topWatch struct {
	terminal *terminal
	poller   *topPoller
	interval time.Duration
	before   *topSample
	screen   topScreen
	// fresh is the newest view, which the screen does not have while it is paused.
	fresh *topView
}

// topResult is what came of a poll.
type topResult struct {
	sample *topSample
	err    error
}

// run draws until the user has enough. The terminal is then as it was before.
func (w *topWatch) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan topResult)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.poll(ctx, results)
	}()
	defer func() {
		cancel()
		<-done
	}()
	if err := w.terminal.enter(); err != nil {
		return err
	}
	defer func() {
		if left := w.terminal.leave(); err == nil {
			err = left
		}
	}()
	w.screen.keys = w.terminal.hasKeys()
	w.fresh = newTopView(nil, w.before)
	w.screen.view = w.fresh
	for {
		w.screen.width, w.screen.height = w.terminal.size()
		if err := w.terminal.draw(w.screen.lines()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case r := <-results:
			w.took(r)
		case key, ok := <-w.terminal.keys():
			if !ok || key == 'q' || key == 'Q' {
				return nil
			}
			w.press(key)
		case s := <-w.terminal.signals():
			if err := w.terminal.signaled(s); err != nil {
				return err
			}
		}
	}
}

// poll asks again and again, until ctx ends.
func (w *topWatch) poll(ctx context.Context, results chan<- topResult) {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		sample, err := w.poller.poll(ctx)
		select {
		case results <- topResult{sample, err}:
		case <-ctx.Done():
			return
		}
	}
}

// took has what came of a poll on the screen. That the server is gone is shown even
// while the rest is paused.
func (w *topWatch) took(r topResult) {
	if r.err != nil {
		if w.screen.fault == nil {
			w.screen.since = time.Now()
		}
		w.screen.fault = r.err
		return
	}
	w.screen.fault = nil
	w.fresh = newTopView(w.before, r.sample)
	w.before = r.sample
	if !w.screen.paused {
		w.screen.view = w.fresh
	}
}

// press does what a key is for.
func (w *topWatch) press(key byte) {
	switch key {
	case 'p', 'P', ' ':
		w.screen.paused = !w.screen.paused
		if !w.screen.paused {
			w.screen.view = w.fresh
		}
	case 'f', 'F':
		w.screen.filter = nextResolver(w.screen.view.Resolvers, w.screen.filter)
		if filter := w.screen.filter; filter == "" {
			w.poller.filter.Store(nil)
		} else {
			w.poller.filter.Store(&filter)
		}
	case 'L' & 0x1f:
		w.terminal.forget()
	}
}

// nextResolver is the one behind name, nothing behind the last.
func nextResolver(all []topResolver, name string) string {
	at := slices.IndexFunc(all, func(r topResolver) bool { return r.Name == name })
	if at < 0 && name != "" || at+1 == len(all) {
		return ""
	}
	return all[at+1].Name
}
