package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coredns/caddy/caddyfile"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is one entry of the ordered list that a Server is made with. The order
// of the list is the order of the handlers in every chain.
type Plugin struct {
	// Name is the directive's name.
	Name string
	// Usage is the directive's syntax on one line; configuration errors show it.
	Usage string
	// Observer handlers stand before the server's own checks and so see broken
	// queries too; they never answer.
	Observer bool
	// Implicit plugins have no directive: Setup is called once for every block,
	// after all directives of the block, with no tokens to read.
	Implicit bool
	// Setup reads all occurrences of the directive in one block and returns the
	// block's handler, or nil if it needs none. It opens nothing: sockets, files
	// kept open and goroutines wait for OnStart, since the set-up may yet be
	// thrown away.
	Setup func(d *Directive) (Handler, error)
}

// Block is one server block of the Corefile.
type Block struct {
	// Zones are the zones of the block's keys, in wire form. The block gets the
	// queries at and below them, unless another block has a longer match.
	Zones []wire.Name
	// Port the block listens on.
	Port uint16
	// Binds are the addresses to listen on; empty means all addresses.
	Binds []netip.Addr
	// NameServers are the addresses by which queries tell the stamp's name
	// servers apart, in order. Where none matches, the n-th of Binds is the n-th
	// name server.
	NameServers []NameServer
	// Proxies are the senders that must put a PROXY header, version 2, before each
	// datagram and at the beginning of each connection; nobody else may. Blocks that
	// listen at one address have them together.
	Proxies Networks
	// UDPSize is the largest UDP reply of the block, DefaultUDPSize at first; it
	// is kept between MinUDPSize and MaxUDPSize.
	UDPSize int

	shared   map[any]any
	nsLabels []string
}

// Bounds of Block.UDPSize: what every client takes (RFC 1035 section 4.2.1), and
// what we ourselves read.
const (
	MinUDPSize = 512
	MaxUDPSize = inSize
)

// NameServer is one name server of the zones that a block serves.
type NameServer struct {
	Label string // short and fixed, such as ns01
	Name  string // its host name, for people
	// Addrs are its published addresses; there may be none.
	Addrs []netip.Addr
}

// NSLabels are the labels that Query.NS indexes: "" for none, then those of
// NameServers in order, then "any" for queries to an address that is none of
// theirs. They are complete once the block is set up.
func (b *Block) NSLabels() []string { return b.nsLabels }

// Directive is what a plugin's Setup works with: the tokens of its directive in
// one block, and the server's services. It lives until Setup returns.
type Directive struct {
	caddyfile.Dispenser
	// Block is the block being set up.
	Block *Block
	// Plugin is the entry that Setup belongs to.
	Plugin *Plugin

	gen *generation
	// before are the block's directives that are set up already, and this one.
	before []string
	at     place // where the directive stands, or the block of an implicit plugin
}

// here is the place of the current token.
func (d *Directive) here() place {
	if line := d.Line(); line > 0 {
		return place{d.File(), line}
	}
	return d.at
}

// Errf is an error at the current token: FILE:LINE, the directive, and what is
// wrong. Say what to do about it in the text.
func (d *Directive) Errf(format string, args ...any) error {
	at := d.here()
	return &ConfigError{File: at.file, Line: at.line, Directive: d.Plugin.Name, Err: fmt.Errorf(format, args...)}
}

// UsageErr is an error at the current token that shows the directive's usage.
func (d *Directive) UsageErr(format string, args ...any) error {
	at := d.here()
	return &ConfigError{
		File: at.file, Line: at.line, Directive: d.Plugin.Name,
		Err: fmt.Errorf(format, args...), Usage: d.Plugin.Usage,
	}
}

// UnknownProperty is the error for a property of the block that the directive
// does not have; known are those that it has, for a near-miss suggestion.
func (d *Directive) UnknownProperty(known ...string) error {
	return d.UsageErr("unknown property %q%s", d.Val(), Suggest(d.Val(), known))
}

// Logger is for the plugin's own messages, with the plugin's name on them.
func (d *Directive) Logger() *slog.Logger { return d.gen.server.log.With("plugin", d.Plugin.Name) }

// ArgErr is the error for a wrong number of arguments.
func (d *Directive) ArgErr() error {
	return d.UsageErr("wrong number of arguments at %q", d.Val())
}

// OnStart has f called once the configuration is accepted and all its sockets
// are open, before the first query. It must not fail and must not block.
func (d *Directive) OnStart(f func()) { d.gen.onStart = append(d.gen.onStart, f) }

// OnStop has f called once when the configuration goes out of use, by reload or
// shutdown, after the last query it served. It is called only if OnStart was.
func (d *Directive) OnStop(f func()) { d.gen.onStop = append(d.gen.onStop, f) }

// OnDrain has f called once when the configuration goes out of use, before OnStop and
// before the server waits for the queries under way: to let go at once of those that
// the plugin holds back. A few queries may still come after it; they must not be held.
func (d *Directive) OnDrain(f func()) { d.gen.onDrain = append(d.gen.onDrain, f) }

// OnBatch has f called by each goroutine that reads queries, with its number as in
// Query.Worker, whenever it has passed all queries that it read together to their
// handlers (Query.Batched): to send what these queries made somebody send, all at
// once. It must be quick, and must not block.
func (d *Directive) OnBatch(f func(worker int)) { d.gen.onBatch = append(d.gen.onBatch, f) }

// Register adds collectors to the metrics of this configuration. Metric names
// start with MetricsNamespace.
func (d *Directive) Register(c ...prometheus.Collector) error {
	for _, c := range c {
		if err := d.gen.registry.Register(c); err != nil {
			return d.Errf("register metrics: %w", err)
		}
	}
	return nil
}

// Gatherer gathers the metrics of this configuration.
func (d *Directive) Gatherer() prometheus.Gatherer { return d.gen.registry }

// Mount has the server answer HTTP requests for pattern (net/http syntax) at
// addr, "host:port". One address may be given by many plugins and blocks; the
// same pattern twice at one address is an error.
func (d *Directive) Mount(addr, pattern string, h http.Handler) error {
	if err := d.gen.mountsAt(d.here(), addr).add(d.here(), pattern, h); err != nil {
		return d.Errf("%w", err)
	}
	return nil
}

// OnReady adds a check to the server's readiness: it returns nil when what name
// stands for is ready. Checks run while requests wait: they must be quick.
func (d *Directive) OnReady(name string, check func() error) {
	d.gen.checks = append(d.gen.checks, readyCheck{name, check})
}

// Ready runs the readiness checks of the configuration in use and returns what
// is not ready; nil means ready. It may be called after Setup.
func (d *Directive) Ready() func() error { return d.gen.server.Ready }

// LameDuck has the server go on answering for at least t after Shutdown is
// called.
func (d *Directive) LameDuck(t time.Duration) { d.gen.lameDuck = max(d.gen.lameDuck, t) }

// Stands says whether the block has a directive, for those that stand before this one in
// the plugin list: others are not set up yet.
func (d *Directive) Stands(name string) bool { return slices.Contains(d.before, name) }

// Directives returns what lists the directives of the block, in the order of the
// plugin list, once the configuration is started.
func (d *Directive) Directives() func() []string {
	g, block := d.gen, d.Block
	return func() []string {
		for _, b := range g.blocks {
			if b.block == block {
				return slices.Clone(b.directives)
			}
		}
		return nil
	}
}

// Blocks returns what describes the blocks of the configuration in use, in the order of
// the Corefile. It may be called after Setup.
func (d *Directive) Blocks() func() []BlockInfo { return d.gen.server.Blocks }

// Corefile is the configuration that this directive stands in.
func (d *Directive) Corefile() Corefile { return d.gen.corefile }

// ZoneLabel returns the number by which Query.Zone names zone (presentation
// form, as metrics show it). The number stays the same over reloads. It may be
// called after Setup.
func (d *Directive) ZoneLabel(zone string) uint32 { return d.gen.server.labels.slot(zone) }

// ZoneLabels returns what turns Query.Zone back into the zone's name; it may be
// called after Setup.
func (d *Directive) ZoneLabels() func(uint32) string { return d.gen.server.labels.name }

// Workers is the number of goroutine groups that serve queries: Query.Worker is
// below it, now and after reloads.
func (d *Directive) Workers() int { return d.gen.server.workers }

// Share returns the block's value of type T, made by the first to ask: what the
// plugins of one block have in common without knowing each other.
func Share[T any](d *Directive, make func() T) T {
	var key *T
	if v, ok := d.Block.shared[key]; ok {
		return v.(T)
	}
	v := make()
	d.Block.shared[key] = v
	return v
}

// Shared returns the block's value of type T if some plugin made one. Called from
// OnStart, it also sees what the plugins behind have made.
func Shared[T any](d *Directive) (T, bool) {
	var key *T
	v, ok := d.Block.shared[key].(T)
	return v, ok
}

// keptKey is what Keep finds a value by; typ is a nil pointer to its type.
type keptKey struct {
	typ any
	key string
}

// Keep returns a value that outlives reloads: the one of the configuration in
// use under the same type and key, or a new one. It is dropped when a new
// configuration no longer asks for it.
func Keep[T any](d *Directive, key string, make func() T) T {
	k := keptKey{(*T)(nil), key}
	if v, ok := d.gen.kept[k]; ok {
		return v.(T)
	}
	v, ok := d.gen.server.kept(k).(T)
	if !ok {
		v = make()
	}
	d.gen.kept[k] = v
	return v
}

// ShareAll is Share for all blocks of the configuration together.
func ShareAll[T any](d *Directive, make func() T) T {
	var key *T
	if v, ok := d.gen.shared[key]; ok {
		return v.(T)
	}
	v := make()
	d.gen.shared[key] = v
	return v
}

// MetricsNamespace is the first part of every metric's name.
const MetricsNamespace = "stampdns"

// ConfigError is a fault in a Corefile.
type ConfigError struct {
	File      string
	Line      int
	Directive string // may be empty
	Err       error
	Usage     string // may be empty
}

// Error is FILE:LINE: directive: what (usage: …).
func (e *ConfigError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	if e.Directive != "" {
		fmt.Fprintf(&b, "%s: ", e.Directive)
	}
	b.WriteString(legible(e.Err.Error()))
	if e.Usage != "" {
		fmt.Fprintf(&b, " (usage: %s)", e.Usage)
	}
	return b.String()
}

// Unwrap gives the fault without its place.
func (e *ConfigError) Unwrap() error { return e.Err }
