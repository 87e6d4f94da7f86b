//go:build unix && !aix && !solaris

package server

import (
	"os"
	"syscall"
)

// unlock ends a lock of flock, as bbolt takes it.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
