// Package file serves zones from master files that the Corefile names.
package file

import (
	"fmt"
	"slices"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/watch"
)

// Plugin is the file directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:  "file",
		Usage: "file DBFILE [ZONES...] { reload DURATION }",
		Setup: setup,
	}
}

// setup loads all zones. It needs no handler: plugin authority answers from the
// block's Store.
func setup(d *server.Directive) (server.Handler, error) {
	store := server.Share(d, zones.NewStore)
	all := server.ShareAll(d, func() *library {
		l := &library{memory: server.Keep(d, "", watch.NewMemory)}
		d.OnStart(func() { l.memory.Retain(l.files) })
		return l
	})
	var err error
	store.Batch(func() {
		for err == nil && d.Next() {
			err = directive(d, store, all)
		}
	})
	return nil, err
}

// library is the files of all directives.
type library struct {
	memory *watch.Memory
	files  []*watch.File
}

// directive reads one directive, loads its zones, and has them looked after.
func directive(d *server.Directive, store *zones.Store, all *library) error {
	o, err := parse(d)
	if err != nil {
		return err
	}
	files := make([]*watch.File, 0, len(o.zones))
	now := time.Now()
	for _, z := range o.zones {
		if err := store.Declare(z, fmt.Sprintf("file %s at %s:%d", o.path, d.File(), o.line)); err != nil {
			return d.Errf("%w", err)
		}
		f := watch.New(watch.Config{
			Path: o.path, Origin: z, Store: store, Label: d.ZoneLabel(z.String()), Log: d.Logger(), Memory: all.memory,
		})
		if err := f.Load(now); err != nil {
			return d.Errf("zone %s: %w", z, err)
		}
		files = append(files, f)
	}
	all.files = append(all.files, files...)
	if o.reload > 0 {
		lookAfter(d, o.reload, files)
	}
	return nil
}

// lookAfter polls the files when something happens to them.
func lookAfter(d *server.Directive, every time.Duration, files []*watch.File) {
	var w *server.Watch
	follow := func() {
		var paths []string
		for _, f := range files {
			for _, p := range append([]string{f.Path}, f.Includes()...) {
				if !slices.Contains(paths, p) {
					paths = append(paths, p)
				}
			}
		}
		w.Follow(paths, nil)
	}
	w = d.Watch(every, func(now time.Time, _ []string) {
		for _, f := range files {
			f.Poll(now)
		}
		follow()
	})
	follow()
}
