//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Namespaces are called PREFIX-PID-LAB-HOST, so that runs at the same time do
// not meet and a later run sees whose owner is dead.
const (
	netnsPrefix = "stampdns-interop"
	netnsDir    = "/run/netns"
)

// labs numbers the labs of this process.
var labs atomic.Int32

// lab is a switch that hosts plug into: a network of its own that nothing
// leaves. It is gone when the test ends.
type lab struct {
	t      *testing.T
	prefix string
	ports  int
}

// host is a network namespace with one interface in the lab.
type host struct {
	t     *testing.T
	netns string
	addr  netip.Addr
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, prefix: fmt.Sprintf("%s-%d-%d-", netnsPrefix, os.Getpid(), labs.Add(1))}
	l.addNetns("switch")
	l.ip("-n", l.prefix+"switch", "link", "add", "br0", "type", "bridge")
	l.ip("-n", l.prefix+"switch", "link", "set", "br0", "up")
	return l
}

// host adds a host. Its address is of 192.0.2.0/24 or 198.51.100.0/24, which are
// both on the link.
func (l *lab) host(name, addr string) *host {
	l.t.Helper()
	h := &host{t: l.t, netns: l.prefix + name, addr: netip.MustParseAddr(addr)}
	l.addNetns(name)
	l.ports++
	port := fmt.Sprintf("port%d", l.ports)
	l.ip("-n", l.prefix+"switch", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.netns)
	l.ip("-n", l.prefix+"switch", "link", "set", port, "master", "br0", "up")
	l.ip("-n", h.netns, "addr", "add", addr+"/32", "dev", "eth0")
	l.ip("-n", h.netns, "link", "set", "lo", "up")
	l.ip("-n", h.netns, "link", "set", "eth0", "up")
	for _, network := range []string{"192.0.2.0/24", "198.51.100.0/24"} {
		l.ip("-n", h.netns, "route", "add", network, "dev", "eth0", "src", addr)
	}
	return h
}

func (l *lab) addNetns(name string) {
	l.t.Helper()
	netns := l.prefix + name
	l.ip("netns", "add", netns)
	l.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", netns).CombinedOutput(); err != nil {
			l.t.Errorf("remove network namespace %s: %v: %s", netns, err, out)
		}
	})
}

// ip runs the command ip; the test fails when it does.
func (l *lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("cannot make the lab's network: ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// inside runs f on a thread that is in the host's namespace. Sockets that f
// opens stay there; goroutines that f starts do not.
func (h *host) inside(f func() error) error {
	result := make(chan error, 1)
	go func() {
		// The goroutine ends while locked, and its thread with it: no other
		// goroutine can ever run in the namespace by mistake.
		runtime.LockOSThread()
		fd, err := unix.Open(filepath.Join(netnsDir, h.netns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			result <- fmt.Errorf("open network namespace %s: %w", h.netns, err)
			return
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace %s: %w", h.netns, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// get fetches a page as a process on the host does, and fails the test where it cannot.
func (h *host) get(t *testing.T, url string) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = h.inside(func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, response.Status, err, text)
	}
	return string(text)
}

// removeStale removes the namespaces of runs that ended without cleaning up,
// and the processes left in them.
func removeStale() error {
	stale, err := filepath.Glob(filepath.Join(netnsDir, netnsPrefix+"-*"))
	if err != nil {
		return err
	}
	for _, path := range stale {
		netns := filepath.Base(path)
		owner, _, _ := strings.Cut(strings.TrimPrefix(netns, netnsPrefix+"-"), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		pids, err := exec.Command("ip", "netns", "pids", netns).Output()
		if err != nil {
			return fmt.Errorf("list processes left in %s: %w", netns, err)
		}
		for _, field := range strings.Fields(string(pids)) {
			if left, err := strconv.Atoi(field); err == nil {
				syscall.Kill(left, syscall.SIGKILL)
			}
		}
		if out, err := exec.Command("ip", "netns", "delete", netns).CombinedOutput(); err != nil {
			return fmt.Errorf("remove network namespace %s of an earlier run: %w: %s", netns, err, out)
		}
	}
	return nil
}
