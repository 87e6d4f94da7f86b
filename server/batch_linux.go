package server

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outbox is replies that wait to be sent by one socket.
type outbox struct {
	socket  *udpSocket
	queries [batchSize]*Query
	out     [batchSize]message
	n       int

	// The call that runs inside RawConn.Write, its place in out, and its results.
	transmit func(fd uintptr) bool
	sent     int
	done     int
	errno    syscall.Errno
}

// put takes the reply of q, which is over.
func (o *outbox) put(q *Query) {
	s := q.peer.socket
	if q.Transport != UDP || q.Forked() || s == nil || q.verdict != Answered {
		q.done(q)
		return
	}
	if o.socket != s || o.n == batchSize {
		o.Flush()
		o.socket = s
	}
	o.out[o.n].address(q)
	o.queries[o.n] = q
	o.n++
}

// Flush sends what waits. A reply that the kernel refuses is counted and passed over.
func (o *outbox) Flush() {
	if o.n == 0 {
		return
	}
	if o.transmit == nil {
		o.transmit = o.sendmmsg
	}
	for o.sent = 0; o.sent < o.n; {
		err := o.socket.raw.Write(o.transmit)
		switch {
		case err != nil:
			o.socket.counters.sendErrors.Add(uint64(o.n - o.sent))
			o.sent = o.n
		case o.errno == 0:
			o.sent += o.done
		case o.errno != unix.EINTR:
			o.socket.counters.sendErrors.Add(1)
			o.sent++
		}
	}
	for _, q := range o.queries[:o.n] {
		gen, worker := q.chain.gen, q.Worker
		o.socket.listener.server.release(q)
		gen.leave(worker, 1)
	}
	clear(o.queries[:o.n])
	o.n, o.socket = 0, nil
}

func (o *outbox) sendmmsg(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&o.out[o.sent])), uintptr(o.n-o.sent), unix.MSG_DONTWAIT, 0, 0)
	o.done, o.errno = int(n), errno
	return true
}
