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
}

func (s *sender) init(conn *net.UDPConn) (err error) {
	s.call = s.sendto
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
