// Package forward answers names that are not ours by asking other servers: the
// conditional forwarders of some domains, and the DNS forwarders for all the rest.
//
//	In ─► gate: RD, client, loop ─► cache ─► forward ─► exchange ─► upstream
//	                                            ▲                      │ socket or stream, each with its reader
//	                              Query.Finish ─┴───── answer ◄────────┘
//
// A query that waits costs no goroutine: it is an exchange, which the reader of an
// upstream's socket or the timer ends. Whoever ends it brings the query out through
// the rest of its chain.
package forward

import (
	"net/netip"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the forward directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:  "forward",
		Usage: "forward [FROM TO...] { except NAME...; policy POLICY; max_fails N; health_check DURATION [no_rec] [domain NAME]; max_concurrent N; expire DURATION; force_tcp; prefer_udp; tls [CERT KEY] [CA]; tls_servername NAME; next RCODE...; failover RCODE...; allow NETWORK...; randomize_case; root_hints FILE }",
		Setup: setup,
	}
}

// Gate is what stands between the zones and the cache where a block forwards: it
// keeps out who is not to be served, so that the cache serves them neither.
func Gate() server.Plugin {
	return server.Plugin{Name: "forward gate", Implicit: true, Setup: setupGate}
}

// handler forwards the queries of one server block.
type handler struct {
	block   *server.Block
	engine  *engine
	allow   server.Networks // nil for all clients
	base    []*directive    // of the Corefile
	options *options        // of forwarders that are set at run time
	store   *zones.Store    // of the block, nil where it has no zones
	caches  *server.Forgetting
	table   atomic.Pointer[table]
}

func setup(d *server.Directive) (server.Handler, error) {
	h := &handler{block: d.Block}
	for d.Next() {
		dir, err := parse(d)
		if err != nil {
			return nil, err
		}
		h.base = append(h.base, dir)
	}
	h.allow = allowed(h.base)
	h.options = runtimeOptions(h.base)
	h.store, _ = server.Shared[*zones.Store](d)
	h.caches = d.Forgetting()
	server.Share(d, func() *handler { return h })
	return h, configure(d, h)
}

// allowed is who may be forwarded for: who any of the directives names, or else
// the clients of networks that are private by their addresses.
func allowed(base []*directive) server.Networks {
	var all []netip.Prefix
	for _, dir := range base {
		if dir.allowAll {
			return nil
		}
		all = append(all, dir.allow...)
	}
	if len(all) == 0 {
		all = privateNetworks()
	}
	return server.NewNetworks(all)
}

// privateNetworks are loopback, private use (RFC 1918, RFC 4193) and link-local
// (RFC 3927, RFC 4291 section 2.5.6).
func privateNetworks() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range [...]string{
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
		"::1/128", "fc00::/7", "fe80::/10",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func (h *handler) allows(a netip.Addr) bool { return h.allow == nil || h.allow.Contains(a) }

// In takes a query away that there is a forwarder for.
func (h *handler) In(q *server.Query) server.Verdict {
	candidates := h.table.Load().route(q)
	if len(candidates) == 0 {
		return server.Next
	}
	return h.engine.forward(q, candidates)
}

// Out has nothing to do.
func (h *handler) Out(*server.Query) {}

func setupGate(d *server.Directive) (server.Handler, error) {
	h, ok := server.Shared[*handler](d)
	if !ok {
		return nil, nil
	}
	return &gate{h}, nil
}

// gate is in front of the cache.
type gate struct{ *handler }

// In refuses who is not served, and breaks loops.
func (g *gate) In(q *server.Query) server.Verdict {
	t := g.table.Load()
	if len(t.groups) == 0 {
		return server.Next
	}
	allows := g.allows(q.Remote.Addr())
	if allows && wire.Flags(q.Packet)&wire.FlagRD != 0 && !g.engine.loops(q) {
		return server.Next
	}
	switch {
	case len(t.route(q)) == 0:
		return server.Next
	case !allows:
		q.Refuse(server.EDEProhibited, "forwarding is not for this client")
	case wire.Flags(q.Packet)&wire.FlagRD == 0:
		// Who does not want recursion asks for what is ours, and it is not.
		q.Refuse(server.EDENotAuthoritative, "")
	default:
		g.engine.tellLoop(q)
		q.SetRCode(server.RCodeServerFailure)
		q.AddEDE(server.EDEOther, "forwarding loop: a forwarder of this server asks it what it was asked")
	}
	return server.Answered
}
