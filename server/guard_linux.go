package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// canRefuse says whether the system can refuse connections to a socket's address.
const canRefuse = true

func stopListening(fd uintptr) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(int(fd), unix.SHUT_RD))
}

// listenAgain asks for the longest queue; the kernel has its own limit.
func listenAgain(fd uintptr) error {
	return os.NewSyscallError("listen", unix.Listen(int(fd), 1<<16-1))
}
