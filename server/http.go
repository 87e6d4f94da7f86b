package server

import (
	"cmp"
	"context"
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

// mounts are the HTTP handlers of one generation at one address.
type mounts struct {
	at     place // of the first of them
	mux    *http.ServeMux
	places map[string]place // by pattern
}

// mount adds a handler; net/http panics on patterns that are wrong or that
// conflict with each other, which here is the fault of a Corefile.
func (g *generation) mount(at place, addr, pattern string, h http.Handler) (err error) {
	addr = strings.ToLower(addr)
	m := g.mounts[addr]
	if m == nil {
		m = &mounts{at: at, mux: http.NewServeMux(), places: make(map[string]place)}
		g.mounts[addr] = m
	}
	if first, taken := m.places[pattern]; taken {
		return fmt.Errorf("%s at %s is taken already by %s: choose another address", pattern, addr, first)
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("mount %s at %s: %v", pattern, addr, fault)
		}
	}()
	m.mux.Handle(pattern, h)
	m.places[pattern] = at
	return nil
}

// httpServer listens at one address; what it answers follows the generation.
type httpServer struct {
	listener net.Listener
	server   *http.Server
	conns    *httpConns
	mux      atomic.Pointer[http.ServeMux]
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
	h := &httpServer{listener: thriftyListener{l, s.shed}, conns: newHTTPConns()}
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

// ServeHTTP passes a request to the mounts of the generation in use.
func (s *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.Load().ServeHTTP(w, r) }

// serve answers from mux on, or changes over to it.
func (s *httpServer) serve(mux *http.ServeMux, log *slog.Logger) {
	s.mux.Store(mux)
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

// thriftyListener makes room for the next connection where there is no file
// descriptor for it; the http.Server tries again.
type thriftyListener struct {
	net.Listener
	shed func()
}

// Accept waits for a connection.
func (l thriftyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if noDescriptors(err) {
		l.shed()
	}
	return c, err
}
