package dnstap

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/zones/wire"
)

const (
	batchOctets = 64 << 10 // written at once
	stopWait    = 2 * time.Second
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 10 * time.Second
)

// output takes messages to one target. It outlives reloads; its writer runs while
// some configuration uses it.
type output struct {
	target target
	zones  func(uint32) string
	lanes  []lane // by worker
	wake   chan struct{}
	full   chan struct{}
	reopen chan struct{}

	frames    atomic.Uint64 // messages written
	lost      atomic.Uint64 // taken from the lanes, but not written
	connected atomic.Bool

	mu    sync.Mutex
	users int
	quit  context.CancelFunc
	ended chan struct{}
}

func newOutput(t target, workers int, zones func(uint32) string) *output {
	o := &output{
		target: t, zones: zones, lanes: make([]lane, workers),
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), reopen: make(chan struct{}, 1),
	}
	for i := range o.lanes {
		o.lanes[i].wake, o.lanes[i].full = o.wake, o.full
	}
	return o
}

// dropped is how many messages were not written.
func (o *output) dropped() uint64 {
	n := o.lost.Load()
	for i := range o.lanes {
		n += o.lanes[i].dropped.Load()
	}
	return n
}

// start runs the writer, or has a running one look whether its file was moved.
func (o *output) start(log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users++; o.users > 1 {
		tell(o.reopen)
		return
	}
	for i := range o.lanes {
		o.lanes[i].swap(newLoad())
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.quit, o.ended = cancel, make(chan struct{})
	w := &writer{
		output: o, log: log.With("output", o.target.String()), ended: o.ended,
		spare: newLoad(), names: make(map[uint32]wire.Name), retry: firstRetry,
	}
	go w.run(ctx)
}

// stop ends the writer with its last user, once it has written what it has, or when
// that takes too long.
func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users--; o.users > 0 {
		return
	}
	o.quit()
	select {
	case <-o.ended:
	case <-time.After(stopWait):
	}
}

// writer is the goroutine behind an output.
type writer struct {
	*output
	log     *slog.Logger
	ended   chan struct{}
	stream  stream // nil while there is none
	spare   load   // what the next lane gets for its own
	encoder encoder
	names   map[uint32]wire.Name // of zones, by their label
	retry   time.Duration        // how long to wait after a failure
	failing bool                 // since the last message that was written; the log says so
}

func (w *writer) run(ctx context.Context) {
	defer close(w.ended)
	defer w.discard()
	for ctx.Err() == nil {
		if w.stream == nil && !w.connect(ctx) {
			w.pause(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.reopen:
			if w.stream.stale() {
				w.close()
			}
		case <-w.stream.gone():
			w.fail(errGone)
			w.pause(ctx)
		case <-w.wake:
			w.wait(ctx)
			w.flush()
			if w.stream == nil {
				w.pause(ctx)
			}
		}
	}
	if w.stream != nil {
		w.flush()
	}
	if w.stream != nil {
		w.close()
	}
}

// connect opens the target.
func (w *writer) connect(ctx context.Context) bool {
	s, err := w.target.open(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.complain(err)
		}
		return false
	}
	w.stream = s
	w.connected.Store(true)
	w.log.Info("dnstap output is open")
	tell(w.wake)
	return true
}

// pause waits after a failure, each time longer until a message is written: a
// collector that takes connections and closes them is not asked in a circle.
func (w *writer) pause(ctx context.Context) {
	timer := time.NewTimer(w.retry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	w.retry = min(2*w.retry, lastRetry)
}

// complain logs a failure, once until a message is written again.
func (w *writer) complain(err error) {
	if !w.failing {
		w.log.Warn("dnstap output does not work and is tried again, messages that find no room are dropped", "error", err)
	}
	w.failing = true
}

// wait lets more messages come, so that many are written together.
func (w *writer) wait(ctx context.Context) {
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.full:
	case <-ctx.Done():
	}
}

// flush writes what the lanes hold, as far as the stream takes it.
func (w *writer) flush() {
	for i := range w.lanes {
		if w.stream == nil {
			return
		}
		select {
		case <-w.stream.gone():
			w.fail(errGone)
			return
		default:
		}
		full := w.lanes[i].swap(w.spare)
		w.write(full)
		clear(full.records) // nothing of a configuration out of use is held
		w.spare = full
	}
}

// write encodes and writes a load, or counts as lost what it could not.
func (w *writer) write(l load) {
	rest, waiting := l.octets, uint64(0)
	for i := range l.records {
		r := &l.records[i]
		if w.stream == nil {
			w.lost.Add(r.messages())
			continue
		}
		query, reply := rest[:r.query], rest[r.query:r.query+r.reply]
		rest = rest[r.query+r.reply:]
		w.encoder.add(r, query, reply, w.zone(r.zone))
		waiting += r.messages()
		if len(w.encoder.frames) >= batchOctets {
			w.send(waiting)
			waiting = 0
		}
	}
	if waiting > 0 {
		w.send(waiting)
	}
}

// send writes the frames that were made, of so many messages.
func (w *writer) send(messages uint64) {
	_, err := w.stream.Write(w.encoder.frames)
	w.encoder.frames = w.encoder.frames[:0]
	if err != nil {
		w.lost.Add(messages)
		w.fail(err)
		return
	}
	w.frames.Add(messages)
	w.failing, w.retry = false, firstRetry
}

// zone is the name of a zone by its label, empty for none.
func (w *writer) zone(label uint32) wire.Name {
	if label == 0 {
		return nil
	}
	name, ok := w.names[label]
	if !ok {
		// A label that is no name has no wire form, and is not told.
		name, _ = wire.ParseName(w.zones(label))
		w.names[label] = name
	}
	return name
}

// fail gives the stream up after err.
func (w *writer) fail(err error) {
	w.complain(err)
	w.connected.Store(false)
	w.stream.abort()
	w.stream = nil
}

// close ends the stream in good order.
func (w *writer) close() {
	w.connected.Store(false)
	w.stream.leave()
	w.stream = nil
}

// discard counts what is left in the lanes as lost, and frees their room.
func (w *writer) discard() {
	for i := range w.lanes {
		left := w.lanes[i].swap(load{})
		for j := range left.records {
			w.lost.Add(left.records[j].messages())
		}
	}
}
