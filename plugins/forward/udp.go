package forward

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// socketsPerUpstream is over how many UDP sockets, and so source ports, the queries
// to one upstream are spread: who wants to forge an answer has to guess the port
// as well as the ID (RFC 5452 section 4.5).
const socketsPerUpstream = 8

// A socket is given up for one with another port after so many queries, or so long.
const (
	socketQueries = 1 << 13
	socketAge     = time.Minute
)

// receiveSize is the longest datagram that is read: longer ones than were asked for
// are no answers.
const receiveSize = 4096 + 1

// receiveBuffer is what the kernel is asked to keep for a reader.
const receiveBuffer = 1 << 20

// socket is a UDP socket that is connected to an upstream, with the attempts that
// wait for their answers, and one goroutine that reads these.
type socket struct {
	upstream *upstream
	conn     *net.UDPConn
	born     int64

	mu      sync.Mutex
	waiting waiting
	used    int
	retired bool // gets no more queries
	sender
}

// sendUDP sends x to u as attempt n.
func (u *upstream) sendUDP(x *exchange, n int, now int64) error {
	s, err := u.socket(x.query.Received, now)
	if err != nil {
		return err
	}
	return s.send(x, n)
}

// socket is one of the upstream's sockets, by chance, opened if need be. Queries that
// were read together go out by the same one: their answers are read together then.
func (u *upstream) socket(received time.Time, now int64) (*socket, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if received != u.batch {
		u.batch, u.turn = received, rand.IntN(socketsPerUpstream)
	}
	i := u.turn
	if s := u.sockets[i]; s != nil && !s.isWorn(now) {
		return s, nil
	}
	if u.closed.Load() {
		return nil, errUnused
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.address.at))
	if err != nil {
		return nil, err
	}
	s := &socket{upstream: u, conn: conn, born: now, waiting: make(waiting)}
	// Bursts of answers come while the reader waits for its turn.
	if err := errors.Join(conn.SetReadBuffer(receiveBuffer), s.sender.init(conn)); err != nil {
		conn.Close()
		return nil, err
	}
	if old := u.sockets[i]; old != nil {
		old.retire()
	}
	u.sockets[i] = s
	u.engine.running.Go(s.read)
	return s, nil
}

// isWorn says whether the port has been in use long enough.
func (s *socket) isWorn(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retired || s.used >= socketQueries || now-s.born > int64(socketAge)
}

// retire closes the socket once nobody waits for an answer there.
func (s *socket) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	if len(s.waiting) == 0 {
		s.conn.Close()
	}
}

// send sends x as attempt n.
func (s *socket) send(x *exchange, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.full() {
		return errBacklog
	}
	m := s.waiting.enter(x, n)
	a := &x.attempts[n]
	a.socket = s
	s.used++
	if x.batched && !s.full() {
		if s.gather(m, a.id) {
			s.upstream.engine.gathered(s, x.worker)
		}
		return nil
	}
	if err := s.write(m); err != nil {
		s.remove(a.id)
		return err
	}
	return nil
}

// flush sends what is gathered. Of what cannot be sent, those who wait for the answer
// are told.
func (s *socket) flush() {
	s.mu.Lock()
	failed, err := s.sendGathered()
	var lost []waiter
	for _, id := range failed {
		if w, ok := s.waiting[id]; ok {
			s.remove(id)
			lost = append(lost, w)
		}
	}
	s.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	s.upstream.failed()
	for _, w := range lost {
		w.exchange.lost(w.attempt, err, false)
	}
}

// forget takes an attempt of x out that has no need of an answer any more.
func (s *socket) forget(id uint16, x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.is(id, x) {
		s.remove(id)
	}
}

// remove takes a waiter out; mu is held.
func (s *socket) remove(id uint16) {
	delete(s.waiting, id)
	if s.retired && len(s.waiting) == 0 {
		s.conn.Close()
	}
}

// read gives answers to those who wait for them, until the socket is closed.
func (s *socket) read() {
	defer s.conn.Close()
	r, err := newReceiver(s.conn)
	if err != nil {
		s.fail(err)
		return
	}
	var batch server.Batch
	for {
		n, err := r.read()
		if err != nil {
			// An error of a connected socket is news of the upstream: nobody listens
			// at its port, or no way leads there.
			s.fail(err)
			if s.upstream.closed.Load() || !isNews(err) {
				return
			}
		}
		for i := range n {
			if m := r.message(i); len(m) >= wire.HeaderLen {
				s.take(m, &batch)
			} else {
				s.upstream.engine.counters.ignored[malformed].Add(1)
			}
		}
		batch.Flush()
	}
}

// take gives m to who waits for it.
func (s *socket) take(m []byte, batch *server.Batch) {
	s.mu.Lock()
	w, why := s.waiting.match(m)
	if why == none {
		s.remove(wire.ID(m))
	}
	s.mu.Unlock()
	if why != none {
		s.upstream.engine.counters.ignored[why].Add(1)
		return
	}
	w.exchange.received(w.attempt, m, false, batch)
}

// fail tells all who wait at the socket that they wait in vain.
func (s *socket) fail(err error) {
	s.mu.Lock()
	inVain := s.waiting
	s.waiting = make(waiting)
	if !isNews(err) {
		s.retired = true
	}
	if s.retired {
		s.conn.Close() // as nobody waits any more
	}
	s.mu.Unlock()
	if len(inVain) == 0 {
		return
	}
	s.upstream.failed()
	for _, w := range inVain {
		w.exchange.lost(w.attempt, err, false)
	}
}

// isNews says whether an error of a connected socket is about the upstream, and the
// socket is good for more.
func isNews(err error) bool {
	for _, errno := range [...]syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
