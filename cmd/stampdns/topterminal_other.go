//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

import "os"

// terminal is none: on this system top prints plain text.
type terminal struct{}

func newTerminal(*os.File, *os.File, bool) *terminal { return nil }

func (*terminal) hasKeys() bool             { return false }
func (*terminal) keys() <-chan byte         { return nil }
func (*terminal) signals() <-chan os.Signal { return nil }
func (*terminal) enter() error              { return nil }
func (*terminal) leave() error              { return nil }
func (*terminal) signaled(os.Signal) error  { return nil }
func (*terminal) size() (int, int)          { return 0, 0 }
func (*terminal) forget()                   {}
func (*terminal) draw([]topLine) error      { return nil }
