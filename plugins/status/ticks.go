package status

import (
	"strings"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// maxEndpoints are told apart at most.
const maxEndpoints = 256

// maxDepth is how many labels below its zone an endpoint has at most. The number is a
// power of two.
const maxDepth = 8

// ticks says when each endpoint was last asked for, by resolver. All but the cells is
// immutable.
type ticks struct {
	zone    uint32   // label of the zone that the endpoints are in; 0 for none
	suffix  int      // octets of its name
	names   []string // lower case, without the last dot
	apex    node
	nodes   map[string]node // below the apex
	deepest int             // the most labels of these
	// cells are seconds since 1970, by worker, endpoint and column.
	cells [][]atomic.Int64
}

// node is a name that exists; in ticks.nodes it stands by its wire form without the
// zone's. Endpoints are 1 + their index.
type node struct{ exact, wildcard uint16 }

// newTicks makes the look-up of endpoints, whose names end in that of the zone. Those
// that do not, or have too many labels, are never asked for.
func newTicks(names []string, zone string, label uint32, workers int) *ticks {
	t := &ticks{zone: label, names: names, nodes: make(map[string]node), cells: make([][]atomic.Int64, workers)}
	origin, err := wire.ParseName(zone)
	if err != nil {
		return &ticks{cells: t.cells}
	}
	t.suffix = len(origin)
	for i, text := range names {
		text, wild := strings.CutPrefix(text, "*.")
		name, err := wire.ParseName(text)
		if err != nil || !name.Within(origin) || name.Labels()-origin.Labels() > maxDepth {
			continue
		}
		n := t.nodes[string(t.below(name))]
		if wild {
			n.wildcard = uint16(i + 1)
		} else {
			n.exact = uint16(i + 1)
		}
		t.nodes[string(t.below(name))] = n
		t.deepest = max(t.deepest, name.Labels()-origin.Labels())
		// Names above exist as well (RFC 8020): no wildcard answers for them.
		for up := name; len(up) > len(origin); up, _ = up.Parent() {
			t.nodes[string(t.below(up))] = t.nodes[string(t.below(up))]
		}
	}
	t.apex = t.nodes[""]
	for w := range t.cells {
		t.cells[w] = make([]atomic.Int64, len(names)*maxColumns)
	}
	return t
}

// below is a name of the zone without the zone's.
func (t *ticks) below(name wire.Name) []byte { return name[:len(name)-t.suffix] }

// find is the endpoint that a name of the zone is, or that answers for it, by its
// closest encloser (RFC 4592 section 3.3.1); -1 for none. It goes down from the zone.
func (t *ticks) find(name wire.Name) int {
	end := len(name) - t.suffix
	var starts [maxDepth]uint8 // of the last labels below the zone
	labels := 0
	for off := 0; off < end; off += int(name[off]) + 1 {
		starts[labels%maxDepth] = uint8(off)
		labels++
	}
	encloser := t.apex
	for depth := 1; depth <= min(labels, t.deepest); depth++ {
		n, exists := t.nodes[string(name[starts[(labels-depth)%maxDepth]:end])]
		switch {
		case !exists:
			return int(encloser.wildcard) - 1
		case depth == labels:
			return int(n.exact) - 1
		}
		encloser = n
	}
	if labels == 0 {
		return int(encloser.exact) - 1
	}
	return int(encloser.wildcard) - 1
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

// watch has the ticks be those of the given endpoints of a zone, whose queries have
// that label; what is known of these stays.
func (o *observer) watch(names []string, zone string, label uint32) {
	old := o.ticks.Load()
	t := newTicks(names, zone, label, len(o.workers))
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
