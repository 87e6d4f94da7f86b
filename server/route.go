package server

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// router chooses the server block for the queries of one listener. It is
// immutable; a reload gives the listener another one.
type router struct {
	gen   *generation
	zones map[string]route // by zone, in wire form
	// labels is the most labels of any zone: the labels of a longer name that
	// stand before them cost a query nothing but the step over them.
	labels int
	// fallback takes what no zone covers: it has the observers of the first
	// block and the gate, and so refuses.
	fallback route
	// wildcard listeners learn the name server from each query's destination.
	wildcard bool
	// proxies must send a PROXY header; nil: there are none.
	proxies Networks
	// guards decide on TCP connections to the listener.
	guards []TCPGuard
}

// route is a chain, with the name server that the listener's address stands for.
type route struct {
	chain *chain
	ns    uint8
}

// router makes the router of the listener at key from the blocks that listen
// there; there is at least one.
func (g *generation) router(key listenKey) *router {
	r := &router{gen: g, zones: make(map[string]route), wildcard: key.wildcard(), proxies: g.proxies(key)}
	for _, b := range g.blocks {
		if !b.listensAt(key) {
			continue
		}
		r.guards = append(r.guards, g.guardsOf(b.block)...)
		ns := b.block.nameServer(key.addr)
		if r.fallback.chain == nil {
			r.fallback = route{b.refuse, ns}
		}
		for _, z := range b.block.Zones {
			r.zones[string(z)] = route{b.chain, ns}
			r.labels = max(r.labels, z.Labels())
		}
	}
	return r
}

// route sets the chain of q and the name server it was sent to. What the client
// asked of a proxy tells more than what the proxy asked.
func (r *router) route(q *Query) {
	to := r.find(q.Name, q.Type)
	q.chain, q.NS = to.chain, to.ns
	if r.wildcard {
		q.NS = to.chain.block.nameServer(q.arrival())
	}
	if q.relayed {
		if ns := to.chain.block.nameServer(q.Local.Addr()); int(ns) <= len(to.chain.block.NameServers) {
			q.NS = ns
		}
	}
}

// find is the block with the longest match for name. The DS records of a zone
// stand on the parent's side of the cut (RFC 4035 section 3.1.4.1), so there
// the block above is preferred, if there is one.
func (r *router) find(name wire.Name, qtype uint16) route {
	off := 0
	for skip := name.Labels() - r.labels; skip > 0; skip-- {
		off += int(name[off]) + 1
	}
	var apex route
	for {
		if to, ok := r.zones[string(name[off:])]; ok {
			if qtype != dns.TypeDS || off > 0 || len(name) == 1 {
				return to
			}
			apex = to
		}
		if name[off] == 0 {
			break
		}
		off += int(name[off]) + 1
	}
	if apex.chain != nil {
		return apex
	}
	return r.fallback
}

// anyLabel names the name server of queries that cannot be told apart.
const anyLabel = "any"

// label fixes the labels that Query.NS indexes.
func (b *Block) label() {
	b.nsLabels = []string{""}
	if len(b.NameServers) == 0 {
		return
	}
	for _, ns := range b.NameServers {
		b.nsLabels = append(b.nsLabels, ns.Label)
	}
	b.nsLabels = append(b.nsLabels, anyLabel)
}

// NSAt is the index in NSLabels of the name server at an address of the server's own:
// what Query.NS is for queries that are sent there. It may be called from OnStart on.
func (b *Block) NSAt(local netip.Addr) uint8 { return b.nameServer(local) }

// nameServer is the index in NSLabels of the name server at the address: the
// one published there, or else, where each name server has a bind address of
// its own, the one at the same position.
func (b *Block) nameServer(at netip.Addr) uint8 {
	if len(b.NameServers) == 0 {
		return 0
	}
	for i := range b.NameServers {
		if slices.Contains(b.NameServers[i].Addrs, at) {
			return uint8(i + 1)
		}
	}
	if len(b.Binds) >= len(b.NameServers) {
		for i := range b.NameServers {
			if b.Binds[i] == at {
				return uint8(i + 1)
			}
		}
	}
	return uint8(len(b.NameServers) + 1)
}
