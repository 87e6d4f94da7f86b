package forward

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/stampdns/stampdns/zones/wire"
)

// Connections to one upstream: so many at most, and a further one is opened when
// each has so many queries waiting (RFC 7766 sections 6.2.1.1 and 6.2.2).
const (
	maxStreams  = 4
	streamQueue = 64
)

// Limits of one connection.
const (
	dialTimeout  = time.Second
	writeTimeout = time.Second
	// maxBacklog is how many octets may wait to be written.
	maxBacklog = 1 << 18
)

var (
	errUnused  = errors.New("the forwarder is not in use any more")
	errBacklog = errors.New("too many queries wait for answers")
	errIdle    = errors.New("nobody has asked for a while")
)

// stream is a TCP or TLS connection to an upstream, with the attempts that wait for
// their answers. It has one goroutine that opens it and writes, and one that reads;
// those who send wait for neither.
type stream struct {
	upstream *upstream

	mu      sync.Mutex
	changed sync.Cond // out, closed
	conn    net.Conn  // nil until it is open
	waiting waiting
	out     []byte
	fresh   bool  // no answer has come yet
	used    int64 // when an answer or a query last came
	heard   int64 // when an answer last came
	stalled bool  // a query waited in vain, and no answer has come since it was sent
	closed  bool
}

// sendStream sends x to u as attempt n.
func (u *upstream) sendStream(x *exchange, n int) error {
	s, err := u.stream()
	if err != nil {
		return err
	}
	return s.send(x, n)
}

// stream is the connection with the fewest queries waiting, or a new one where all
// have many. One that has stalled gets queries only if there are too many of them.
func (u *upstream) stream() (*stream, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed.Load() {
		return nil, errUnused
	}
	var best *stream
	least, alive := 0, 0
	open := u.streams[:0]
	for _, s := range u.streams {
		n, stalled, ok := s.load()
		if !ok {
			continue
		}
		open = append(open, s)
		if stalled {
			n += maxWaiting // behind all others
		} else {
			alive++
		}
		if best == nil || n < least {
			best, least = s, n
		}
	}
	clear(u.streams[len(open):])
	u.streams = open
	if best != nil && (least < streamQueue || alive >= maxStreams || len(open) >= 2*maxStreams) {
		u.stats.connReused.Add(1)
		return best, nil
	}
	s := &stream{upstream: u, waiting: make(waiting), fresh: true, used: u.engine.now()}
	s.changed.L = &s.mu
	u.streams = append(u.streams, s)
	u.stats.connOpened.Add(1)
	u.engine.running.Go(s.run)
	return s, nil
}

// load is how many queries wait; not ok says that the stream is closed.
func (s *stream) load() (n int, stalled, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), s.stalled, !s.closed
}

// missed notes that no answer came in time to a query that was sent at a time. If none
// has come at all, the connection may be one that only we know of. It is kept, for
// what comes late.
func (s *stream) missed(sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = s.stalled || s.conn != nil && s.heard < sent
}

// send puts x into what is to be written.
func (s *stream) send(x *exchange, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errUnused
	case len(s.out)+2+x.packetLen > maxBacklog || s.waiting.full():
		return errBacklog
	}
	m := s.waiting.enter(x, n)
	x.attempts[n].stream = s
	s.used = s.upstream.engine.now()
	s.out = binary.BigEndian.AppendUint16(s.out, uint16(len(m)))
	s.out = append(s.out, m...)
	s.changed.Signal()
	return nil
}

// forget takes an attempt of x out that has no need of an answer any more.
func (s *stream) forget(id uint16, x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.is(id, x) {
		delete(s.waiting, id)
	}
}

// run opens the connection and writes what there is to write.
func (s *stream) run() {
	conn, err := s.dial()
	if err != nil {
		s.upstream.failed()
		s.close(err)
		return
	}
	s.mu.Lock()
	s.conn = conn
	closed := s.closed
	s.mu.Unlock()
	if closed {
		conn.Close()
		return
	}
	s.upstream.engine.running.Go(func() { s.close(s.read(conn)) })
	s.close(s.write(conn))
}

// dial opens the connection.
func (s *stream) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.upstream.engine.context, dialTimeout)
	defer cancel()
	d := net.Dialer{}
	conn, err := d.DialContext(ctx, "tcp", s.upstream.address.at.String())
	if err != nil || s.upstream.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, s.upstream.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return secure, nil
}

// write writes what comes until the stream is closed.
func (s *stream) write(conn net.Conn) error {
	var buf []byte
	for {
		s.mu.Lock()
		for len(s.out) == 0 && !s.closed {
			s.changed.Wait()
		}
		closed := s.closed
		buf, s.out = s.out, buf[:0]
		s.mu.Unlock()
		if closed {
			return errUnused
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
}

// read gives answers to those who wait for them. It ends with the connection, or
// when nobody has asked for a while.
func (s *stream) read(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 4096)
	m := make([]byte, 512)
	for {
		conn.SetReadDeadline(time.Now().Add(s.upstream.options.expire))
		var length [2]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			if n, _, _ := s.load(); n == 0 {
				return errIdle
			}
			return err
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n > len(m) {
			m = make([]byte, n)
		}
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(r, m[:n]); err != nil {
			return err
		}
		if n < wire.HeaderLen {
			return errMalformed
		}
		s.take(m[:n])
	}
}

// take gives m to who waits for it.
func (s *stream) take(m []byte) {
	s.mu.Lock()
	w, why := s.waiting.match(m)
	if why == none {
		delete(s.waiting, wire.ID(m))
	}
	s.used = s.upstream.engine.now()
	s.fresh, s.heard, s.stalled = false, s.used, false
	s.mu.Unlock()
	if why != none {
		s.upstream.engine.counters.ignored[why].Add(1)
		return
	}
	w.exchange.received(w.attempt, m, true, nil)
}

// close ends the stream and tells those who wait. It may be called many times, and
// by whoever holds the upstream's lock, so it tells them elsewhere.
func (s *stream) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.changed.Broadcast()
	if s.conn != nil {
		s.conn.Close()
	}
	waiting := s.waiting
	s.waiting = nil
	// A connection that was good before may have been closed for being old: that is
	// no failure of the upstream, but the queries have to be sent again.
	if s.fresh && len(waiting) > 0 && !errors.Is(err, errUnused) {
		s.upstream.failed()
	}
	if worn := !s.fresh; len(waiting) > 0 {
		s.upstream.engine.running.Go(func() {
			for _, w := range waiting {
				w.exchange.lost(w.attempt, err, worn)
			}
		})
	}
}
