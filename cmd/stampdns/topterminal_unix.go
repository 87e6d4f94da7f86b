//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a terminal is told (xterm's control sequences, which all of today know).
const (
	// The alternate screen, without a cursor and without lines that go on in the next.
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	clearLine   = "\x1b[K"
)

// terminal is a terminal in the hands of this process between enter and leave. It is
// for one goroutine.
type terminal struct {
	in      *os.File // nil where no keys can be read
	out     *os.File
	color   bool
	before  *unix.Termios // of in, before enter
	drawn   string
	pressed chan byte
	came    chan os.Signal
	// wake ends the reading of keys.
	wake   *os.File
	reader sync.WaitGroup
}

// newTerminal is the terminal that out is, nil if it is none. Keys are read from in,
// if that is one.
func newTerminal(in, out *os.File, color bool) *terminal {
	if _, err := unix.IoctlGetTermios(int(out.Fd()), getTermios); err != nil {
		return nil
	}
	t := &terminal{out: out, color: color, came: make(chan os.Signal, 4)}
	if in != nil {
		if _, err := unix.IoctlGetTermios(int(in.Fd()), getTermios); err == nil {
			t.in = in
		}
	}
	return t
}

func (t *terminal) hasKeys() bool { return t.in != nil }

// keys are those that are pressed; it is closed where the terminal is gone, and nil
// where there are none.
func (t *terminal) keys() <-chan byte { return t.pressed }

// signals are those that signaled wants to know of.
func (t *terminal) signals() <-chan os.Signal { return t.came }

// enter takes the terminal: keys come as they are pressed and are not shown.
func (t *terminal) enter() error {
	signal.Notify(t.came, syscall.SIGWINCH, syscall.SIGTSTP)
	if err := t.take(); err != nil {
		_ = t.leave()
		return err
	}
	if t.in == nil {
		return nil
	}
	stop, wake, err := os.Pipe()
	if err != nil {
		_ = t.leave()
		return err
	}
	t.wake, t.pressed = wake, make(chan byte)
	t.reader.Go(func() {
		defer stop.Close()
		t.read(int(t.in.Fd()), int(stop.Fd()), t.pressed)
	})
	return nil
}

// take changes the terminal's mode, and remembers the one that it had.
func (t *terminal) take() error {
	if t.in != nil {
		before, err := unix.IoctlGetTermios(int(t.in.Fd()), getTermios)
		if err != nil {
			return err
		}
		mode := *before
		mode.Lflag &^= unix.ICANON | unix.ECHO
		mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
		if err := unix.IoctlSetTermios(int(t.in.Fd()), setTermios, &mode); err != nil {
			return err
		}
		t.before = before
	}
	t.forget()
	_, err := t.out.WriteString(enterScreen)
	return err
}

// give undoes take.
func (t *terminal) give() error {
	_, err := t.out.WriteString(leaveScreen)
	if t.before != nil {
		if failed := unix.IoctlSetTermios(int(t.in.Fd()), setTermios, t.before); err == nil {
			err = failed
		}
		t.before = nil
	}
	return err
}

// leave gives the terminal back as it was.
func (t *terminal) leave() error {
	signal.Stop(t.came)
	if t.wake != nil {
		t.wake.Close()
		// The reader may have a key that nobody wants.
		for range t.pressed {
		}
		t.reader.Wait()
		t.wake = nil
	}
	return t.give()
}

// signaled does what a signal is for: the window has another size, or the user stops
// the process for a while.
func (t *terminal) signaled(s os.Signal) error {
	t.forget()
	if s != syscall.SIGTSTP {
		return nil
	}
	if err := t.give(); err != nil {
		return err
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGCONT)
	defer signal.Stop(again)
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	// The stop may reach this thread later than the others.
	<-again
	return t.take()
}

// read hands on keys until stop is closed at its other end.
func (t *terminal) read(in, stop int, pressed chan<- byte) {
	defer close(pressed)
	var octets [64]byte
	var keys keyParser
	for {
		ready := []unix.PollFd{{Fd: int32(in), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err == unix.EINTR {
			continue
		} else if err != nil || ready[1].Revents != 0 {
			return
		}
		n, err := unix.Read(in, octets[:])
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		for _, octet := range octets[:n] {
			if keys.plain(octet) {
				pressed <- octet
			}
		}
	}
}

// keyParser tells keys of one octet from those that send a sequence, such as arrows
// and F1, which are nothing to us.
type keyParser struct{ state byte }

// plain says whether the octet is a key by itself.
func (k *keyParser) plain(octet byte) bool {
	switch {
	case octet == '\x1b':
		k.state = octet
	case k.state == '\x1b' && (octet == '[' || octet == 'O'):
		k.state = octet
	case k.state == '[' && (octet < '@' || octet > '~'):
		// Parameters of a control sequence (ECMA-48 section 5.4).
	case k.state != 0:
		k.state = 0
	default:
		return true
	}
	return false
}

// size is how many columns and lines there are.
func (t *terminal) size() (width, height int) {
	size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// forget has all of the screen drawn next time.
func (t *terminal) forget() { t.drawn = "" }

// draw shows the lines, unless they are there already.
func (t *terminal) draw(lines []topLine) error {
	var b strings.Builder
	b.WriteString(homeCursor)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		// Behind a full line it would clear the last column.
		b.WriteString(clearLine)
		for _, s := range line {
			if codes := s.style.sgr(t.color); codes != "" && s.text != "" {
				b.WriteString("\x1b[" + codes + "m" + s.text + "\x1b[0m")
			} else {
				b.WriteString(s.text)
			}
		}
	}
	frame := b.String()
	if frame == t.drawn {
		return nil
	}
	t.drawn = frame
	_, err := t.out.WriteString(frame)
	return err
}
