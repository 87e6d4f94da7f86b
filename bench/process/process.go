//go:build linux

// Package process starts the servers that the benchmark and the soak look at,
// ends them with all that they have started, and reads what the kernel says of
// them.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a server that was started, with all that it started itself.
type Process struct {
	Started time.Time
	Done    chan struct{} // closed when the first of them has ended
	Err     error         // how it ended; after Done
	name    string
	cmd     *exec.Cmd
	log     *tail
}

// Spawner starts all processes on one thread that lives as long as we do: the
// kernel's "die with your parent" means the parent's thread.
type Spawner chan func()

// NewSpawner makes a Spawner.
func NewSpawner() Spawner {
	jobs := make(Spawner)
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
}

// Start runs a command in a folder of its own. It must be killed.
func (s Spawner) Start(name, dir string, args, env []string) (*Process, error) {
	return s.StartLogging(name, dir, args, env, io.Discard)
}

// StartLogging is Start for one whose standard error is to be kept: it goes to
// log as well, from one goroutine.
func (s Spawner) StartLogging(name, dir string, args, env []string, log io.Writer) (*Process, error) {
	args = unconfined(args)
	p := &Process{name: name, cmd: exec.Command(args[0], args[1:]...), log: new(tail), Done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, io.MultiWriter(p.log, log)
	// A process group of its own: Ctrl-C is for us, and we end it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// Pipes that a grandchild holds open must not keep Wait.
	p.cmd.WaitDelay = time.Second
	result := make(chan error)
	s <- func() {
		p.Started = time.Now()
		result <- p.cmd.Start()
	}
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.Err = p.cmd.Wait()
		close(p.Done)
	}()
	return p, nil
}

// PID is the number of the process that was started.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Run runs a command to its end, or ends it, with all that it started, when ctx
// does.
func (s Spawner) Run(ctx context.Context, dir string, args, env []string) error {
	p, err := s.Start(args[0], dir, args, env)
	if err != nil {
		return err
	}
	select {
	case <-p.Done:
	case <-ctx.Done():
		p.Kill()
		return ctx.Err()
	}
	if p.Err != nil {
		return p.Failure(p.Err)
	}
	return nil
}

// unconfined is the command freed of the AppArmor profile that Debian ships for
// it, which keeps servers out of our folder.
func unconfined(args []string) []string {
	if _, err := os.Stat("/sys/kernel/security/apparmor/profiles"); err != nil {
		return args
	}
	aaExec, err := FindCommand("aa-exec")
	if err != nil {
		return args
	}
	return append([]string{aaExec, "-p", "unconfined", "--"}, args...)
}

// FindCommand finds a program in PATH, and where Debian keeps servers, which is
// not in everybody's PATH.
func FindCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// CPU reads the clocks of the process and its descendants.
func (p *Process) CPU() (CPUReading, error) {
	tree, err := readTree(p.cmd.Process.Pid)
	if err != nil {
		return CPUReading{}, p.Failure(err)
	}
	var sum CPUReading
	for _, s := range tree {
		c, err := readClocks(s.pid)
		if err != nil && s.pid == p.cmd.Process.Pid {
			return CPUReading{}, p.Failure(err)
		}
		// A descendant that has ended since is its parent's from now on.
		sum = sum.add(s.children).add(c)
	}
	return sum, nil
}

// Memory is the proportional set size of the process and its descendants.
func (p *Process) Memory() (int64, error) {
	tree, err := readTree(p.cmd.Process.Pid)
	if err != nil {
		return 0, p.Failure(err)
	}
	return readPSS(tree)
}

// Signal sends a signal to the process and its descendants.
func (p *Process) Signal(s syscall.Signal) {
	// Descendants may have left the group, and the group may have lost its head.
	tree, _ := readTree(p.cmd.Process.Pid)
	select {
	case <-p.Done:
	default:
		syscall.Kill(-p.cmd.Process.Pid, s)
	}
	for _, member := range tree {
		syscall.Kill(member.pid, s)
	}
}

// Kill ends the process and its descendants.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Done
}

// Failure is err with what the process wrote last.
func (p *Process) Failure(err error) error {
	if text := p.log.String(); text != "" {
		return fmt.Errorf("%s: %w; it wrote:\n%s", p.name, err, text)
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2 << 10

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// FreePort finds a port that is free for UDP and TCP. It is below those that the
// kernel gives to clients, so that no client takes it before the server does.
func FreePort(ctx context.Context) (netip.AddrPort, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	var config net.ListenConfig
	for range 200 {
		addr := netip.AddrPortFrom(loopback, uint16(10_000+rand.IntN(20_000)))
		u, err := config.ListenPacket(ctx, "udp4", addr.String())
		if err != nil {
			continue
		}
		u.Close()
		t, err := config.Listen(ctx, "tcp4", addr.String())
		if err != nil {
			continue
		}
		t.Close()
		return addr, nil
	}
	return netip.AddrPort{}, errors.New("no free port between 10000 and 30000 on 127.0.0.1")
}

// Pin keeps a command to one core.
func Pin(core int, args []string) []string {
	return append([]string{"taskset", "--cpu-list", strconv.Itoa(core)}, args...)
}

// PinSelf keeps all threads of this process, and those to come, to one core.
func PinSelf(core int) error {
	var set unix.CPUSet
	set.Set(core)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin to core %d: %w", core, err)
		}
	}
	return nil
}

// ModuleRoot is the folder of our go.mod: the working directory or one above.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "stampdns")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run it in the repository of stampdns")
		}
		dir = up
	}
}
