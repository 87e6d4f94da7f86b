package server

import (
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Times of a Watch that the configuration does not set.
const (
	// watchCalm is how long after a change its function is called: changes that come
	// together are told together.
	watchCalm = 5 * time.Millisecond
	// watchSettle is that for a file that is gone: many tools replace a file by
	// removing it first.
	watchSettle = 250 * time.Millisecond
	// watchSafety is how often, at most, everything is looked at where the system tells
	// of changes: it does not tell of all, such as those by way of a mapped page.
	watchSafety = time.Minute
	// watchRest is how long, at most, the function then rests: that files change all
	// the time must not cost all the time.
	watchRest = 200 * time.Millisecond
	// watchNews is how many changed paths a Watch is told of at once.
	watchNews = 1000
	// watchCalls is how many functions run at once.
	watchCalls = 4
	// watchPatience is how long a reload waits for functions under way.
	watchPatience = 10 * time.Second
)

// Watch is a function that is called from time to time, and soon after a change
// of the files that it follows. It is never called twice at once, and a panic of
// it is logged and counted as that of a handler.
type Watch struct {
	table    *timetable
	interval time.Duration
	f        func(now time.Time, changed []string)

	// Of the goroutine that runs f, and of Setup before.
	files, folders []string
	moved          bool // these are not followed yet
	followed       bool // these or others were, before

	// Under table.mu.
	look   time.Time // when f is to look at everything
	news   map[string]news
	soon   time.Time // the first of news; zero for none
	rested time.Time // before then, f is not called for news
	queued bool      // waits for f, or runs it
	blind  bool      // the way to the files is another one, or is not there
	told   bool      // the system tells of all files

	hooks []hook // under notifier.mu: what the system is asked about
}

// news is that something was heard of a path.
type news struct {
	at   time.Time // when f is to be told
	firm bool      // it is there, whole
}

// Every has f called about every interval, from the start of the configuration
// until it goes out of use: no call begins after that, one may end after it. The
// first call comes after an interval. While a reload is under way, no call is:
// what f changes, the next configuration finds when it is set up.
func (d *Directive) Every(interval time.Duration, f func(now time.Time)) *Watch {
	return d.Watch(interval, func(now time.Time, _ []string) { f(now) })
}

// Watch is Every for what depends on files: see Follow. Where the system tells of
// all changes of these, f is called as they happen, once at the start, and for the
// rest not every interval but every minute, if that is longer. changed are the paths that
// something was heard of, present or not; nil is all of them.
func (d *Directive) Watch(interval time.Duration, f func(now time.Time, changed []string)) *Watch {
	if d.gen.watches == nil {
		d.gen.watches = newTimetable(d.gen.server)
	}
	w := &Watch{table: d.gen.watches, interval: interval, f: f}
	d.gen.watches.watches = append(d.gen.watches.watches, w)
	return w
}

// Follow says what the Watch depends on: files, and all that lies right in the
// given folders. Symbolic links on the way are followed, and files need not be
// there. It takes the place of what was said before, and may be called from Setup
// and from the Watch's function. The slices are the Watch's from then on.
//
// Of a file that is written in place the Watch hears when it is closed.
func (w *Watch) Follow(files, folders []string) {
	if w.moved = w.moved || !slices.Equal(files, w.files) || !slices.Equal(folders, w.folders); w.moved {
		w.files, w.folders = files, folders
	}
}

// Reload is Server.Reload for the Watch's function, the only place to call it from.
// The reload does not wait for that call, as it does for others.
func (w *Watch) Reload() error {
	s := w.table.server
	w.table.leave(1)
	s.change.Lock()
	defer s.change.Unlock()
	defer w.table.leave(-1)
	return s.reload()
}

// Soon has the function called with all of its files after d at the latest. It
// may be called from any goroutine.
func (w *Watch) Soon(d time.Duration) {
	c := w.table
	c.mu.Lock()
	defer c.mu.Unlock()
	w.lookAt(time.Now().Add(d))
	c.hasten(w)
}

// lookAt brings the next look at everything forward. table.mu is held.
func (w *Watch) lookAt(at time.Time) {
	if at.Before(w.look) {
		w.look = at
	}
}

// hear takes down that something happened to path, and that f is to know at a
// certain time. The last that is heard of a path counts; what is written over and
// over is told of all the same. table.mu is held.
func (w *Watch) hear(path string, at time.Time, firm bool) {
	if len(w.news) >= watchNews {
		w.news, w.soon = nil, time.Time{}
		w.lookAt(at.Add(watchSettle))
		return
	}
	if w.news == nil {
		w.news = make(map[string]news)
	}
	if before, ok := w.news[path]; ok && before.firm && firm {
		at = before.at
	}
	w.news[path] = news{at, firm}
	if w.soon.IsZero() || at.Before(w.soon) {
		w.soon = at
	}
}

// rest is how long after a look at everything the next one is due. table.mu is
// held.
func (w *Watch) rest() time.Duration {
	if w.told {
		return max(w.interval, watchSafety)
	}
	return w.interval
}

// due is when f is to be called next. table.mu is held.
func (w *Watch) due() time.Time {
	if w.soon.IsZero() {
		return w.look
	}
	soon := w.soon
	if soon.Before(w.rested) {
		soon = w.rested
	}
	if soon.Before(w.look) {
		return soon
	}
	return w.look
}

// take is what f is to be told now; all says everything. table.mu is held.
func (w *Watch) take(now time.Time) (changed []string, all bool) {
	if !w.look.After(now) {
		w.news, w.soon = nil, time.Time{}
		return nil, true
	}
	w.soon = time.Time{}
	for path, n := range w.news {
		if !n.at.After(now) {
			changed = append(changed, path)
			delete(w.news, path)
		} else if w.soon.IsZero() || n.at.Before(w.soon) {
			w.soon = n.at
		}
	}
	slices.Sort(changed)
	return changed, false
}

// call runs f.
func (w *Watch) call(now time.Time, changed []string) {
	defer func() {
		if fault := recover(); fault != nil {
			s := w.table.server
			s.panics.Add(1)
			s.log.Error("a plugin panicked while it looked after its files", "panic", fault, "stack", string(debug.Stack()))
		}
	}()
	w.f(now, changed)
}

// timetable runs the Watches of one generation: one goroutine knows when, and a few
// that come and go call the functions.
type timetable struct {
	server   *Server
	watches  []*Watch
	notifier notifier
	done     chan struct{}
	wake     chan struct{}
	idle     chan struct{} // told when, paused, all callers are gone or away
	patience time.Duration // of pause

	mu      sync.Mutex
	next    time.Time // when it looks at the Watches again
	ready   []*Watch
	callers int
	away    int // of callers, in Watch.Reload
	paused  bool
	stopped bool
}

func newTimetable(s *Server) *timetable {
	c := &timetable{
		server: s, patience: watchPatience,
		done: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{}, 1),
	}
	c.notifier.table = c
	return c
}

func (c *timetable) start() { go c.run() }

// stop has no further call begin. It does not wait for those that run: one may
// be waiting for who stops us.
func (c *timetable) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	close(c.done)
}

// pause has no further call begin until resume, and waits for those under way but
// for who is away; not for ever, as one may hang.
func (c *timetable) pause() {
	c.mu.Lock()
	c.paused = true
	c.tellIdle()
	c.mu.Unlock()
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	for c.busy() {
		select {
		case <-c.idle:
		case <-timer.C:
			c.server.log.Warn("a look at changed files does not end: the reload goes on without it", "waited", c.patience)
			return
		}
	}
}

func (c *timetable) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.callers > c.away
}

// resume has calls begin again.
func (c *timetable) resume() {
	c.mu.Lock()
	c.paused = false
	c.mu.Unlock()
	c.rouse()
}

// leave notes that callers are away, or back.
func (c *timetable) leave(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away += n
	c.tellIdle()
}

// tellIdle wakes pause if all callers are gone or away. c.mu is held.
func (c *timetable) tellIdle() {
	if !c.paused || c.callers > c.away {
		return
	}
	select {
	case c.idle <- struct{}{}:
	default:
	}
}

func (c *timetable) run() {
	now := time.Now()
	c.mu.Lock()
	for _, w := range c.watches {
		w.look = now.Add(w.interval)
	}
	c.mu.Unlock()
	if slices.ContainsFunc(c.watches, func(w *Watch) bool { return w.moved }) {
		c.notifier.open()
		defer c.notifier.close()
	}
	for _, w := range c.watches {
		c.follow(w)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
		case <-timer.C:
		}
		timer.Reset(time.Until(c.dispatch()))
	}
}

// dispatch hands out what is due and returns when the next is.
func (c *timetable) dispatch() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.next = now.Add(time.Hour)
	for _, w := range c.watches {
		switch due := w.due(); {
		case w.queued:
		case !due.After(now):
			w.queued = true
			c.ready = append(c.ready, w)
		case due.Before(c.next):
			c.next = due
		}
	}
	for range min(watchCalls-c.callers, len(c.ready)) {
		c.callers++
		go c.callAll()
	}
	return c.next
}

// callAll calls what is ready until nothing is.
func (c *timetable) callAll() {
	for {
		c.mu.Lock()
		if c.stopped || c.paused || len(c.ready) == 0 {
			c.callers--
			c.tellIdle()
			c.mu.Unlock()
			return
		}
		w := c.ready[0]
		c.ready = c.ready[1:]
		now := time.Now()
		changed, all := w.take(now)
		if all {
			w.look = now.Add(w.rest())
		}
		c.mu.Unlock()

		if all || len(changed) > 0 {
			w.call(now, changed)
		}
		c.follow(w)

		c.mu.Lock()
		w.lookAt(now.Add(w.rest()))
		took := time.Since(now)
		w.rested = now.Add(took + min(watchRest, 4*took))
		w.queued = false
		c.hasten(w)
		c.mu.Unlock()
	}
}

// hasten wakes the timetable if it would sleep too long for w. c.mu is held.
func (c *timetable) hasten(w *Watch) {
	if !w.queued && w.due().Before(c.next) {
		c.rouse()
	}
}

// rouse has the timetable look at its Watches now.
func (c *timetable) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// follow has the system tell of the files of w, where that is not so yet. If it
// tells of more from now on, w looks at everything once more: nobody told what
// happened until now, nor, at the start, since set-up read the files.
func (c *timetable) follow(w *Watch) {
	c.mu.Lock()
	if !w.moved && !w.blind {
		c.mu.Unlock()
		return
	}
	w.blind = false
	c.mu.Unlock()
	told, lost, more := c.notifier.follow(w)
	c.mu.Lock()
	defer c.mu.Unlock()
	w.told, w.blind = told, w.blind || lost
	switch {
	case more && !w.followed:
		w.lookAt(time.Now())
	case more:
		w.lookAt(time.Now().Add(min(watchSettle, w.interval)))
	}
	w.moved, w.followed = false, true
}
