package server

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy/caddyfile"
	"github.com/prometheus/client_golang/prometheus"
)

// generation is all that one Corefile amounts to. It is set up whole before
// anything of it is used, and goes out of use whole.
type generation struct {
	server   *Server
	corefile Corefile
	hash     string // of the Corefile's text, as hexadecimal SHA-512
	registry *prometheus.Registry
	blocks   []*builtBlock
	mounts   map[string]*mounts
	api      *mounts    // what is served at each of apis, behind the guard
	apis     []apiPoint // in order of first mention
	state    *stateUse
	checks   []readyCheck
	onStart  []func()
	onStop   []func()
	onBatch  []func(worker int)
	onDrain  []func()
	guards   []blockGuard
	watches  *timetable      // of the Watches; nil if there is none
	shared   map[any]any     // by ShareAll
	kept     map[keptKey]any // by Keep
	lameDuck time.Duration   // how long to go on after Shutdown is called

	// inflight counts the queries that each worker has under way here. While one
	// is, the generation must not stop.
	inflight []inflight
	retired  atomic.Bool
	idle     chan struct{} // told when a count falls to zero after retirement
}

// inflight is a counter with a cache line of its own.
type inflight struct {
	n atomic.Int64
	_ [56]byte
}

// readyCheck is what readiness waits for.
type readyCheck struct {
	name  string
	check func() error
}

// builtBlock is a server block after set-up.
type builtBlock struct {
	block      *Block
	keys       []key
	directives []string
	chain      *chain
	refuse     *chain // the observers and the gate alone
}

// build sets up a generation from cf. It opens nothing.
func (s *Server) build(cf Corefile) (*generation, error) {
	sum := sha512.Sum512(cf.Text)
	g := &generation{
		server: s, corefile: cf, hash: hex.EncodeToString(sum[:]),
		registry: prometheus.NewRegistry(),
		mounts:   make(map[string]*mounts),
		api:      newMounts(place{}, "of the API", "mount it once"),
		state:    new(stateUse),
		shared:   make(map[any]any),
		kept:     make(map[keptKey]any),
		inflight: make([]inflight, s.workers),
		idle:     make(chan struct{}, 1),
	}
	var known []string
	for _, p := range s.plugins {
		if !p.Implicit {
			known = append(known, p.Name)
		}
	}
	ready, idle, err := cf.prepare()
	if err != nil {
		return nil, err
	}
	for _, i := range idle {
		s.log.Info("import matches no file", "pattern", i.pattern, "at", i.place)
	}
	parsed, err := parseCorefile(ready, known, s.defaultPort)
	if err != nil {
		return nil, err
	}
	for _, sb := range parsed {
		for _, keys := range byPort(sb.keys) {
			b, err := g.setup(keys, sb.tokens)
			if err != nil {
				return nil, err
			}
			g.blocks = append(g.blocks, b)
		}
	}
	if err := g.checkOverlap(); err != nil {
		return nil, err
	}
	if err := g.mountAPI(); err != nil {
		return nil, err
	}
	if err := g.registry.Register(&collector{server: s, hash: g.hash}); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return g, nil
}

// byPort splits the keys of a block by their ports: each port is a block of its
// own.
func byPort(keys []key) [][]key {
	var groups [][]key
	for _, k := range keys {
		i := slices.IndexFunc(groups, func(g []key) bool { return g[0].port == k.port })
		if i < 0 {
			groups = append(groups, []key{k})
			continue
		}
		groups[i] = append(groups[i], k)
	}
	return groups
}

// setup sets up one server block: the plugins whose directives stand in it, in
// the order of the plugin list, then the implicit ones.
func (g *generation) setup(keys []key, tokens map[string][]caddyfile.Token) (*builtBlock, error) {
	b := &builtBlock{keys: keys, block: &Block{
		Port: keys[0].port, UDPSize: DefaultUDPSize, shared: make(map[any]any),
	}}
	for _, k := range keys {
		b.block.Zones = append(b.block.Zones, k.zones...)
	}
	handlers := make([]Handler, len(g.server.plugins))
	for _, implicit := range []bool{false, true} {
		for i := range g.server.plugins {
			p := &g.server.plugins[i]
			t, stands := tokens[p.Name]
			if p.Implicit != implicit || !implicit && !stands {
				continue
			}
			if implicit {
				t = nil
			} else {
				b.directives = append(b.directives, p.Name)
			}
			h, err := g.setupPlugin(p, b, t)
			if err != nil {
				return nil, err
			}
			handlers[i] = h
		}
	}
	b.block.UDPSize = min(MaxUDPSize, max(MinUDPSize, b.block.UDPSize))
	b.block.label()
	g.link(b, handlers)
	return b, nil
}

// setupPlugin calls Setup. Its error gets the place of the directive if it has
// none; a panic is an error, as a reload must not end the server.
func (g *generation) setupPlugin(p *Plugin, b *builtBlock, tokens []caddyfile.Token) (h Handler, err error) {
	file, at := g.corefile.file(), b.keys[0].place
	if len(tokens) > 0 {
		at = tokenPlace(file, tokens[0])
	}
	defer func() {
		if fault := recover(); fault != nil {
			g.server.log.Error("plugin set-up panicked", "plugin", p.Name, "panic", fault, "stack", string(debug.Stack()))
			h, err = nil, &ConfigError{File: at.file, Line: at.line, Directive: p.Name, Err: fmt.Errorf("panic: %v", fault)}
		}
	}()
	d := &Directive{Dispenser: caddyfile.NewDispenserTokens(file, tokens), Block: b.block, Plugin: p, gen: g, before: b.directives, at: at}
	h, err = p.Setup(d)
	if err == nil {
		return h, nil
	}
	var placed *ConfigError
	if errors.As(err, &placed) {
		return nil, err
	}
	if errors.As(syntaxError(at.file, err), &placed) && placed.Err == err {
		placed.Line = at.line
	}
	placed.Directive, placed.Usage = p.Name, p.Usage
	return nil, placed
}

// link makes the chains of a block: observers first, then the gate, then the
// others, each in the order of the plugin list.
func (g *generation) link(b *builtBlock, handlers []Handler) {
	var observers, others []Handler
	for i, h := range handlers {
		switch {
		case h == nil:
		case g.server.plugins[i].Observer:
			observers = append(observers, h)
		default:
			others = append(others, h)
		}
	}
	b.refuse = &chain{gen: g, block: b.block, handlers: observers, gate: len(observers)}
	b.chain = &chain{gen: g, block: b.block, handlers: slices.Concat(observers, others), gate: len(observers)}
}

// listenKeys are the addresses that the block listens on.
func (b *builtBlock) listenKeys() []listenKey {
	if len(b.block.Binds) == 0 {
		return []listenKey{{port: b.block.Port}}
	}
	var keys []listenKey
	for _, a := range b.block.Binds {
		k := keyOf(a, b.block.Port)
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// listensAt says whether the block gets queries that come to the listener at
// key: a block on all addresses has its share of each of them.
func (b *builtBlock) listensAt(key listenKey) bool {
	for _, k := range b.listenKeys() {
		if k.port == key.port && (k == key || !k.addr.IsValid() ||
			k.addr == netip.IPv4Unspecified() && key.addr.Is4()) {
			return true
		}
	}
	return false
}

// overlaps says whether two blocks get queries from one address.
func (b *builtBlock) overlaps(other *builtBlock) bool {
	return slices.ContainsFunc(b.listenKeys(), other.listensAt) ||
		slices.ContainsFunc(other.listenKeys(), b.listensAt)
}

// listenKeys are the addresses of all blocks, in order of first mention.
func (g *generation) listenKeys() []listenKey {
	var keys []listenKey
	for _, b := range g.blocks {
		for _, k := range b.listenKeys() {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// checkOverlap reports a zone that two keys claim on one address and port.
func (g *generation) checkOverlap() error {
	type claim struct {
		zone string
		port uint16
	}
	type holder struct {
		*builtBlock
		at place
	}
	claims := make(map[claim][]holder)
	for _, b := range g.blocks {
		for _, k := range b.keys {
			for _, z := range k.zones {
				c := claim{string(z), b.block.Port}
				for _, h := range claims[c] {
					if h.overlaps(b) {
						return k.errorf("zone %s on port %d is served already by the block at %s: "+
							"take one of the two out, or give their blocks different addresses with bind", z, c.port, h.at)
					}
				}
				claims[c] = append(claims[c], holder{b, k.place})
			}
		}
	}
	return nil
}

// ready runs the readiness checks.
func (g *generation) ready() error {
	var faults []error
	for _, c := range g.checks {
		if err := c.check(); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(faults...)
}

// linger waits as long as the configuration wants to be a lame duck.
func (g *generation) linger(ctx context.Context) {
	if g.lameDuck <= 0 {
		return
	}
	timer := time.NewTimer(g.lameDuck)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// start calls the OnStart functions, and has the Watches begin.
func (g *generation) start() {
	for _, f := range g.onStart {
		f()
	}
	if g.watches != nil {
		g.watches.start()
	}
}

// pause has the Watches rest, and waits until they do.
func (g *generation) pause() {
	if g.watches != nil {
		g.watches.pause()
	}
}

// resume ends the Watches' rest.
func (g *generation) resume() {
	if g.watches != nil {
		g.watches.resume()
	}
}

// stop calls the OnStop functions, the last one first.
func (g *generation) stop() {
	if g.watches != nil {
		g.watches.stop()
	}
	for _, f := range slices.Backward(g.onStop) {
		f()
	}
}

// enter counts n queries of a worker as under way.
func (g *generation) enter(worker, n int) { g.inflight[worker].n.Add(int64(n)) }

// leave counts n queries as done.
func (g *generation) leave(worker, n int) {
	if g.inflight[worker].n.Add(int64(-n)) == 0 && g.retired.Load() {
		select {
		case g.idle <- struct{}{}:
		default:
		}
	}
}

// release calls the OnDrain functions.
func (g *generation) release() {
	for _, f := range g.onDrain {
		f()
	}
}

// drain waits until the last query of a generation that gets no more of them is
// done.
func (g *generation) drain(ctx context.Context) error {
	g.retired.Store(true)
	for {
		busy := false
		for i := range g.inflight {
			busy = busy || g.inflight[i].n.Load() > 0
		}
		if !busy {
			return nil
		}
		select {
		case <-g.idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
