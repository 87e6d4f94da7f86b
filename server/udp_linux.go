package server

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is the most datagrams that one system call reads or writes.
const batchSize = 32

// udpSocket is one of the SO_REUSEPORT sockets of an address, with the one
// goroutine that reads it, answers on the spot, and writes the replies.
//
// recvmmsg and sendmmsg are called non-blocking, without telling the scheduler
// of a system call; the goroutine parks in the netpoller only when nothing is
// there to be read.
type udpSocket struct {
	listener *listener
	worker   int
	conn     *net.UDPConn
	raw      syscall.RawConn
	counters *counters
	stopping atomic.Bool

	clock batchClock
	slots [batchSize]*Query
	// in describes the slots' buffers to recvmmsg; out those of the replies to
	// sendmmsg, of which the first pending are waiting.
	in      [batchSize]message
	out     [batchSize]message
	waiting int

	// Results of the calls that run inside RawConn.Read and Write, and these
	// calls as functions, made once.
	n        int
	errno    syscall.Errno
	receive  func(fd uintptr) bool
	transmit func(fd uintptr) bool
	poll     func(fd uintptr)
	sent     int
	finished func(*Query)
}

// message is the kernel's struct mmsghdr, with its buffer's struct iovec
// elsewhere: the array must have nothing between its elements.
type message struct {
	header unix.Msghdr
	length uint32
}

// udpPeer is a query's sender as the kernel gave it, and the control message
// that makes the reply leave from the address that was asked.
type udpPeer struct {
	name       unix.RawSockaddrInet6 // or, as it begins alike, RawSockaddrInet4
	nameLen    uint32
	control    [8]uint64 // aligned for struct cmsghdr
	controlLen int
	iov        unix.Iovec
	socket     *udpSocket // that the query came by
	// Of a reply that is sent by itself: its header, the result, and sendOne as a
	// function, made once.
	alone message
	errno syscall.Errno
	send  func(fd uintptr) bool
}

// sendOne sends the reply that alone describes, in RawConn.Write.
func (p *udpPeer) sendOne(fd uintptr) bool {
	_, _, p.errno = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&p.alone.header)), unix.MSG_DONTWAIT)
	return true
}

// shareable lets the workers' sockets share one address.
func shareable(_, _ string, c syscall.RawConn) error {
	var err error
	ctl := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(ctl, err)
}

// socketsPerAddress is one a worker: the kernel spreads the clients over them.
func (s *Server) socketsPerAddress() int { return s.workers }

// socketBuffer is what the kernel is asked to keep for bursts; it may give less.
const socketBuffer = 4 << 20

func newUDPSocket(l *listener, worker int, conn *net.UDPConn) (*udpSocket, error) {
	s := &udpSocket{listener: l, worker: worker, conn: conn, counters: &l.counters[worker]}
	s.receive, s.transmit, s.poll, s.finished = s.recvmmsg, s.sendmmsg, s.pollOnce, s.finish
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.raw = raw
	conn.SetReadBuffer(socketBuffer)
	conn.SetWriteBuffer(socketBuffer)
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	ctl := raw.Control(func(fd uintptr) { err = setOptions(int(fd), local, l.key.wildcard()) })
	if err = errors.Join(ctl, err); err != nil {
		return nil, err
	}
	for i := range s.slots {
		s.fill(i)
	}
	return s, nil
}

// setOptions has the kernel tell a wildcard listener the destination of each
// datagram. Where the kernel can, it also keeps ICMP messages, which anybody can
// forge, from making it fragment our replies (RFC 9715 section 3.1).
func setOptions(fd int, local netip.Addr, wildcard bool) error {
	unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
	level, info := unix.SOL_IP, unix.IP_PKTINFO
	if local.Is6() {
		unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
		level, info = unix.SOL_IPV6, unix.IPV6_RECVPKTINFO
	}
	if !wildcard {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, info, 1))
}

// fill puts a Query of the server's into a slot.
func (s *udpSocket) fill(i int) {
	q := s.listener.server.query()
	q.Transport, q.Worker, q.done, q.clock = UDP, s.worker, s.finished, &s.clock
	s.slots[i] = q
	p, h := &q.peer, &s.in[i].header
	p.socket = s
	h.Name = (*byte)(unsafe.Pointer(&p.name))
	h.Control = (*byte)(unsafe.Pointer(&p.control))
	h.Iov = &p.iov
	h.SetIovlen(1)
	s.arm(i)
}

// arm readies a slot to be read into: the kernel changes the lengths.
func (s *udpSocket) arm(i int) {
	p, h := &s.slots[i].peer, &s.in[i].header
	p.iov.Base = &s.slots[i].in[0]
	p.iov.SetLen(len(s.slots[i].in))
	h.Namelen = uint32(unsafe.Sizeof(p.name))
	h.SetControllen(int(unsafe.Sizeof(p.control)))
}

func (s *udpSocket) recvmmsg(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.in[0])),
		batchSize, unix.MSG_DONTWAIT, 0, 0)
	s.n, s.errno = int(n), errno
	if errno != 0 {
		s.n = 0
	}
	return errno != unix.EAGAIN
}

func (s *udpSocket) pollOnce(fd uintptr) { s.recvmmsg(fd) }

// loop reads and answers until stop. No error ends it.
func (s *udpSocket) loop() {
	failures := 0
	for {
		err := s.raw.Read(s.receive)
		if err != nil {
			if s.stopping.Load() {
				s.raw.Control(turnAway)
				s.rest()
				return
			}
		} else if s.errno == 0 {
			failures = 0
			s.serve(s.n)
			continue
		}
		if err == nil && s.errno == unix.EINTR {
			continue
		}
		s.counters.receiveErrors.Add(1)
		failures++
		time.Sleep(backoff(failures))
	}
}

// turnAway has the kernel give this socket no more queries, while pending replies
// can be sent from it still: connected to its own address, it takes datagrams
// from there alone. Otherwise it would be preferred to the wildcard sockets of a
// configuration that takes over, and swallow their queries. Where it fails, it
// is only that.
func turnAway(fd uintptr) {
	if self, err := unix.Getsockname(int(fd)); err == nil {
		unix.Connect(int(fd), self)
	}
}

// maxRest is how long queries are answered after stop: longer than it takes for
// what a socket buffer holds, as long as the replies find their way out.
const maxRest = time.Second

// rest answers what had arrived before stop.
func (s *udpSocket) rest() {
	for end := time.Now().Add(maxRest); time.Now().Before(end); {
		if err := s.raw.Control(s.poll); err != nil || s.errno != 0 {
			return
		}
		s.serve(s.n)
	}
}

// stop ends the loop.
func (s *udpSocket) stop() {
	s.stopping.Store(true)
	s.conn.SetReadDeadline(time.Unix(1, 0))
}

// serve answers the first n slots.
func (s *udpSocket) serve(n int) {
	l := s.listener
	r := l.enter(s.worker, n)
	now, done := s.clock.start(n), n
	for i := range n {
		q := s.slots[i]
		if !s.take(i, now) || r.proxies != nil && !l.unwrap(r, q) {
			continue
		}
		switch l.server.serve(r, q) {
		case Pending:
			done--
			s.fill(i)
		case Answered:
			s.queue(q)
		}
	}
	for _, f := range r.gen.onBatch {
		f(s.worker)
	}
	s.flush()
	for i := range n {
		if s.slots[i].tainted {
			s.fill(i)
		}
		s.arm(i)
	}
	r.gen.leave(s.worker, done)
}

// take makes what the kernel wrote into a slot a Query; false means that it has
// no sender.
func (s *udpSocket) take(i int, now time.Time) bool {
	q, m := s.slots[i], &s.in[i]
	q.Packet = q.in[:min(int(m.length), len(q.in))]
	q.Received, q.relayed = now, false
	q.truncated = m.header.Flags&unix.MSG_TRUNC != 0
	if q.truncated {
		s.counters.truncated.Add(1)
	}
	p := &q.peer
	p.nameLen, p.controlLen = m.header.Namelen, int(m.header.Controllen)
	var ok bool
	q.Remote, ok = p.sender()
	q.Local = s.listener.bound
	if to := p.destination(); to.IsValid() {
		q.Local = netip.AddrPortFrom(to, s.listener.bound.Port())
	}
	return ok
}

// sender decodes the source address.
func (p *udpPeer) sender() (netip.AddrPort, bool) {
	switch {
	case p.name.Family == unix.AF_INET && p.nameLen >= unix.SizeofSockaddrInet4:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&p.name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), hostOrder(v4.Port)), true
	case p.name.Family == unix.AF_INET6 && p.nameLen >= unix.SizeofSockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(p.name.Addr).Unmap(), hostOrder(p.name.Port)), true
	}
	return netip.AddrPort{}, false
}

// hostOrder turns a port from network order.
func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// destination decodes the packet information of a wildcard listener, and turns
// it in place into that of the reply: the address asked is its source, and the
// route alone chooses the interface, but for link-local addresses, which mean
// nothing without theirs.
func (p *udpPeer) destination() netip.Addr {
	if p.controlLen < unix.SizeofCmsghdr {
		p.controlLen = 0
		return netip.Addr{}
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&p.control))
	data := unsafe.Add(unsafe.Pointer(&p.control), unix.CmsgLen(0))
	switch {
	case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && p.controlLen >= unix.CmsgLen(unix.SizeofInet4Pktinfo):
		info := (*unix.Inet4Pktinfo)(data)
		info.Ifindex = 0
		return netip.AddrFrom4(info.Addr)
	case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && p.controlLen >= unix.CmsgLen(unix.SizeofInet6Pktinfo):
		info := (*unix.Inet6Pktinfo)(data)
		to := netip.AddrFrom16(info.Addr)
		if !to.IsLinkLocalUnicast() || to.Is4In6() {
			info.Ifindex = 0
		}
		return to.Unmap()
	}
	p.controlLen = 0
	return netip.Addr{}
}

// address makes m the header of the reply to q.
func (m *message) address(q *Query) {
	p, h := &q.peer, &m.header
	p.iov.Base = &q.Reply[0]
	p.iov.SetLen(len(q.Reply))
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&p.name)), p.nameLen
	h.Iov = &p.iov
	h.SetIovlen(1)
	h.Control = nil
	if p.controlLen > 0 {
		h.Control = (*byte)(unsafe.Pointer(&p.control))
	}
	h.SetControllen(p.controlLen)
}

// queue puts a reply into the batch to be sent.
func (s *udpSocket) queue(q *Query) {
	s.out[s.waiting].address(q)
	s.waiting++
}

func (s *udpSocket) sendmmsg(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.out[s.sent])),
		uintptr(s.waiting-s.sent), unix.MSG_DONTWAIT, 0, 0)
	s.n, s.errno = int(n), errno
	return true
}

// A full send buffer is given fullTries of fullWait to empty. Waiting longer
// would let replies to hosts that do not exist, which the kernel holds until it
// gives up on their link address, stop the socket for all others.
const (
	fullTries = 10
	fullWait  = time.Millisecond
)

// flush sends the batch. A reply that the kernel refuses is counted and passed
// over; the others go out.
func (s *udpSocket) flush() {
	tries := 0
	for s.sent = 0; s.sent < s.waiting; {
		if err := s.raw.Write(s.transmit); err != nil {
			s.counters.sendErrors.Add(uint64(s.waiting - s.sent))
			break
		}
		switch {
		case s.errno == 0:
			s.sent += s.n
		case s.errno == unix.EINTR:
		case (s.errno == unix.EAGAIN || s.errno == unix.ENOBUFS) && tries < fullTries:
			tries++
			time.Sleep(fullWait)
		default:
			s.counters.sendErrors.Add(1)
			s.sent++
		}
	}
	s.waiting, s.sent = 0, 0
}

// finish sends the reply of a query that was pending and takes the Query back.
func (s *udpSocket) finish(q *Query) {
	gen := q.chain.gen
	if q.verdict == Answered {
		p := &q.peer
		if p.send == nil {
			p.send = p.sendOne
		}
		p.alone.address(q)
		if err := s.raw.Write(p.send); err != nil || p.errno != 0 {
			s.counters.sendErrors.Add(1)
		}
	}
	s.listener.server.release(q)
	gen.leave(s.worker, 1)
}
