package server

import (
	"container/list"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/zones/wire"
)

const (
	// smallBuffer is what an idle connection holds; it grows with what has
	// arrived, not with what a length octet promises.
	smallBuffer = 512
	// outKept is how large a buffer of replies an idle connection keeps, so that
	// its next reply allocates nothing.
	outKept = 2048
	// largeBuffer holds the longest message and its length.
	largeBuffer = 2 + 1<<16
	// outFull is how many octets of replies are gathered before they are
	// written; with more waiting, nothing further is read.
	outFull = 16 << 10
	// outMost is how many may wait, when many pending queries are answered at
	// once, before the client is given up as one that does not read.
	outMost = 256 << 10
	// linger is how long a drained connection waits for the client to close, so
	// that the last reply is not lost to a reset.
	linger = 100 * time.Millisecond
)

// tcpConn is one connection (RFC 7766): its queries are read, answered in order
// and their replies written together; pending ones are answered as they are
// ready. One goroutine reads; replies are written by it or by a goroutine that
// lives as long as there is something to write.
type tcpConn struct {
	on            *tcpListener
	conn          *net.TCPConn
	local, remote netip.AddrPort
	client        netip.Prefix // as clientOf has it
	proxied       bool         // it must begin with a PROXY header
	relayed       bool         // as in Query, with door
	door          netip.Addr
	worker        int
	place         *list.Element // in the listener's list; its lock guards it
	active        atomic.Int32  // queries under way, and 1 while answering
	blocked       atomic.Int64  // when the write under way began, by the listener's clock; 0: none is
	draining      atomic.Bool
	done          func(*Query) // finish, made a value once

	buf   []byte // read buffer, of which the first have octets are filled
	have  int
	begun time.Time // when the first octet in buf arrived
	any   bool      // a query has come

	mu      sync.Mutex
	changed sync.Cond // pending or out fell, or the connection failed
	pending int
	out     []byte // replies to be written, each with its length
	writing bool
	failed  bool
}

// serve is the connection's life.
func (c *tcpConn) serve() {
	defer c.on.remove(c)
	defer c.conn.Close()
	if c.proxied && (!c.header() || c.have > 0 && !c.answer()) {
		return
	}
	for c.read() {
		if !c.answer() {
			return
		}
	}
	c.finishAll()
}

// read waits for more octets. False means that no more will come.
func (c *tcpConn) read() bool {
	if c.have == len(c.buf) {
		c.buf = append(make([]byte, 0, min(2*len(c.buf), largeBuffer)), c.buf...)
		c.buf = c.buf[:cap(c.buf)]
	}
	for {
		c.conn.SetReadDeadline(c.deadline())
		if c.draining.Load() {
			return false
		}
		n, err := c.conn.Read(c.buf[c.have:])
		if n > 0 {
			if c.have == 0 {
				c.begun = time.Now()
			}
			c.have += n
			return true
		}
		// A client that waits for pending replies is not idle.
		waiting := c.have == 0 && c.active.Load() > 0
		if !waiting || c.draining.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
	}
}

// deadline is when the client must have sent something. A message that has
// begun has its own, which no further octet puts off.
func (c *tcpConn) deadline() time.Time {
	limits := &c.on.limits
	switch {
	case c.have > 0:
		return c.begun.Add(limits.frame)
	case c.any:
		return time.Now().Add(limits.idle)
	}
	return time.Now().Add(limits.first)
}

// answer takes the whole messages in the buffer. False means that the client
// breaks the protocol or is gone.
func (c *tcpConn) answer() bool {
	c.active.Add(1)
	defer c.active.Add(-1)
	off := 0
	for c.have-off >= 2 {
		n := int(binary.BigEndian.Uint16(c.buf[off:]))
		if n < wire.HeaderLen {
			c.write()
			return false
		}
		if c.have-off-2 < n {
			break
		}
		if !c.query(c.buf[off+2 : off+2+n]) {
			return false
		}
		off += 2 + n
	}
	if off == 0 {
		return true
	}
	c.any = true
	c.have = copy(c.buf, c.buf[off:c.have])
	c.begun = time.Now()
	if c.have == 0 && len(c.buf) > smallBuffer {
		c.buf = make([]byte, smallBuffer)
	}
	c.on.touch(c)
	return c.write()
}

// query serves one message.
func (c *tcpConn) query(message []byte) bool {
	if !c.reserve() {
		return false
	}
	l := c.on.on
	s := l.server
	q := s.query()
	if len(message) > len(q.in) {
		q.in = make([]byte, len(message))
	}
	q.Packet = q.in[:copy(q.in, message)]
	q.Transport, q.Worker, q.Received = TCP, c.worker, time.Now()
	q.Local, q.Remote, q.done = c.local, c.remote, c.done
	q.relayed, q.door = c.relayed, c.door
	r := l.enter(c.worker, 1)
	v := s.serve(r, q)
	if v == Pending {
		return true
	}
	full := c.settle(q, v)
	s.release(q)
	r.gen.leave(c.worker, 1)
	return !full || c.write()
}

// reserve waits until there is room for one more query; what is ready is
// written first. False means that the connection failed.
func (c *tcpConn) reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.failed && (c.pending >= c.on.limits.pending || len(c.out) >= outFull) {
		if len(c.out) > 0 && !c.writing {
			c.writeLocked()
			continue
		}
		c.changed.Wait()
	}
	c.pending++
	c.active.Add(1)
	return !c.failed
}

// settle ends what reserve began and puts the reply behind those that wait. It
// says whether they are so many that they must be written.
func (c *tcpConn) settle(q *Query, v Verdict) (full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending--
	c.active.Add(-1)
	if q.mangling&HangUp != 0 {
		c.conn.SetLinger(0)
		c.failLocked()
	}
	if v == Answered && !c.failed {
		c.out = binary.BigEndian.AppendUint16(c.out, uint16(len(q.Reply)))
		c.out = append(c.out, q.Reply...)
	}
	if len(c.out) > outMost {
		c.failLocked()
	}
	c.changed.Broadcast()
	return len(c.out) >= outFull
}

// finish ends a query that was pending. The goroutine that calls it does not
// wait for the client.
func (c *tcpConn) finish(q *Query) {
	gen := q.chain.gen
	c.settle(q, q.verdict)
	c.on.on.server.release(q)
	c.mu.Lock()
	if len(c.out) > 0 && !c.writing && !c.failed {
		c.writing = true
		go c.writeOn()
	}
	c.mu.Unlock()
	gen.leave(c.worker, 1)
}

// writeOn writes as long as there is something to write.
func (c *tcpConn) writeOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	c.writeLocked()
}

// write writes the replies that wait, unless another goroutine is at it. False
// means that the connection failed.
func (c *tcpConn) write() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked()
	return !c.failed
}

// writeLocked writes until nothing waits, without the lock while it does.
func (c *tcpConn) writeLocked() {
	if c.writing {
		return
	}
	c.writing = true
	for len(c.out) > 0 && !c.failed {
		out := c.out
		c.out = nil
		c.mu.Unlock()
		c.blocked.Store(int64(c.on.now()))
		c.conn.SetWriteDeadline(time.Now().Add(c.on.limits.write))
		_, err := c.conn.Write(out)
		c.blocked.Store(0)
		c.mu.Lock()
		if err != nil {
			c.failLocked()
		}
		if c.out == nil && (cap(out) <= outKept || cap(out) <= outFull && c.pending > 0) {
			c.out = out[:0]
		}
		c.changed.Broadcast()
	}
	c.writing = false
	c.changed.Broadcast()
}

// finishAll waits for the pending queries, writes their replies, and takes leave
// of the client.
func (c *tcpConn) finishAll() {
	c.mu.Lock()
	for !c.failed && (c.pending > 0 || c.writing || len(c.out) > 0) {
		if len(c.out) > 0 && !c.writing {
			c.writeLocked()
			continue
		}
		c.changed.Wait()
	}
	failed := c.failed
	c.mu.Unlock()
	if failed {
		return
	}
	c.conn.CloseWrite()
	c.conn.SetReadDeadline(time.Now().Add(linger))
	io.Copy(io.Discard, io.LimitReader(c.conn, largeBuffer))
}

// drain ends reading.
func (c *tcpConn) drain() {
	c.draining.Store(true)
	c.conn.SetReadDeadline(time.Unix(1, 0))
}

// fail ends the connection at once. Queries that are pending still end without a
// reply.
func (c *tcpConn) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked()
}

// failLocked has the kernel throw away what a client that does not read has
// left in its hands; it would hold it for minutes.
func (c *tcpConn) failLocked() {
	c.failed = true
	c.out = nil
	if c.writing {
		c.conn.SetLinger(0)
	}
	c.conn.Close()
	c.changed.Broadcast()
}
