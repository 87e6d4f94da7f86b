package forward

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestRetiredSocketRefused: a socket that was given up for its age goes when the port
// that it is connected to is found closed. Its reader would wait for ever, and the
// engine for its reader.
func TestRetiredSocketRefused(t *testing.T) {
	e := newEngine(slog.New(slog.DiscardHandler), 1)
	u := newUpstream(e, address{at: mute(t)}, defaultOptions())
	s, err := u.socket(time.Time{}, e.now())
	if err != nil {
		t.Fatal(err)
	}
	s.waiting[1] = waiter{exchange: new(exchange)}
	u.closed.Store(true) // no probe
	s.retire()
	s.fail(syscall.ECONNREFUSED)
	if _, err := s.conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is still open: %v", err)
	}
	e.cancel()
	e.running.Wait()
}
