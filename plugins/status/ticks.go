package status

import (
	"strings"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// maxEndpoints are told apart at most.
const maxEndpoints = 256

// ticks says when each endpoint was last asked for, by resolver. All but the cells is
// immutable.
type ticks struct {
	zone    uint32   // label of the zone that the endpoints are in; 0 for none
	names   []string // lower case, without the last dot
	nodes   map[string]node
	deepest int // the most labels of these
	// cells are seconds since 1970, by worker, endpoint and column.
	cells [][]atomic.Int64
}

// node is a name that exists: endpoints are 1 + their index.
type node struct{ exact, wildcard uint16 }

// newTicks makes the look-up of endpoints. Those that are no names are left out.
func newTicks(names []string, zone uint32, workers int) *ticks {
	t := &ticks{zone: zone, names: names, nodes: make(map[string]node), cells: make([][]atomic.Int64, workers)}
	for i, text := range names {
		parent, wild := strings.CutPrefix(text, "*.")
		name, err := wire.ParseName(parent)
		if err != nil {
			continue
		}
		n := t.nodes[string(name)]
		if wild {
			n.wildcard = uint16(i + 1)
		} else {
			n.exact = uint16(i + 1)
		}
		t.nodes[string(name)] = n
		t.deepest = max(t.deepest, name.Labels())
		// Names above exist as well (RFC 8020): no wildcard answers for them.
		for up, ok := name.Parent(); ok; up, ok = up.Parent() {
			t.nodes[string(up)] = t.nodes[string(up)]
		}
	}
	for w := range t.cells {
		t.cells[w] = make([]atomic.Int64, len(names)*maxColumns)
	}
	return t
}

// find is the endpoint that a name is, or that answers for it, by its closest encloser
// (RFC 4592 section 3.3.1); -1 for none.
func (t *ticks) find(name wire.Name) int {
	labels := name.Labels()
	if labels <= t.deepest {
		if n, exists := t.nodes[string(name)]; exists {
			return int(n.exact) - 1
		}
	}
	for up, ok := name.Parent(); ok; up, ok = up.Parent() {
		if labels--; labels > t.deepest {
			continue
		}
		if n, exists := t.nodes[string(up)]; exists {
			return int(n.wildcard) - 1
		}
	}
	return -1
}

// tick notes a query that is over.
func (t *ticks) tick(o *observer, q *server.Query) {
	if q.Zone == 0 || q.Zone != t.zone {
		return
	}
	e := t.find(q.Name)
	if e < 0 {
		return
	}
	now := q.Received.Unix()
	cell := &t.cells[q.Worker][e*maxColumns+o.columns.of(q.Resolver, t, now)]
	if cell.Load() < now {
		cell.Store(now)
	}
}

// watch has the ticks be those of the given endpoints; what is known of these stays.
func (o *observer) watch(names []string, zone uint32) {
	old := o.ticks.Load()
	t := newTicks(names, zone, len(o.workers))
	// Queries tick in the new cells from now on, so none is lost meanwhile.
	o.ticks.Store(t)
	was := make(map[string]int, len(old.names))
	for i, name := range old.names {
		was[name] = i
	}
	for i, name := range names {
		j, known := was[name]
		if !known {
			continue
		}
		for w := range t.cells {
			for c := range maxColumns {
				raise(&t.cells[w][i*maxColumns+c], old.cells[w][j*maxColumns+c].Load())
			}
		}
	}
}

// raise makes a cell as late as at.
func raise(cell *atomic.Int64, at int64) {
	for was := cell.Load(); was < at && !cell.CompareAndSwap(was, at); was = cell.Load() {
	}
}

// last is when endpoint e was last asked for from column c, 0 for never.
func (t *ticks) last(e, c int) (at int64) {
	for w := range t.cells {
		at = max(at, t.cells[w][e*maxColumns+c].Load())
	}
	return at
}

// lastOf is when any endpoint was last asked for from column c.
func (t *ticks) lastOf(c int) (at int64) {
	for e := range t.names {
		at = max(at, t.last(e, c))
	}
	return at
}

// empty forgets what was asked from column c.
func (t *ticks) empty(c int) {
	for w := range t.cells {
		for e := range t.names {
			t.cells[w][e*maxColumns+c].Store(0)
		}
	}
}
