package server

import (
	"cmp"
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of what a TCP client may use (RFC 7766 section 6.2.3, RFC 9210
// section 4.2: servers bound connections and their idle time).
const (
	DefaultTCPConns = 1024
	DefaultTCPIdle  = 10 * time.Second
)

// tcpBuffer is what the kernel may keep of a connection in each direction. Left
// to itself it grows to megabytes for a client that asks and does not read.
const tcpBuffer = 64 << 10

// stuck is how long a write must have been blocked for its connection to be one
// that may be closed in favor of another: longer than a path takes that works.
const stuck = 100 * time.Millisecond

// tcpLimits bound what one listener's clients can make it hold.
type tcpLimits struct {
	conns   int           // open connections, where there are descriptors for them
	first   time.Duration // until the first octet of the first query
	idle    time.Duration // between queries
	frame   time.Duration // from a query's first octet to its last
	write   time.Duration // for one write, of up to outFull octets and a message
	pending int           // queries of one connection under way
}

func defaultTCPLimits() tcpLimits {
	return tcpLimits{
		conns: DefaultTCPConns, first: 5 * time.Second, idle: DefaultTCPIdle,
		frame: 5 * time.Second, write: 10 * time.Second, pending: 64,
	}
}

// tcpListener accepts connections. Where a new one finds no room, another is
// closed in its favor: the one that was quiet longest; failing that, the one
// whose client has not read for longest; failing that, one of a client that has
// more than a quarter of all, unless the new one is that client's as well. So
// neither silence, nor asking without reading, nor queries that take long let
// one client keep the others out. Only then is the new one closed.
type tcpListener struct {
	on       *listener
	listener *net.TCPListener
	limits   tcpLimits
	closing  chan struct{}
	serving  sync.WaitGroup
	opened   time.Time
	turns    atomic.Uint64 // times that the address was refused, or taken again

	mu      sync.Mutex
	most    int                  // connections
	conns   list.List            // of *tcpConn, the one active last at the back
	clients map[netip.Prefix]int // connections of each
	closed  bool
	refused chan struct{} // while the address is; closed when it is not any more
	next    int           // worker of the next connection
	shed    uint64
	log     throttle
}

func newTCPListener(l *listener, t *net.TCPListener) *tcpListener {
	return &tcpListener{
		on: l, listener: t, limits: l.server.tcp, closing: make(chan struct{}), opened: time.Now(),
		most: l.server.tcp.conns, clients: make(map[netip.Prefix]int),
	}
}

// now is the listener's clock, which no change of the system's moves.
func (t *tcpListener) now() time.Duration { return time.Since(t.opened) }

// accept takes connections until drain. No error ends it.
func (t *tcpListener) accept() {
	failures := 0
	for {
		turns := t.turns.Load()
		c, err := t.listener.AcceptTCP()
		if err == nil {
			failures = 0
			if t.welcome(c) {
				t.admit(c)
			}
			continue
		}
		if t.rest(turns) {
			continue
		}
		if noDescriptors(err) {
			t.on.server.shed()
		}
		failures++
		select {
		case <-t.closing:
			return
		case <-time.After(backoff(failures)):
		}
		if t.log.allow(time.Now()) {
			t.on.server.log.Warn("accept TCP connection", "address", t.on.bound, "error", err)
		}
	}
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	return min(time.Second, 5*time.Millisecond<<min(failures, 10))
}

// admit serves a new connection, if need be in the place of another.
func (t *tcpListener) admit(conn *net.TCPConn) {
	conn.SetReadBuffer(tcpBuffer)
	conn.SetWriteBuffer(tcpBuffer)
	c := &tcpConn{
		on: t, conn: conn,
		local:  unmap(addrPort(conn.LocalAddr())),
		remote: unmap(addrPort(conn.RemoteAddr())),
		buf:    make([]byte, smallBuffer),
	}
	c.client, c.proxied = clientOf(c.remote.Addr()), t.on.fromProxy(c.remote.Addr())
	c.changed.L = &c.mu
	c.done = c.finish
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		conn.Close()
		return
	}
	for t.conns.Len() >= t.most {
		if !t.shedLocked(c.client) {
			t.shed++
			conn.Close()
			return
		}
	}
	c.worker = t.next
	t.next = (t.next + 1) % t.on.server.workers
	c.place = t.conns.PushBack(c)
	t.clients[c.client]++
	t.serving.Go(c.serve)
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// clientOf is what counts as one client: an IPv4 address, or the IPv6 network
// that one host has all to itself.
func clientOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	client, _ := a.Prefix(bits)
	return client
}

// shedOne closes one connection, if there is one that may be closed.
func (t *tcpListener) shedOne() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shedLocked(netip.Prefix{})
}

// shedLocked makes room for a connection of newcomer; false means that the new
// one has to go.
func (t *tcpListener) shedLocked(newcomer netip.Prefix) bool {
	c := t.victimLocked(newcomer)
	if c == nil {
		return false
	}
	t.forgetLocked(c)
	t.shed++
	c.fail()
	return true
}

// victimLocked is the connection to be closed in favor of one of newcomer.
func (t *tcpListener) victimLocked(newcomer netip.Prefix) *tcpConn {
	var blocked, crowd *tcpConn
	since := t.now() - stuck
	for e := t.conns.Front(); e != nil; e = e.Next() {
		c := e.Value.(*tcpConn)
		if c.active.Load() == 0 {
			return c
		}
		if began := time.Duration(c.blocked.Load()); began > 0 && began <= since {
			blocked, since = c, began
		}
		if crowd == nil && c.client != newcomer && t.clients[c.client] > t.most/4 {
			crowd = c
		}
	}
	return cmp.Or(blocked, crowd)
}

// allow sets how many connections may be open; those above it go when a new one
// comes.
func (t *tcpListener) allow(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
}

// touch marks a connection as active now.
func (t *tcpListener) touch(c *tcpConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.place != nil {
		t.conns.MoveToBack(c.place)
	}
}

// remove forgets a connection that ended.
func (t *tcpListener) remove(c *tcpConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetLocked(c)
}

func (t *tcpListener) forgetLocked(c *tcpConn) {
	if c.place == nil {
		return
	}
	t.conns.Remove(c.place)
	c.place = nil
	if t.clients[c.client]--; t.clients[c.client] == 0 {
		delete(t.clients, c.client)
	}
}

// count is the number of open connections, and of those shed since the start.
func (t *tcpListener) count() (open int, shed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns.Len(), t.shed
}

// drain stops accepting, lets each connection finish the queries that it has
// read, and closes what is left at the end of ctx.
func (t *tcpListener) drain(ctx context.Context) {
	t.mu.Lock()
	t.closed = true
	close(t.closing)
	t.listener.Close()
	for e := t.conns.Front(); e != nil; e = e.Next() {
		e.Value.(*tcpConn).drain()
	}
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		t.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	t.mu.Lock()
	for e := t.conns.Front(); e != nil; e = e.Next() {
		e.Value.(*tcpConn).fail()
	}
	t.mu.Unlock()
	<-done
}
