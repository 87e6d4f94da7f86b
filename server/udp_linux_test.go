package server

import (
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// hasTruncation: the system says that a datagram was longer than the buffer.
func hasTruncation() bool { return true }

// The real loop allocates nothing: 10000 queries through sockets, with what the
// test itself does kept free of allocations. The run-time and the test binary
// allocate a little now and then; one in a hundred queries is the tolerance.
func TestUDPLoopDoesNotAllocate(t *testing.T) {
	s := newLab().start(t, `.:0 {
		say hello
	}`)
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(loopback(1, s.Addrs()[0].Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	m := question("a.example.").SetEdns0(1232, false)
	packet, _ := m.Pack()
	buf := make([]byte, 4096)
	exchange := func(n int) {
		for range n {
			if _, err := c.Write(packet); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange(1000)
	const queries = 10000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	exchange(queries)
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > queries/100 {
		t.Errorf("%d allocations for %d queries", n, queries)
	}
}

// idleSocket is a socket of the server's that nobody reads, and a client that
// has sent it n queries.
func idleSocket(t *testing.T, n int) (*udpSocket, *net.UDPConn) {
	t.Helper()
	s := newLab().start(t, ".:0 {\n bind 127.0.0.1\n say hello\n}\n", func(o *Options) { o.Workers = 1 })
	u, err := newUDPSocket(s.open()[0], 0, mustListen(t))
	if err != nil {
		t.Fatal(err)
	}
	client := mustListen(t)
	t.Cleanup(func() { u.conn.Close(); client.Close() })
	packet, _ := question("a.").Pack()
	for range n {
		if _, err := client.WriteToUDPAddrPort(packet, u.conn.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			t.Fatal(err)
		}
	}
	client.SetReadDeadline(time.Now().Add(3 * time.Second))
	return u, client
}

// One reply that the kernel refuses must not cost the others of its batch.
func TestUDPSendErrorLosesOneReply(t *testing.T) {
	u, client := idleSocket(t, 3)
	if u.raw.Control(u.poll); u.n != 3 {
		t.Fatalf("%d datagrams in the batch", u.n)
	}
	// Port 0 is no destination: EINVAL.
	u.slots[1].peer.name.Port = 0
	u.serve(3)
	for range 2 {
		if _, err := client.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	if n := u.counters.sendErrors.Load(); n != 1 {
		t.Errorf("%d send errors counted", n)
	}
}

// What had arrived before the end is answered.
func TestUDPStopAnswersWhatArrived(t *testing.T) {
	const queries = 3*batchSize + 1
	u, client := idleSocket(t, queries)
	u.stop()
	u.loop()
	for range queries {
		if _, err := client.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
}

func mustListen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Without file descriptors, accepting goes on when there are some again.
func TestTCPAcceptOutlivesLackOfDescriptors(t *testing.T) {
	l := newLab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n say hello\n}\n")
	var limit, low syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	next, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	low.Cur, low.Max = uint64(next.Fd())+1, limit.Max
	next.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	// What tests before still close leaves a descriptor for accept now and then: until
	// it finds none, all but the client's are taken up.
	eventually(t, "accept fails", func() bool {
		if strings.Contains(l.log(), "too many open files") {
			return true
		}
		var last *os.File
		for f, err := os.Open(os.DevNull); err == nil; f, err = os.Open(os.DevNull) {
			t.Cleanup(func() { f.Close() })
			last = f
		}
		if last != nil {
			last.Close()
		}
		if c, err := net.Dial("tcp", s.Addrs()[0].String()); err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return false
	})
	restore()
	// Those from before may have been closed to make room.
	conn := &dns.Conn{Conn: dialTCP(t, s.Addrs()[0])}
	if err := conn.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.ReadMsg(); err != nil || text(t, r) != "hello" {
		t.Errorf("%v %v", r, err)
	}
}
