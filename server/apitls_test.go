package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// certificate is a fresh one for 127.0.0.1, with a serial number to tell it by.
func certificate(t testing.TB, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "dns.contoso.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TLS comes, changes its certificate and goes with reloads; the socket stays.
func TestAPITLS(t *testing.T) {
	l := newAPILab()
	const plain = ".:0 {\n bind 127.0.0.1\n mount 127.0.0.1:0 /metrics numbers\n serveapi 127.0.0.1:0 " + testToken + "\n" + routes + "}\n"
	secure := strings.Replace(plain, testToken, testToken+" tls", 1)
	s, path := l.startFile(t, plain, l.add)
	bound := s.APIAddrs()[0].Bound
	kept := dialTCP(t, bound)
	if r, err := request(kept, "/metrics"); err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	for serial := int64(1); serial <= 2; serial++ {
		l.certs = []tls.Certificate{certificate(t, serial)}
		write(t, path, secure)
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if a := s.APIAddrs()[0]; !a.TLS || a.Bound != bound || !strings.HasPrefix(a.URL(), "https://127.0.0.1:") {
			t.Fatalf("%+v", a)
		}
		c, err := tls.Dial("tcp", bound.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		state := c.ConnectionState()
		if got := state.PeerCertificates[0].SerialNumber.Int64(); got != serial || state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("certificate %d, protocol %s", got, state.NegotiatedProtocol)
		}
		c.Close()
		if _, err := tls.Dial("tcp", bound.String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
			t.Error("TLS 1.1 is spoken")
		}
		if r := call(t, s.APIAddrs()[0].URL(), "GET", "/api/v1/hello/a", "", "Authorization: Bearer "+testToken); r.status != 200 {
			t.Error(r)
		}
		// All at the address is behind TLS.
		if r := call(t, s.APIAddrs()[0].URL(), "GET", "/metrics", ""); r.body != "numbers" {
			t.Error(r)
		}
		if r := call(t, "http://"+bound.String(), "GET", "/metrics", ""); r.status != 400 {
			t.Error(r)
		}
	}
	// A connection from before says nothing in the clear any more.
	if r, err := request(kept, "/metrics"); err != nil || r.StatusCode != http.StatusBadRequest || !r.Close {
		t.Error(r, err)
	}
	write(t, path, plain)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "127.0.0.1:0", "/metrics"); got != "numbers" || s.APIAddrs()[0].Bound != bound {
		t.Error(got)
	}
}

// Clients that connect and never begin with TLS keep nobody out.
func TestAPITLSIdleClients(t *testing.T) {
	l := newAPILab()
	l.certs = []tls.Certificate{certificate(t, 1)}
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n serveapi 127.0.0.1:0 "+testToken+" tls\n"+routes+"}\n", l.add)
	a := s.APIAddrs()[0]
	conns := s.http["127.0.0.1:0"].conns
	conns.allow(4)
	first := dialTCP(t, a.Bound)
	eventually(t, "the first connection", func() bool { return conns.count() == 1 })
	for range 8 {
		dialTCP(t, a.Bound)
	}
	if r := call(t, a.URL(), "GET", "/api/v1/hello/a", "", "Authorization: Bearer "+testToken); r.status != 200 {
		t.Error(r)
	}
	wantClosed(t, first)
}
