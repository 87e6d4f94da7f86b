package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Sockets on other addresses take over although queries are pending, over TCP and
// UDP, on the ones before: the kernel would prefer the socket of an address,
// which nobody reads, to the wildcard, and that of IPv4 to that of both.
func TestReloadWhileOverlappingSocketsDrain(t *testing.T) {
	for before, after := range map[string]string{
		"bind 127.0.0.2": "", "bind 0.0.0.0": "", "": "bind 127.0.0.2", "bind 127.0.0.2 127.0.0.1": "bind 0.0.0.0",
	} {
		t.Run(before+" to "+after, func(t *testing.T) { testTakeOver(t, before, after) })
	}
}

func testTakeOver(t *testing.T, before, after string) {
	l := newLab()
	port := freePort(t)
	s, path := l.startFile(t, fmt.Sprintf(".:%d {\n %s\n watch\n hold\n}\n", port, before))
	addr := loopback(2, port)
	tcp := &dns.Conn{Conn: dialTCP(t, addr)}
	if err := tcp.WriteMsg(question("a.")); err != nil {
		t.Fatal(err)
	}
	heldTCP := <-l.pending
	udp, err := dns.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	udp.SetDeadline(time.Now().Add(10 * time.Second))
	if err := udp.WriteMsg(question("b.")); err != nil {
		t.Fatal(err)
	}
	heldUDP := <-l.pending
	old := s.open()[0]
	write(t, path, fmt.Sprintf(".:%d {\n %s\n watch\n say new\n}\n", port, after))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		eventually(t, "the wildcard answers over "+network, func() bool {
			c := dns.Client{Net: network, Timeout: 100 * time.Millisecond}
			r, _, err := c.Exchange(question("a."), addr.String())
			return err == nil && text(t, r) == "new"
		})
	}
	// The kernel spreads clients over sockets: many of them. What came to the ones
	// before until then is pending there.
	eventually(t, "the sockets before turned queries away", func() bool { return turnedAway(old) })
	for range 20 {
		if got := text(t, ask(t, "udp", addr, question("a."))); got != "new" {
			t.Error(got)
		}
	}
	appendTXT(heldUDP, "late")
	heldUDP.Finish(Answered)
	if r, err := udp.ReadMsg(); err != nil || text(t, r) != "late" {
		t.Errorf("%v %v", r, err)
	}
	if l.stops.Load() != 0 {
		t.Error("TCP was not draining any more")
	}
	appendTXT(heldTCP, "late")
	heldTCP.Finish(Answered)
	if r, err := tcp.ReadMsg(); err != nil || text(t, r) != "late" {
		t.Errorf("%v %v", r, err)
	}
	eventually(t, "OnStop", func() bool {
		for len(l.pending) > 0 {
			(<-l.pending).Finish(Dropped)
		}
		return l.stops.Load() == 1
	})
}

// turnedAway says whether the kernel gives the sockets of l no more queries.
func turnedAway(l *listener) bool {
	for _, u := range l.udp {
		err := error(unix.ENOTCONN)
		u.raw.Control(func(fd uintptr) { _, err = unix.Getpeername(int(fd)) })
		if err != nil {
			return false
		}
	}
	return true
}
