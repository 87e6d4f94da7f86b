//go:build unix

package server

import "syscall"

// descriptorLimit is how many file descriptors the process may have. The
// run-time has raised it as far as it may at the start.
func descriptorLimit() (n uint64, limited bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
