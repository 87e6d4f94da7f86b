package server

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestUDPAndTCPAnswer(t *testing.T) {
	s := newLab().start(t, `example.:0 {
		bind 127.0.0.1
		say hello
	}`)
	addrs := s.Addrs()
	if len(addrs) != 1 || addrs[0].Port() == 0 || addrs[0].Addr() != loopback(1, 0).Addr() {
		t.Fatalf("Addrs() = %v", addrs)
	}
	for _, network := range []string{"udp", "tcp"} {
		m := question("WwW.eXample.")
		r := ask(t, network, addrs[0], m)
		if r.Rcode != dns.RcodeSuccess || !r.Authoritative || text(t, r) != "hello" {
			t.Errorf("%s: got\n%s", network, r)
		}
		if got := r.Question[0].Name; got != "WwW.eXample." {
			t.Errorf("%s: question %q: the case is not as sent", network, got)
		}
		r = ask(t, network, addrs[0], question("elsewhere.invalid."))
		if r.Rcode != dns.RcodeRefused {
			t.Errorf("%s: other zone: got\n%s", network, r)
		}
	}
}

// Replies to a wildcard listener come from the address that was asked: a
// connected socket takes no others.
func TestWildcardRepliesFromAddressAsked(t *testing.T) {
	for _, bind := range []string{"", "bind 0.0.0.0"} {
		s := newLab().start(t, `.:0 {
			`+bind+`
			servers ns01=127.0.0.1 ns02=127.0.0.2
			where
		}`)
		port := s.Addrs()[0].Port()
		for n, want := range map[byte]string{1: `udp 127.0.0.1 [ns01]`, 2: `udp 127.0.0.2 [ns02]`, 3: `udp 127.0.0.3 [any]`} {
			if got := text(t, ask(t, "udp", loopback(n, port), question("a."))); got != want {
				t.Errorf("bind %q: got %s, want %s", bind, got, want)
			}
			want = "tcp" + want[3:]
			if got := text(t, ask(t, "tcp", loopback(n, port), question("a."))); got != want {
				t.Errorf("bind %q: got %s, want %s", bind, got, want)
			}
		}
		if bind != "" {
			continue
		}
		if six := netip.AddrPortFrom(netip.IPv6Loopback(), port); hasIPv6() {
			if got, want := text(t, ask(t, "udp", six, question("a."))), `udp ::1 [any]`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func hasIPv6() bool {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestNameServerByBindAddress(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1 127.0.0.2
		servers ns01=192.0.2.11 ns02=192.0.2.12
		where
	}`)
	addrs := s.Addrs()
	for i, want := range []string{`udp 127.0.0.1 [ns01]`, `udp 127.0.0.2 [ns02]`} {
		if got := text(t, ask(t, "udp", addrs[i], question("a."))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A handler that ignores Limit, and one that encodes a long dns.Msg, must not
// make a datagram longer than the client takes.
func TestUDPTruncation(t *testing.T) {
	for _, how := range []string{"big 30", "big 30 msg"} {
		l := newLab()
		s := l.start(t, `.:0 {
			bind 127.0.0.1
			watch
			udpsize 1400
			`+how+`
		}`)
		for _, size := range []uint16{0, 100, 512, 1232, 4096} {
			m := question("a.example.")
			limit := 512
			if size > 0 {
				m.SetEdns0(size, false)
				limit = min(1400, max(512, int(size)))
			}
			packed, _ := m.Pack()
			raw := askRaw(t, s.Addrs()[0], packed)
			r := new(dns.Msg)
			if err := r.Unpack(raw); err != nil {
				t.Fatal(err)
			}
			if len(raw) > limit || !r.Truncated || !r.Authoritative || len(r.Answer) != 0 || (r.IsEdns0() != nil) != (size > 0) {
				t.Errorf("%s, size %d: %d octets:\n%s", how, size, len(raw), r)
			}
			if r.Id != m.Id || r.Question[0] != m.Question[0] {
				t.Errorf("%s: not a reply to the query:\n%s", how, r)
			}
			l.mu.Lock()
			if seen := l.sizes[len(l.sizes)-2]; seen != len(raw) {
				t.Errorf("observer saw %d octets, %d went out", seen, len(raw))
			}
			l.mu.Unlock()
		}
		r := ask(t, "tcp", s.Addrs()[0], question("a.example."))
		if len(r.Answer) != 30 || r.Truncated {
			t.Errorf("%s: TCP: got\n%s", how, r)
		}
	}
}

func TestUDPTooLongDatagramIsFormErr(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		say hello
	}`)
	// What fits the buffer is a good query.
	m := question("a.example.").SetEdns0(1232, false)
	o := m.IsEdns0()
	o.Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, inSize-m.Len()-4)}}
	b, err := m.Pack()
	if err != nil || len(b) != inSize {
		t.Fatal(len(b), err)
	}
	if r := new(dns.Msg); r.Unpack(askRaw(t, s.Addrs()[0], b)) != nil || r.Rcode != dns.RcodeSuccess {
		t.Errorf("of the buffer's size: got\n%s", r)
	}
	b = append(b, 0)
	r := new(dns.Msg)
	if err := r.Unpack(askRaw(t, s.Addrs()[0], b)); err != nil || r.Rcode != dns.RcodeFormatError {
		t.Errorf("%v, got\n%s", err, r)
	}
	if n := metric(t, s, "stampdns_udp_truncated_total"); n != 1 && hasTruncation() {
		t.Errorf("counted %v", n)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	for _, boom := range []string{"in", "out", "both"} {
		l := newLab()
		s := l.start(t, `.:0 {
			bind 127.0.0.1
			watch
			boom `+boom+`
			say hello
		}`)
		for _, network := range []string{"udp", "tcp"} {
			m := question("a.")
			m.SetEdns0(1232, true)
			r := ask(t, network, s.Addrs()[0], m)
			if r.Rcode != dns.RcodeServerFailure || len(r.Answer) != 0 || r.IsEdns0() == nil {
				t.Errorf("%s: got\n%s", boom, r)
			}
		}
		if n := metric(t, s, "stampdns_panics_total"); n != 2 {
			t.Errorf("%s: %v panics counted", boom, n)
		}
		if seen, outs := l.seen.Load(), l.outs.Load(); seen != 2 || outs != 2 {
			t.Errorf("%s: observer saw %d in, %d out", boom, seen, outs)
		}
		if log := l.log(); strings.Count(log, "a handler panicked") != 1 || !strings.Contains(log, "setupBoom") {
			t.Errorf("want one log line a second, with the stack:\n%s", log)
		}
	}
}

func TestDropped(t *testing.T) {
	l := newLab()
	s := l.start(t, `.:0 {
		bind 127.0.0.1
		watch
		say hello
	}
	quiet.:0 {
		bind 127.0.0.1
		watch
		drop
	}`)
	b, _ := question("a.quiet.").Pack()
	if r := askRaw(t, s.Addrs()[0], b); r != nil {
		t.Errorf("got % x", r)
	}
	eventually(t, "observer sees the end of dropped queries", func() bool { return l.outs.Load() == 2 })
}

func TestPendingIsAnsweredFromAddressAsked(t *testing.T) {
	l := newLab()
	s := l.start(t, `.:0 {
		watch
		hold
	}`)
	to := loopback(2, s.Addrs()[0].Port())
	c, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := &dns.Conn{Conn: c}
	first, second := question("first.").SetEdns0(1232, false), question("second.")
	held := map[string]*Query{}
	for _, m := range []*dns.Msg{first, second} {
		if err := conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		held[m.Question[0].Name] = <-l.pending
	}
	conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	for _, m := range []*dns.Msg{second, first} {
		q := held[m.Question[0].Name]
		if got := q.Name.String(); got != m.Question[0].Name {
			t.Fatalf("the pending query for %s has become one for %s", m.Question[0].Name, got)
		}
		appendTXT(q, "late")
		q.Finish(Answered)
		r, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if r.Id != m.Id || text(t, r) != "late" || (r.IsEdns0() != nil) != (m.IsEdns0() != nil) {
			t.Errorf("got\n%s", r)
		}
	}
	if l.outs.Load() != 2 {
		t.Errorf("observer saw %d ends", l.outs.Load())
	}
}
