package server

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Headers as others write them.
const (
	sign = "0d0a0d0a000d0a515549540a"
	// dnsdist 1.7.3 with two values of its own, for clients over UDP and TCP, and for
	// a health check.
	dnsdistUDP4  = sign + "2112001b" + "7f0000017f000001b0591517" + "050004756e6971" + "e0000576616c7565"
	dnsdistUDP6  = sign + "21220033" + "0000000000000000000000000000000100000000000000000000000000000001d3ae1517" + "050004756e6971" + "e0000576616c7565"
	dnsdistTCP4  = sign + "2111001b" + "7f0000017f000001891f1517" + "050004756e6971" + "e0000576616c7565"
	dnsdistLocal = sign + "20000000"
	// HAProxy 2.6.12 with a checksum and a unique ID.
	haproxyCRC = sign + "2111003a" + "7f0000017f000001ccf01515" + "030004116f6795" +
		"05002464366332326330332d383561352d346234372d396163372d653735343332663439633439"
)

// unhex is the octets that text spells; spaces are passed over.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseProxy(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, tc := range []struct {
		what, header string
		result       proxyResult
		want         string // source > destination
	}{
		{"dnsdist, UDP", dnsdistUDP4, proxyRead, "127.0.0.1:45145 > 127.0.0.1:5399"},
		{"dnsdist, UDP over IPv6", dnsdistUDP6, proxyRead, "[::1]:54190 > [::1]:5399"},
		{"dnsdist, TCP", dnsdistTCP4, proxyRead, "127.0.0.1:35103 > 127.0.0.1:5399"},
		{"dnsdist, health check", dnsdistLocal, proxyRead, ""},
		{"HAProxy with a checksum", haproxyCRC, proxyRead, "127.0.0.1:52464 > 127.0.0.1:5397"},
		{"a wrong checksum", strings.Replace(haproxyCRC, "116f6795", "116f6796", 1), proxyMalformed, ""},
		{"a changed address", strings.Replace(haproxyCRC, "7f000001cc", "7f000002cc", 1), proxyMalformed, ""},
		{"a checksum of three octets", sign + "21110012" + zeros(12) + "030003000000", proxyMalformed, ""},
		{"IPv4 in IPv6", sign + "21220024" + zeros(10) + "ffffc0000201" + zeros(10) + "ffffc000020b" + "00350036", proxyRead,
			"192.0.2.1:53 > 192.0.2.11:54"},
		{"LOCAL with what nobody knows", sign + "20ff0003" + "ffffff", proxyRead, ""},
		{"unspecified", sign + "21000000", proxyRead, ""},
		{"unspecified, with octets", sign + "21000004" + "01020304", proxyRead, ""},
		{"Unix sockets", sign + "213100d8" + zeros(216), proxyRead, ""},
		{"an empty value", sign + "2111000f" + zeros(12) + "040000", proxyRead, "0.0.0.0:0 > 0.0.0.0:0"},
		{"a value that ends early", sign + "2111000e" + zeros(12) + "0400", proxyMalformed, ""},
		{"a value beyond the header", sign + "21110010" + zeros(12) + "04000200", proxyMalformed, ""},
		{"too few octets for IPv4", sign + "2111000b" + zeros(12), proxyMalformed, ""},
		{"too few octets for IPv6", sign + "21220023" + zeros(40), proxyMalformed, ""},
		{"too few octets for Unix sockets", sign + "213100d7" + zeros(216), proxyMalformed, ""},
		{"no transport", sign + "2110000c" + zeros(12), proxyMalformed, ""},
		{"unknown transport", sign + "2113000c" + zeros(12), proxyMalformed, ""},
		{"unknown family", sign + "2141000c" + zeros(12), proxyMalformed, ""},
		{"version 1 in binary", sign + "1111000c" + zeros(12), proxyMalformed, ""},
		{"unknown command", sign + "2211000c" + zeros(12), proxyMalformed, ""},
		{"longer than we read", sign + "2111ffff", proxyMalformed, ""},
		{"the longest", sign + "20000ff0" + zeros(4080), proxyRead, ""},
		{"one octet more", sign + "20000ff1" + zeros(4081), proxyMalformed, ""},
		{"nothing", "", proxyShort, ""},
		{"the text of version 1", hex.EncodeToString([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")), proxyMissing, ""},
		{"a query", "abcd0000000100000000000000000100 01", proxyMissing, ""},
	} {
		b := unhex(t, tc.header)
		h, result := parseProxy(append(b, "rest"...))
		if tc.header == "" {
			h, result = parseProxy(nil)
		}
		got := ""
		if h.relayed && result == proxyRead {
			got = h.source.String() + " > " + h.destination.String()
		}
		if result != tc.result || got != tc.want || result == proxyRead && h.length != len(b) {
			t.Errorf("%s: result %d, %q, length %d; want %d, %q, length %d", tc.what, result, got, h.length, tc.result, tc.want, len(b))
		}
		if result != proxyRead {
			continue
		}
		for n := range b {
			if _, r := parseProxy(b[:n]); r != proxyShort {
				t.Fatalf("%s: the first %d octets: result %d", tc.what, n, r)
			}
		}
	}
}

// FuzzProxyHeader: whatever comes, a header lies inside of it, and says the same
// whatever follows.
func FuzzProxyHeader(f *testing.F) {
	for _, h := range []string{dnsdistUDP4, dnsdistUDP6, dnsdistTCP4, dnsdistLocal, haproxyCRC, sign + "2111ffff"} {
		f.Add(unhex(f, h))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, result := parseProxy(b)
		switch result {
		case proxyRead:
			if h.length < proxyFixed || h.length > min(len(b), proxyMost) {
				t.Fatalf("length %d of %d", h.length, len(b))
			}
			if h.relayed != h.source.IsValid() || h.relayed && (h.source.Addr().Is4In6() || h.destination.Addr().Is4In6()) {
				t.Fatalf("addresses %v %v", h.source, h.destination)
			}
			again, r := parseProxy(b[:h.length])
			if r != proxyRead || again != h {
				t.Fatalf("without what follows: %v, %v", r, again)
			}
		case proxyShort:
			if len(b) > proxyMost {
				t.Fatalf("%d octets are not enough", len(b))
			}
		}
	})
}

// header writes a PROXY header, as the tests need it.
func header(family byte, from, to netip.AddrPort) []byte {
	b := append([]byte(proxySignature), proxyRelay, family)
	size := 4 + 2*from.Addr().BitLen()/8
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	return binary.BigEndian.AppendUint16(b, to.Port())
}

var (
	client4 = netip.MustParseAddrPort("198.51.100.7:4000")
	client6 = netip.MustParseAddrPort("[2001:db8::7]:4001")
	public1 = netip.MustParseAddrPort("192.0.2.11:53")
	public2 = netip.MustParseAddrPort("192.0.2.12:53")
	public6 = netip.MustParseAddrPort("[2001:db8::12]:53")
)

const proxied = `.:0 {
	bind 127.0.0.1 127.0.0.2
	proxies 127.0.0.1
	servers ns01=192.0.2.11 ns02=192.0.2.12 ns02=2001:db8::12
	who
}`

// fromProxy asks over UDP from 127.0.0.n with what prefix is, and returns the
// first TXT record of the reply, "" for none.
func fromProxy(t *testing.T, n byte, to netip.AddrPort, prefix []byte, m *dns.Msg) string {
	t.Helper()
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(loopback(n, 0)), net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	mark := question("mark.")
	mark.Id = m.Id + 1
	end, err := mark.Pack()
	if err != nil {
		t.Fatal(err)
	}
	c.Write(append(bytes.Clone(prefix), b...))
	c.Write(append(unhex(t, dnsdistLocal), end...))
	if n != 1 {
		c.Write(end)
	}
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	for {
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("the server stopped answering: %v", err)
		}
		r := new(dns.Msg)
		if err := r.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Id == m.Id:
			return text(t, r)
		case r.Id == mark.Id:
			return ""
		}
	}
}

func TestProxyUDP(t *testing.T) {
	s := newLab().start(t, proxied)
	one, two := s.Addrs()[0], s.Addrs()[1]
	m := question("a.")
	for _, tc := range []struct {
		what   string
		to     netip.AddrPort
		prefix []byte
		want   string
	}{
		{"ns01", one, header(proxyUDP4, client4, public1), "198.51.100.7:4000 > 192.0.2.11:53 [ns01] 0"},
		{"ns02 by the first address of ours", one, header(proxyUDP4, client4, public2), "198.51.100.7:4000 > 192.0.2.12:53 [ns02] 0"},
		{"ns01 by the second", two, header(proxyUDP4, client4, public1), "198.51.100.7:4000 > 192.0.2.11:53 [ns01] 1"},
		{"IPv6", one, header(proxyUDP6, client6, public6), "[2001:db8::7]:4001 > [2001:db8::12]:53 [ns02] 0"},
		{"a client over TCP", one, header(proxyTCP4, client4, public2), "198.51.100.7:4000 > 192.0.2.12:53 [ns02] 0"},
		{"an unknown destination", two, header(proxyUDP4, client4, client4), "198.51.100.7:4000 > 198.51.100.7:4000 [any] 1"},
		{"no header", one, nil, ""},
		{"a broken header", one, unhex(t, sign+"2111000b"+strings.Repeat("00", 12)), ""},
		{"a header that does not end", one, unhex(t, sign+"21110fff"), ""},
	} {
		got := fromProxy(t, 1, tc.to, tc.prefix, m)
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.what, got, tc.want)
		}
	}
	if got := fromProxy(t, 1, two, unhex(t, dnsdistLocal), m); !strings.HasPrefix(got, "127.0.0.1:") || !strings.Contains(got, " > "+two.String()) {
		t.Errorf("LOCAL: got %q", got)
	}
	if got := metric(t, s, "stampdns_proxy_protocol_rejected_total"); got != 3 {
		t.Errorf("%v rejected", got)
	}
	if got := metric(t, s, "stampdns_proxy_protocol_headers_total"); got != 6+1+10 {
		t.Errorf("%v headers", got)
	}
}

// Who is not listed asks as ever, and cannot pass for somebody else.
func TestProxyUDPFromElsewhere(t *testing.T) {
	s := newLab().start(t, proxied)
	m := question("a.")
	if got := fromProxy(t, 3, s.Addrs()[0], nil, m); !strings.HasPrefix(got, "127.0.0.3:") {
		t.Errorf("without a header: got %q", got)
	}
	if got := fromProxy(t, 3, s.Addrs()[0], header(proxyUDP4, client4, public1), m); got != "" {
		t.Errorf("with a header: got %q", got)
	}
	for what, prefix := range map[string][]byte{"": nil, "with a header": header(proxyTCP4, client4, public1)} {
		from := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(loopback(3, 0)), Timeout: 3 * time.Second}
		c, err := from.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(3 * time.Second))
		c.Write(append(prefix, framed(t, m)...))
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		if answered := len(b) > 2; answered != (prefix == nil) {
			t.Errorf("over TCP %s: got % x", what, b)
		}
	}
	if got := metric(t, s, "stampdns_proxy_protocol_headers_total"); got != 0 {
		t.Errorf("%v headers", got)
	}
}

// Where blocks listen at one address, the proxies of each are those of all.
func TestProxiesOfBlocksAtOneAddress(t *testing.T) {
	s := newLab().start(t, `a.:0 {
		bind 127.0.0.1
		proxies 127.0.0.1
		who
	}
	b.:0 {
		bind 127.0.0.1
		proxies 127.0.0.2
		who
	}`)
	for n := byte(1); n <= 2; n++ {
		for _, name := range []string{"x.a.", "x.b."} {
			got := fromProxy(t, n, s.Addrs()[0], header(proxyUDP4, client4, public1), question(name))
			if want := "198.51.100.7:4000 > 192.0.2.11:53 [] 0"; got != want {
				t.Errorf("%s from 127.0.0.%d: got %q, want %q", name, n, got, want)
			}
		}
	}
}

func TestProxyTCP(t *testing.T) {
	s := newLab().start(t, proxied)
	for what, whole := range map[string]bool{"at once": true, "octet by octet": false} {
		c := dialTCP(t, s.Addrs()[0])
		all := append(header(proxyTCP4, client4, public2), framed(t, question("a."), question("b."))...)
		for len(all) > 0 {
			n := len(all)
			if !whole {
				n = 1
			}
			if _, err := c.Write(all[:n]); err != nil {
				t.Fatal(err)
			}
			all = all[n:]
		}
		conn := &dns.Conn{Conn: c}
		for range 2 {
			r, err := conn.ReadMsg()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := text(t, r), "198.51.100.7:4000 > 192.0.2.12:53 [ns02] 0"; got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
	}
	if got := metric(t, s, "stampdns_proxy_protocol_headers_total"); got != 2 {
		t.Errorf("%v headers", got)
	}
	for _, first := range [][]byte{framed(t, question("a.")), unhex(t, sign+"2111ffff"), unhex(t, sign+"21110000")} {
		c := dialTCP(t, s.Addrs()[0])
		c.Write(append(first, framed(t, question("a."))...))
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("% x: got % x", first, b)
		}
	}
	if got := metric(t, s, "stampdns_proxy_protocol_rejected_total"); got != 3 {
		t.Errorf("%v rejected", got)
	}
}

// A proxy that sends a part of a header, and then nothing, is not waited for
// longer than a query is.
func TestProxyTCPHeaderInTime(t *testing.T) {
	s := newLab().newServer(t)
	s.tcp.first, s.tcp.frame = time.Second, time.Second
	if err := s.Start(Corefile{Name: "Corefile", Text: []byte(proxied)}); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for _, part := range []string{"", sign[:8], sign + "2111000c"} {
		c := dialTCP(t, s.Addrs()[0])
		c.Write(unhex(t, part))
		conns = append(conns, c)
	}
	for _, c := range conns {
		if b := wantClosed(t, c); len(b) > 0 {
			t.Errorf("got % x", b)
		}
	}
	if got := metric(t, s, "stampdns_proxy_protocol_rejected_total"); got != 2 {
		t.Errorf("%v rejected, want those that have begun", got)
	}
}

// Connections count for the client behind the proxy.
func TestProxyTCPCountsClients(t *testing.T) {
	s := newLab().start(t, proxied)
	for _, from := range []netip.AddrPort{client4, client4, netip.MustParseAddrPort("198.51.100.8:1")} {
		c := dialTCP(t, s.Addrs()[0])
		c.Write(append(header(proxyTCP4, from, public1), framed(t, question("a."))...))
		if _, err := (&dns.Conn{Conn: c}).ReadMsg(); err != nil {
			t.Fatal(err)
		}
	}
	tcp := s.open()[0].tcp
	clients := func() map[string]int {
		tcp.mu.Lock()
		defer tcp.mu.Unlock()
		got := make(map[string]int)
		for c, n := range tcp.clients {
			got[c.String()] = n
		}
		return got
	}
	if got := clients(); len(got) != 2 || got["198.51.100.7/32"] != 2 || got["198.51.100.8/32"] != 1 {
		t.Errorf("clients %v", got)
	}
	for _, c := range connections(s) {
		c.fail()
	}
	eventually(t, "no client is left", func() bool { return len(clients()) == 0 })
}

// A reload takes proxies away: what they send is as anybody's then.
func TestProxyGoneAfterReload(t *testing.T) {
	s, path := newLab().startFile(t, proxied)
	if got := fromProxy(t, 1, s.Addrs()[0], header(proxyUDP4, client4, public2), question("a.")); !strings.HasPrefix(got, "198.51.100.7:") {
		t.Fatalf("got %q", got)
	}
	write(t, path, strings.Replace(proxied, "proxies 127.0.0.1", "", 1))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for range 64 { // more than any batch
		if got := text(t, ask(t, "udp", s.Addrs()[1], question("a."))); !strings.HasPrefix(got, "127.0.0.1:") || !strings.HasSuffix(got, " 1") {
			t.Fatalf("got %q", got)
		}
	}
}

// A listener on all addresses tells the name server from the header first, and
// then from its own address; and replies that come later go to the proxy, too.
func TestProxyWildcardAndPending(t *testing.T) {
	l := newLab()
	s := l.start(t, `.:0 {
		proxies 127.0.0.1
		servers ns01=127.0.0.1 ns02=192.0.2.12
		who
	}
	later.:0 {
		proxies 127.0.0.1
		hold
	}`)
	to := loopback(1, s.Addrs()[0].Port())
	for destination, want := range map[netip.AddrPort]string{public2: "[ns02] 0", public1: "[ns01] 0"} {
		if got := fromProxy(t, 1, to, header(proxyUDP4, client4, destination), question("a.")); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want …%s", destination, got, want)
		}
	}
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, _ := question("x.later.").Pack()
	for range 2 {
		c.WriteToUDPAddrPort(append(header(proxyUDP4, client4, public2), b...), to)
	}
	first, second := <-l.pending, <-l.pending
	who(first)
	first.Finish(Answered)
	who(second)
	var batch Batch
	batch.Finish(second, Answered)
	batch.Flush()
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	for range 2 {
		buf := make([]byte, 512)
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil || from.Port() != to.Port() || !bytes.Contains(buf[:n], []byte("198.51.100.7:4000")) {
			t.Errorf("% x from %s: %v", buf[:n], from, err)
		}
	}
}

func TestProxyUDPDoesNotAllocate(t *testing.T) {
	s := newLab().start(t, proxied)
	l := s.open()[0]
	r := l.router.Load()
	packet, _ := question("a.").Pack()
	q := newQuery()
	for _, h := range []string{dnsdistUDP4, dnsdistUDP6, haproxyCRC, dnsdistLocal} {
		whole := append(unhex(t, h), packet...)
		if n := testing.AllocsPerRun(200, func() {
			q.Packet, q.relayed = q.in[:copy(q.in, whole)], false
			q.Remote, q.Local = loopback(1, 99), l.bound
			if !l.unwrap(r, q) || len(q.Packet) != len(packet) {
				t.Error("not unwrapped")
			}
		}); n != 0 {
			t.Errorf("%v allocations for %s", n, h)
		}
	}
}
