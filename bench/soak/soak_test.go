//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// short are the options of a soak that fits a test: it says whether answers are
// right and none is lost, on a machine that may be slow, and nothing of speed.
func short(t *testing.T, binary string) *options {
	o, err := parseOptions([]string{
		"-for=4s", "-bound=1m", "-patience=30s", "-rate=2000", "-sockets=4", "-conns=2", "-window=8",
		"-zones=6", "-come=3", "-every=100ms", "-reload=250ms", "-hostile=400", "-bad-conns=20", "-seed=1",
	})
	if err != nil {
		t.Fatal(err)
	}
	o.out, o.binary = t.TempDir(), binary
	return o
}

// TestSoak has the server soak for a short time, and end before its time.
func TestSoak(t *testing.T) {
	root, err := process.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "stampdns")
	build := exec.Command("go", "build", "-pgo=off", "-o", binary, "./cmd/stampdns")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("whole", func(t *testing.T) { testWhole(t, short(t, binary)) })
	t.Run("stopped", func(t *testing.T) { testStopped(t, short(t, binary)) })
	t.Run("crash", func(t *testing.T) { testCrash(t, short(t, binary)) })
}

func testWhole(t *testing.T, o *options) {
	report, failed, err := soakOnce(t.Context(), o, "", func(string) {})
	if err != nil || failed {
		t.Errorf("error %v\n%s", err, report)
	}
	t.Log(report)
}

// start starts a soak that lasts longer than any test.
func start(t *testing.T, ctx context.Context, o *options) *soak {
	t.Helper()
	o.duration = time.Hour
	s, err := newSoak(ctx, o, "", func(string) {})
	if s != nil {
		t.Cleanup(s.close)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// underWay waits until a soak is at work.
func underWay(ctx context.Context, s *soak) {
	for s.hostilePackets.Load() == 0 && ctx.Err() == nil {
		pause(ctx, time.Millisecond)
	}
}

// testStopped says that a soak that is stopped ends, and leaves nothing.
func testStopped(t *testing.T, o *options) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	s := start(t, ctx, o)
	enough := errors.New("enough")
	go func() {
		underWay(ctx, s)
		cancel(enough)
	}()
	if err := s.run(ctx); !errors.Is(err, enough) {
		t.Errorf("stopped: %v", err)
	}
	s.close()
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
	if _, err := s.server.CPU(); err == nil {
		t.Errorf("the server goes on")
	}
}

// testCrash says that a server that ends is a finding.
func testCrash(t *testing.T, o *options) {
	s := start(t, t.Context(), o)
	go func() {
		underWay(t.Context(), s)
		s.server.Kill()
	}()
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "the server has ended") {
		t.Errorf("with a server that has ended: %v", err)
	}
	if report := s.verdict(); !strings.Contains(report, "crash: 1\n") {
		t.Errorf("no finding:\n%s", report)
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range []string{"-for=0s", "-window=257", "-sockets=0", "-rate=-1", "-hostile=-1", "-zones=1000", "more"} {
		if _, err := parseOptions([]string{bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
