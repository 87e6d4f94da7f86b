package errors

import (
	"errors"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// TestFlood says that a fault that finds no room in the queue is counted, and
// blocks nothing.
func TestFlood(t *testing.T) {
	h := &handler{queue: make(chan fault, 1)}
	probe := servertest.Probe(true, nil, func(q *server.Query) { h.Out(q) })
	s := servertest.Start(t, ".:0 {\n probe\n answer\n}", probe, servertest.Answer(func(q *server.Query) server.Verdict {
		q.Fail(errors.New("failed"))
		return server.Answered
	}))
	for range 3 {
		s.Ask("example.org.", dns.TypeA)
	}
	if n := h.dropped.Load(); n != 2 || len(h.queue) != 1 {
		t.Errorf("%d dropped, %d queued", n, len(h.queue))
	}
}

// TestStopWithBlockedLog says that a log that takes nothing keeps nobody from
// stopping.
func TestStopWithBlockedLog(t *testing.T) {
	h := &handler{done: make(chan struct{}), gone: make(chan struct{})}
	stopped := make(chan struct{})
	go func() {
		h.stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(10 * stopWait):
		t.Error("stop waits for a log that is blocked")
	}
}
