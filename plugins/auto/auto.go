// Package auto serves the zones of all master files in a directory, and picks up
// files that come, change and go.
package auto

import (
	"runtime"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/watch"
)

// settle is how soon the directory is looked at again when a file is gone: many
// tools replace a file by removing it first.
const settle = 250 * time.Millisecond

// Plugin is the auto directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:  "auto",
		Usage: "auto [ZONES...] { directory DIR [REGEXP ORIGIN_TEMPLATE]; reload DURATION }",
		Setup: setup,
	}
}

// setup loads all zones, so that a new configuration starts with them. It needs
// no handler: plugin authority answers from the block's Store.
func setup(d *server.Directive) (server.Handler, error) {
	store := server.Share(d, zones.NewStore)
	for d.Next() {
		o, err := parse(d)
		if err != nil {
			return nil, err
		}
		f := &folder{
			options: o, store: store, label: d.ZoneLabel, log: d.Logger(),
			memory:     server.Keep(d, o.directory, watch.NewMemory),
			census:     server.Keep(d, o.directory, newCensus),
			workers:    runtime.GOMAXPROCS(0),
			candidates: make(map[string]*candidate), homeless: make(map[string]*candidate),
		}
		all := server.ShareAll(d, func() *folders {
			all := new(folders)
			d.OnStart(all.retain)
			return all
		})
		if err := all.add(d, f); err != nil {
			return nil, err
		}
		f.scan(time.Now())
		if !f.census.over() {
			there := f.paths()
			d.OnStart(func() { f.census.take(there) })
		}
		if o.reload > 0 {
			lookAfter(d, f)
		}
	}
	return nil, nil
}

// lookAfter keeps the zones in step with the directory.
func lookAfter(d *server.Directive, f *folder) {
	var w *server.Watch
	w = d.Watch(f.reload, func(now time.Time, changed []string) {
		if changed != nil {
			f.hear(changed, now)
		} else if f.scan(now) {
			w.Soon(min(f.reload, settle))
		}
		w.Follow(f.follows())
	})
	w.Follow(f.follows())
}
