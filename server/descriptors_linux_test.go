package server

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// allowDescriptors sets how many more of them may be open, for one test.
func allowDescriptors(t *testing.T, more uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	next, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	low := syscall.Rlimit{Cur: uint64(next.Fd()) + more, Max: limit.Max}
	next.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		limit             uint64
		sockets, dns, web int
		perDNS, perWeb    int
	}{
		{limit: 300, sockets: 7, dns: 2, web: 1, perDNS: 98, perWeb: 65},
		{limit: 300, sockets: 6, dns: 2, web: 0, perDNS: 131, perWeb: 0},
		{limit: 64, sockets: 40, dns: 8, web: 3, perDNS: 1, perWeb: 1},
		{limit: 1 << 63, sockets: 0, dns: 1, web: 0, perDNS: 1<<30 - spareDescriptors, perWeb: 0},
		{limit: 1024, sockets: 1, dns: 0, web: 1, perDNS: 744, perWeb: 247},
	} {
		dns, web := shares(c.limit, c.sockets, c.dns, c.web)
		if dns != c.perDNS || web != c.perWeb {
			t.Errorf("%+v: got %d and %d", c, dns, web)
		}
		if used := c.sockets + dns*c.dns + web*c.web; c.limit >= 300 && uint64(used+spareDescriptors) > c.limit {
			t.Errorf("%+v: %d descriptors", c, used)
		}
	}
}

// The bounds follow the limit and the number of addresses.
func TestConnectionsBoundedByDescriptors(t *testing.T) {
	l := newLab()
	s, path := l.startFile(t, mounted)
	if most := s.open()[0].tcp.most; most != DefaultTCPConns {
		t.Errorf("%d connections without a low limit", most)
	}
	allowDescriptors(t, 200)
	write(t, path, strings.ReplaceAll(mounted, "bind 127.0.0.1", "bind 127.0.0.1 127.0.0.2"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	sum := s.http["127.0.0.1:0"].conns.most
	for _, l := range s.open() {
		if l.tcp.most < 10 {
			t.Errorf("%d connections at %s", l.tcp.most, l.bound)
		}
		sum += l.tcp.most
	}
	if sum+spareDescriptors > int(limit.Cur) {
		t.Errorf("%d connections of %d descriptors", sum, limit.Cur)
	}
	if log := l.log(); !strings.Contains(log, "few open files are allowed") {
		t.Errorf("not logged:\n%s", log)
	}
}

// When descriptors run out, connections to one address make room for those to
// another, and for probes.
func TestDescriptorsAreShared(t *testing.T) {
	for name, use := range map[string]func(t *testing.T, s *Server){
		"dns": func(t *testing.T, s *Server) {
			conn := &dns.Conn{Conn: dialTCP(t, s.Addrs()[1])}
			if err := conn.WriteMsg(question("a.")); err != nil {
				t.Fatal(err)
			}
			if r, err := conn.ReadMsg(); err != nil || text(t, r) != "hello" {
				t.Errorf("%v %v", r, err)
			}
		},
		"http": func(t *testing.T, s *Server) {
			c := dialTCP(t, s.HTTPAddrs()["127.0.0.1:0"])
			if r, err := request(c, "/health"); err != nil || r.StatusCode != http.StatusOK {
				t.Errorf("%v %v", r, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newLab().start(t, strings.ReplaceAll(mounted, "bind 127.0.0.1", "bind 127.0.0.1 127.0.0.2"))
			first := s.open()[0].tcp
			for range 6 {
				dialTCP(t, s.Addrs()[0])
			}
			eventually(t, "accepted", func() bool { open, _ := first.count(); return open == 6 })
			allowDescriptors(t, 1)
			use(t, s)
			if _, shed := first.count(); shed == 0 {
				t.Error("no connection shed")
			}
		})
	}
}

// The kernel keeps no megabytes for a client that does not read.
func TestTCPBuffersAreBounded(t *testing.T) {
	s := newLab().start(t, mounted)
	ask := dialTCP(t, s.Addrs()[0])
	defer ask.Close()
	eventually(t, "accepted", func() bool { return len(connections(s)) == 1 })
	raw, err := connections(s)[0].conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for name, option := range map[string]int{"send": unix.SO_SNDBUF, "receive": unix.SO_RCVBUF} {
			// Linux doubles what is asked for.
			if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option); err != nil || n > 2*tcpBuffer {
				t.Errorf("%s buffer: %d octets, %v", name, n, err)
			}
		}
	})
}
