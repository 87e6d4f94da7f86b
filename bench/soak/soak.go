//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// soak is a run under way. close ends whatever it started.
type soak struct {
	*options
	root, dir string
	begun     time.Time
	say       func(string)
	findings  *findings
	spawner   process.Spawner
	server    *process.Process
	log       *serverLog

	addrs                  []netip.AddrPort // of DNS
	metrics, health, ready netip.AddrPort

	stamp    *history
	zones    []*zone
	changers []*changer
	reloader *reloader
	observer *observer
	drops    *drops
	udp      []*udpFlow
	tcp      []*tcpFlow

	over                                  atomic.Bool // the load
	changes, hostilePackets, hostileConns atomic.Int64
	cpu                                   process.CPUTime // of the server under load
	lasted                                time.Duration   // the load
	finished                              bool            // it went to its end
}

// fileZone is served by the directive file; its file includes the one that
// changes.
const fileZone = "file.soak.example."

func (s *soak) folder() string       { return filepath.Join(s.dir, "zones") }
func (s *soak) corefile() string     { return filepath.Join(s.dir, "Corefile") }
func (s *soak) fileZonePath() string { return filepath.Join(s.dir, "db.file") }

// now is the time since the start of the run.
func (s *soak) now() time.Duration { return time.Since(s.begun) }

func (s *soak) loadOver() bool { return s.over.Load() }

func (s *soak) flows() int { return s.sockets + s.conns }

// random is a stream of random numbers of its own for each user.
func (s *soak) random(stream int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(stream))) }

// newSoak builds the server, writes its files, and starts it. Where it returns an
// error and a soak, the soak must be closed.
func newSoak(ctx context.Context, o *options, root string, say func(string)) (*soak, error) {
	s := &soak{options: o, root: root, begun: time.Now(), say: say, spawner: process.NewSpawner()}
	s.findings = newFindings(func(text string) { say(fmt.Sprintf("%4.0fs %s", s.now().Seconds(), text)) })
	var err error
	if s.dir, err = os.MkdirTemp("", "stampdns-soak-"); err != nil {
		return nil, err
	}
	binary, err := s.build(ctx)
	if err != nil {
		return s, err
	}
	s.makeZones()
	for _, c := range s.changers {
		if err := c.first(); err != nil {
			return s, err
		}
	}
	// Another process may take a port that was free a moment ago.
	for try := 1; ; try++ {
		if err = s.start(ctx, binary); err == nil || try == 3 || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return s, err
	}
	s.observer = newObserver(s)
	return s, s.openFlows()
}

// build builds the server, unless there is one.
func (s *soak) build(ctx context.Context) (string, error) {
	if s.binary != "" {
		return filepath.Abs(s.binary)
	}
	path := filepath.Join(s.dir, "stampdns")
	args, env := []string{"go", "build", "-trimpath", "-o", path, "./cmd/stampdns"}, []string{"CGO_ENABLED=0"}
	if s.race {
		args, env = []string{"go", "build", "-race", "-o", path, "./cmd/stampdns"}, []string{"CGO_ENABLED=1"}
	}
	if err := s.spawner.Run(ctx, s.root, args, env); err != nil {
		return "", fmt.Errorf("build stampdns: %w", err)
	}
	return path, nil
}

// makeZones makes the zones of the run and those who change them.
func (s *soak) makeZones() {
	s.stamp = newHistory(s.bound, s.now, content{version: 1})
	add := func(origin, path, folder string, first content) {
		z := &zone{origin: origin, version: 1, history: newHistory(s.bound, s.now, first)}
		s.zones = append(s.zones, z)
		s.changers = append(s.changers, &changer{zone: z, soak: s, r: s.random(300 + len(s.zones)), path: path, folder: folder})
	}
	add(fileZone, filepath.Join(s.dir, "db.file.body"), "", content{version: 1})
	for i := range s.stay {
		origin := fmt.Sprintf("zone%02d.soak.example", i)
		add(origin+".", filepath.Join(s.folder(), "db."+origin), "", content{version: 1})
	}
	for i := range s.come {
		add(fmt.Sprintf("come%02d.soak.example.", i), "", s.folder(), content{kind: absent})
	}
	s.reloader = &reloader{config: config{soak: s, stamp: 1, blocked: []string{"203.0.113.0/24"}}, r: s.random(1)}
}

// first writes the file with which the server starts.
func (c *changer) first() error {
	if err := os.MkdirAll(c.soak.folder(), 0o755); err != nil || c.folder != "" {
		return err
	}
	if c.origin == fileZone {
		include := "; the zone is in the file that this one includes\n$INCLUDE " + c.path + "\n"
		if err := os.WriteFile(c.soak.fileZonePath(), []byte(include), 0o644); err != nil {
			return err
		}
	}
	return c.replace(c.text(c.version))
}

// start starts the server on free ports and waits until it is ready.
func (s *soak) start(ctx context.Context, binary string) error {
	dnsAddr, err := process.FreePort(ctx)
	if err != nil {
		return err
	}
	s.addrs = []netip.AddrPort{dnsAddr, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 2}), dnsAddr.Port())}
	for _, a := range []*netip.AddrPort{&s.metrics, &s.health, &s.ready} {
		if *a, err = process.FreePort(ctx); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.corefile(), []byte(s.reloader.text()), 0o644); err != nil {
		return err
	}
	s.log = new(serverLog)
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	if s.log.file, err = os.Create(filepath.Join(s.out, "server.log")); err != nil {
		return err
	}
	s.server, err = s.spawner.StartLogging("stampdns", s.dir, []string{binary, "serve", "--conf", s.corefile()}, nil, s.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("not ready after 30s"))
	defer cancel()
	o := newObserver(s)
	for {
		err := o.scrape(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.server.Done:
			return s.server.Failure(fmt.Errorf("it has ended: %w", err))
		case <-ctx.Done():
			s.server.Kill()
			return s.server.Failure(fmt.Errorf("%w: %w", context.Cause(ctx), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *soak) openFlows() error {
	for n := range s.sockets {
		f, err := s.newUDPFlow(n)
		if err != nil {
			return err
		}
		s.udp = append(s.udp, f)
	}
	for n := range s.conns {
		f, err := s.newTCPFlow(n)
		if err != nil {
			return err
		}
		s.tcp = append(s.tcp, f)
	}
	var err error
	s.drops, err = newDrops(s.addrs, s.udp)
	return err
}

// run puts the load on, with all that disturbs it, for as long as was asked for.
// An error is one of ours: what the server does wrong are findings.
func (s *soak) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before, err := s.server.CPU()
	if err != nil {
		return err
	}
	start := s.now()
	var load, trouble sync.WaitGroup
	troubled, calm := context.WithCancel(ctx)
	defer calm()
	begin := func(group *sync.WaitGroup, ctx context.Context, f func(context.Context) error) {
		group.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	for _, f := range s.udp {
		begin(&load, ctx, f.run)
	}
	for _, f := range s.tcp {
		begin(&load, ctx, f.run)
	}
	for _, c := range s.changers {
		begin(&trouble, troubled, c.run)
	}
	begin(&trouble, troubled, s.reloader.run)
	begin(&trouble, troubled, s.observer.run)
	begin(&trouble, troubled, func(ctx context.Context) error { return s.litter(ctx, s.random(2)) })
	if s.hostile > 0 {
		begin(&trouble, troubled, func(ctx context.Context) error { return s.hostileUDP(ctx, s.random(3)) })
		begin(&trouble, troubled, func(ctx context.Context) error { s.hostileTCP(ctx, s.badConns); return nil })
	}
	select {
	case <-time.After(s.duration):
	case <-ctx.Done():
	case <-s.server.Done:
		s.findings.addf("crash", "at %.3fs: %v", s.now().Seconds(), s.server.Failure(s.server.Err))
		cancel(errors.New("the server has ended"))
	}
	// Whatever has been begun is answered while the trouble goes on.
	s.over.Store(true)
	load.Wait()
	s.lasted = s.now() - start
	calm()
	trouble.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	after, err := s.server.CPU()
	if err != nil {
		return err
	}
	s.cpu = after.Sub(before)
	return s.finish(ctx)
}

// finish has a last look, and has the server end as it should.
func (s *soak) finish(ctx context.Context) error {
	s.finished = true
	for _, f := range s.udp {
		f.expire(true)
	}
	if err := s.observer.look(ctx); err != nil {
		s.findings.addf("not observable", "after the load: %v", err)
	}
	const patience = 20 * time.Second
	if err := syscall.Kill(s.server.PID(), syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.server.Done:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		s.findings.addf("no end", "the server did not end within %s of SIGTERM", patience)
		return nil
	}
	var exit *exec.ExitError
	if errors.As(s.server.Err, &exit) {
		s.findings.addf("bad end", "%v", s.server.Failure(s.server.Err))
	}
	return nil
}

// close ends the server and removes all that was written but for the log.
func (s *soak) close() {
	if s.server != nil {
		s.server.Kill()
	}
	for _, f := range s.udp {
		f.conn.Close()
	}
	if s.log != nil && s.log.file != nil {
		s.log.file.Close()
	}
	os.RemoveAll(s.dir)
}

// serverLog is the server's log: kept as a file up to a size, and looked through
// for what must not be in it.
type serverLog struct {
	file *os.File
	size int

	mu       sync.Mutex
	rest     []byte // of a line
	reloads  int
	failed   int
	alarming []string
}

const mostLog = 256 << 20

// Write never fails.
func (l *serverLog) Write(p []byte) (int, error) {
	if l.size += len(p); l.size < mostLog {
		io.Copy(l.file, bytes.NewReader(p))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			l.rest = bytes.Clone(l.rest)
			return len(p), nil
		}
		l.rest = rest
		l.line(line)
	}
}

func (l *serverLog) line(line []byte) {
	switch {
	case bytes.Contains(line, []byte("msg=reloaded ")):
		l.reloads++
	case bytes.Contains(line, []byte("reload failed")):
		l.failed++
	case bytes.Contains(line, []byte("panic")), bytes.Contains(line, []byte("DATA RACE")), bytes.Contains(line, []byte("did not end")):
		if len(l.alarming) < keptFindings {
			l.alarming = append(l.alarming, string(line))
		}
	}
}

// cores says how many cores there are, for the report.
func cores() string { return strconv.Itoa(runtime.NumCPU()) }
