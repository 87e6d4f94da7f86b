package forward

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sender writes datagrams without waiting, and without telling the scheduler of a
// system call: it is called where queries are read, which nothing may hold up.
type sender struct {
	raw     syscall.RawConn
	message []byte
	errno   syscall.Errno
	call    func(fd uintptr) bool

	// What is gathered, to be sent together: the messages' IDs, and what describes
	// them to sendmmsg, of which so many are sent.
	ids      []uint16
	out      [gatherMost]gatheredMessage
	iov      [gatherMost]unix.Iovec
	sent     int
	done     int
	callMany func(fd uintptr) bool
	failed   []uint16
}

// gatherMost is the most datagrams that are sent with one system call.
const gatherMost = 32

// gatheredMessage is the kernel's struct mmsghdr.
type gatheredMessage struct {
	header unix.Msghdr
	length uint32
}

func (s *sender) init(conn *net.UDPConn) (err error) {
	s.call, s.callMany = s.sendto, s.sendmmsg
	s.raw, err = conn.SyscallConn()
	return err
}

// write sends m. The caller makes sure that there is one write at a time.
func (s *sender) write(m []byte) error {
	s.message = m
	err := s.raw.Write(s.call)
	s.message = nil
	if err == nil && s.errno != 0 {
		err = s.errno
	}
	return err
}

func (s *sender) sendto(fd uintptr) bool {
	_, _, s.errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&s.message[0])), uintptr(len(s.message)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return true
}

// full says that nothing more can be gathered.
func (s *sender) full() bool { return len(s.ids) == gatherMost }

// gather takes m, which must not change until it is sent, and returns true if it is
// the first one. There must be room.
func (s *sender) gather(m []byte, id uint16) (first bool) {
	n := len(s.ids)
	s.iov[n].Base = &m[0]
	s.iov[n].SetLen(len(m))
	s.out[n].header.Iov = &s.iov[n]
	s.out[n].header.SetIovlen(1)
	s.ids = append(s.ids, id)
	return n == 0
}

// sendGathered sends what is gathered and returns the IDs of what could not be sent.
func (s *sender) sendGathered() (failed []uint16, err error) {
	s.failed = s.failed[:0]
	for s.sent = 0; s.sent < len(s.ids); {
		writeErr := s.raw.Write(s.callMany)
		switch {
		case writeErr != nil:
			s.failed, err = append(s.failed, s.ids[s.sent:]...), writeErr
			s.sent = len(s.ids)
		case s.errno == 0:
			s.sent += s.done
		case s.errno != unix.EINTR:
			s.failed, err = append(s.failed, s.ids[s.sent]), s.errno
			s.sent++
		}
	}
	clear(s.iov[:len(s.ids)])
	s.ids = s.ids[:0]
	return s.failed, err
}

func (s *sender) sendmmsg(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.out[s.sent])), uintptr(len(s.ids)-s.sent),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	s.done, s.errno = int(n), errno
	return true
}
