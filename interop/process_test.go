//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The patience of the tests: how long a server may take to answer for the first
// time, and to stop.
const (
	startTime = 30 * time.Second
	stopTime  = 15 * time.Second
	pollTime  = 20 * time.Millisecond
)

// process is a server that a test started on a host.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{} // closed when it has ended
	err  error         // how; after done
}

// start runs a command on the host until stop, or the end of the test. What it
// wrote is shown if the test fails.
func (h *host) start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	command := append([]string{"ip", "netns", "exec", h.netns}, unconfined(args)...)
	p := &process{
		t: t, name: name, cmd: exec.Command(command[0], command[1:]...),
		log: new(logBuffer), done: make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := spawn(p.cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("what %s on %s wrote:\n%s", p.name, h.netns, p.log.String())
		}
	})
	return p
}

// stop ends the process with SIGTERM and returns how it ended; where it is
// deaf, the test fails. A process that has ended is left alone.
func (p *process) stop() error {
	select {
	case <-p.done:
		return p.err
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.t.Errorf("%s did not stop within %v of SIGTERM", p.name, stopTime)
		p.kill()
	}
	return p.err
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// ready waits until probe returns nil.
func (p *process) ready(probe func() error) {
	p.t.Helper()
	deadline := time.Now().Add(startTime)
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s ended at its start: %v", p.name, p.err)
		case <-time.After(pollTime):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not answer after %v: %v", p.name, startTime, err)
		}
	}
}

// spawner is the thread that starts all processes. The kernel's "die with your
// parent" means the parent's thread, so that thread must live as long as we do.
var spawner = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// spawn starts cmd on the spawner's thread.
func spawn(cmd *exec.Cmd) error {
	result := make(chan error)
	spawner() <- func() { result <- cmd.Start() }
	return <-result
}

// unconfined is the command freed of the AppArmor profile that Debian ships for
// it, which keeps servers out of the test's folder.
func unconfined(args []string) []string {
	if _, err := os.Stat("/sys/kernel/security/apparmor/profiles"); err != nil {
		return args
	}
	aaExec, err := exec.LookPath("aa-exec")
	if err != nil {
		return args
	}
	return append([]string{aaExec, "-p", "unconfined", "--"}, args...)
}

// logBuffer keeps the end of what a process writes.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

const logSize = 4 << 10

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if extra := len(b.text) - logSize; extra > 0 {
		b.text = append(b.text[:0], b.text[extra:]...)
	}
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// write writes a file of the test and returns its path.
func write(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
