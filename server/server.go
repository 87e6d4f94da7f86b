// Package server turns packets into queries and replies back into packets:
// listeners, the Query, the chain of handlers, the Corefile, reload and
// lifecycle. It knows nothing of zones.
//
//	socket ── Query ──► In: observers ► gate ► handlers … ──┐
//	   ▲                                                   │ answered, dropped or pending
//	   └───── send ◄── Out: in reverse order ◄─────────────┘
//
// A Corefile becomes a generation: blocks, chains, HTTP mounts, metrics. A
// generation is set up whole before anything of it is used; a reload swaps it
// in with one atomic pointer a listener, and sockets that both need stay open.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a Server is made of. The zero value is a server without
// plugins.
type Options struct {
	// Plugins are the directives, in the order of their handlers.
	Plugins []Plugin
	// Logger gets all messages; nil is slog.Default.
	Logger *slog.Logger
	// DefaultPort is the port of keys that give none; 0 is 53.
	DefaultPort uint16
	// Workers is the number of UDP sockets an address has, each with its
	// goroutine; 0 is GOMAXPROCS.
	Workers int
	// TCPConns bounds the open TCP connections of one address; 0 is
	// DefaultTCPConns. There are fewer where the process may not open as many
	// files. A further one closes another: the one that was quiet longest or
	// whose client does not read, or one of a client with more than a quarter.
	TCPConns int
	// TCPIdle is how long a connection may be quiet between queries; 0 is
	// DefaultTCPIdle.
	TCPIdle time.Duration
	// Polling has files looked at from time to time only, as where the system does
	// not tell of changes.
	Polling bool
}

// Server is a DNS server. Its methods may be called from any goroutine.
type Server struct {
	plugins     []Plugin
	log         *slog.Logger
	defaultPort uint16
	polling     bool
	workers     int
	tcp         tcpLimits
	labels      *labels
	pool        sync.Pool

	panics        atomic.Uint64
	reloadsFailed atomic.Uint64
	panicLog      throttle

	// change is held by whoever changes the configuration; mu guards what others
	// look at meanwhile.
	change    sync.Mutex
	mu        sync.Mutex
	current   *generation // nil before Start and after Shutdown
	keys      []listenKey // of the listeners, in order of first mention
	listeners map[listenKey]*listener
	http      map[string]*httpServer
	apiSlots  chan struct{} // one held by each API request under way
	states    states
	closed    bool
	leaving   map[listenKey]*listener // out of use, but not closed yet
	retiring  sync.WaitGroup
	// force ends when Shutdown's patience does.
	force     context.Context
	forceStop context.CancelCauseFunc
}

var (
	errStarted    = errors.New("server: started already")
	errNotStarted = errors.New("server: not started")
	errClosed     = errors.New("server: shut down")
)

// New makes a Server that Start sets going.
func New(o Options) *Server {
	s := &Server{
		plugins:     slices.Clone(o.Plugins),
		log:         cmp.Or(o.Logger, slog.Default()),
		defaultPort: cmp.Or(o.DefaultPort, dnsPort),
		polling:     o.Polling,
		workers:     cmp.Or(max(0, o.Workers), runtime.GOMAXPROCS(0)),
		tcp:         defaultTCPLimits(),
		labels:      newLabels(),
		listeners:   make(map[listenKey]*listener),
		leaving:     make(map[listenKey]*listener),
		http:        make(map[string]*httpServer),
		apiSlots:    make(chan struct{}, maxAPIRequests),
	}
	s.tcp.conns = cmp.Or(max(0, o.TCPConns), s.tcp.conns)
	s.tcp.idle = cmp.Or(max(0, o.TCPIdle), s.tcp.idle)
	s.pool.New = func() any { return newQuery() }
	s.force, s.forceStop = context.WithCancelCause(context.Background())
	return s
}

// query takes a Query from the pool.
func (s *Server) query() *Query { return s.pool.Get().(*Query) }

// release takes a Query back, unless somebody else may hold it still or its
// buffer is not the common one.
func (s *Server) release(q *Query) {
	q.done, q.Packet, q.chain, q.fault, q.clock = nil, nil, nil, nil, nil
	q.relayed = false
	if !q.tainted && len(q.in) == inSize {
		s.pool.Put(q)
	}
}

// Validate sets up cf as Start would, but opens nothing.
func (s *Server) Validate(cf Corefile) error {
	s.change.Lock()
	defer s.change.Unlock()
	_, err := s.build(cf)
	return err
}

// Start serves cf. On error nothing is held open, and Start may be called again.
func (s *Server) Start(cf Corefile) error {
	s.change.Lock()
	defer s.change.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.current != nil:
		return errStarted
	}
	return s.install(cf)
}

// Reload reads the Corefile again, if it is a file, and serves it. Either all of
// it takes effect, or nothing changes: then the error is returned, logged and
// counted, and the configuration before goes on.
func (s *Server) Reload() error {
	s.change.Lock()
	defer s.change.Unlock()
	return s.reload()
}

// reload is Reload; the change lock is held. Between set-up and the change-over
// nothing of the configuration before takes up changed files: it would serve what
// the next one does not have yet, and answers would go back. The next one looks at
// them as soon as it starts.
func (s *Server) reload() error {
	switch {
	case s.closed:
		return errClosed
	case s.current == nil:
		return errNotStarted
	}
	cf, err := s.current.corefile.Again()
	if err == nil {
		s.current.pause()
		if err = s.install(cf); err != nil {
			s.current.resume()
		}
	}
	if err != nil {
		s.reloadsFailed.Add(1)
		s.log.Error("reload failed, the configuration before goes on", "error", err)
		return err
	}
	s.log.Info("reloaded", "corefile", cf.file(), "sha512", s.current.hash)
	return nil
}

// install sets up cf, opens what it needs beyond what is open, and changes over
// to it; the change lock is held.
func (s *Server) install(cf Corefile) error {
	g, err := s.build(cf)
	if err != nil {
		return err
	}
	fresh, freshHTTP, err := s.openAll(g)
	if err != nil {
		return err
	}
	g.start()
	old, gone, goneHTTP := s.swap(g, fresh, freshHTTP)
	if old == nil {
		return nil
	}
	for _, h := range goneHTTP {
		h.leave()
	}
	s.retiring.Go(func() {
		ctx, cancel := context.WithTimeoutCause(s.force, drainLimit, errDrain)
		defer cancel()
		if err := s.retire(ctx, old, gone, goneHTTP); err != nil {
			s.log.Warn("queries of the configuration before did not end", "error", err)
		}
	})
	return nil
}

// drainLimit is how long a configuration out of use waits for its last query:
// longer than any handler has reason to take.
const drainLimit = time.Minute

var errDrain = fmt.Errorf("still pending after %s", drainLimit)

// openDNS opens the addresses of g that are not open yet, all or none.
func (s *Server) openDNS(g *generation) (map[listenKey]*listener, error) {
	fresh := make(map[listenKey]*listener)
	var keys []listenKey
	for _, k := range g.listenKeys() {
		if _, open := s.listeners[k]; !open {
			keys = append(keys, k)
		}
	}
	if slices.ContainsFunc(keys, s.isLeaving) {
		s.retiring.Wait()
	}
	for _, k := range keys {
		// Our own wildcard socket would answer the probe; then SO_REUSEPORT
		// alone decides.
		ours := slices.ContainsFunc(slices.Collect(maps.Keys(s.listeners)), k.overlaps)
		if err := k.probe(); err != nil && !ours {
			return nil, err
		}
	}
	for _, k := range keys {
		l, err := s.listen(k)
		if err != nil {
			for _, l := range fresh {
				l.close()
			}
			return nil, err
		}
		fresh[k] = l
	}
	return fresh, nil
}

// isLeaving says whether a socket that is about to be closed is in the way of
// one at k: it would take a part of the queries and never read them.
func (s *Server) isLeaving(k listenKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.leaving {
		if k == other || k.overlaps(other) {
			return true
		}
	}
	return false
}

// openHTTP opens the HTTP addresses of g that are not open yet, all or none.
func (s *Server) openHTTP(g *generation) (map[string]*httpServer, error) {
	fresh := make(map[string]*httpServer)
	var err error
	for _, addr := range slices.Sorted(maps.Keys(g.mounts)) {
		h := s.http[addr]
		if h == nil {
			if h, err = s.listenHTTP(addr); err != nil {
				err = g.mounts[addr].at.errorf("%w", err)
				break
			}
			fresh[addr] = h
		}
		if err = g.checkBound(addr, h.addr()); err != nil {
			break
		}
	}
	if err == nil {
		return fresh, nil
	}
	for _, h := range fresh {
		h.listener.Close()
	}
	return nil, err
}

// swap makes g what is served and returns what that leaves without use.
func (s *Server) swap(g *generation, fresh map[listenKey]*listener, freshHTTP map[string]*httpServer) (
	old *generation, gone []*listener, goneHTTP []*httpServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, s.current = s.current, g
	s.keys = g.listenKeys()
	for k, l := range s.listeners {
		if !slices.Contains(s.keys, k) {
			gone = append(gone, l)
			s.leaving[k] = l
			delete(s.listeners, k)
			continue
		}
		l.router.Store(g.router(k))
	}
	for k, l := range fresh {
		l.router.Store(g.router(k))
		s.listeners[k] = l
		l.serve()
	}
	for addr, h := range s.http {
		if g.mounts[addr] == nil {
			goneHTTP = append(goneHTTP, h)
			delete(s.http, addr)
		}
	}
	maps.Copy(s.http, freshHTTP)
	for addr, h := range s.http {
		h.serve(g.mounts[addr], s.log)
	}
	s.apportion()
	s.reviewGuardsLocked()
	return old, gone, goneHTTP
}

// retire ends what is out of use: first what holds queries back, then reading, then the queries under way,
// then the plugins, then the sockets and the state file.
func (s *Server) retire(ctx context.Context, g *generation, gone []*listener, goneHTTP []*httpServer) error {
	var all sync.WaitGroup
	g.release()
	for _, l := range gone {
		all.Go(func() { l.quiesce(ctx) })
	}
	all.Wait()
	err := g.drain(ctx)
	s.mu.Lock()
	for _, l := range gone {
		l.close()
		delete(s.leaving, l.key)
	}
	s.mu.Unlock()
	g.stop()
	for _, h := range goneHTTP {
		err = errors.Join(err, h.shutdown(ctx))
	}
	return errors.Join(err, s.states.release(g.state))
}

// LameDuck is how long Shutdown goes on answering before it begins to stop.
func (s *Server) LameDuck() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.lameDuck
}

// Shutdown goes on answering for as long as Directive.LameDuck asked, not ready
// any more, so that clients find other servers. Then it stops reading, waits for
// the queries under way, pending ones too, and stops the plugins and the HTTP
// listeners. At the end of ctx it waits no longer, and returns why.
func (s *Server) Shutdown(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	s.closed = true
	g, gone, goneHTTP := s.current, slices.Collect(maps.Values(s.listeners)), slices.Collect(maps.Values(s.http))
	s.current = nil
	clear(s.listeners)
	clear(s.http)
	s.mu.Unlock()
	if g == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { s.forceStop(context.Cause(ctx)) })
	defer stop()
	g.linger(ctx)
	err := s.retire(ctx, g, gone, goneHTTP)
	s.retiring.Wait()
	return err
}

// Ready returns what is not ready yet; nil means that all is.
func (s *Server) Ready() error {
	s.mu.Lock()
	g, closed := s.current, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case g == nil:
		return errNotStarted
	}
	return g.ready()
}

// Addrs are the addresses that DNS is served on, with their actual ports, in the
// order of the Corefile. Each is open over UDP and TCP.
func (s *Server) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, l := range s.open() {
		addrs = append(addrs, l.bound)
	}
	return addrs
}

// HTTPAddrs are the addresses of the HTTP listeners, with their actual ports,
// by the address that the plugin gave.
func (s *Server) HTTPAddrs() map[string]netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make(map[string]netip.AddrPort, len(s.http))
	for addr, h := range s.http {
		addrs[addr] = h.addr()
	}
	return addrs
}

// open are the listeners in use.
func (s *Server) open() []*listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*listener
	for _, k := range s.keys {
		if l := s.listeners[k]; l != nil {
			open = append(open, l)
		}
	}
	return open
}

// BlockInfo describes a server block in use.
type BlockInfo struct {
	Place       string   // FILE:LINE of its first key
	Zones       []string // presentation form
	Addrs       []netip.AddrPort
	NameServers []NameServer
	Directives  []string // in the order of the plugin list
}

// Blocks describes what is served, in the order of the Corefile.
func (s *Server) Blocks() []BlockInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	var infos []BlockInfo
	for _, b := range s.current.blocks {
		info := BlockInfo{
			Place:       b.keys[0].place.String(),
			NameServers: slices.Clone(b.block.NameServers),
			Directives:  slices.Clone(b.directives),
		}
		for _, z := range b.block.Zones {
			info.Zones = append(info.Zones, z.String())
		}
		for _, k := range b.listenKeys() {
			info.Addrs = append(info.Addrs, s.listeners[k].bound)
		}
		infos = append(infos, info)
	}
	return infos
}

// kept is the value that the configuration in use keeps under k.
func (s *Server) kept(k keptKey) any {
	if s.current == nil {
		return nil
	}
	return s.current.kept[k]
}
