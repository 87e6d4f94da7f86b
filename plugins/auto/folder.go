package auto

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/watch"
	"github.com/stampdns/stampdns/zones/wire"
)

// folder is one directory and what is known about its files. Setup scans it
// first, then its Watch does: one goroutine at a time.
type folder struct {
	options
	store   *zones.Store
	label   func(string) uint32
	log     *slog.Logger
	memory  *watch.Memory
	census  *census
	workers int

	candidates map[string]*candidate // by path
	homeless   map[string]*candidate // of these, the ones without a zone in the store
	including  []*candidate          // of these, the ones that include other files
	dirs       []string              // all that were walked, in order
	unreadable error                 // of the directory or one in it, at the last scan
	ignored    []string              // files without a zone's name, at the last scan
	started    bool
	counts     [stateCount]atomic.Int64 // for metrics
}

// candidate is a file whose name says a zone.
type candidate struct {
	path   string
	origin wire.Name
	link   bool
	file   *watch.File // nil while the file is refused
	refuse error       // why
	isNew  bool        // not loaded yet
	missed bool        // not there at the last scan
	loaded bool
}

// scan brings the store in step with the directory. soon says that the next scan
// should not wait long: a file is gone, and may be back in a moment.
func (f *folder) scan(now time.Time) (soon bool) {
	w := f.walk()
	f.change(func() []*candidate {
		if soon = f.match(w); !soon {
			f.claim()
		}
		return slices.Collect(maps.Values(f.candidates))
	}, now)
	f.started = true
	return soon
}

// hear is scan for what lies at some paths. Other files are not looked at, unless
// they are new. What is gone has been gone for a while.
func (f *folder) hear(paths []string, now time.Time) {
	touched := make(map[*candidate]bool)
	var w *walker
	for _, path := range paths {
		for _, c := range f.including {
			if c.file != nil && slices.Contains(c.file.Includes(), path) {
				touched[c] = true
			}
		}
		c, there := f.candidates[path], there(path)
		if c != nil {
			touched[c], c.missed = true, !there
		}
		known := there && (c != nil || slices.Contains(f.ignored, path))
		if w == nil && !known && !leftover(filepath.Base(path)) {
			w = f.walk()
		}
	}
	f.change(func() []*candidate {
		all := slices.Collect(maps.Keys(touched))
		if w != nil && !f.match(w) {
			all = append(all, f.claim()...)
		}
		return all
	}, now)
}

// change has choose work on the store, and loads what it returns, if that has
// changed.
func (f *folder) change(choose func() []*candidate, now time.Time) {
	var touched []*candidate
	f.store.Batch(func() {
		touched = choose()
		f.load(touched, now)
	})
	f.tell(touched)
	f.count()
}

// there says whether a file or a link is there.
func there(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && !info.IsDir()
}

// follows is what the directory's zones depend on, for Watch.Follow.
func (f *folder) follows() (files, folders []string) {
	f.including = nil
	for path, c := range f.candidates {
		if c.link {
			files = append(files, path)
		}
		if c.file != nil && len(c.file.Includes()) > 0 {
			f.including = append(f.including, c)
			files = append(files, c.file.Includes()...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), f.dirs
}

// walk goes over the directory.
func (f *folder) walk() *walker {
	w := &walker{naming: f.naming}
	w.walk(f.directory)
	f.report(w)
	f.dirs = w.dirs
	return w
}

// report logs what the walk met, once.
func (f *folder) report(w *walker) {
	if w.err != nil && (f.unreadable == nil || f.unreadable.Error() != w.err.Error()) {
		f.log.Error("directory not readable: its zones stay as they are", "error", w.err)
	}
	f.unreadable = w.err
	if n := len(w.ignored); n > len(f.ignored) {
		f.log.Info("files ignored, as their names say no zone: db.ZONE, ZONE.zone and ZONE.db do",
			"directory", f.directory, "files", n, "first", w.ignored[0])
	}
	f.ignored = w.ignored
}

// paths are those of the files whose name says a zone, in order.
func (f *folder) paths() []string { return slices.Sorted(maps.Keys(f.candidates)) }

// files are those that have a zone in the store.
func (f *folder) files() []*watch.File {
	var files []*watch.File
	for _, c := range f.candidates {
		if c.file != nil {
			files = append(files, c.file)
		}
	}
	return files
}

// match compares what was found with what is known. A file must be missing twice
// before its zone is taken out; until then soon is true.
func (f *folder) match(w *walker) (soon bool) {
	for path, found := range w.found {
		if c := f.candidates[path]; c != nil {
			c.missed, c.link = false, found.link
			continue
		}
		c := &candidate{path: path, link: found.link}
		f.candidates[path] = c
		origin, err := wire.ParseName(found.zone)
		if err != nil {
			f.refuse(c, err)
			continue
		}
		c.origin, f.homeless[path] = origin, c
	}
	for path, c := range f.candidates {
		if _, ok := w.found[path]; ok || w.hidden(path) {
			continue
		}
		if c.file != nil && !c.missed {
			c.missed, soon = true, true
			continue
		}
		delete(f.candidates, path)
		delete(f.homeless, path)
		f.census.forget(path)
		if c.file != nil {
			c.file.Close()
			f.log.Info("zone removed, as its file is gone", "zone", c.origin.String(), "file", path)
		}
	}
	return soon
}

// refuse notes why a file's zone is not served, and logs what is new.
func (f *folder) refuse(c *candidate, err error) {
	if c.refuse == nil || c.refuse.Error() != err.Error() {
		f.log.Error("zone not served", "file", c.path, "error", err)
	}
	c.refuse = err
}

// claim declares the zones of the files that have none yet, in the order of
// their paths: of two files for one zone the first is taken. It returns those that
// got theirs.
func (f *folder) claim() []*candidate {
	var claimed []*candidate
	for _, path := range slices.Sorted(maps.Keys(f.homeless)) {
		c := f.homeless[path]
		if !slices.ContainsFunc(f.zones, func(z wire.Name) bool { return c.origin.Within(z) }) {
			f.refuse(c, fmt.Errorf("zone %s is outside the zones of auto: no query for it comes here", c.origin))
			continue
		}
		declare := f.store.Declare
		if f.census.late(path) {
			declare = f.store.DeclareLate
		}
		if err := declare(c.origin, "auto "+path); err != nil {
			f.refuse(c, err)
			continue
		}
		delete(f.homeless, path)
		c.refuse, c.isNew = nil, true
		c.file = watch.New(watch.Config{
			Path: path, Origin: c.origin, Store: f.store, Label: f.label(c.origin.String()),
			Log: f.log, Memory: f.memory,
		})
		claimed = append(claimed, c)
	}
	return claimed
}

// load loads of the given files what is new and what has changed, on all cores.
func (f *folder) load(files []*candidate, now time.Time) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(f.workers, len(files)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(files)); i = next.Add(1) - 1 {
				c := files[i]
				switch {
				case c.file == nil || c.missed:
				case c.isNew:
					if c.loaded = c.file.Load(now) == nil; !c.loaded {
						c.file.Report()
					}
				case c.file.Poll(now):
					c.loaded = true
				}
			}
		})
	}
	wg.Wait()
}

// tell logs what came: each zone, but the first time only how many.
func (f *folder) tell(files []*candidate) {
	n := 0
	for _, c := range files {
		if !c.isNew {
			continue
		}
		c.isNew = false
		if c.loaded {
			n++
		}
		if c.loaded && f.started {
			f.log.Info("zone added", "zone", c.origin.String(), "file", c.path)
		}
	}
	if !f.started {
		f.log.Info("zones loaded", "directory", f.directory, "zones", n, "files", len(f.candidates))
	}
}

// count is what the metrics show.
func (f *folder) count() {
	var n [stateCount]int64
	for _, c := range f.candidates {
		switch {
		case c.file == nil:
			n[stateRefused]++
		case c.loaded:
			n[stateLoaded]++
		default:
			n[stateFailed]++
		}
	}
	n[stateIgnored] = int64(len(f.ignored))
	for i := range n {
		f.counts[i].Store(n[i])
	}
}

// walker finds zone files in a directory and those in it. Hidden directories are
// left out, the data of a Kubernetes ConfigMap among them, which its visible
// links lead to.
type walker struct {
	naming  naming
	found   map[string]finding // by path
	ignored []string
	dirs    []string
	unread  []string // directories
	err     error    // of the first of them
}

// finding is a file whose name says a zone.
type finding struct {
	zone string
	link bool
}

func (w *walker) walk(dir string) {
	if w.found == nil {
		w.found = make(map[string]finding)
	}
	w.dirs = append(w.dirs, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.unread = append(w.unread, dir)
		if w.err == nil {
			w.err = err
		}
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if leftover(e.Name()) {
			continue
		}
		if e.IsDir() {
			w.walk(path)
		} else if zone, ok := w.naming(e.Name()); ok {
			w.found[path] = finding{zone, e.Type()&os.ModeSymlink != 0}
		} else {
			w.ignored = append(w.ignored, path)
		}
	}
}

// hidden says that path lies where the walk could not look.
func (w *walker) hidden(path string) bool {
	return slices.ContainsFunc(w.unread, func(dir string) bool {
		return strings.HasPrefix(path, filepath.Clean(dir)+string(filepath.Separator))
	})
}
