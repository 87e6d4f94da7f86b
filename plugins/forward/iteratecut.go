package forward

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/stampdns/stampdns/zones/wire"
)

// Bounds of what is remembered between resolutions.
const (
	maxCuts     = 1000
	maxCutTTL   = time.Hour
	maxTroubled = 1000
	// troubleTime is how long a server that gave no answer is asked last.
	troubleTime = time.Minute
)

// Bounds of what one referral may hold: what goes beyond is left out.
const (
	maxCutServers  = 16
	maxServerAddrs = 8
)

// zoneCut is a zone and its name servers. It is immutable.
type zoneCut struct {
	zone    wire.Name
	servers []cutServer
	ttl     uint32    // of the referral, in seconds
	expires time.Time // zero for the root hints, which do not
}

// cutServer is one name server of a zone. Without addresses, its name has to be
// resolved first.
type cutServer struct {
	name  wire.Name
	addrs []netip.Addr
}

// with is the cut with the addresses of one more server.
func (c *zoneCut) with(name wire.Name, addrs []netip.Addr) *zoneCut {
	next := *c
	next.servers = slices.Clone(c.servers)
	for i := range next.servers {
		if string(next.servers[i].name) == string(name) {
			next.servers[i].addrs = addrs
		}
	}
	return &next
}

// addrs are all addresses that are known.
func (c *zoneCut) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, s := range c.servers {
		for _, a := range s.addrs {
			if !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}

// cutCache remembers zone cuts and servers in trouble. It may be used by many
// goroutines at once.
type cutCache struct {
	now func() time.Time

	mu       sync.Mutex
	cuts     map[string]*zoneCut // by zone, in wire form
	troubled map[netip.Addr]time.Time
}

func newCutCache(now func() time.Time) *cutCache {
	return &cutCache{now: now, cuts: make(map[string]*zoneCut), troubled: make(map[netip.Addr]time.Time)}
}

// find is the lowest cut at or above name, only above it where above is set; nil
// if none is known.
func (c *cutCache) find(name wire.Name, above bool) *zoneCut {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for zone, ok := name, true; ok; zone, ok = zone.Parent() {
		cut := c.cuts[string(zone)]
		switch {
		case cut == nil || above && len(zone) == len(name):
		case cut.expires.After(now):
			return cut
		default:
			delete(c.cuts, string(zone))
		}
	}
	return nil
}

// put remembers a cut, in place of what its zone had. One that has expired is not
// remembered.
func (c *cutCache) put(cut *zoneCut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !cut.expires.After(now) {
		return
	}
	if c.cuts[string(cut.zone)] == nil && len(c.cuts) >= maxCuts {
		makeRoom(c.cuts, func(old *zoneCut) bool { return !old.expires.After(now) })
	}
	c.cuts[string(cut.zone)] = cut
}

// drop forgets a cut whose servers are of no use.
func (c *cutCache) drop(zone wire.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cuts, string(zone))
}

// trouble notes that a server gave no answer.
func (c *cutCache) trouble(addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if len(c.troubled) >= maxTroubled {
		makeRoom(c.troubled, func(since time.Time) bool { return now.Sub(since) >= troubleTime })
	}
	c.troubled[addr] = now
}

// order is the addresses in the order in which to ask: any, but those in trouble
// last.
func (c *cutCache) order(addrs []netip.Addr) []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	ordered := slices.Clone(addrs)
	rand.Shuffle(len(ordered), func(i, j int) { ordered[i], ordered[j] = ordered[j], ordered[i] })
	inTrouble := func(a netip.Addr) int {
		if since, ok := c.troubled[a]; ok && now.Sub(since) < troubleTime {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ordered, func(a, b netip.Addr) int { return inTrouble(a) - inTrouble(b) })
	return ordered
}

// makeRoom takes what is over out of a full map, or any one where nothing is.
func makeRoom[K comparable, V any](m map[K]V, over func(V) bool) {
	full := len(m)
	for k, v := range m {
		if over(v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < full {
			return
		}
		delete(m, k)
	}
}
