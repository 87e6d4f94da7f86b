//go:build linux

package main

import (
	"context"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The batch and the buffers are those of stampdns.
const (
	datagramBatch  = 32
	datagramBuffer = 4 << 20
	datagramPacket = 4096
)

// datagram is the kernel's struct mmsghdr.
type datagram struct {
	header unix.Msghdr
	length uint32
}

// datagramSlot is what one datagram points to.
type datagramSlot struct {
	name   unix.RawSockaddrInet6
	iov    unix.Iovec
	packet [datagramPacket]byte
}

// datagramSocket has the I/O of the server and nothing else: recvmmsg and sendmmsg
// on one SO_REUSEPORT socket, called non-blocking, on one goroutine that parks
// in the netpoller when there is nothing to read.
type datagramSocket struct {
	messages [datagramBatch]datagram
	slots    [datagramBatch]datagramSlot
	n        int
	errno    syscall.Errno
	sent     int
}

// answerer makes of the n octets in packet the reply to them, in place, and returns
// its length; 0 sends none. It runs on one goroutine.
type answerer func(packet []byte, n int) int

// serveDatagrams answers what arrives at addr until the process is killed.
func serveDatagrams(addr string, answer answerer) error {
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
	conn.SetReadBuffer(datagramBuffer)
	conn.SetWriteBuffer(datagramBuffer)
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	s := new(datagramSocket)
	receive, transmit := s.receive, s.transmit
	for {
		s.arm()
		if err := raw.Read(receive); err != nil {
			return err
		}
		if s.errno != 0 {
			continue
		}
		s.turn(answer)
		for s.sent < s.n {
			if err := raw.Write(transmit); err != nil {
				return err
			}
		}
	}
}

// arm readies all slots to be read into.
func (s *datagramSocket) arm() {
	for i := range s.messages {
		slot, h := &s.slots[i], &s.messages[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&slot.name)), uint32(unsafe.Sizeof(slot.name))
		slot.iov.Base = &slot.packet[0]
		slot.iov.SetLen(datagramPacket)
		h.Iov = &slot.iov
		h.SetIovlen(1)
	}
}

// turn makes what was read what is to be sent. A message without a reply gives its
// place to the next one that has one; arm puts all back.
func (s *datagramSocket) turn(answer answerer) {
	replies := 0
	for i := range s.n {
		slot := &s.slots[i]
		length := answer(slot.packet[:], int(s.messages[i].length))
		if length == 0 {
			continue
		}
		slot.iov.SetLen(length)
		s.messages[replies].header = s.messages[i].header
		replies++
	}
	s.n, s.sent = replies, 0
}

func (s *datagramSocket) receive(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.messages[0])),
		datagramBatch, unix.MSG_DONTWAIT, 0, 0)
	s.n, s.errno = int(n), errno
	if errno != 0 {
		s.n = 0
	}
	return errno != unix.EAGAIN
}

// transmit sends what is left; what the kernel refuses is passed over.
func (s *datagramSocket) transmit(fd uintptr) bool {
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
