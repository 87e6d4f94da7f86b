package server

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// record is a plugin, "record", with one Watch, and what its function is told.
type record struct {
	interval       time.Duration
	files, folders []string
	do             func() // in the function; may be nil

	mu    sync.Mutex
	w     *Watch
	looks int      // at everything
	heard []string // paths, in order
}

func (r *record) plugin(o *Options) {
	o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: func(d *Directive) (Handler, error) {
		w := d.Watch(r.interval, r.call)
		w.Follow(r.files, r.folders)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.w = w
		return nil, nil
	}})
}

func (r *record) call(_ time.Time, changed []string) {
	if r.do != nil {
		r.do()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if changed == nil {
		r.looks++
	}
	for _, path := range changed {
		r.heard = append(r.heard, filepath.Base(path))
	}
}

// told is what was heard, and how often everything was looked at.
func (r *record) told() (heard []string, looks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard), r.looks
}

// watched says whether the system tells of all files.
func (r *record) watched() bool {
	r.mu.Lock()
	w := r.w
	r.mu.Unlock()
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return w.told
}

const recordConf = ".:0 {\n bind 127.0.0.1\n record\n}"

func polling(o *Options) { o.Polling = true }

// TestEvery says that the function runs again and again, once at a time, also
// after a panic, and no more after a shutdown.
func TestEvery(t *testing.T) {
	l := newLab()
	var running, calls atomic.Int64
	every := func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: func(d *Directive) (Handler, error) {
			d.Every(time.Millisecond, func(now time.Time) {
				if running.Add(1) > 1 {
					t.Error("two calls at once")
				}
				defer running.Add(-1)
				if time.Since(now) > time.Minute {
					t.Errorf("called at %s", now)
				}
				<-time.After(3 * time.Millisecond)
				if calls.Add(1) == 2 {
					panic("the second call")
				}
			})
			return nil, nil
		}})
	}
	s := l.start(t, recordConf, every)
	eventually(t, "calls", func() bool { return calls.Load() > 5 })
	if n := s.panics.Load(); n != 1 {
		t.Errorf("%d panics counted", n)
	}
	table := s.current.watches
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	idle := func() bool {
		table.mu.Lock()
		defer table.mu.Unlock()
		return table.callers == 0
	}
	eventually(t, "the last call to end", idle)
	n := calls.Load()
	table.mu.Lock()
	table.watches[0].look = time.Time{}
	table.mu.Unlock()
	table.dispatch()
	eventually(t, "a late one to be turned down", idle)
	if more := calls.Load(); more != n {
		t.Errorf("%d calls after the shutdown", more-n)
	}
}

// TestSlowWatch says that functions that hang do not keep others waiting.
func TestSlowWatch(t *testing.T) {
	l := newLab()
	hang := make(chan struct{})
	defer close(hang)
	var stuck, calls atomic.Int64
	l.start(t, recordConf, func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: func(d *Directive) (Handler, error) {
			for range watchCalls - 1 {
				d.Every(time.Millisecond, func(time.Time) { stuck.Add(1); <-hang })
			}
			d.Every(time.Millisecond, func(time.Time) { calls.Add(1) })
			return nil, nil
		}})
	})
	eventually(t, "calls beside those that hang", func() bool { return stuck.Load() == watchCalls-1 && calls.Load() > 5 })
}

// TestWatchReloads has the function end its own configuration.
func TestWatchReloads(t *testing.T) {
	l := newLab()
	var setups atomic.Int64
	s := l.start(t, recordConf, func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: func(d *Directive) (Handler, error) {
			setups.Add(1)
			var w *Watch
			w = d.Every(time.Millisecond, func(time.Time) {
				if setups.Load() < 4 {
					// Shutdown may come first.
					_ = w.Reload()
				}
			})
			return nil, nil
		}})
	})
	eventually(t, "reloads", func() bool { return setups.Load() == 4 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestWatchesReload has functions reload that cannot wait for each other.
func TestWatchesReload(t *testing.T) {
	l := newLab()
	const functions = 3
	var setups atomic.Int64
	l.start(t, recordConf, func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: func(d *Directive) (Handler, error) {
			setups.Add(1)
			for range functions {
				var w *Watch
				w = d.Every(time.Millisecond, func(time.Time) {
					if setups.Load() <= 10 {
						// Shutdown may come first.
						_ = w.Reload()
					}
				})
			}
			return nil, nil
		}})
	})
	eventually(t, "reloads", func() bool { return setups.Load() > 10 })
	if strings.Contains(l.log(), "does not end") {
		t.Errorf("one waited for another:\n%s", l.log())
	}
}

// TestReloadRests says that a reload waits for a call under way, that none begins
// while it sets up, and that they go on if it fails.
func TestReloadRests(t *testing.T) {
	l := newLab()
	var setups, calls atomic.Int64
	var ended atomic.Bool
	begun, rest := make(chan struct{}), make(chan struct{})
	setup := func(d *Directive) (Handler, error) {
		if setups.Add(1) == 1 {
			d.Every(time.Millisecond, func(time.Time) {
				if calls.Add(1) == 1 {
					close(begun)
					<-rest
					ended.Store(true)
				}
			})
			return nil, nil
		}
		before := calls.Load()
		if !ended.Load() {
			t.Error("set-up while a call is under way")
		}
		for range 20 {
			d.gen.server.current.watches.rouse()
			<-time.After(time.Millisecond)
		}
		if n := calls.Load(); n != before {
			t.Errorf("%d calls during set-up", n-before)
		}
		return nil, errors.New("not this time")
	}
	s := l.start(t, recordConf, func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: setup})
	})
	<-begun
	table, done := s.current.watches, make(chan error)
	go func() { done <- s.Reload() }()
	eventually(t, "the pause", func() bool {
		table.mu.Lock()
		defer table.mu.Unlock()
		return table.paused
	})
	close(rest)
	if err := <-done; err == nil {
		t.Error("a bad reload succeeded")
	}
	before := calls.Load()
	eventually(t, "calls after a reload that failed", func() bool { return calls.Load() > before })
}

// TestReloadPatience says that a function that hangs does not keep the server from
// reloading.
func TestReloadPatience(t *testing.T) {
	l := newLab()
	hang, begun := make(chan struct{}), make(chan struct{})
	defer close(hang)
	var setups atomic.Int64
	s := l.start(t, recordConf, func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "record", Setup: func(d *Directive) (Handler, error) {
			if setups.Add(1) == 1 {
				d.Every(time.Millisecond, func(time.Time) { close(begun); <-hang })
			}
			return nil, nil
		}})
	})
	<-begun
	s.current.watches.patience = time.Millisecond
	if err := s.Reload(); err != nil || !strings.Contains(l.log(), "does not end") {
		t.Errorf("error %v, log:\n%s", err, l.log())
	}
}

// TestPolling says that without news everything is looked at, every interval.
func TestPolling(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	r := &record{interval: time.Millisecond, files: []string{path}}
	newLab().start(t, recordConf, r.plugin, polling)
	eventually(t, "looks", func() bool { _, looks := r.told(); return looks > 3 })
	write(t, path, "text")
	_, before := r.told()
	eventually(t, "looks after a change", func() bool { _, looks := r.told(); return looks > before+3 })
	if heard, _ := r.told(); len(heard) > 0 || r.watched() {
		t.Errorf("heard of %q", heard)
	}
}

// TestNews says how what is heard of comes together.
func TestNews(t *testing.T) {
	start := time.Unix(2_000_000_000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	w := &Watch{interval: time.Hour, look: at(1e6)}
	take := func(ms int, want ...string) {
		t.Helper()
		if got, all := w.take(at(ms)); all || !slices.Equal(got, want) {
			t.Errorf("at %d ms: %q, everything %v; want %q", ms, got, all, want)
		}
	}
	w.hear("again", at(5), true)
	w.hear("again", at(7), true) // and so on: must not wait for the end
	w.hear("replaced", at(250), false)
	w.hear("replaced", at(9), true)
	w.hear("removed", at(8), true)
	w.hear("removed", at(258), false)
	if !w.due().Equal(at(5)) {
		t.Errorf("due at %s", w.due())
	}
	take(4)
	take(6, "again")
	take(10, "replaced")
	if !w.due().Equal(at(258)) {
		t.Errorf("due at %s", w.due())
	}
	take(260, "removed")
	if !w.due().Equal(at(1e6)) {
		t.Errorf("due at %s", w.due())
	}
	for i := range watchNews + 1 {
		w.hear(string(rune('a'+i)), at(300), true)
	}
	if got, all := w.take(at(1000)); !all || len(got) > 0 || len(w.news) > 0 {
		t.Errorf("a storm: everything %v, %d told, %d kept", all, len(got), len(w.news))
	}
}
