package forward

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveBatch is the most datagrams that one system call reads.
const receiveBatch = 8

// receiver reads datagrams, all that have come with one system call, which is made
// without telling the scheduler of it: it does not wait.
type receiver struct {
	raw   syscall.RawConn
	call  func(fd uintptr) bool
	n     int
	errno syscall.Errno
	in    [receiveBatch]receivedMessage
	iov   [receiveBatch]unix.Iovec
	buf   [receiveBatch][receiveSize]byte
}

// receivedMessage is the kernel's struct mmsghdr.
type receivedMessage struct {
	header unix.Msghdr
	length uint32
}

func newReceiver(conn *net.UDPConn) (*receiver, error) {
	r := new(receiver)
	var err error
	r.raw, err = conn.SyscallConn()
	r.call = r.recvmmsg
	for i := range r.in {
		r.iov[i].Base = &r.buf[i][0]
		r.iov[i].SetLen(receiveSize)
		r.in[i].header.Iov = &r.iov[i]
		r.in[i].header.SetIovlen(1)
	}
	return r, err
}

func (r *receiver) recvmmsg(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.in[0])), receiveBatch, unix.MSG_DONTWAIT, 0, 0)
	r.n, r.errno = int(n), errno
	return errno != unix.EAGAIN
}

// read waits for datagrams and returns how many have come.
func (r *receiver) read() (int, error) {
	if err := r.raw.Read(r.call); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	return r.n, nil
}

// message is the n-th datagram of those read.
func (r *receiver) message(n int) []byte { return r.buf[n][:min(int(r.in[n].length), receiveSize)] }
