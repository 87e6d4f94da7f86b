package forward

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// fakeUpstream is a name server of the test's, UDP and TCP at one port.
type fakeUpstream struct {
	addr     string
	udp, tcp *dns.Server
	queries  atomic.Int64
	mu       sync.Mutex
	last     *dns.Msg
}

// startUpstream answers by f, which returns nil for no answer.
func startUpstream(t testing.TB, f func(q *dns.Msg) *dns.Msg) *fakeUpstream {
	t.Helper()
	return startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		if r := f(q); r != nil {
			w.WriteMsg(r)
		}
	})
}

// startUpstreamAt is startUpstream for a handler and an address.
func startUpstreamAt(t testing.TB, addr string, f dns.HandlerFunc) *fakeUpstream {
	t.Helper()
	u := new(fakeUpstream)
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		u.queries.Add(1)
		u.mu.Lock()
		u.last = q.Copy()
		u.mu.Unlock()
		f(w, q)
	})
	for {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err != nil {
			pc.Close()
			continue
		}
		u.addr = pc.LocalAddr().String()
		u.udp, u.tcp = &dns.Server{PacketConn: pc, Handler: h}, &dns.Server{Listener: l, Handler: h}
		break
	}
	for _, s := range []*dns.Server{u.udp, u.tcp} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
	}
	t.Cleanup(u.stop)
	return u
}

func (u *fakeUpstream) stop() {
	u.udp.Shutdown()
	u.tcp.Shutdown()
}

func (u *fakeUpstream) lastQuery() *dns.Msg {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// address answers every A question with an address, and other types with nothing.
func address4(ip string) func(q *dns.Msg) *dns.Msg {
	return func(q *dns.Msg) *dns.Msg {
		r := new(dns.Msg).SetReply(q)
		r.RecursionAvailable = true
		if q.Question[0].Qtype == dns.TypeA {
			r.Answer = []dns.RR{newRR(fmt.Sprintf("%s 300 IN A %s", q.Question[0].Name, ip))}
		} else {
			r.Ns = []dns.RR{newRR("example. 300 IN SOA ns.example. h.example. 1 2 3 4 60")}
		}
		if o := q.IsEdns0(); o != nil {
			r.SetEdns0(1232, o.Do())
		}
		return r
	}
}

func withRCode(rcode int) func(q *dns.Msg) *dns.Msg {
	return func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, rcode) }
}

func newRR(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

// start serves a Corefile block that forwards.
func start(t testing.TB, lines string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, ".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n"+lines+"\n}", withPlugins()...)
}

// ede is the code of the extended error in a reply, -1 for none.
func ede(m *dns.Msg) int {
	if o := m.IsEdns0(); o != nil {
		for _, opt := range o.Option {
			if e, ok := opt.(*dns.EDNS0_EDE); ok {
				return int(e.InfoCode)
			}
		}
	}
	return -1
}

// deadAddress is an address on loopback where nobody listens.
func deadAddress(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().String()
}

// mute is an address on loopback where queries come in and nothing goes out.
func mute(t testing.TB) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func mustAddr(text string) netip.Addr { return netip.MustParseAddr(text) }
