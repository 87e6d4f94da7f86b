package delegation

import (
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// cuts says how names lie to the zones that are served. It is immutable.
type cuts struct {
	sets    []*zones.Set // that it was made from
	names   map[string]nameKind
	deepest int // the most labels of a name in names
}

// nameKind is what a name is to the zones.
type nameKind uint8

const (
	nameNone   nameKind = iota
	nameAbove           // above the parent of a zone
	nameParent          // the parent of a zone
	nameApex            // a zone
)

// mostCuts bounds the zones that are looked at.
const mostCuts = 10000

// newCuts makes the cuts of the zones of some stores.
func newCuts(stores []*zones.Store) *cuts {
	c := &cuts{names: make(map[string]nameKind)}
	for _, s := range stores {
		c.sets = append(c.sets, s.Set())
		for i, status := range s.Status() {
			if i == mostCuts {
				break
			}
			c.add(status.Origin)
		}
	}
	return c
}

func (c *cuts) add(origin wire.Name) {
	kind := nameApex
	for n, ok := origin, true; ok && len(n) > 1; n, ok = n.Parent() {
		c.names[string(n)] = max(c.names[string(n)], kind)
		kind = max(nameAbove, kind-1)
	}
	if len(origin) == 1 {
		c.names[string(origin)] = nameApex
	}
	c.deepest = max(c.deepest, origin.Labels())
}

// stale says whether the stores have other zones by now.
func (c *cuts) stale(stores []*zones.Store) bool {
	if len(c.sets) != len(stores) {
		return true
	}
	for i, s := range stores {
		if c.sets[i] != s.Set() {
			return true
		}
	}
	return false
}

// kind is what the name is to the zones.
func (c *cuts) kind(name wire.Name) nameKind { return c.names[string(name)] }

// below says whether the name lies below a zone.
func (c *cuts) below(name wire.Name) bool {
	n, ok := name.Parent()
	for n = shorten(n, c.deepest); ok; n, ok = n.Parent() {
		if c.names[string(n)] == nameApex {
			return true
		}
	}
	return false
}

// Where names lie that are in no zone of ours, by the value of the label kind.
const (
	outsideParent  = iota // above a zone
	outsideSibling        // beside a zone: below the name right above it
	outsideRoot
	outsideOther
	outsideCount
)

func outsideNames() [outsideCount]string { return [...]string{"parent", "sibling", "root", "other"} }

// outside says where a name lies that is in no zone of ours; ok is false if it is
// in one.
func (c *cuts) outside(name wire.Name) (kind uint8, ok bool) {
	kind = outsideOther
	switch {
	case len(name) == 1:
		kind = outsideRoot
	case c.names[string(name)] != nameNone:
		kind = outsideParent
	}
	for n, more := shorten(name, c.deepest), true; more; n, more = n.Parent() {
		switch c.names[string(n)] {
		case nameApex:
			return 0, false
		case nameParent:
			if kind == outsideOther {
				kind = outsideSibling
			}
		}
	}
	return kind, true
}
