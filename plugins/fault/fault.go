// Package fault breaks replies on purpose: a delegation target that one can test
// resolvers against.
//
//	In ─► table: the first rule that matches ─► act, edit the reply in Out, or hold
//	            ▲                                                    │ timer
//	engine ─────┘ rules of the Corefile and of run time     Resume ◄─┘
//
// Rules are the engine's, which outlives reloads. What queries see is a table a
// block, without which a query passes at the cost of one load.
package fault

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the fault directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:  "fault",
		Usage: "fault { " + ruleForm + " }",
		Setup: setup,
	}
}

// table is the rules in use in a block, in order. It is immutable.
type table struct {
	queries []*rule
	named   bool    // some rule looks at names
	doors   []*rule // those about connections
}

// block is the handler of one server block.
type block struct {
	block    *server.Block
	engine   *engine
	table    atomic.Pointer[table] // nil where no rule is in use
	resolver bool                  // the block tells resolvers apart
	labels   []string              // by Query.NS; from start on
	slots    []int                 // in rule.by, by Query.NS
	store    *zones.Store          // nil where the block has no zones; from start on
	held     held
}

func setup(d *server.Directive) (server.Handler, error) {
	b := &block{block: d.Block, resolver: d.Stands("delegation")}
	c, err := configure(d, b)
	if err != nil {
		return nil, err
	}
	for d.Next() {
		if args, err := d.Arguments(0, -1); err != nil {
			return nil, err
		} else if len(args) > 0 {
			return nil, d.UsageErr("rules stand in a block, one a line: not %q behind fault", args[0])
		}
		for d.NextBlock() {
			if err := c.read(d, b); err != nil {
				return nil, err
			}
		}
	}
	d.OnStart(func() { b.store, _ = server.Shared[*zones.Store](d) })
	d.OnDrain(b.held.release)
	b.held.engine = b.engine
	return b, nil
}

// In puts the fault of the first rule that matches into the query.
func (b *block) In(q *server.Query) server.Verdict {
	t := b.table.Load()
	if t == nil {
		return server.Next
	}
	return b.inject(q, t)
}

func (b *block) inject(q *server.Query, t *table) server.Verdict {
	r, chance := b.choose(q, t)
	if r == nil {
		return server.Next
	}
	q.Injected = &r.injection
	if b.store != nil && r.kind.ends() {
		// Nobody else will say which zone the answer is about.
		_, q.Zone = b.store.Set().Find(q.Name)
	}
	if m := r.kind.mangling(); m != 0 {
		q.Mangle(m)
	}
	if !r.kind.edits() {
		r.hit(b.slots[q.NS])
	}
	if r.delay > 0 {
		return b.held.hold(q, r, r.late(chance))
	}
	return r.act(q)
}

// choose is the rule that acts on the query, nil if none does.
func (b *block) choose(q *server.Query, t *table) (*rule, uint64) {
	// The longest presentation form has \DDD for each octet.
	var buf [4 * wire.MaxName]byte
	var name []byte
	if t.named {
		name = wire.AppendText(buf[:0], q.Name)
	}
	ns := b.labels[q.NS]
	for _, r := range t.queries {
		if !r.about(q, ns, name) {
			continue
		}
		if chance, ok := r.take(); ok {
			return r, chance
		}
	}
	return nil, 0
}

// Out makes the faults that are made on the reply of others, and has each reply say
// that it is wrong on purpose.
func (b *block) Out(q *server.Query) {
	if q.Injected == nil {
		return
	}
	r := b.engine.find(q.Injected)
	if r == nil {
		return
	}
	if r.kind.edits() {
		switch {
		case q.Verdict() == server.Answered && r.edit(q), r.delay > 0:
			r.hit(b.slots[q.NS])
		default:
			r.miss()
			q.Injected = nil
			return
		}
	}
	if q.Verdict() == server.Answered && r.kind != oversize {
		r.tell(q)
	}
}

// Refuses says whether a rule keeps everybody from connecting to an address.
func (b *block) Refuses(local netip.AddrPort) bool {
	t := b.table.Load()
	if t == nil {
		return false
	}
	ns := b.labels[b.block.NSAt(local.Addr())]
	for _, r := range t.doors {
		if r.whole() && r.at(ns) {
			return true
		}
	}
	return false
}

// Accepts says whether no rule is about a connection.
func (b *block) Accepts(local, remote netip.AddrPort) bool {
	t := b.table.Load()
	if t == nil || len(t.doors) == 0 {
		return true
	}
	at := b.block.NSAt(local.Addr())
	for _, r := range t.doors {
		if !r.at(b.labels[at]) || r.clients != nil && !r.clients.Contains(remote.Addr()) {
			continue
		}
		if _, ok := r.take(); ok {
			r.hit(b.slots[at])
			return false
		}
	}
	return true
}

// start gets the labels of the name servers, which are complete now.
func (b *block) start() {
	b.labels = b.block.NSLabels()
	b.slots = b.slots[:0]
	for _, label := range b.labels {
		b.slots = append(b.slots, b.engine.slot(label))
	}
}

// now is the time that rules begin and end by.
func now() time.Time { return time.Now() }
