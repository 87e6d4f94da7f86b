package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onTerminal is the command on a terminal of the test's own.
type onTerminal struct {
	t       *testing.T
	master  *os.File
	slave   *os.File
	cmd     *exec.Cmd
	shown   *safeBuffer
	stderr  *safeBuffer
	before  unix.Termios
	stopped chan error
}

// startOnTerminal runs a command line on a terminal of 80 columns and 24 lines, until
// the test ends.
func startOnTerminal(t *testing.T, env []string, args ...string) *onTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("this test needs a terminal of its own, from /dev/ptmx and /dev/pts: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("this test needs a terminal of its own, from /dev/ptmx and /dev/pts: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	o := &onTerminal{t: t, master: master, slave: slave, shown: new(safeBuffer), stderr: new(safeBuffer), stopped: make(chan error, 1)}
	o.resize(80, 24)
	o.before = o.mode()
	o.cmd = exec.Command(os.Args[0], args...)
	o.cmd.Env = append([]string{commandVar + "=1", "STAMPDNS_INTERVAL=100ms"}, env...)
	o.cmd.Stdin, o.cmd.Stdout, o.cmd.Stderr = slave, slave, o.stderr
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.cmd.Process.Kill() })
	go func() {
		var octets [4096]byte
		for {
			n, err := master.Read(octets[:])
			if err != nil {
				return
			}
			_, _ = o.shown.Write(octets[:n])
		}
	}()
	go func() { o.stopped <- o.cmd.Wait() }()
	return o
}

func (o *onTerminal) resize(width, height uint16) {
	o.t.Helper()
	if err := unix.IoctlSetWinsize(int(o.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		o.t.Fatal(err)
	}
}

// mode is the terminal's.
func (o *onTerminal) mode() unix.Termios {
	o.t.Helper()
	mode, err := unix.IoctlGetTermios(int(o.slave.Fd()), unix.TCGETS)
	if err != nil {
		o.t.Fatal(err)
	}
	return *mode
}

func (o *onTerminal) press(keys string) {
	o.t.Helper()
	if _, err := o.master.WriteString(keys); err != nil {
		o.t.Fatal(err)
	}
}

// frame is what was drawn last.
func (o *onTerminal) frame() string {
	all := o.shown.String()
	return all[max(0, strings.LastIndex(all, homeCursor)):]
}

// await waits for a frame.
func (o *onTerminal) await(what string, ok func(frame string) bool) {
	o.t.Helper()
	for deadline := time.Now().Add(patience); !ok(o.frame()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("no %s: %q, stderr %s", what, o.frame(), o.stderr)
		}
	}
}

func (o *onTerminal) awaitText(text string) {
	o.t.Helper()
	o.await(text, func(frame string) bool { return strings.Contains(frame, text) })
}

// end waits for the end with an exit code, and for the terminal to be as it was.
func (o *onTerminal) end(code int) {
	o.t.Helper()
	select {
	case <-o.stopped:
	case <-time.After(patience):
		o.t.Fatalf("top did not end: %q", o.frame())
	}
	if got := o.cmd.ProcessState.ExitCode(); got != code {
		o.t.Errorf("exit code %d, want %d: %s", got, code, o.stderr)
	}
	if o.mode() != o.before {
		o.t.Errorf("the terminal's mode is %+v, was %+v", o.mode(), o.before)
	}
	o.await("end of the alternate screen", func(frame string) bool { return strings.HasSuffix(frame, leaveScreen) })
}

func TestTopOnATerminal(t *testing.T) {
	api := newFakeAPI(t, "")
	api.page = true
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			writeJSON(w, 503, apiError("be\x1b[2Jback soon"))
			return
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	o := startOnTerminal(t, []string{"TERM=xterm", "STAMPDNS_API=" + server.URL}, "top")
	o.awaitText("0 queries/s")
	o.awaitText("warning one-server: ")
	if o.mode().Lflag&(unix.ICANON|unix.ECHO) != 0 {
		t.Error("keys do not come as they are pressed")
	}
	if all := o.shown.String(); !strings.HasPrefix(all, enterScreen) || strings.Count(all, "\x1b[2J") != 1 || !strings.Contains(all, "\x1b[1;33m") {
		t.Errorf("drawn: %q", all)
	}
	if n := strings.Count(o.frame(), "\r\n"); n != 23 {
		t.Errorf("%d line ends on 24 lines", n)
	}
	o.resize(40, 10)
	o.await("smaller screen", func(frame string) bool { return strings.Count(frame, "\r\n") == 9 })
	o.resize(120, 40)
	o.await("larger screen", func(frame string) bool { return strings.Count(frame, "\r\n") == 39 })
	o.press("\x1bOP\x1b[1;5p\x1bq\x1b[qf")
	o.awaitText("f resolver: corp")
	o.await("queries of corp alone", func(string) bool { return strings.Contains(strings.Join(api.asked(), "\n"), "&resolver=corp") })
	o.press("ff")
	o.awaitText("f resolver: all")
	o.press("p")
	o.awaitText("paused")
	away.Store(true)
	o.awaitText("be?[2Jback soon; trying again")
	away.Store(false)
	o.await("way back", func(frame string) bool { return !strings.Contains(frame, "trying again") })
	o.press("pq")
	o.end(exitOK)
}

// TestTopEnds: the terminal is given back, however top ends.
func TestTopEnds(t *testing.T) {
	url := newFakeAPI(t, "").serve()
	for _, tc := range []struct {
		name string
		end  func(*onTerminal)
	}{
		{"Ctrl-C", func(o *onTerminal) { o.press("\x03") }},
		{"Ctrl-\\", func(o *onTerminal) { o.press("\x1c") }},
		{"SIGTERM", func(o *onTerminal) { _ = o.cmd.Process.Signal(syscall.SIGTERM) }},
	} {
		o := startOnTerminal(t, []string{"TERM=xterm", "NO_COLOR=1", "STAMPDNS_API=" + url}, "top")
		o.awaitText("0 queries/s")
		if all := o.shown.String(); strings.Contains(all, "\x1b[1;33m") || strings.Contains(all, "\x1b[32m") {
			t.Errorf("%s: colors in spite of NO_COLOR: %q", tc.name, all)
		}
		tc.end(o)
		o.end(exitOK)
	}
}

// TestTopStops: Ctrl-Z gives the terminal back, and SIGCONT takes it again.
func TestTopStops(t *testing.T) {
	o := startOnTerminal(t, []string{"TERM=xterm", "STAMPDNS_API=" + newFakeAPI(t, "").serve()}, "top")
	o.awaitText("0 queries/s")
	if err := o.cmd.Process.Signal(syscall.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(text[bytes.LastIndexByte(text, ')')+2:][:1])
	}
	o.await("stop", func(frame string) bool { return state() == "T" && strings.HasSuffix(frame, leaveScreen) })
	if got := o.mode(); got != o.before {
		t.Errorf("the terminal's mode is %+v, was %+v", got, o.before)
	}
	if err := o.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.awaitText("q quit")
	o.press("q")
	o.end(exitOK)
}

// TestTopPlainOnATerminal: no order reaches a terminal that knows none, or where plain
// text is wanted, or where there is no server.
func TestTopPlainOnATerminal(t *testing.T) {
	url := newFakeAPI(t, "").serve()
	for _, tc := range []struct {
		term, line string
		code       int
		want       string
	}{
		{"dumb", "top", exitOK, "RESOLVER "},
		{"xterm", "top --plain", exitOK, "RESOLVER "},
		{"xterm", "top --count 1", exitOK, "RESOLVER "},
		{"xterm", "top -o json", exitOK, `"resolvers":`},
		{"xterm", "top --api 127.0.0.1:1", exitFailed, ""},
	} {
		o := startOnTerminal(t, []string{"TERM=" + tc.term, "STAMPDNS_API=" + url}, strings.Fields(tc.line)...)
		<-o.stopped
		o.await("output", func(string) bool { return strings.Contains(o.shown.String(), tc.want) })
		if code := o.cmd.ProcessState.ExitCode(); code != tc.code || strings.Contains(o.shown.String(), "\x1b") || o.mode() != o.before {
			t.Errorf("%s on %s: exit code %d, %q%s", tc.line, tc.term, code, o.shown.String(), o.stderr)
		}
	}
}
