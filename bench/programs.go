//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// program is one of the servers that are compared.
type program struct {
	name string
	// command is the program's path, or its name; packages are Debian's that
	// bring it.
	command  string
	packages string
	version  []string // arguments that print the version
	peer     bool     // one that we are compared with
	udpOnly  bool
	floor    bool // no DNS server: it echoes
	slow     bool // see slowRounds
	variant  bool // of ours: it takes part in the mixes alone
	// unsigned ones take no master file that is signed without a database beside it.
	unsigned bool
	// configure writes the configuration to serve zones, and returns the arguments;
	// nil for one that only forwards.
	configure func(s *setup) ([]string, error)
	// forward is the same to forward all questions; nil for one that does not.
	forward func(s *setup) ([]string, error)
	// reloads are the ways to have it take up a zone file that has changed.
	reloads []reload
}

// setup is what a program is to be started with.
type setup struct {
	command  string
	dir      string // for it alone
	addr     netip.AddrPort
	metrics  netip.AddrPort
	profiles netip.AddrPort
	data     *dataset
	workers  int
}

// reload is a way to have a changed file taken up. Without a command the server
// finds it by itself.
type reload struct {
	how     string
	command func(s *setup, zone string) []string
	signal  bool // SIGHUP to the server
}

// instance is a program that runs.
type instance struct {
	*program
	setup
	process *process.Process
}

// write writes a file into the setup's folder and returns its path.
func (s *setup) write(name string, lines ...string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// find sets the command to its path, or says what to install.
func (p *program) find() error {
	path, err := process.FindCommand(p.command)
	if err != nil {
		return fmt.Errorf("%s is not installed: run .ci/install bench, or install Debian's %s; or choose others with -servers",
			p.name, p.packages)
	}
	p.command = path
	return nil
}

var versionNumber = regexp.MustCompile(`\d+\.\d+[\w.+~-]*`)

// release is the version that the program says it is, "" for our own.
func (p *program) release(ctx context.Context) string {
	if p.version == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, p.command, p.version...).CombinedOutput()
	return string(versionNumber.Find(out))
}

// launch starts a program with a dataset: pinned to the server's core with one
// worker, or with free choice of the cores and a worker each.
func (b *bench) launch(ctx context.Context, p *program, data *dataset, pinned bool) (*instance, error) {
	dir, err := os.MkdirTemp(b.dir, p.name+"-")
	if err != nil {
		return nil, err
	}
	i := &instance{program: p, setup: setup{command: p.command, dir: dir, data: data, workers: 1}}
	if !pinned {
		i.workers = b.machine.Cores
	}
	for _, addr := range []*netip.AddrPort{&i.addr, &i.metrics, &i.profiles} {
		if *addr, err = process.FreePort(ctx); err != nil {
			return nil, err
		}
	}
	configure := p.configure
	if data.forwards() && !p.floor {
		configure = p.forward
	}
	args, err := configure(&i.setup)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", p.name, err)
	}
	args = append([]string{p.command}, args...)
	cores := "0-" + strconv.Itoa(b.machine.Cores-1)
	if pinned {
		cores = strconv.Itoa(b.serverCore)
	}
	args = append([]string{"taskset", "--cpu-list", cores}, args...)
	i.process, err = b.spawner.Start(p.name, dir, args, []string{"GOMAXPROCS=" + strconv.Itoa(i.workers)})
	if err != nil {
		return nil, err
	}
	b.keep(i)
	return i, nil
}

// ready waits until the instance answers all questions right, and returns how
// long after its start that was.
func (i *instance) ready(ctx context.Context, questions []question) (time.Duration, error) {
	if !i.floor {
		ctx, cancel := context.WithTimeoutCause(ctx, loadLimit, fmt.Errorf("not loaded after %v", loadLimit))
		defer cancel()
		if err := waitFor(ctx, i.addr, questions, 5*time.Millisecond, i.process.Done); err != nil {
			return 0, i.process.Failure(err)
		}
	}
	return time.Since(i.process.Started), nil
}

// loadLimit is how long a server may take to load.
const loadLimit = 2 * time.Minute

// stop ends the instance and removes what it left.
func (b *bench) stop(i *instance) {
	i.process.Kill()
	os.RemoveAll(i.dir)
	b.forget(i)
}
