package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of the HTTP listeners: they serve scrapers and probes, not the world.
const (
	httpHeaderTimeout = 5 * time.Second
	httpReadTimeout   = 30 * time.Second
	httpWriteTimeout  = time.Minute
	httpIdleTimeout   = 5 * time.Second
	httpHeaderBytes   = 16 << 10
	// httpGrace is how long requests go on at shutdown that can be told to end.
	httpGrace = time.Second
)

// mounts are HTTP handlers of one generation: those at one address, or the API's.
type mounts struct {
	at     place  // of the first of them
	where  string // for errors: at ADDRESS
	remedy string // for errors: what to do where a pattern is taken
	mux    *http.ServeMux
	places map[string]place // by pattern
	tls    *tls.Config      // nil for HTTP without TLS
}

func newMounts(at place, where, remedy string) *mounts {
	return &mounts{at: at, where: where, remedy: remedy, mux: http.NewServeMux(), places: make(map[string]place)}
}

// add adds a handler; net/http panics on patterns that are wrong or that
// conflict with each other, which here is the fault of a Corefile.
func (m *mounts) add(at place, pattern string, h http.Handler) (err error) {
	if first, taken := m.places[pattern]; taken {
		return fmt.Errorf("%s %s is taken already by %s: %s", pattern, m.where, first, m.remedy)
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("mount %s %s: %v", pattern, m.where, fault)
		}
	}()
	m.mux.Handle(pattern, h)
	m.places[pattern] = at
	return nil
}

// mountsAt are the mounts at addr.
func (g *generation) mountsAt(at place, addr string) *mounts {
	addr = strings.ToLower(addr)
	if g.mounts[addr] == nil {
		g.mounts[addr] = newMounts(at, "at "+addr, "choose another address")
	}
	return g.mounts[addr]
}

// httpServer listens at one address; what it answers follows the generation.
type httpServer struct {
	listener net.Listener
	server   *http.Server
	conns    *httpConns
	mounts   atomic.Pointer[mounts]
	left     atomic.Bool // the address was given up
	cancel   context.CancelFunc
	done     chan struct{} // closed when Serve returned; nil until serve
}

// listenHTTP opens addr without answering yet.
func (s *Server) listenHTTP(addr string) (*httpServer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &ListenError{Network: "tcp", Addr: addr, Err: err}
	}
	h := &httpServer{conns: newHTTPConns()}
	h.listener = httpListener{l, s.shed, &h.mounts}
	requests, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.server = &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnState:         h.conns.note,
		ReadHeaderTimeout: httpHeaderTimeout,
		ReadTimeout:       httpReadTimeout,
		WriteTimeout:      httpWriteTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    httpHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.With("http", addr).Handler(), slog.LevelDebug),
	}
	return h, nil
}

// ServeHTTP passes a request to the mounts of the generation in use. Connections
// from before the address spoke TLS end.
func (s *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := s.mounts.Load()
	if m.tls != nil && r.TLS == nil {
		w.Header().Set("Connection", "close")
		http.Error(w, "this address speaks TLS by now: connect again, with https", http.StatusBadRequest)
		return
	}
	m.mux.ServeHTTP(w, r)
}

// serve answers from m on, or changes over to it.
func (s *httpServer) serve(m *mounts, log *slog.Logger) {
	s.mounts.Store(m)
	if s.done != nil {
		return
	}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		if err := s.server.Serve(s.listener); err != http.ErrServerClosed && !s.left.Load() {
			log.Error("HTTP listener ended", "address", s.listener.Addr(), "error", err)
		}
	}()
}

// leave closes the listener, so that the address can be had again at once. The
// requests under way go on until shutdown, and each is its connection's last.
func (s *httpServer) leave() {
	s.left.Store(true)
	s.listener.Close()
	s.server.SetKeepAlivesEnabled(false)
}

// shutdown finishes the requests under way, and cuts them off at the end of ctx.
// Those that watch their context, such as a profile, end sooner.
func (s *httpServer) shutdown(ctx context.Context) error {
	defer s.cancel()
	defer time.AfterFunc(httpGrace, s.cancel).Stop()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = cmp.Or(s.server.Close(), err)
	}
	// Shutdown knows the listener only once it serves.
	s.listener.Close()
	if s.done != nil {
		<-s.done
	}
	return err
}

func (s *httpServer) addr() netip.AddrPort {
	return unmap(s.listener.Addr().(*net.TCPAddr).AddrPort())
}

// httpListener makes room for the next connection where there is no file
// descriptor for it; the http.Server tries again. New connections speak TLS where
// the mounts in use want it: the http.Server does the handshake, and bounds its
// time, where it knows a connection as a *tls.Conn.
type httpListener struct {
	net.Listener
	shed   func()
	mounts *atomic.Pointer[mounts]
}

// Accept waits for a connection.
func (l httpListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if noDescriptors(err) {
		l.shed()
	}
	if err != nil {
		return nil, err
	}
	if conf := l.mounts.Load().tls; conf != nil {
		return tls.Server(c, conf), nil
	}
	return c, nil
}
