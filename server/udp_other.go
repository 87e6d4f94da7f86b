//go:build !linux

package server

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// udpSocket is the one socket of an address, with the one goroutine that reads
// it and answers on the spot.
type udpSocket struct {
	listener *listener
	conn     *net.UDPConn
	counters *counters
	stopping atomic.Bool
	finished func(*Query)
}

// udpPeer is where a query came from, which Query.Remote need not be.
type udpPeer struct{ addr netip.AddrPort }

// shareable has nothing to do: only Linux spreads queries over many sockets.
func shareable(_, _ string, _ syscall.RawConn) error { return nil }

func (s *Server) socketsPerAddress() int { return 1 }

func newUDPSocket(l *listener, worker int, conn *net.UDPConn) (*udpSocket, error) {
	s := &udpSocket{listener: l, conn: conn, counters: &l.counters[worker]}
	s.finished = s.finish
	return s, nil
}

// loop reads and answers until stop. No error ends it.
func (s *udpSocket) loop() {
	q, failures := s.take(), 0
	for {
		n, _, _, remote, err := s.conn.ReadMsgUDPAddrPort(q.in, nil)
		if err != nil && s.stopping.Load() {
			return
		}
		if err != nil {
			s.counters.receiveErrors.Add(1)
			failures++
			// Windows reports here what became of replies sent before.
			if !errors.Is(err, syscall.ECONNRESET) {
				time.Sleep(backoff(failures))
			}
			continue
		}
		failures = 0
		q.Packet, q.Remote, q.Received = q.in[:n], unmap(remote), time.Now()
		q.Local, q.peer.addr, q.relayed = s.listener.bound, q.Remote, false
		r := s.listener.enter(0, 1)
		if r.proxies != nil && !s.listener.unwrap(r, q) {
			r.gen.leave(0, 1)
			continue
		}
		switch s.listener.server.serve(r, q) {
		case Pending:
			q = s.take()
			continue
		case Answered:
			s.send(q)
		}
		if q.tainted {
			q = s.take()
		}
		r.gen.leave(0, 1)
	}
}

// take is a Query to read into.
func (s *udpSocket) take() *Query {
	q := s.listener.server.query()
	q.Transport, q.Worker, q.done = UDP, 0, s.finished
	return q
}

func (s *udpSocket) send(q *Query) {
	if _, _, err := s.conn.WriteMsgUDPAddrPort(q.Reply, nil, q.peer.addr); err != nil {
		s.counters.sendErrors.Add(1)
	}
}

// stop ends the loop.
func (s *udpSocket) stop() {
	s.stopping.Store(true)
	s.conn.SetReadDeadline(time.Unix(1, 0))
}

// finish sends the reply of a query that was pending and takes the Query back.
func (s *udpSocket) finish(q *Query) {
	gen := q.chain.gen
	if q.verdict == Answered {
		s.send(q)
	}
	s.listener.server.release(q)
	gen.leave(0, 1)
}
