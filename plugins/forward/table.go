package forward

import (
	"slices"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// group is the upstreams of one domain: one directive, or what was set at run time.
type group struct {
	from      wire.Name
	upstreams []*upstream
	options   *options
	source    string // FILE:LINE, or runtimeSource
	inflight  atomic.Int64
	turn      atomic.Uint32 // of round_robin and fastest
}

// runtimeSource is the source of what was set at run time.
const runtimeSource = "runtime"

// takes says whether the group is for a name that lies in its domain.
func (g *group) takes(name wire.Name) bool {
	for _, e := range g.options.except {
		if name.Within(e) {
			return false
		}
	}
	return true
}

// table chooses the groups for a name. It is immutable; each change makes another
// one.
type table struct {
	groups map[string][]*group // by domain, in wire form; in the order of the Corefile
	labels int                 // the most labels of any domain
	excess bool                // some group has exceptions
}

// newTable makes the table of groups.
func newTable(groups []*group) *table {
	t := &table{groups: make(map[string][]*group)}
	for _, g := range groups {
		t.groups[string(g.from)] = append(t.groups[string(g.from)], g)
		t.labels = max(t.labels, g.from.Labels())
		t.excess = t.excess || len(g.options.except) > 0
	}
	// Behind each group stand those of the domains above: whoever follows "next"
	// finds them there.
	for domain, own := range t.groups {
		if parent, ok := wire.Name(domain).Parent(); ok {
			t.groups[domain] = append(slices.Clip(own), t.above(parent)...)
		}
	}
	return t
}

// above are the groups that were given for a name and the names above it.
func (t *table) above(name wire.Name) []*group {
	var all []*group
	for n, ok := name, true; ok; n, ok = n.Parent() {
		for _, g := range t.groups[string(n)] {
			if string(g.from) == string(n) {
				all = append(all, g)
			}
		}
	}
	return all
}

// find returns the groups for a name, those of the longest domain first. The slice
// is the table's own unless some group makes an exception of the name.
func (t *table) find(name wire.Name) []*group {
	if len(t.groups) == 0 {
		return nil
	}
	off := 0
	for skip := name.Labels() - t.labels; skip > 0; skip-- {
		off += int(name[off]) + 1
	}
	for {
		if found := t.groups[string(name[off:])]; found != nil {
			if t.excess {
				return excepted(found, name)
			}
			return found
		}
		if name[off] == 0 {
			return nil
		}
		off += int(name[off]) + 1
	}
}

// route returns the groups for a query. A DS record is the parent's (RFC 4035 section
// 3.1.4.1): the domain's own servers have no word on it where others can be asked.
func (t *table) route(q *server.Query) []*group {
	if parent, ok := q.Name.Parent(); ok && q.Type == dns.TypeDS {
		if found := t.find(parent); len(found) > 0 {
			return found
		}
	}
	return t.find(q.Name)
}

// excepted is found without the groups that make an exception of name.
func excepted(found []*group, name wire.Name) []*group {
	i := slices.IndexFunc(found, func(g *group) bool { return !g.takes(name) })
	if i < 0 {
		return found
	}
	rest := slices.Clone(found[:i])
	for _, g := range found[i+1:] {
		if g.takes(name) {
			rest = append(rest, g)
		}
	}
	return rest
}

// domains are the domains of all groups but the root.
func (t *table) domains() []wire.Name {
	var all []wire.Name
	for domain := range t.groups {
		if len(domain) > 1 {
			all = append(all, wire.Name(domain))
		}
	}
	return all
}
