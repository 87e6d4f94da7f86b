// Package reload has the server take up a Corefile that has changed.
package reload

import (
	"crypto/sha512"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/stampdns/stampdns/server"
)

// The times that CoreDNS's plugin of this name knows.
const (
	defaultInterval = 30 * time.Second
	defaultJitter   = 15 * time.Second
	minInterval     = 2 * time.Second
	minJitter       = time.Second
)

// Plugin is the reload directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "reload", Usage: "reload [INTERVAL [JITTER]]", Observer: true, Setup: setup}
}

func setup(d *server.Directive) (server.Handler, error) {
	o, err := parse(d)
	if err != nil {
		return nil, err
	}
	first := server.ShareAll(d, func() *options { return &o })
	if *first != o {
		return nil, d.UsageErr("the Corefile is one: the interval of %s and jitter of %s must be the same in all blocks",
			first.interval, first.jitter)
	}
	cf := d.Corefile()
	if first != &o || cf.Path == "" {
		return nil, nil
	}
	w := &watcher{corefile: cf, known: cf.Digest(), log: d.Logger()}
	var watch *server.Watch
	watch = d.Watch(o.interval+rand.N(o.jitter)-o.jitter/2, func(time.Time, []string) {
		watch.Follow(w.look().Files())
	})
	w.reload = watch.Reload
	watch.Follow(cf.Files())
	return nil, nil
}

type options struct {
	interval, jitter time.Duration
}

func parse(d *server.Directive) (options, error) {
	o := options{defaultInterval, defaultJitter}
	d.Next()
	args, err := d.Arguments(0, 2)
	if err != nil {
		return o, err
	}
	if len(args) > 0 {
		if o.interval, err = d.Duration("interval", args[0], minInterval); err != nil {
			return o, err
		}
	}
	if len(args) > 1 {
		if o.jitter, err = d.Duration("jitter", args[1], minJitter); err != nil {
			return o, err
		}
	}
	o.jitter = min(o.jitter, o.interval/2)
	return o, d.End()
}

// watcher looks at the Corefile when it is told to.
type watcher struct {
	corefile server.Corefile
	known    [sha512.Size]byte // of what is in use, or was tried last
	reload   func() error
	log      *slog.Logger
}

// look reloads if the Corefile has changed, and returns it. One that does not work
// is tried once.
func (w *watcher) look() server.Corefile {
	cf, err := w.corefile.Again()
	if err != nil {
		w.log.Warn("Corefile not readable: the configuration stays", "error", err)
		return w.corefile
	}
	sum := cf.Digest()
	if sum == w.known {
		return cf
	}
	w.known = sum
	w.log.Info("Corefile changed", "path", cf.Path)
	// The server logs how it went.
	_ = w.reload()
	return cf
}
