package log

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLen  = 4096             // lines under way
	lineLen   = 512              // octets of a line before it grows
	batchLen  = 64 << 10         // octets written at once
	reportGap = 10 * time.Second // between two words about dropped lines
	stopWait  = time.Second      // for a writer that hangs
)

// sink takes lines from many goroutines to one writer. It outlives reloads; it
// runs while some configuration uses it.
type sink struct {
	w       io.Writer
	free    chan []byte // empty lines
	full    chan []byte // lines to write; it has room for all there are
	dropped atomic.Uint64

	mu    sync.Mutex
	users int
	done  chan struct{}
	gone  chan struct{}
}

func newSink(w io.Writer) *sink {
	s := &sink{w: w, free: make(chan []byte, queueLen), full: make(chan []byte, queueLen)}
	memory := make([]byte, queueLen*lineLen)
	for i := range queueLen {
		s.free <- memory[i*lineLen : i*lineLen : (i+1)*lineLen]
	}
	return s
}

// take returns an empty line to fill and put, unless all are under way: then the
// line is lost, and counted.
func (s *sink) take() ([]byte, bool) {
	select {
	case b := <-s.free:
		return b[:0], true
	default:
		s.dropped.Add(1)
		return nil, false
	}
}

// put has a line written. It does not block.
func (s *sink) put(line []byte) { s.full <- line }

// start runs the writer if it is not running. report is told of dropped lines.
func (s *sink) start(report func(lines uint64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users++; s.users > 1 {
		return
	}
	s.done, s.gone = make(chan struct{}), make(chan struct{})
	w := writer{sink: s, done: s.done, gone: s.gone, report: report, reported: s.dropped.Load()}
	go w.run()
}

// stop ends the writer with its last user, once the lines under way are written,
// or when that takes too long.
func (s *sink) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	close(s.done)
	select {
	case <-s.gone:
	case <-time.After(stopWait):
	}
}

// writer is the goroutine behind a sink.
type writer struct {
	*sink
	done, gone chan struct{}
	batch      []byte
	lines      int // in batch
	report     func(uint64)
	reported   uint64
	last       time.Time
}

func (w *writer) run() {
	defer close(w.gone)
	for {
		select {
		case line := <-w.full:
			w.add(line)
		case <-w.done:
			for len(w.full) > 0 {
				w.add(<-w.full)
			}
			w.tell(time.Time{})
			return
		}
	}
}

// add writes when nothing waits, or enough does.
func (w *writer) add(line []byte) {
	w.batch = append(w.batch, line...)
	w.lines++
	w.free <- line
	if len(w.full) > 0 && len(w.batch) < batchLen {
		return
	}
	if _, err := w.w.Write(w.batch); err != nil {
		w.dropped.Add(uint64(w.lines))
	}
	w.batch, w.lines = w.batch[:0], 0
	w.tell(time.Now().Add(-reportGap))
}

// tell reports dropped lines, unless that was done after since.
func (w *writer) tell(since time.Time) {
	n := w.dropped.Load()
	if n == w.reported || !since.IsZero() && w.last.After(since) {
		return
	}
	w.report(n - w.reported)
	w.reported, w.last = n, time.Now()
}
