package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestReload(t *testing.T) {
	l := newLab()
	s, path := l.startFile(t, `.:0 {
		bind 127.0.0.1
		watch
		say before
	}`)
	addr, hash := s.Addrs()[0], s.current.hash
	conn := &dns.Conn{Conn: dialTCP(t, addr)}
	write(t, path, `.:0 {
		bind 127.0.0.1 127.0.0.2
		watch
		say after
	}`)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	addrs := s.Addrs()
	if len(addrs) != 2 || addrs[0] != addr {
		t.Fatalf("the socket was not kept: %v, then %v", addr, addrs)
	}
	for _, a := range addrs {
		for _, network := range []string{"udp", "tcp"} {
			if got := text(t, ask(t, network, a, question("a."))); got != "after" {
				t.Errorf("%s %s: %s", network, a, got)
			}
		}
	}
	if err := conn.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.ReadMsg(); err != nil || text(t, r) != "after" {
		t.Errorf("a connection from before the reload: %v %v", r, err)
	}
	eventually(t, "OnStop of the generation before", func() bool { return l.stops.Load() == 1 })
	if l.starts.Load() != 2 || s.current.hash == hash {
		t.Error("no new generation")
	}

	write(t, path, `.:0 {
		bind 127.0.0.2
		watch
		say last
	}`)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first address is closed", func() bool {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	// The address may be had again.
	write(t, path, fmt.Sprintf(".:0 {\n bind 127.0.0.2\n say last\n}\n.:%d {\n bind 127.0.0.1\n say again\n}\n", addr.Port()))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, ask(t, "udp", addr, question("a."))); got != "again" {
		t.Error(got)
	}
}

func TestReloadFailsWhole(t *testing.T) {
	l := newLab()
	const good = `.:0 {
		bind 127.0.0.1
		watch
		mount 127.0.0.1:0 /x before
		say before
	}`
	s, path := l.startFile(t, good)
	addr := s.Addrs()[0]
	taken, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	free := freePort(t)
	for name, c := range map[string]struct{ text, err string }{
		"syntax":    {".:0 {\n bind 127.0.0.1\n say after\n", path + ":1: "},
		"directive": {".:0 {\n sayy after\n}\n", path + ":2: "},
		"plugin":    {".:0 {\n say after\n bad errf\n}\n", path + ":3: "},
		"panic":     {".:0 {\n bad panic\n}\n", path + ":2: "},
		"port":      {fmt.Sprintf(".:%d {\n bind 127.0.0.1\n}\n.:%d {\n bind 127.0.0.1\n}\n", free, port), "address already in use"},
		"http":      {fmt.Sprintf(".:%d {\n bind 127.0.0.1\n mount 192.0.2.200:0 /x after\n}\n", free), path + ":3: listen tcp 192.0.2.200:0: "},
	} {
		failed := metric(t, s, "stampdns_reload_failed_total")
		write(t, path, c.text)
		err := s.Reload()
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %q", name, err, c.err)
			continue
		}
		if log := l.log(); !strings.Contains(log, "reload failed") || !strings.Contains(log, c.err) {
			t.Errorf("%s: not logged:\n%s", name, log)
		}
		if n := metric(t, s, "stampdns_reload_failed_total"); n != failed+1 {
			t.Errorf("%s: counted %v", name, n)
		}
		if got := text(t, ask(t, "udp", addr, question("a."))); got != "before" {
			t.Errorf("%s: got %s", name, got)
		}
		if got := get(t, s, "127.0.0.1:0", "/x"); got != "before" {
			t.Errorf("%s: HTTP: %s", name, got)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if starts, stops := l.starts.Load(), l.stops.Load(); starts != 1 || stops != 0 {
		t.Errorf("%d starts, %d stops", starts, stops)
	}
	// None of the failures holds a socket.
	key := listenKey{netip.MustParseAddr("127.0.0.1"), free}
	if err := key.probe(); err != nil {
		t.Error(err)
	}
}

// freePort is a port that nobody has, below those that the system gives out.
func freePort(t testing.TB) uint16 {
	t.Helper()
	for range 100 {
		port := uint16(20000 + rand.IntN(10000))
		if (listenKey{port: port}).probe() == nil {
			return port
		}
	}
	t.Fatal("no free port found")
	return 0
}

// No query is lost while the configuration changes under load: each client asks
// again only when it has its answer.
func TestReloadUnderLoad(t *testing.T) {
	l := newLab()
	s, path := l.startFile(t, ".:0 {\n watch\n say 0\n}\n")
	port := s.Addrs()[0].Port()
	var stop atomic.Bool
	var clients sync.WaitGroup
	for i := range 4 {
		network := []string{"udp", "tcp"}[i%2]
		clients.Go(func() {
			c, err := dns.Dial(network, loopback(1, port).String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			last := 0
			for !stop.Load() {
				m := question("a.")
				c.SetDeadline(time.Now().Add(5 * time.Second))
				if err := c.WriteMsg(m); err != nil {
					t.Error(network, err)
					return
				}
				r, err := c.ReadMsg()
				if err != nil || r.Id != m.Id {
					t.Errorf("%s: query lost: %v %v", network, r, err)
					return
				}
				var now int
				if _, err := fmt.Sscan(text(t, r), &now); err != nil || now < last {
					t.Errorf("%s: generation %d answers after %d", network, now, last)
				}
				last = now
			}
		})
	}
	const reloads = 30
	for i := 1; i <= reloads; i++ {
		write(t, path, fmt.Sprintf(".:0 {\n watch\n say %d\n}\n", i))
		if err := s.Reload(); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	clients.Wait()
	eventually(t, "all generations before stopped", func() bool { return l.stops.Load() == reloads })
}

func TestPendingOutlivesReload(t *testing.T) {
	l := newLab()
	s, path := l.startFile(t, ".:0 {\n bind 127.0.0.1\n watch\n hold\n}\n")
	addr := s.Addrs()[0]
	var conns []*dns.Conn
	for _, network := range []string{"udp", "tcp"} {
		c, err := dns.Dial(network, addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if err := c.WriteMsg(question(network + ".")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	held := map[Transport]*Query{}
	for range conns {
		q := <-l.pending
		held[q.Transport] = q
	}
	// The new configuration does not even have the socket.
	write(t, path, ".:0 {\n bind 127.0.0.2\n watch\n say new\n}\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != "new" {
		t.Error(got)
	}
	if l.stops.Load() != 0 {
		t.Error("OnStop came before the last query ended")
	}
	for i, transport := range []Transport{UDP, TCP} {
		q := held[transport]
		appendTXT(q, "late")
		q.Finish(Answered)
		if r, err := conns[i].ReadMsg(); err != nil || text(t, r) != "late" {
			t.Errorf("%s: %v %v", transport, r, err)
		}
	}
	eventually(t, "OnStop", func() bool { return l.stops.Load() == 1 })
}

// An address that is given up and wanted again while a query is pending there
// waits for it: the socket that is leaving would take queries and not read them.
func TestReloadBackToLeavingAddress(t *testing.T) {
	l := newLab()
	one := fmt.Sprintf(".:%d {\n bind 127.0.0.1\n hold\n}\n", freePort(t))
	s, path := l.startFile(t, one)
	addr := s.Addrs()[0]
	c, err := dns.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	held := <-l.pending
	write(t, path, ".:0 {\n bind 127.0.0.2\n say other\n}\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.ReplaceAll(one, "hold", "say back"))
	done := make(chan error)
	go func() { done <- s.Reload() }()
	select {
	case err := <-done:
		t.Fatalf("the reload did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	held.Finish(Answered)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := text(t, ask(t, "udp", addr, question("a."))); got != "back" {
		t.Error(got)
	}
}

// Nobody enters a generation whose drain is over.
func TestEnterAndDrain(t *testing.T) {
	s := New(Options{Workers: 2})
	generation := func() *router {
		g, err := s.build(Corefile{Text: []byte(".:0 {\n}\n")})
		if err != nil {
			t.Fatal(err)
		}
		return &router{gen: g}
	}
	l := &listener{server: s}
	first := generation()
	l.router.Store(first)
	var over sync.Map
	var stop atomic.Bool
	var workers sync.WaitGroup
	for w := range s.workers {
		workers.Go(func() {
			for !stop.Load() {
				r := l.enter(w, 1)
				if _, drained := over.Load(r); drained {
					t.Error("entered a drained generation")
				}
				r.gen.leave(w, 1)
			}
		})
	}
	for range 2000 {
		old := l.router.Swap(generation())
		if err := old.gen.drain(context.Background()); err != nil {
			t.Error(err)
		}
		over.Store(old, true)
	}
	stop.Store(true)
	workers.Wait()
}

func TestKeepOutlivesReload(t *testing.T) {
	l := newLab()
	s, path := l.startFile(t, ".:0 {\n bind 127.0.0.1\n keep a\n}\n")
	for want := 2; want < 4; want++ {
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != fmt.Sprint(want) {
			t.Errorf("got %s, want %d", got, want)
		}
	}
	for _, key := range []string{"b", "a"} {
		write(t, path, ".:0 {\n bind 127.0.0.1\n keep "+key+"\n}\n")
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != "1" {
		t.Errorf("got %s: the value was kept though nobody asked for it", got)
	}
}

func TestTwoServersInOneProcess(t *testing.T) {
	one := newLab().start(t, ".:0 {\n bind 127.0.0.1\n say one\n}\n")
	two := newLab().start(t, ".:0 {\n bind 127.0.0.1\n say two\n}\n")
	for s, want := range map[*Server]string{one: "one", two: "two"} {
		if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	// They cannot share a port, although SO_REUSEPORT would let them.
	port := one.Addrs()[0].Port()
	three := newLab().newServer(t)
	for _, bind := range []string{"127.0.0.1", ""} {
		text := fmt.Sprintf(".:%d {\n say three\n", port)
		if bind != "" {
			text += "bind " + bind + "\n"
		}
		err := three.Start(Corefile{Text: []byte(text + "}\n")})
		var listen *ListenError
		if !errors.As(err, &listen) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
			t.Errorf("bind %q: got %v", bind, err)
		}
	}
	if err := three.Start(Corefile{Text: []byte(".:0 {\n bind 127.0.0.1\n say three\n}\n")}); err != nil {
		t.Errorf("start after a failed one: %v", err)
	}
	if err := three.Start(Corefile{Text: []byte(".:0 {\n}\n")}); !errors.Is(err, errStarted) {
		t.Errorf("second start: %v", err)
	}
}

// A block on all addresses has its share of a listener on one of them.
func TestWildcardBesideAddress(t *testing.T) {
	port := freePort(t)
	s, path := newLab().startFile(t, fmt.Sprintf(`all.:%[1]d {
		say all
	}
	one.:%[1]d {
		bind 127.0.0.2
		say one
	}`, port))
	check := func(zones map[string][3]string) {
		t.Helper()
		for zone, want := range zones {
			for n := byte(1); n <= 2; n++ {
				for _, network := range []string{"udp", "tcp"} {
					r := ask(t, network, loopback(n, port), question(zone))
					if want[n] == "" && r.Rcode != dns.RcodeRefused || want[n] != "" && text(t, r) != want[n] {
						t.Errorf("%s %s at 127.0.0.%d: want %q, got\n%s", network, zone, n, want[n], r)
					}
				}
			}
		}
	}
	check(map[string][3]string{"all.": {"", "all", "all"}, "one.": {"", "", "one"}})
	// And an address beside the wildcard that is kept.
	write(t, path, fmt.Sprintf("all.:%[1]d {\n say all\n}\none.:%[1]d {\n bind 127.0.0.1 127.0.0.2\n say two\n}\n", port))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	check(map[string][3]string{"all.": {"", "all", "all"}, "one.": {"", "two", "two"}})
}

func TestLifecycleErrors(t *testing.T) {
	s := newLab().newServer(t)
	if err := s.Reload(); !errors.Is(err, errNotStarted) {
		t.Error(err)
	}
	if err := s.Ready(); !errors.Is(err, errNotStarted) {
		t.Error(err)
	}
	if s.Addrs() != nil || s.Blocks() != nil || len(s.HTTPAddrs()) != 0 {
		t.Error("something is served before Start")
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Ready(); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if err := s.Reload(); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}

func TestListenErrors(t *testing.T) {
	s := newLab().newServer(t)
	err := s.Start(Corefile{Text: []byte(".:0 {\n bind 192.0.2.200\n}\n")})
	var listen *ListenError
	if !errors.As(err, &listen) || !errors.Is(err, syscall.EADDRNOTAVAIL) || listen.Network != "udp" || listen.Addr != "192.0.2.200:0" {
		t.Errorf("got %v", err)
	}
	for _, c := range []struct {
		err  ListenError
		want []string
	}{
		{ListenError{"udp", "192.0.2.200:0", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}},
			[]string{"listen udp 192.0.2.200:0: ", "not on this machine"}},
		{ListenError{"udp", "127.0.0.1:53", os.NewSyscallError("bind", syscall.EADDRINUSE)},
			[]string{"listen udp 127.0.0.1:53: address already in use: stop the program", "53", "another port"}},
		{ListenError{"tcp", ":53", os.NewSyscallError("bind", syscall.EACCES)},
			[]string{"listen tcp :53: permission denied: ", "choose a higher one", "cap_net_bind_service", "ip_unprivileged_port_start=53"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.err.Error(), want) {
				t.Errorf("%q lacks %q", c.err.Error(), want)
			}
		}
	}
}
