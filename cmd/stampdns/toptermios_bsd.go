//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package main

import "golang.org/x/sys/unix"

// How the mode of a terminal is read and set.
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)
