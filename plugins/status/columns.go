package status

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
)

// What resolvers are told apart by. One beyond the most shares the column of all others.
const (
	maxColumns  = 130
	otherColumn = 0
	otherName   = "other" // as plugin delegation calls who has no name
)

// columns numbers resolvers. A number belongs to a name; those of learned resolvers go
// to others when there is no room.
type columns struct {
	// known is what queries look at. It is replaced whole, and forgets all it knows
	// every minute, so that it stays small and who got no column can try again.
	known atomic.Pointer[map[*server.Resolver]int]

	mu      sync.Mutex
	names   []string // by column; at most maxColumns
	learned []bool
	turned  int64 // the second in which a column last got another name
	renewed int64 // the second in which known was emptied
}

// renewSeconds is how long known lasts.
const renewSeconds = 60

func (c *columns) begin() {
	c.names, c.learned = []string{otherName}, []bool{false}
	c.known.Store(new(map[*server.Resolver]int))
}

// of is the column of a resolver in t. now is a second.
func (c *columns) of(r *server.Resolver, t *ticks, now int64) int {
	if r == nil {
		return otherColumn
	}
	if column, ok := (*c.known.Load())[r]; ok {
		return column
	}
	return c.meet(r, t, now)
}

// meet takes notice of a resolver.
func (c *columns) meet(r *server.Resolver, t *ticks, now int64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	column := c.assign(r, t, now)
	known := make(map[*server.Resolver]int)
	if old := *c.known.Load(); len(old) < 2*maxColumns {
		maps.Copy(known, old)
	}
	known[r] = column
	c.known.Store(&known)
	return column
}

// assign gives a name its column: its own, a new one, or that of the learned resolver
// that has been silent for longest. A query of that one which is under way may still
// tick there. mu is held.
func (c *columns) assign(r *server.Resolver, t *ticks, now int64) int {
	if i := slices.Index(c.names, r.Name); i >= 0 {
		return i
	}
	if len(c.names) < maxColumns {
		c.names, c.learned = append(c.names, r.Name), append(c.learned, r.Learned)
		return len(c.names) - 1
	}
	if now <= c.turned {
		return otherColumn // to find the one takes time: once a second is enough
	}
	c.turned = now
	idlest, since := otherColumn, int64(0)
	for i, learned := range c.learned {
		if at := t.lastOf(i); learned && (idlest == otherColumn || at < since) {
			idlest, since = i, at
		}
	}
	if idlest == otherColumn {
		return otherColumn
	}
	c.names[idlest], c.learned[idlest] = r.Name, r.Learned
	known := maps.Clone(*c.known.Load())
	maps.DeleteFunc(known, func(_ *server.Resolver, column int) bool { return column == idlest })
	c.known.Store(&known)
	t.empty(idlest)
	return idlest
}

// renew has known forget all, if it is time.
func (c *columns) renew(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now-c.renewed >= renewSeconds {
		c.renewed = now
		c.known.Store(new(map[*server.Resolver]int))
	}
}

// list are the names by column.
func (c *columns) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.names)
}
