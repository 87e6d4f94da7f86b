package forward

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func withPlugins() []server.Plugin {
	return []server.Plugin{bind.Plugin(), prometheus.Plugin("test"), Gate(), Plugin()}
}

func wantA(t *testing.T, m *dns.Msg, ip string) {
	t.Helper()
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Fatalf("reply:\n%s", m)
	}
	if a, ok := m.Answer[0].(*dns.A); !ok || a.A.String() != ip {
		t.Errorf("answer %s, want %s", m.Answer[0], ip)
	}
}

// TestForward: what the upstream sees, and what the client gets.
func TestForward(t *testing.T) {
	u := startUpstream(t, address4("192.0.2.1"))
	s := start(t, "forward . "+u.addr)
	q := new(dns.Msg).SetQuestion("WwW.Example.", dns.TypeA).SetEdns0(1400, true)
	q.CheckingDisabled = true
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
	m := s.Exchange("udp", s.Addrs()[0], q)
	wantA(t, m, "192.0.2.1")
	if m.Id != q.Id || !m.RecursionAvailable || !m.RecursionDesired || m.Authoritative || !m.CheckingDisabled || m.Question[0].Name != "WwW.Example." {
		t.Errorf("reply:\n%s", m)
	}
	seen := u.lastQuery()
	o := seen.IsEdns0()
	if o == nil || !o.Do() || o.UDPSize() != 1232 || len(o.Option) != 0 || !seen.RecursionDesired || !seen.CheckingDisabled {
		t.Errorf("the upstream saw:\n%s", seen)
	}
	// Without EDNS from the client there is none upstream.
	plain := new(dns.Msg).SetQuestion("www.example.", dns.TypeAAAA)
	m = s.Exchange("tcp", s.Addrs()[0], plain)
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 || len(m.Ns) != 1 || m.IsEdns0() != nil {
		t.Errorf("reply:\n%s", m)
	}
	if u.lastQuery().IsEdns0() != nil {
		t.Error("the upstream saw EDNS that the client did not send")
	}
}

// TestLongestSuffix: of several directives the one with the longest domain decides,
// exceptions go to the next.
func TestLongestSuffix(t *testing.T) {
	all := startUpstream(t, address4("192.0.2.1"))
	corp := startUpstream(t, address4("192.0.2.2"))
	lab := startUpstream(t, address4("192.0.2.3"))
	s := start(t, fmt.Sprintf("forward . %s\nforward contoso.com %s {\n except public.contoso.com\n}\nforward lab.contoso.com %s", all.addr, corp.addr, lab.addr))
	for name, want := range map[string]string{
		"example.org": "192.0.2.1", "contoso.com": "192.0.2.2", "www.contoso.com": "192.0.2.2", "notcontoso.com": "192.0.2.1",
		"x.lab.contoso.com": "192.0.2.3", "www.public.contoso.com": "192.0.2.1", "com": "192.0.2.1", ".": "192.0.2.1",
	} {
		wantA(t, s.Ask(name, dns.TypeA), want)
	}
}

// TestGate: who is not to be forwarded for.
func TestGate(t *testing.T) {
	u := startUpstream(t, address4("192.0.2.1"))
	s := start(t, "forward example.org "+u.addr+" {\n allow 192.0.2.0/24\n}")
	if m := s.Ask("www.example.org", dns.TypeA); m.Rcode != dns.RcodeRefused || ede(m) != int(dns.ExtendedErrorCodeProhibited) {
		t.Errorf("a client that is not allowed:\n%s", m)
	}
	if m := s.Ask("www.example.com", dns.TypeA); m.Rcode != dns.RcodeRefused || ede(m) != int(dns.ExtendedErrorCodeNotAuthoritative) {
		t.Errorf("a name without forwarder:\n%s", m)
	}
	s = start(t, "forward . "+u.addr)
	q := servertest.Question("www.example.org", dns.TypeA)
	q.RecursionDesired = false
	if m := s.Exchange("udp", s.Addrs()[0], q); m.Rcode != dns.RcodeRefused || m.RecursionAvailable {
		t.Errorf("a query without RD:\n%s", m)
	}
	if n := u.queries.Load(); n != 0 {
		t.Errorf("%d queries were forwarded", n)
	}
}

// TestAllowed: the clients that are forwarded for unless the Corefile says others.
func TestAllowed(t *testing.T) {
	h := handler{allow: allowed([]*directive{{}})}
	for text, want := range map[string]bool{
		"127.0.0.9": true, "10.1.2.3": true, "172.31.0.1": true, "192.168.7.7": true, "169.254.3.4": true,
		"::1": true, "fd00::1": true, "fe80::1": true,
		"172.32.0.1": false, "192.0.2.1": false, "100.64.0.1": false, "2001:db8::1": false, "203.0.113.9": false,
	} {
		if got := h.allows(mustAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestFailover: an upstream that refuses, cannot, or is not there costs little, and
// a dead one costs one timeout once.
func TestFailover(t *testing.T) {
	good := startUpstream(t, address4("192.0.2.1"))
	for name, first := range map[string]string{
		"servfail": startUpstream(t, withRCode(dns.RcodeServerFailure)).addr,
		"refused":  startUpstream(t, withRCode(dns.RcodeRefused)).addr,
		"nobody":   deadAddress(t),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fmt.Sprintf("forward . %s %s {\n policy sequential\n}", first, good.addr))
			begin := time.Now()
			for range 5 {
				wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
			}
			if d := time.Since(begin); d > 300*time.Millisecond {
				t.Errorf("five answers took %s", d)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		s := start(t, fmt.Sprintf("forward . %s %s {\n policy sequential\n}", mute(t), good.addr))
		begin := time.Now()
		for range 10 {
			wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
		}
		if d := time.Since(begin); d < firstWait || d > firstWait+400*time.Millisecond {
			t.Errorf("ten answers took %s, want one wait of %s", d, firstWait)
		}
	})
}

// TestAllDead: SERVFAIL within the client's patience, and at once when it is known.
func TestAllDead(t *testing.T) {
	s := start(t, fmt.Sprintf("forward . %s", mute(t)))
	begin := time.Now()
	m := s.Ask("www.example", dns.TypeA)
	if d := time.Since(begin); d > patience+200*time.Millisecond {
		t.Errorf("SERVFAIL after %s", d)
	}
	if m.Rcode != dns.RcodeServerFailure || ede(m) != int(dns.ExtendedErrorCodeNoReachableAuthority) || !m.RecursionAvailable {
		t.Errorf("reply:\n%s", m)
	}
	s.WaitLog("forwarder is down")
	begin = time.Now()
	if m := s.Ask("www.example", dns.TypeA); m.Rcode != dns.RcodeServerFailure || ede(m) != int(dns.ExtendedErrorCodeNoReachableAuthority) {
		t.Errorf("reply:\n%s", m)
	}
	if d := time.Since(begin); d > 100*time.Millisecond {
		t.Errorf("SERVFAIL of a dead forwarder after %s", d)
	}
	if n := s.Metric("127.0.0.1:0", "stampdns_forward_healthcheck_broken_total"); n != "1" {
		t.Errorf("%q queries counted that came while all were down", n)
	}
}

// TestRecovers: a forwarder that comes back is used again.
func TestRecovers(t *testing.T) {
	addr := deadAddress(t)
	s := start(t, fmt.Sprintf("forward . %s {\n health_check 50ms\n}", addr))
	if m := s.Ask("www.example", dns.TypeA); m.Rcode != dns.RcodeServerFailure || ede(m) != int(dns.ExtendedErrorCodeNetworkError) {
		t.Errorf("reply:\n%s", m)
	}
	u := startUpstreamAt(t, addr, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(address4("192.0.2.1")(q)) })
	s.Wait("the forwarder to be up", func() bool {
		return s.Ask("www.example", dns.TypeA).Rcode == dns.RcodeSuccess
	})
	if u.queries.Load() == 0 {
		t.Error("it was not asked")
	}
}

// TestTruncated: a truncated answer is fetched over TCP, over one connection, and
// truncated again for a client over UDP alone.
func TestTruncated(t *testing.T) {
	u := startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		if w.RemoteAddr().Network() == "udp" {
			r.Truncated = true
		} else {
			for i := range 200 {
				r.Answer = append(r.Answer, newRR(fmt.Sprintf("%s 60 IN A 192.0.2.%d", q.Question[0].Name, i)))
			}
		}
		w.WriteMsg(r)
	})
	s := start(t, "forward . "+u.addr)
	if m := s.Exchange("tcp", s.Addrs()[0], servertest.Question("big.example", dns.TypeA)); len(m.Answer) != 200 || m.Truncated {
		t.Errorf("%d answers over TCP", len(m.Answer))
	}
	if m := s.Exchange("udp", s.Addrs()[0], servertest.Question("big.example", dns.TypeA)); !m.Truncated {
		t.Error("not truncated over UDP")
	}
	series := fmt.Sprintf(`stampdns_proxy_conn_cache_misses_total{proto="tcp",proxy_name="forward",to="%s"}`, u.addr)
	if n := s.Metric("127.0.0.1:0", series); n != "1" {
		t.Errorf("%s is %q, want 1", series, n)
	}
}

// TestForceTCP asks over TCP alone.
func TestForceTCP(t *testing.T) {
	var udp atomic.Bool
	u := startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		if w.RemoteAddr().Network() == "udp" {
			udp.Store(true)
		}
		w.WriteMsg(address4("192.0.2.1")(q))
	})
	s := start(t, "forward . "+u.addr+" {\n force_tcp\n}")
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	if udp.Load() {
		t.Error("asked over UDP")
	}
}

// TestNext goes on with the next directive where the first says NXDOMAIN.
func TestNext(t *testing.T) {
	first := startUpstream(t, withRCode(dns.RcodeNameError))
	second := startUpstream(t, address4("192.0.2.2"))
	s := start(t, fmt.Sprintf("forward example.org %s {\n next NXDOMAIN\n}\nforward . %s", first.addr, second.addr))
	wantA(t, s.Ask("www.example.org", dns.TypeA), "192.0.2.2")
}

// TestMaxConcurrent refuses what is too much.
func TestMaxConcurrent(t *testing.T) {
	s := start(t, fmt.Sprintf("forward . %s {\n max_concurrent 5\n}", mute(t)))
	replies := make(chan *dns.Msg, 20)
	for i := range 20 {
		go func() {
			m, _ := s.TryExchange("udp", s.Addrs()[0], servertest.Question(fmt.Sprintf("n%d.example", i), dns.TypeA), servertest.Patience)
			replies <- m
		}()
	}
	count := make(map[int]int)
	for range 20 {
		if m := <-replies; m != nil {
			count[m.Rcode]++
		}
	}
	if count[dns.RcodeRefused] != 15 || count[dns.RcodeServerFailure] != 5 {
		t.Errorf("%v, want 15 refused and 5 failed", count)
	}
	if n := s.Metric("127.0.0.1:0", "stampdns_forward_max_concurrent_rejects_total"); n != "15" {
		t.Errorf("%s rejects counted", n)
	}
}

// TestLoop: a forwarder that asks us what we asked it is told so, and we go on.
func TestLoop(t *testing.T) {
	ready := make(chan *servertest.Server, 1)
	u := startUpstreamAt(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		if !strings.HasPrefix(q.Question[0].Name, "loop") {
			w.WriteMsg(address4("192.0.2.1")(q))
			return
		}
		s := <-ready
		ready <- s
		again := servertest.Question(q.Question[0].Name, q.Question[0].Qtype)
		addrs := s.Addrs()
		if len(addrs) == 0 {
			return // asked once more, too late
		}
		r, _ := s.TryExchange("udp", addrs[0], again, time.Second)
		if r != nil {
			r.Id = q.Id
			w.WriteMsg(r)
		}
	})
	s := start(t, "forward . "+u.addr)
	ready <- s
	m := s.Ask("loop.example", dns.TypeA)
	if m.Rcode != dns.RcodeServerFailure {
		t.Errorf("reply:\n%s", m)
	}
	s.WaitLog("forwarding loop")
	wantA(t, s.Ask("www.example", dns.TypeA), "192.0.2.1")
	// It may be asked again before its answer comes.
	if n := s.Metric("127.0.0.1:0", "stampdns_forward_loops_total"); n == "" || n == "0" {
		t.Errorf("%q loops counted", n)
	}
	if n := strings.Count(s.Log(), "forwarding loop"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// TestWrongConfiguration: errors with what to do.
func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"forward example.org", `"example.org" has no forwarders`},
		{"forward . nowhere", `"nowhere" is no address to forward to`},
		{"forward . 0.0.0.0", "cannot be asked"},
		{"forward . 192.0.2.1:0", "cannot be asked"},
		{"forward . https://192.0.2.1", "is no address to forward to"},
		{"forward . /nonexistent/resolv.conf", "no such file"},
		{"forward . 192.0.2.1 {\n policy fast\n }", `unknown policy "fast"`},
		{"forward . 192.0.2.1 {\n max_fails many\n }", "max_fails"},
		{"forward . 192.0.2.1 {\n max_concurrent 0\n }", "is not a number from 1"},
		{"forward . 192.0.2.1 {\n health_check 1s domain\n }", "neither no_rec nor domain NAME"},
		{"forward . 192.0.2.1 {\n failover NOPE\n }", `"NOPE" is no response code`},
		{"forward . 192.0.2.1 {\n allow 192.0.2.0/33\n }", "is no network"},
		{"forward . 192.0.2.1 {\n tls a b c d\n }", "tls takes"},
		{"forward . 192.0.2.1 {\n tls nofile.pem\n }", "no such file"},
		{"forward . 192.0.2.1 {\n maxfails 3\n }", `unknown property "maxfails"; did you mean "max_fails"?`},
		{"forward a..b 192.0.2.1", "domain to forward"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", withPlugins()...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "Corefile:") {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
