//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udpFlow is a client with one connected socket.
type udpFlow struct {
	*window
	conn *net.UDPConn
	raw  syscall.RawConn
	out  []byte
	in   [4096]byte
}

// clientBuffer is what the kernel is asked to keep of answers that we have not
// read yet; it may give less.
const clientBuffer = 1 << 20

func (s *soak) newUDPFlow(n int) (*udpFlow, error) {
	listener := n % listeners
	w, err := s.newWindow(fmt.Sprintf("UDP flow %d", n), listener, false, s.random(100+n))
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(s.addrs[listener]))
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(clientBuffer)
	f := &udpFlow{window: w, conn: conn}
	if f.raw, err = conn.SyscallConn(); err != nil {
		conn.Close()
		return nil, err
	}
	return f, nil
}

// run asks until the load is over and the last answer is there, or patience is at
// its end.
func (f *udpFlow) run(ctx context.Context) error {
	const pause = 20 * time.Millisecond
	for looked := f.soak.now(); ctx.Err() == nil; {
		if err := f.fill(); err != nil {
			return err
		}
		if f.soak.loadOver() && f.waiting() == 0 {
			return nil
		}
		f.conn.SetReadDeadline(time.Now().Add(pause))
		if err := f.drain(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if now := f.soak.now(); now-looked > 5*pause {
			looked = now
			f.expire(false)
		}
	}
	return ctx.Err()
}

// fill sends as many queries as may be under way.
func (f *udpFlow) fill() error {
	for {
		packet := f.next(f.out[:0])
		if packet == nil {
			return nil
		}
		f.out = packet
		var errno syscall.Errno
		err := f.raw.Write(func(fd uintptr) bool {
			_, _, errno = unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&packet[0])), uintptr(len(packet)))
			return true
		})
		switch {
		case err != nil:
			return err
		case errno == 0:
			continue
		}
		f.unsend(packet)
		if f.failed(errno) != nil {
			return f.failed(errno)
		}
		return nil
	}
}

// failed tells errors that end a flow from those of one call.
func (f *udpFlow) failed(errno syscall.Errno) error {
	switch errno {
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS:
		return nil
	case unix.ECONNREFUSED:
		f.wrong("port closed", "%s: at %.3fs nobody listened: %v", f.name, f.soak.now().Seconds(), errno)
		return nil
	}
	return fmt.Errorf("%s: %w", f.name, errno)
}

// drain waits for answers, and takes all that are there.
func (f *udpFlow) drain() error {
	var fault error
	err := f.raw.Read(func(fd uintptr) bool {
		for n := 0; ; n++ {
			size, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&f.in[0])), uintptr(len(f.in)),
				unix.MSG_DONTWAIT, 0, 0)
			switch {
			case errno == unix.EAGAIN:
				return n > 0
			case errno != 0:
				fault = f.failed(errno)
				return true
			}
			f.take(f.in[:size])
			if n >= len(f.slots)/2 {
				return true
			}
		}
	})
	return errors.Join(err, fault)
}
