package forward

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// certificate makes a self-signed one for name and returns it, and the path of its PEM
// file.
func certificate(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// TestTLS: forwarders over TLS, many queries over one connection, and none where the
// certificate is another's.
func TestTLS(t *testing.T) {
	cert, ca := certificate(t, "dns.example.net")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	u := &dns.Server{Listener: l, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		w.WriteMsg(address4("192.0.2.1")(q))
	})}
	go u.ActivateAndServe()
	<-started
	defer u.Shutdown()
	s := start(t, fmt.Sprintf("forward . tls://%s%%dns.example.net {\n tls %s\n}", l.Addr(), ca))
	for i := range 5 {
		wantA(t, s.Ask(fmt.Sprintf("n%d.example", i), dns.TypeA), "192.0.2.1")
	}
	series := fmt.Sprintf(`stampdns_proxy_conn_cache_misses_total{proto="tcp-tls",proxy_name="forward",to="tls://%s%%dns.example.net"}`, l.Addr())
	if n := s.Metric("127.0.0.1:0", series); n != "1" {
		t.Errorf("%s is %q, want 1", series, n)
	}
	s = start(t, fmt.Sprintf("forward . tls://%s {\n tls %s\n tls_servername other.example.net\n}", l.Addr(), ca))
	if m := s.Ask("www.example", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("with a certificate of another name:\n%s", m)
	}
}

// TestPolicies: who is asked first, and that all are asked in the end.
func TestPolicies(t *testing.T) {
	grouped := func(p policy, states ...status) *group {
		g := &group{options: &options{policy: p}}
		for i, s := range states {
			u := &upstream{}
			u.state.Store(int32(s))
			u.rtt.Store(int64(10 - i))
			g.upstreams = append(g.upstreams, u)
		}
		return g
	}
	order := func(g *group) string {
		var tried uint32
		var text strings.Builder
		for {
			i := g.choose(tried, false, -1)
			if i < 0 {
				return text.String()
			}
			fmt.Fprint(&text, i)
			tried |= 1 << i
		}
	}
	for _, tc := range []struct {
		policy policy
		states []status
		want   string
	}{
		{sequential, []status{up, up, up}, "012"},
		{sequential, []status{suspect, refusing, unknown, up}, "2301"},
		{sequential, []status{down, up, down}, "1"},
		{sequential, []status{down, down}, ""},
		{fastest, []status{up, up, up}, "201"},
		{fastest, []status{up, up, suspect}, "102"},
		{sequential, nil, ""},
	} {
		if got := order(grouped(tc.policy, tc.states...)); got != tc.want {
			t.Errorf("%s of %v: %q, want %q", tc.policy, tc.states, got, tc.want)
		}
	}
	for _, p := range []policy{random, roundRobin} {
		g, first := grouped(p, up, up, up), make(map[byte]int)
		for range 300 {
			o := order(g)
			if len(o) != 3 {
				t.Fatalf("%s: %q", p, o)
			}
			first[o[0]]++
		}
		if len(first) != 3 || p == roundRobin && first['0'] != 100 {
			t.Errorf("%s: %v", p, first)
		}
	}
	if got := grouped(sequential, suspect, down).choose(1, true, -1); got != 0 {
		t.Errorf("once more: %d", got)
	}
}

// TestRefusingAgain: an upstream that refused is asked once in a while whether it does
// still, and is the first again when it does not.
func TestRefusingAgain(t *testing.T) {
	u := &upstream{engine: newEngine(slog.New(slog.DiscardHandler), 1)}
	g := &group{options: &options{policy: sequential}, upstreams: []*upstream{u, {}}}
	g.upstreams[1].state.Store(int32(up))
	for range refusals {
		u.answered(time.Millisecond, dns.RcodeRefused)
	}
	now := u.engine.now()
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {refusedPause + time.Second, 0}, {refusedPause + time.Second, 1}, {2*refusedPause + 2*time.Second, 0}} {
		if got := g.choose(0, false, now+int64(tc.after)); got != tc.want {
			t.Errorf("after %s: %d, want %d", tc.after, got, tc.want)
		}
	}
	u.answered(time.Millisecond, dns.RcodeSuccess)
	if got := g.choose(0, false, now); got != 0 {
		t.Errorf("when it answers again: %d", got)
	}
}

// TestClosedPort: the only forwarder's port is closed. That is known at once, and the
// client is not kept waiting.
func TestClosedPort(t *testing.T) {
	for _, tcp := range []string{"", "force_tcp"} {
		s := start(t, fmt.Sprintf("forward . %s {\n %s\n}", deadAddress(t), tcp))
		begin := time.Now()
		m := s.Ask("www.example", dns.TypeA)
		if d := time.Since(begin); d > 500*time.Millisecond || m.Rcode != dns.RcodeServerFailure || ede(m) != int(dns.ExtendedErrorCodeNetworkError) {
			t.Errorf("%s: after %s:\n%s", tcp, d, m)
		}
	}
}

// TestRoot: with all forwarders down, names are resolved from the root, unless that is
// turned off.
func TestRoot(t *testing.T) {
	w := newWorld(t, map[byte]dns.Handler{10: serves(t, ".", "@ NS a.root.\na.root. A 127.0.0.10\nwww.example. A 192.0.2.77\n")})
	var h server.Handler
	s := servertest.Start(t, fmt.Sprintf(".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n forward . %s {\n health_check 50ms\n }\n}", deadAddress(t)),
		bind.Plugin(), prometheus.Plugin("test"), Gate(), servertest.Capture(Plugin(), &h))
	e := h.(*handler).engine
	use := func(on bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.config.hints = &hints{servers: []cutServer{{name: mustName(t, "a.root."), addrs: []netip.Addr{mustAddr("127.0.0.10")}}}, port: w.port}
		e.overlay.useRootHint = &on
		e.apply()
	}
	use(true)
	s.Wait("an answer from the root", func() bool {
		m := s.Ask("www.example", dns.TypeA)
		return m.Rcode == dns.RcodeSuccess && len(m.Answer) == 1 && m.RecursionAvailable && !m.Authoritative
	})
	if m := s.Ask("nosuch.example", dns.TypeA); m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
		t.Errorf("reply:\n%s", m)
	}
	if n := s.Metric("127.0.0.1:0", "stampdns_forward_root_queries_total"); n == "" || n == "0" {
		t.Errorf("%q queries from the root counted", n)
	}
	use(false)
	if m := s.Ask("other.example", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("reply:\n%s", m)
	}
}

// TestNothingIsLeft: when the server has stopped, no goroutine of ours goes on, whatever
// was under way.
func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	u := startUpstream(t, address4("192.0.2.1"))
	s := start(t, fmt.Sprintf("forward . %s %s\nforward tcp.example %s {\n force_tcp\n}", u.addr, mute(t), u.addr))
	for i := range 20 {
		s.Ask(fmt.Sprintf("n%d.example", i), dns.TypeA)
		s.Ask(fmt.Sprintf("n%d.tcp.example", i), dns.TypeA)
	}
	s.Stop()
	u.stop()
	s.Wait("the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before+2 })
}
