package forward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

// TestRetiredSocketFails: a socket that gets no more queries goes when news of the
// upstream end the last ones that wait there.
func TestRetiredSocketFails(t *testing.T) {
	var made server.Handler
	s := servertest.Start(t, ".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n forward . "+mute(t).String()+"\n}",
		bind.Plugin(), prometheus.Plugin("test"), Gate(), servertest.Capture(Plugin(), &made))
	go s.TryExchange("udp", s.Addrs()[0], servertest.Question("www.example", dns.TypeA), time.Second)
	u := made.(*handler).engine.all()[0]
	var waits *socket
	s.Wait("a query to wait", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		for i, c := range u.sockets {
			if c == nil {
				continue
			}
			c.mu.Lock()
			n := len(c.waiting)
			c.mu.Unlock()
			if n > 0 {
				waits, u.sockets[i] = c, nil
				return true
			}
		}
		return false
	})
	waits.retire()
	waits.fail(syscall.ECONNREFUSED)
	if err := waits.conn.SetWriteDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open, and its reader would keep the server from stopping: %v", err)
		waits.conn.Close()
	}
}

// amplifying is an answer section that makes chain choose each record many times.
func amplifying(q *dns.Msg) []byte {
	const n1, n2 = 1800, 1000
	b, _ := new(dns.Msg).SetReply(q).Pack()
	b = b[:wire.HeaderLen]
	b = append(b, "\x03www\x07example\x03org\x00\x00\x01\x00\x01"...)
	parent := []byte{0xC0, wire.HeaderLen + 4}
	rr := func(owner []byte, rrtype uint16, data []byte) {
		b = append(b, owner...)
		b = binary.BigEndian.AppendUint16(b, rrtype)
		b = append(b, 0, 1, 0, 0, 0, 60)
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
		b = append(b, data...)
	}
	self := []byte{0xC0, wire.HeaderLen}
	rr([]byte{0}, dns.TypeTXT, []byte{1, 'x'}) // a stranger's
	for range n1 {
		rr(parent, dns.TypeDNAME, []byte{0})
	}
	sig := append([]byte{0, byte(dns.TypeDNAME), 8, 2, 0, 0, 0, 60, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0}, 1, 2)
	for range n2 {
		rr(parent, dns.TypeRRSIG, sig)
	}
	rr(self, dns.TypeCNAME, self) // an alias that leads to itself
	wire.SetCount(b, wire.CountAN, n1+n2+2)
	wire.SetCount(b, wire.CountAR, 0)
	wire.SetCount(b, wire.CountNS, 0)
	wire.SetCount(b, wire.CountQD, 1)
	return b
}

// TestAmplified: no answer costs much more than its size.
func TestAmplified(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	m, err := through(t, ".", "www.example.org", dns.TypeA, true, amplifying)
	runtime.ReadMemStats(&after)
	d, mem := time.Since(begin), after.TotalAlloc-before.TotalAlloc
	t.Logf("%d octets: %s, %d MiB allocated, %v, rcode %d", len(amplifying(new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA))), d, mem>>20, err, m.Rcode)
	if d > time.Second || mem > 64<<20 {
		t.Errorf("one answer took %s and %d MiB", d, mem>>20)
	}
}

// TestDenialWithoutQuestion: only errors come without a question.
func TestDenialWithoutQuestion(t *testing.T) {
	addr := rawUpstream(t, func(c *net.UDPConn, from *net.UDPAddr, q *dns.Msg) {
		forged := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		forged.Question = nil
		c.WriteToUDP(packed(forged), from)
		c.WriteToUDP(packed(address4("192.0.2.1")(q)), from)
	})
	s := start(t, "forward . "+addr+" {\n randomize_case\n}")
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
}

// TestTruncatedStream: half an answer is none, whatever it came over.
func TestTruncatedStream(t *testing.T) {
	u := startUpstream(t, func(q *dns.Msg) *dns.Msg {
		r := address4("192.0.2.1")(q)
		r.Truncated = true
		return r
	})
	s := start(t, "forward . "+u.addr)
	if m := s.Ask("www.example", dns.TypeA); m.Rcode == dns.RcodeSuccess && !m.Truncated {
		t.Errorf("a cut answer was passed off as a whole one:\n%s", m)
	}
}

// TestRuntimeException: what the Corefile leaves out of the DNS forwarders may have forwarders of its own.
func TestRuntimeException(t *testing.T) {
	all, corp := startUpstream(t, address4("192.0.2.1")), startUpstream(t, address4("192.0.2.2"))
	o := operate(t, t.TempDir(), "forward . "+all.addr+" {\n except contoso.com\n}")
	o.want("PUT", "/custom-dns/contoso.com", addressList(corp.addr), 200)
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.2")
	o.want("PUT", "/forwarders", addressList(corp.addr), 200)
	wantA(t, o.Ask("www.example", dns.TypeA), "192.0.2.2")
	o.want("DELETE", "/custom-dns/contoso.com", "", 204)
	if m := o.Ask("w2.contoso.com", dns.TypeA); m.Rcode != dns.RcodeRefused {
		t.Errorf("the exception is gone:\n%s", m)
	}
}

// TestReloadForgets: a forwarder that the Corefile has changed takes effect at once.
func TestReloadForgets(t *testing.T) {
	all, corp := startUpstream(t, address4("192.0.2.1")), startUpstream(t, address4("192.0.2.2"))
	o := operate(t, t.TempDir(), "forward . "+all.addr)
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.1")
	wantA(t, o.Ask("www.example", dns.TypeA), "192.0.2.1")
	n := all.queries.Load()
	o.Rewrite(".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n api 127.0.0.1:0\n cache\nforward . " + all.addr + "\nforward contoso.com " + corp.addr + "\n}")
	if err := o.Reload(); err != nil {
		t.Fatal(err)
	}
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.2")
	wantA(t, o.Ask("www.example", dns.TypeA), "192.0.2.1")
	if all.queries.Load() != n {
		t.Error("what has not changed was asked anew")
	}
}

// TestRootIsGivenTime: resolving from the root has the time that is left.
func TestRootIsGivenTime(t *testing.T) {
	w := newWorld(t, map[byte]dns.Handler{1: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		time.Sleep(600 * time.Millisecond)
		r := address4("192.0.2.7")(q)
		if q.Question[0].Name == "www.example." {
			r.Answer = []dns.RR{newRR("www.example. 60 IN CNAME a.example.")}
		}
		r.Authoritative = true
		rw.WriteMsg(r)
	})})
	dir := t.TempDir()
	path := filepath.Join(dir, "hints")
	os.WriteFile(path, []byte(". 60 NS a.\na. 60 A 127.0.0.1\n"), 0o644)
	var made server.Handler
	s := servertest.Start(t, ".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n forward . "+deadAddress(t)+" {\n root_hints "+path+"\n}\n}",
		bind.Plugin(), prometheus.Plugin("test"), Gate(), servertest.Capture(Plugin(), &made))
	made.(*handler).engine.iterator.Store(w.iterator(time.Now, 1))
	begin := time.Now()
	m := s.Ask("www.example", dns.TypeA)
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
		t.Errorf("after %s:\n%s", time.Since(begin), m)
	}
}

// TestFailureTellsWhy: the extended error of a forwarder's failure goes to the client.
func TestFailureTellsWhy(t *testing.T) {
	u := startUpstream(t, func(q *dns.Msg) *dns.Msg {
		r := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).SetEdns0(1232, false)
		r.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus}}
		return r
	})
	s := start(t, "forward . "+u.addr)
	if m := s.Ask("www.example", dns.TypeA); m.Rcode != dns.RcodeServerFailure || ede(m) != int(dns.ExtendedErrorCodeDNSBogus) {
		t.Errorf("reply:\n%s", m)
	}
}

// TestDelegationSigner: a DS record is the parent's.
func TestDelegationSigner(t *testing.T) {
	all, corp := startUpstream(t, address4("192.0.2.1")), startUpstream(t, address4("192.0.2.2"))
	s := start(t, "forward . "+all.addr+"\nforward contoso.com "+corp.addr)
	s.Ask("contoso.com", dns.TypeDS)
	if corp.queries.Load() != 0 || all.queries.Load() != 1 {
		t.Errorf("the domain's own forwarder was asked for its DS")
	}
}

// TestStalledStream: a connection that an upstream, or something on the way, has
// forgotten without a word does not take further queries.
func TestStalledStream(t *testing.T) {
	var first atomic.Pointer[net.Addr]
	var answered atomic.Int64
	u := startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		from := w.RemoteAddr()
		if q.Question[0].Qtype == dns.TypeA && !first.CompareAndSwap(nil, &from) && (*first.Load()).String() == from.String() && answered.Load() > 0 {
			return
		}
		answered.Add(1)
		w.WriteMsg(address4("192.0.2.1")(q))
	})
	s := start(t, "forward . "+u.addr+" {\n force_tcp\n}")
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	for i := range 3 {
		begin := time.Now()
		wantA(t, s.Ask(fmt.Sprintf("n%d.example", i), dns.TypeA), "192.0.2.1")
		if d := time.Since(begin); i > 0 && d > 150*time.Millisecond {
			t.Errorf("answer %d took %s", i, d)
		}
	}
}

// TestDomainThatNobodyAsksFor: what is taken is what queries match.
func TestDomainThatNobodyAsksFor(t *testing.T) {
	o := operate(t, t.TempDir(), "forward")
	for path, want := range map[string]string{
		"b%C3%BCcher.example": "xn--", "*.contoso.com": "write contoso.com", "b%5C195%5C188cher.example": "xn--", "a%20b.example": "no domain", "a%0D%0Ab.example": "no domain",
	} {
		status, answer := o.call("PUT", "/custom-dns/"+path, addressList("192.0.2.1"))
		if status != 400 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s, want %s", path, status, answer, want)
		}
	}
	o.want("PUT", "/custom-dns/XN--bcher-kva.example", addressList("192.0.2.1"), 200, `"domain":"xn--bcher-kva.example"`)
	o.want("PUT", "/custom-dns/_msdcs.contoso.com.", addressList("192.0.2.1"), 200, `"domain":"_msdcs.contoso.com"`)
}

// TestRuntimeOrder: what is set at run time is asked in the order given, unless the
// Corefile says how.
func TestRuntimeOrder(t *testing.T) {
	for lines, want := range map[string]policy{
		"forward": sequential, "forward {\n policy fastest\n}": fastest, "forward . 192.0.2.1": sequential,
		"forward . 192.0.2.1 {\n policy random\n}": random, "forward example.org 192.0.2.1": sequential,
	} {
		var made server.Handler
		servertest.Start(t, ".:0 {\n bind 127.0.0.1\n"+lines+"\n}", bind.Plugin(), Gate(), servertest.Capture(Plugin(), &made))
		if got := made.(*handler).options.policy; got != want {
			t.Errorf("%q: %s, want %s", lines, got, want)
		}
	}
}

// TestMaxFails: a probe in vain makes an upstream down after so many failures.
func TestMaxFails(t *testing.T) {
	for _, tc := range []struct {
		most, fails int32
		want        bool
	}{{2, 1, false}, {2, 2, true}, {5, 4, false}, {5, 5, true}, {1, 1, true}, {0, 100, false}} {
		u := &upstream{options: &options{maxFails: tc.most}}
		u.fails.Store(tc.fails)
		if got := u.isDead(); got != tc.want {
			t.Errorf("%d failures, max_fails %d: %v", tc.fails, tc.most, got)
		}
	}
}

// TestSameHost: clients on the host of a forwarder ask the same at the same time, and
// that is no loop.
func TestSameHost(t *testing.T) {
	var come atomic.Int64
	all := make(chan struct{})
	u := startUpstream(t, func(q *dns.Msg) *dns.Msg {
		if come.Add(1) == 3 {
			close(all)
		}
		<-all
		return address4("192.0.2.1")(q)
	})
	s := start(t, "forward . "+u.addr)
	replies := make(chan *dns.Msg, 3)
	for range 3 {
		go func() {
			m, _ := s.TryExchange("udp", s.Addrs()[0], servertest.Question("www.example", dns.TypeA), servertest.Patience)
			replies <- m
		}()
	}
	for range 3 {
		if m := <-replies; m == nil || m.Rcode != dns.RcodeSuccess {
			t.Errorf("reply:\n%v", m)
		}
	}
}

// TestReturns: what tells a query that came back.
func TestReturns(t *testing.T) {
	client, forwarder := mustAddr("192.0.2.1"), mustAddr("192.0.2.53")
	f := newFlights()
	name := wire.Name("\x07example\x00")
	key, _ := f.enter(name, dns.TypeA, client)
	if !f.returns(key, forwarder) {
		t.Error("a client's question, asked by the forwarder, is none")
	}
	f.leave(key)
	for i := range trips + 1 {
		if got := f.returns(key, forwarder); got != (i >= trips) {
			t.Errorf("the forwarder's own question, %d times under way: %v", i, got)
		}
		f.enter(name, dns.TypeA, forwarder)
	}
	for range trips + 1 {
		f.leave(key)
	}
	if f.returns(key, forwarder) || len(f.shards[key%16].all) != 0 {
		t.Error("it is under way still")
	}
	for i := range maxSame + 1 {
		if _, ok := f.enter(name, dns.TypeA, client); ok != (i < maxSame) {
			t.Errorf("the same for the %dth time: %v", i+1, ok)
		}
	}
}
