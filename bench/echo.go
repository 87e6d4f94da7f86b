//go:build linux

package main

import (
	"context"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// echoName is the program that shows what a query costs if nobody looks at it.
const echoName = "echo"

// echo is the floor: this program again, sending every datagram back as a reply.
func echo(self string) *program {
	return &program{
		name: echoName, command: self, udpOnly: true, floor: true,
		configure: func(s *setup) ([]string, error) { return []string{"-echo", s.addr.String()}, nil },
	}
}

// The batch and the buffers are those of stampdns.
const (
	echoBatch  = 32
	echoBuffer = 4 << 20
	echoPacket = 4096
)

// echoMessage is the kernel's struct mmsghdr.
type echoMessage struct {
	header unix.Msghdr
	length uint32
}

// echoSlot is what one echoMessage points to.
type echoSlot struct {
	name   unix.RawSockaddrInet6
	iov    unix.Iovec
	packet [echoPacket]byte
}

// echoSocket has the I/O of the server and nothing else: recvmmsg and sendmmsg
// on one SO_REUSEPORT socket, called non-blocking, on one goroutine that parks
// in the netpoller when there is nothing to read.
type echoSocket struct {
	messages [echoBatch]echoMessage
	slots    [echoBatch]echoSlot
	n        int
	errno    syscall.Errno
	sent     int
}

// serveEcho echoes what arrives at addr, with the QR bit set, until the process
// is killed.
func serveEcho(addr string) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		control := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if control != nil {
			return control
		}
		return err
	}}
	packets, err := config.ListenPacket(context.Background(), "udp4", addr)
	if err != nil {
		return err
	}
	conn := packets.(*net.UDPConn)
	conn.SetReadBuffer(echoBuffer)
	conn.SetWriteBuffer(echoBuffer)
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	s := new(echoSocket)
	receive, transmit := s.receive, s.transmit
	for {
		s.arm()
		if err := raw.Read(receive); err != nil {
			return err
		}
		if s.errno != 0 {
			continue
		}
		s.turn()
		for s.sent < s.n {
			if err := raw.Write(transmit); err != nil {
				return err
			}
		}
	}
}

// arm readies all slots to be read into.
func (s *echoSocket) arm() {
	for i := range s.messages {
		slot, h := &s.slots[i], &s.messages[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&slot.name)), uint32(unsafe.Sizeof(slot.name))
		slot.iov.Base = &slot.packet[0]
		slot.iov.SetLen(echoPacket)
		h.Iov = &slot.iov
		h.SetIovlen(1)
	}
}

// turn makes what was read what is to be sent.
func (s *echoSocket) turn() {
	const qr = 0x80
	for i := range s.n {
		slot := &s.slots[i]
		slot.packet[2] |= qr
		slot.iov.SetLen(int(s.messages[i].length))
	}
	s.sent = 0
}

func (s *echoSocket) receive(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.messages[0])),
		echoBatch, unix.MSG_DONTWAIT, 0, 0)
	s.n, s.errno = int(n), errno
	if errno != 0 {
		s.n = 0
	}
	return errno != unix.EAGAIN
}

// transmit sends what is left; what the kernel refuses is passed over.
func (s *echoSocket) transmit(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.messages[s.sent])),
		uintptr(s.n-s.sent), unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		s.sent += int(n)
	case unix.EAGAIN:
		return false
	default:
		s.sent++
	}
	return true
}
