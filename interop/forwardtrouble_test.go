//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// impaired are the ways in which forwarders are not as they should be, and how long
// right answers may take where there is no other forwarder, and where there is one.
var impaired = []struct {
	impairment
	closed     bool          // no relay at all: nobody listens
	first      time.Duration // the first answer, if there is another forwarder
	later      time.Duration // the others
	alone      time.Duration // without another forwarder; 0: SERVFAIL
	aloneFirst time.Duration // SERVFAIL the first time
	extended   []uint16      // of that SERVFAIL
}{
	{impairment: impairment{name: "slow", delay: 300 * time.Millisecond}, first: 700 * time.Millisecond, later: 700 * time.Millisecond, alone: 700 * time.Millisecond},
	{impairment: impairment{name: "lossy", loss: 3}, first: 900 * time.Millisecond, later: 900 * time.Millisecond, alone: 2300 * time.Millisecond},
	{impairment: impairment{name: "truncating", truncate: true}, first: 300 * time.Millisecond, later: 300 * time.Millisecond, alone: 300 * time.Millisecond},
	{impairment: impairment{name: "lying", lie: true}, first: 300 * time.Millisecond, later: 300 * time.Millisecond, alone: 300 * time.Millisecond},
	{
		impairment: impairment{name: "dead", dead: true}, first: 700 * time.Millisecond, later: 200 * time.Millisecond,
		aloneFirst: 2300 * time.Millisecond, extended: []uint16{dns.ExtendedErrorCodeNoReachableAuthority},
	},
	{
		impairment: impairment{name: "closed"}, closed: true, first: 200 * time.Millisecond, later: 200 * time.Millisecond,
		aloneFirst: 2300 * time.Millisecond, extended: []uint16{dns.ExtendedErrorCodeNoReachableAuthority, dns.ExtendedErrorCodeNetworkError},
	},
}

// impairedQueries is how many queries each impairment gets.
const impairedQueries = 12

// forwardImpaired puts relays in front of Unbound and the corporate server, as the
// first of two forwarders and as the only one. The cases run at the same time, as
// most of their time is waiting: each has a domain with forwarders of its own.
func forwardImpaired(t *testing.T, f *forwardLab) {
	f.start(t)
	for _, c := range impaired {
		for _, behind := range []struct {
			zone, other string
			host        *host
		}{{"example.com.", unboundAddress, f.unbound[0]}, {"contoso.com.", corpAddress, f.corp}} {
			t.Run(c.name+"/"+behind.zone, func(t *testing.T) {
				at := f.closedPort()
				if !c.closed {
					at = f.relay(t, behind.host.addr, c.impairment).at.String()
				}
				f.setForwarders(t, behind.zone, at+" "+behind.other)
				within := c.first
				for range impairedQueries {
					if err := f.right(behind.zone, within); err != nil {
						t.Errorf("as the first of two: %v", err)
					}
					within = c.later
				}
				at = f.closedPort()
				if !c.closed {
					at = f.relay(t, behind.host.addr, c.impairment).at.String()
				}
				f.setForwarders(t, behind.zone, at)
				if c.alone == 0 {
					if err := f.fails(behind.zone, c.aloneFirst, c.extended...); err != nil {
						t.Errorf("as the only one: %v", err)
					}
					return // forwardDead goes on
				}
				for range impairedQueries {
					if err := f.right(behind.zone, c.alone); err != nil {
						t.Errorf("as the only one: %v", err)
					}
				}
			})
		}
	}
	for _, reason := range []string{"unexpected", "question", "malformed"} {
		if n := f.metric(t, "stampdns_forward_responses_ignored_total", `reason="`+reason+`"`); n < impairedQueries {
			t.Errorf("stampdns_forward_responses_ignored_total of reason %s is %v, want at least %d: forged answers came", reason, n, impairedQueries)
		}
	}
	f.checkStamp(t)
}

// setForwarders makes addresses the forwarders for the zone's names.
func (f *forwardLab) setForwarders(t *testing.T, zone, addresses string) {
	t.Helper()
	if zone == "contoso.com." {
		f.operate(t, "custom-dns register contoso.com "+addresses)
	} else {
		f.operate(t, "forwarder set "+addresses)
	}
}

// forwardDead has two dead forwarders: the first clients wait for SERVFAIL, the later
// ones do not, and when a forwarder comes back, all is well.
func forwardDead(t *testing.T, f *forwardLab) {
	dead := f.relay(t, f.unbound[0].addr, impairment{name: "dead", dead: true})
	revived := f.relay(t, f.unbound[0].addr, impairment{name: "dead", dead: true})
	f.start(t, "--forwarder", dead.at.String()+","+revived.at.String(), "--custom-dns", "contoso.com="+corpAddress)
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			if err := f.fails("example.com.", 2300*time.Millisecond, dns.ExtendedErrorCodeNoReachableAuthority); err != nil {
				t.Error(err)
			}
		})
	}
	if err := f.right("contoso.com.", 100*time.Millisecond); err != nil {
		t.Errorf("another forwarder's domain meanwhile: %v", err)
	}
	clients.Wait()
	// Probes need so long to tell.
	wait(t, 3*time.Second, func() error {
		return f.fails("example.com.", 100*time.Millisecond, dns.ExtendedErrorCodeNoReachableAuthority)
	})
	before := revived.asked()
	for range 50 {
		if err := f.fails("example.com.", 100*time.Millisecond, dns.ExtendedErrorCodeNoReachableAuthority); err != nil {
			t.Error(err)
		}
	}
	if n := revived.asked() - before; n > 5 {
		t.Errorf("a forwarder that is down got %d queries, want probes only", n)
	}
	if out := f.operate(t, "forwarder get"); strings.Count(out, " down ") != 2 {
		t.Errorf("forwarder get printed:\n%s", out)
	}
	revived.mu.Lock()
	revived.dead = false
	revived.mu.Unlock()
	wait(t, 10*time.Second, func() error { return f.right("example.com.", 200*time.Millisecond) })
	for range 10 {
		if err := f.right("example.com.", 200*time.Millisecond); err != nil {
			t.Errorf("when a forwarder is back: %v", err)
		}
	}
}

// The flood, and how many of its queries may wait.
const (
	floodQueries  = 3000
	maxConcurrent = 500
)

// forwardFlood asks for more names than may wait for a silent forwarder.
func forwardFlood(t *testing.T, f *forwardLab) {
	silent := f.relay(t, f.unbound[0].addr, impairment{name: "silent", dead: true})
	f.startCorefile(t, "    forward . "+silent.at.String()+" {", fmt.Sprintf("        max_concurrent %d", maxConcurrent), "        allow *", "    }")
	c, err := f.client.dial("udp", f.ns01.addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	rcodes := make(chan map[int]int)
	go func() {
		got := make(map[int]int)
		defer func() { rcodes <- got }()
		c.conn.SetReadDeadline(time.Now().Add(4 * time.Second))
		for range floodQueries {
			reply, err := c.conn.ReadMsg()
			if err != nil {
				return
			}
			got[reply.Rcode]++
		}
	}()
	start := time.Now()
	for i := range floodQueries {
		q, _ := f.numberedHost("example.com.")
		m := q.message()
		m.Id = uint16(i)
		if err := c.conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			f.stampWithin(t, 100*time.Millisecond)
		}
	}
	t.Logf("%d queries in %v", floodQueries, time.Since(start))
	for time.Since(start) < 1500*time.Millisecond { // while all that wait still do
		f.stampWithin(t, 100*time.Millisecond)
	}
	got := <-rcodes
	t.Logf("replies by RCODE: %v", got)
	if got[dns.RcodeRefused] != floodQueries-maxConcurrent || got[dns.RcodeServerFailure] != maxConcurrent {
		t.Errorf("%d REFUSED and %d SERVFAIL, want %d and %d", got[dns.RcodeRefused], got[dns.RcodeServerFailure], floodQueries-maxConcurrent, maxConcurrent)
	}
	if n := f.metric(t, "stampdns_forward_max_concurrent_rejects_total", ""); n != floodQueries-maxConcurrent {
		t.Errorf("stampdns_forward_max_concurrent_rejects_total is %v, want %d", n, floodQueries-maxConcurrent)
	}
	silent.mu.Lock()
	silent.dead = false
	silent.mu.Unlock()
	wait(t, 10*time.Second, func() error { return f.right("example.com.", 200*time.Millisecond) })
}

// stampWithin asks for a name of the stamp, which must not take longer.
func (f *forwardLab) stampWithin(t *testing.T, within time.Duration) {
	t.Helper()
	q := question{name: "portal." + stampZone, typ: dns.TypeA, rd: true}
	reply, took, err := f.stub(q)
	switch {
	case err != nil:
		t.Errorf("%s: %v", q, err)
	case reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 1 || took > within:
		t.Errorf("%s: %s with %d records after %v, want one within %v", q, dns.RcodeToString[reply.Rcode], len(reply.Answer), took, within)
	}
}

// forwardUpstreamRestart stops and starts the first of two forwarders while queries
// come, over UDP and over TCP alone: what is lost is answered when asked once more.
func forwardUpstreamRestart(t *testing.T, f *forwardLab) {
	for _, property := range []string{"policy sequential", "force_tcp"} {
		t.Run(property, func(t *testing.T) {
			first := startUnbound(t, f.unbound[1], f.hints, "example.org.")
			startUnbound(t, f.unbound[2], f.hints, "example.org.")
			f.startCorefile(t, fmt.Sprintf("    forward . %s %s {", f.unbound[1].addr, f.unbound[2].addr),
				"        policy sequential", "        "+property, "        allow *", "    }")
			l := f.startLoad(t, 8, 40*time.Millisecond, 1, "example.com.")
			time.Sleep(500 * time.Millisecond) // for queries to be under way
			first.kill()
			time.Sleep(700 * time.Millisecond)
			first = startUnbound(t, f.unbound[1], f.hints, "example.org.")
			time.Sleep(700 * time.Millisecond)
			first.stop()
			time.Sleep(300 * time.Millisecond)
			startUnbound(t, f.unbound[1], f.hints, "example.org.")
			// The first one gets queries again.
			queries := func() float64 {
				return f.metric(t, "stampdns_proxy_request_duration_seconds_count", fmt.Sprintf(`to="%s:53"`, f.unbound[1].addr))
			}
			before := queries()
			wait(t, 10*time.Second, func() error {
				if n := queries(); n < before+20 {
					return fmt.Errorf("the forwarder that is back got %v queries", n-before)
				}
				return nil
			})
			if n := l.end(t); n < 200 {
				t.Errorf("only %d queries: they should have come all the time", n)
			}
		})
	}
}

// forwardLoop has the stamp forward example.net to a BIND that forwards it to the
// stamp.
func forwardLoop(t *testing.T, f *forwardLab) {
	conf := bindOptions(t, f.loop, "recursion yes;", "allow-recursion { any; };", "empty-zones-enable no;")
	conf = append(conf,
		fmt.Sprintf(`zone "." { type hint; file %q; };`, f.hints),
		fmt.Sprintf(`zone "example.net" { type forward; forward only; forwarders { %s; }; };`, f.ns01.addr))
	named := f.loop.start(t, "named (loop)", "named", "-g", "-n", "1", "-4", "-c", write(t, t.TempDir(), "named.conf", conf...))
	named.ready(f.loop.answers(f.loop.addr, "example.org."))
	p := f.start(t, "--forwarder", unboundAddress, "--custom-dns", "example.net="+loopAddress)
	looped := func() float64 { return f.metric(t, "stampdns_forward_loops_total", "") }
	l := f.startLoad(t, 4, 50*time.Millisecond, 0, "example.com.")
	for i := range 5 {
		q := question{name: fmt.Sprintf("n%d.example.net.", i), typ: dns.TypeA, size: 1232, rd: true}
		reply, took, err := f.stub(q)
		if err != nil || reply.Rcode != dns.RcodeServerFailure || took > 2300*time.Millisecond {
			t.Errorf("%s: %v, %v after %v, want SERVFAIL within 2.3s", q, reply, err, took)
		}
	}
	if n := looped(); n < 5 {
		t.Errorf("stampdns_forward_loops_total is %v, want 5 or more", n)
	}
	// The same from the other end.
	q := question{name: "other.example.net.", typ: dns.TypeA, rd: true}
	if reply, err := f.client.ask("udp", f.loop.addr, q, 2*patience); err != nil || reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("%s of the other server: %v, %v, want SERVFAIL", q, reply, err)
	}
	l.end(t)
	if n := strings.Count(p.log.String(), "forwarding loop"); n != 1 {
		t.Errorf("%d lines of the log tell of a forwarding loop, want 1 within a minute", n)
	}
	f.checkStamp(t)
}

// forwardTLS forwards to Unbound over TLS, and never to a server that it cannot be
// sure of.
func forwardTLS(t *testing.T, f *forwardLab) {
	dir := t.TempDir()
	authority := makeCertificates(t, dir, "dns.example.net")
	startUnboundWith(t, f.unbound[1], f.hints, "example.org.",
		fmt.Sprintf("  interface: %s@853", f.unbound[1].addr),
		"  tls-port: 853",
		"  tls-service-key: "+filepath.Join(dir, "server.key"),
		"  tls-service-pem: "+filepath.Join(dir, "server.pem"))
	f.startCorefile(t,
		fmt.Sprintf("    forward . tls://%s%%dns.example.net {", f.unbound[1].addr), "        tls "+authority, "        allow *", "    }",
		fmt.Sprintf("    forward example.org tls://%s%%other.example.net {", f.unbound[1].addr), "        tls "+authority, "    }")
	l := f.startLoad(t, 4, 20*time.Millisecond, 0, "example.com.")
	for _, text := range []string{"large.example.org. TXT", "www.example.org. A"} {
		name, typ, _ := strings.Cut(text, " ")
		reply := f.client.mustAsk(t, "tcp", f.ns01.addr, question{name: name, typ: dns.StringToType[typ], size: 1232, rd: true})
		if reply.Rcode != dns.RcodeServerFailure || len(reply.Answer) > 0 {
			t.Errorf("%s, whose forwarder has a certificate for another name: %v, want SERVFAIL", text, reply)
		}
	}
	time.Sleep(500 * time.Millisecond)
	if n := l.end(t); n < 40 {
		t.Errorf("only %d queries over TLS", n)
	}
	to := fmt.Sprintf("%s:853%%dns.example.net", f.unbound[1].addr)
	if n := f.metric(t, "stampdns_proxy_conn_cache_misses_total", to); n > 8 {
		t.Errorf("%v TLS connections were opened, want a few that are shared", n)
	}
	// The same names, asked the server directly.
	f.operate(t, "forwarder set tls://"+f.unbound[1].addr.String()+"%dns.example.net")
	if err := f.right("example.com.", time.Second); err != nil {
		t.Errorf("the same, set at run time: %v", err)
	}
}

// makeCertificates makes a certificate authority and a server's certificate for the
// name, writes server.key and server.pem, and returns the path of the authority's
// certificate.
func makeCertificates(t *testing.T, dir, name string) (authority string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	for _, file := range []struct {
		name, kind string
		der        []byte
	}{
		{"ca.pem", "CERTIFICATE", caDER}, {"server.pem", "CERTIFICATE", serverDER}, {"server.key", "PRIVATE KEY", keyDER},
	} {
		must(os.WriteFile(filepath.Join(dir, file.name), pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der}), 0o600))
	}
	return filepath.Join(dir, "ca.pem")
}
