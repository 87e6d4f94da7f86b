//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
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
	"golang.org/x/sys/unix"
)

// impaired are the ways in which forwarders are not as they should be, and how long
// answers may take.
var impaired = []struct {
	impairment
	closed bool // no relay at all: nobody listens
	// first is the bound where there is another forwarder, for the first query alone
	// where later has another one for those behind it.
	first, later time.Duration
	// alone is the bound without another forwarder; with extended errors the answer is
	// SERVFAIL with one of these.
	alone    time.Duration
	extended []uint16
}{
	{impairment: impairment{name: "slow", delay: 300 * time.Millisecond}, first: 700 * time.Millisecond, alone: 700 * time.Millisecond},
	{impairment: impairment{name: "lossy", loss: 3}, first: 900 * time.Millisecond, alone: 900 * time.Millisecond},
	{impairment: impairment{name: "truncating", truncate: true}, first: 200 * time.Millisecond, alone: 200 * time.Millisecond},
	{impairment: impairment{name: "lying", lie: true}, first: 200 * time.Millisecond, alone: 200 * time.Millisecond},
	{
		impairment: impairment{name: "dead", dead: true}, first: 900 * time.Millisecond, later: 200 * time.Millisecond,
		alone: 2300 * time.Millisecond, extended: []uint16{dns.ExtendedErrorCodeNoReachableAuthority},
	},
	{
		impairment: impairment{name: "closed"}, closed: true, first: 200 * time.Millisecond,
		alone: 2300 * time.Millisecond, extended: []uint16{dns.ExtendedErrorCodeNoReachableAuthority, dns.ExtendedErrorCodeNetworkError},
	},
}

// impairedQueries is how many queries each impairment gets.
const impairedQueries = 8

// forwardImpaired puts relays in front of Unbound and the corporate server at the same
// time, as the first of two forwarders and as the only one.
func forwardImpaired(t *testing.T, f *forwardLab) {
	f.start(t)
	behind := []struct {
		zone, other string
		host        *host
	}{{"example.com.", unboundAddress, f.unbound[0]}, {"contoso.com.", corpAddress, f.corp}}
	for _, c := range impaired {
		t.Run(c.name, func(t *testing.T) {
			at := func(b *host) string {
				if c.closed {
					return f.closedPort()
				}
				return f.relay(t, b.addr, c.impairment).at.String()
			}
			var first, later, alone times
			var asking sync.WaitGroup
			for _, b := range behind {
				f.setForwarders(t, b.zone, at(b.host)+" "+b.other)
				asking.Go(func() {
					took := &first
					for range impairedQueries {
						d, err := f.right(b.zone)
						took.check(t, "as the first of two", d, err)
						if c.later > 0 {
							took = &later
						}
					}
				})
			}
			asking.Wait()
			first.within(t, "as the first of two", c.first)
			if c.later > 0 {
				later.within(t, "as the first of two, later", c.later)
			}
			for _, b := range behind {
				f.setForwarders(t, b.zone, at(b.host))
				for client := range 2 {
					asking.Go(func() {
						if c.extended != nil {
							d, err := f.fails(b.zone, c.extended...)
							alone.check(t, "as the only one", d, err)
							return // forwardDead goes on
						}
						for range impairedQueries {
							if client > 0 && c.loss > 0 {
								return // two at a time may lose both
							}
							d, err := f.right(b.zone)
							alone.check(t, "as the only one", d, err)
						}
					})
				}
			}
			asking.Wait()
			alone.within(t, "as the only one", c.alone)
			if c.lie {
				f.checkIgnored(t)
			}
		})
	}
	f.checkStamp(t)
}

// checkIgnored makes sure that forged answers came, and are counted.
func (f *forwardLab) checkIgnored(t *testing.T) {
	t.Helper()
	for _, reason := range []string{"unexpected", "question", "malformed"} {
		if n := f.metric(t, "stampdns_forward_responses_ignored_total", `reason="`+reason+`"`); n < impairedQueries {
			t.Errorf("stampdns_forward_responses_ignored_total of reason %s is %v, want %d or more", reason, n, impairedQueries)
		}
	}
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
	var slow, other, fast, back times
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			took, err := f.fails("example.com.", dns.ExtendedErrorCodeNoReachableAuthority)
			slow.check(t, "both are dead", took, err)
		})
	}
	for range 20 {
		took, err := f.right("contoso.com.")
		other.check(t, "another forwarder's domain meanwhile", took, err)
	}
	clients.Wait()
	other.within(t, "another forwarder's domain meanwhile", 100*time.Millisecond)
	slow.within(t, "both are dead", 2300*time.Millisecond)
	// Probes need a while to tell that both are down.
	wait(t, 10*time.Second, func() error {
		if out := f.operate(t, "forwarder get"); strings.Count(out, " down ") != 2 {
			return fmt.Errorf("forwarder get printed:\n%s", out)
		}
		return nil
	})
	before := revived.asked()
	for range 50 {
		took, err := f.fails("example.com.", dns.ExtendedErrorCodeNoReachableAuthority)
		fast.check(t, "both are known to be dead", took, err)
	}
	fast.within(t, "both are known to be dead", 50*time.Millisecond)
	if n := revived.asked() - before; n > 5 {
		t.Errorf("a forwarder that is down got %d queries, want probes only", n)
	}
	revived.set(impairment{})
	wait(t, 15*time.Second, func() error {
		_, err := f.right("example.com.")
		return err
	})
	for range 20 {
		took, err := f.right("example.com.")
		back.check(t, "when a forwarder is back", took, err)
	}
	back.within(t, "when a forwarder is back", 200*time.Millisecond)
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
	c, err := f.client.dial("udp", f.ns01.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	// All that wait are answered in one moment.
	if err := forceReadBuffer(c.conn.Conn.(*net.UDPConn), 8<<20); err != nil {
		t.Fatal(err)
	}
	rcodes := make(chan map[int]int)
	go func() {
		got := make(map[int]int)
		defer func() { rcodes <- got }()
		for n := 0; n < floodQueries; n++ {
			c.conn.SetReadDeadline(time.Now().Add(patience))
			reply, err := c.conn.ReadMsg()
			if err != nil {
				return
			}
			got[reply.Rcode]++
		}
	}()
	var stamp times
	start := time.Now()
	for i := range floodQueries {
		q, _ := f.numberedHost("example.com.")
		m := q.message()
		m.Id = uint16(i)
		if err := c.conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			took, err := f.stampName()
			stamp.check(t, "the stamp, in the flood", took, err)
		}
	}
	t.Logf("%d queries in %v", floodQueries, time.Since(start))
	for time.Since(start) < 1500*time.Millisecond { // while all that wait still do
		took, err := f.stampName()
		stamp.check(t, "the stamp, after the flood", took, err)
	}
	stamp.within(t, "the stamp, in and after the flood", 100*time.Millisecond)
	got := <-rcodes
	t.Logf("replies by RCODE: %v", got)
	if got[dns.RcodeRefused] != floodQueries-maxConcurrent || got[dns.RcodeServerFailure] != maxConcurrent {
		t.Errorf("%d REFUSED and %d SERVFAIL, want %d and %d", got[dns.RcodeRefused], got[dns.RcodeServerFailure], floodQueries-maxConcurrent, maxConcurrent)
	}
	if n := f.metric(t, "stampdns_forward_max_concurrent_rejects_total", ""); n != floodQueries-maxConcurrent {
		t.Errorf("stampdns_forward_max_concurrent_rejects_total is %v, want %d", n, floodQueries-maxConcurrent)
	}
	silent.set(impairment{})
	wait(t, 15*time.Second, func() error {
		_, err := f.right("example.com.")
		return err
	})
}

// stampName asks for a name of the stamp.
func (f *forwardLab) stampName() (time.Duration, error) {
	q := question{name: "portal." + stampZone, typ: dns.TypeA, rd: true}
	reply, took, err := f.stub(q)
	if err == nil && (reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 1 || !reply.Authoritative) {
		err = fmt.Errorf("%s: %v", q, reply)
	}
	return took, err
}

// forceReadBuffer sets how much the kernel keeps for a reader, beyond its usual limit.
func forceReadBuffer(conn *net.UDPConn, size int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Control(func(fd uintptr) {
		result = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	})
	return errors.Join(err, result)
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
			more := func() { // queries, in whatever state all is
				t.Helper()
				n := l.count() + 60
				wait(t, 15*time.Second, func() error { return l.atLeast(n) })
			}
			more()
			first.kill()
			more()
			first = startUnbound(t, f.unbound[1], f.hints, "example.org.")
			more()
			first.stop()
			more()
			startUnbound(t, f.unbound[1], f.hints, "example.org.")
			// The first one gets queries again.
			queries := func() float64 {
				return f.metric(t, "stampdns_proxy_request_duration_seconds_count", fmt.Sprintf(`to="%s:53"`, f.unbound[1].addr))
			}
			before := queries()
			wait(t, 15*time.Second, func() error {
				if n := queries(); n < before+20 {
					return fmt.Errorf("the forwarder that is back got %v queries", n-before)
				}
				return nil
			})
			l.end(t)
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
	var took times
	for i := range 5 {
		q := question{name: fmt.Sprintf("n%d.example.net.", i), typ: dns.TypeA, size: 1232, rd: true}
		reply, d, err := f.stub(q)
		if err == nil && reply.Rcode != dns.RcodeServerFailure {
			err = fmt.Errorf("%s: %v, want SERVFAIL", q, reply)
		}
		took.check(t, "a loop", d, err)
	}
	took.within(t, "a loop", 2300*time.Millisecond)
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
	wait(t, 10*time.Second, func() error { return l.atLeast(60) })
	l.end(t)
	to := fmt.Sprintf("%s:853%%dns.example.net", f.unbound[1].addr)
	if n := f.metric(t, "stampdns_proxy_conn_cache_misses_total", to); n > 8 {
		t.Errorf("%v TLS connections were opened, want a few that are shared", n)
	}
	f.operate(t, "forwarder set tls://"+f.unbound[1].addr.String()+"%dns.example.net")
	if _, err := f.right("example.com."); err != nil {
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
