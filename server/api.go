package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of the HTTP API. Requests beyond the first are refused at once, so that
// they take neither memory nor processors from queries.
const (
	maxAPIRequests = 64       // under way at once, at all addresses together
	maxAPIBody     = 64 << 10 // octets of a request's body
)

// APIOptions say how one address serves the HTTP API.
type APIOptions struct {
	// Addr is the address to listen on, "host:port".
	Addr string
	// Token is what clients have to send as bearer token (RFC 6750 section 2.1).
	// Only an address that no other machine can reach may do without.
	Token []byte
	// TLS has the address speak TLS 1.2 or later, all that is mounted there
	// included; nil is HTTP without. It has the certificate and is not changed.
	TLS *tls.Config
}

// ServeAPI has the server serve the HTTP API, which is all that MountAPI mounts,
// at one more address. Server blocks may name one address if they say the same of
// it. It is an error for an address that is not a loopback one to have no token.
func (d *Directive) ServeAPI(o APIOptions) error {
	p := apiPoint{d.at, d.Plugin.Name, o}
	if err := d.gen.serveAPI(p); err != nil {
		return p.fault(err)
	}
	return nil
}

// MountAPI has the server answer HTTP requests for pattern (net/http syntax, such
// as "GET /api/v1/stamp") at every address of the API, and nowhere where there is
// none. The same pattern twice is an error: see ShareAll.
//
// The handler gets only requests that the guard lets pass: from who may ask, not
// from a page of another site, a body no longer than 64 KiB and of JSON if the
// request may change something. It may panic. A handler that answers for longer
// than a minute lifts the write deadline with an http.ResponseController, and
// watches the request's context, which ends with the server.
func (d *Directive) MountAPI(pattern string, h http.Handler) error {
	if err := d.gen.api.add(d.here(), pattern, h); err != nil {
		return d.Errf("%w", err)
	}
	return nil
}

// API is the routes of this configuration's API without the guard: for who shows over
// HTTP what others have mounted, and needs not know them. What asks there has passed
// the guard already, or is the server itself. It may be used from OnStart on.
func (d *Directive) API() http.Handler { return d.gen.api.mux }

// apiPoint is one address of the API in one configuration.
type apiPoint struct {
	at        place
	directive string
	APIOptions
}

// fault is an error at the directive.
func (p apiPoint) fault(err error) error {
	return &ConfigError{File: p.at.file, Line: p.at.line, Directive: p.directive, Err: err}
}

// serveAPI notes an address of the API.
func (g *generation) serveAPI(p apiPoint) error {
	p.Addr = strings.ToLower(p.Addr)
	if len(p.Token) == 0 && !isLoopback(p.Addr) {
		return fmt.Errorf("other machines may reach %s, so a token is needed: add a line token FILE to its block, "+
			"or listen on 127.0.0.1", p.Addr)
	}
	if p.TLS != nil {
		p.TLS = p.TLS.Clone()
		p.TLS.MinVersion = max(p.TLS.MinVersion, tls.VersionTLS12)
		p.TLS.NextProtos = []string{"http/1.1"}
	}
	i := slices.IndexFunc(g.apis, func(other apiPoint) bool { return other.Addr == p.Addr })
	switch {
	case i < 0:
		g.apis = append(g.apis, p)
	case !bytes.Equal(p.Token, g.apis[i].Token):
		return fmt.Errorf("the API at %s has another token at %s: give both the same", p.Addr, g.apis[i].at)
	case !sameCertificate(p.TLS, g.apis[i].TLS):
		return fmt.Errorf("the API at %s has another certificate at %s: give both the same", p.Addr, g.apis[i].at)
	}
	return nil
}

// sameCertificate says whether clients see no difference between a and b.
func sameCertificate(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Certificates, b.Certificates, func(a, b tls.Certificate) bool {
		return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
	})
}

// isLoopback says whether a host, with its port or without, is one that only this
// machine can reach. Names but for localhost may lead anywhere.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// mountAPI puts the API behind whatever else is mounted at its addresses, once all
// of it is known: the directive may come before those that mount.
func (g *generation) mountAPI() error {
	for _, p := range g.apis {
		m := g.mountsAt(p.at, p.Addr)
		m.tls = p.TLS
		if err := m.add(p.at, "/", newAPIGuard(g.server, p, g.api.mux)); err != nil {
			return p.fault(err)
		}
		if p.TLS == nil && !isLoopback(p.Addr) {
			g.onStart = append(g.onStart, func() {
				g.server.log.Warn("the token of the API crosses the network for all to read: add a line tls CERT KEY", "address", p.Addr)
			})
		}
	}
	return nil
}

// checkBound says whether the API may be served at what the system has made of
// addr: localhost is a name, too.
func (g *generation) checkBound(addr string, bound netip.AddrPort) error {
	for _, p := range g.apis {
		if p.Addr == addr && len(p.Token) == 0 && !bound.Addr().IsLoopback() {
			return p.fault(fmt.Errorf("%s is %s, which other machines may reach: add a line token FILE to its block", addr, bound))
		}
	}
	return nil
}

// APIAddr is an address where the HTTP API is served.
type APIAddr struct {
	// Addr is the address as the configuration has it, in lower case: a key of
	// HTTPAddrs.
	Addr string
	// Bound is where the listener is, with the actual port.
	Bound netip.AddrPort
	// TLS says that all that is served there needs https, Token that the API needs
	// a bearer token.
	TLS, Token bool
}

// URL is where clients on this machine reach the address, without a path. It has
// the host of the configuration, which is what a certificate is for.
func (a APIAddr) URL() string {
	scheme := "http"
	if a.TLS {
		scheme = "https"
	}
	host, _, _ := net.SplitHostPort(a.Addr)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(a.Bound.Port())))
}

// APIAddrs are the addresses of the HTTP API, in the order of the Corefile.
func (s *Server) APIAddrs() []APIAddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	var addrs []APIAddr
	for _, p := range s.current.apis {
		addrs = append(addrs, APIAddr{p.Addr, s.http[p.Addr].addr(), p.TLS != nil, len(p.Token) > 0})
	}
	return addrs
}
