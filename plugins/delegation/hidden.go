package delegation

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/stampdns/stampdns/server"
)

// window is what a worker saw of sources since somebody last looked.
type window struct {
	queries uint64
	source  source
	many    bool // there is more than one source
	paths   [2]bool
	size    uint16
	sizes   bool // EDNS sizes differ
	cookie  [maxNS]uint64
	cookies bool // client cookies differ, at one name server
}

// add adds a query, unless it comes from this host itself: what looks whether the
// server answers is no sign that there is no gateway.
func (w *window) add(q *server.Query, f *facts) {
	if f.src.loopback() {
		return
	}
	if w.queries++; w.many {
		return
	}
	if w.queries == 1 {
		w.source = f.src
	}
	if w.source != f.src {
		w.many = true
		return
	}
	w.paths[f.flags&1] = true
	if f.edns != ednsNone {
		w.sizes = w.sizes || w.size != 0 && w.size != q.EDNS.Size
		w.size = q.EDNS.Size
	}
	// A client has a cookie for each server (RFC 7873 section 4.1).
	if f.cookie != 0 {
		last := &w.cookie[f.ns]
		w.cookies = w.cookies || *last != 0 && *last != f.cookie
		*last = f.cookie
	}
}

// merge adds what another worker saw.
func (w *window) merge(o *window) {
	if o.queries == 0 {
		return
	}
	if w.queries == 0 {
		*w = *o
		return
	}
	w.queries += o.queries
	w.many = w.many || o.many || w.source != o.source
	w.sizes = w.sizes || o.sizes || w.size != 0 && o.size != 0 && w.size != o.size
	w.cookies = w.cookies || o.cookies
	for i := range w.cookie {
		w.paths[i&1] = w.paths[i&1] || o.paths[i&1]
		w.cookies = w.cookies || w.cookie[i] != 0 && o.cookie[i] != 0 && w.cookie[i] != o.cookie[i]
	}
}

// natures says how many things differ among the queries that one resolver sends
// alike.
func (w *window) natures() int {
	n := 0
	for _, differ := range []bool{w.paths[0] && w.paths[1], w.sizes, w.cookies} {
		if differ {
			n++
		}
	}
	return n
}

// Limits of the finding that sources are hidden.
const (
	// windowQueries is how many queries it takes to say anything.
	windowQueries = 20
	// windowNatures is how many things have to differ to prove several senders.
	windowNatures = 2
	// mostRows is the most windows in a row that have to agree.
	mostRows = 256
	// ownInterval is how often this host is asked for its addresses and gateways.
	ownInterval = 30 * time.Second
)

// hidden says whether all queries seem to come from one address that is not their
// senders'.
type hidden struct {
	mu      sync.Mutex
	address netip.Addr // the zero value while sources are not hidden
	text    string

	// Of who judges. Windows in a row have to agree before it is said again that
	// sources are hidden: twice as many each time that it turned out wrong.
	row, rows int

	read     time.Time // when own and gateways were
	own      []netip.Addr
	gateways []netip.Addr
}

// get is the address that hides the sources and a sentence about it.
func (h *hidden) get() (netip.Addr, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.address, h.text
}

// judge looks at what the workers saw, and says whether the verdict is another one
// than before.
func (h *hidden) judge(w *window, now time.Time) (changed bool) {
	addr, text := netip.Addr{}, ""
	if !w.many {
		addr, text = h.suspect(w, now)
	}
	if addr.IsValid() {
		if h.row++; h.row < h.rows {
			return false
		}
	} else {
		h.row = 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if changed = h.address != addr; changed && !addr.IsValid() {
		h.rows = min(max(2, 2*h.rows), mostRows)
	}
	h.address, h.text = addr, text
	return changed
}

// suspect says whether the only source hides others.
func (h *hidden) suspect(w *window, now time.Time) (netip.Addr, string) {
	if h.read.IsZero() || now.Sub(h.read) >= ownInterval {
		h.read, h.own, h.gateways = now, ownAddresses(), gateways()
	}
	addr := w.source.addr()
	const advice = "No metric can tell resolvers apart then. Have the way to the server keep addresses: host networking in place of a " +
		"published port, or the PROXY protocol (directive proxyproto)."
	switch {
	case slices.Contains(h.gateways, addr):
		return addr, fmt.Sprintf("All queries come from %s, the default gateway of this host: it may put its own address in the place of the senders'. %s", addr, advice)
	case slices.Contains(h.own, addr):
		return addr, fmt.Sprintf("All queries come from %s, an address of this host: something on it may put that in the place of the senders'. %s", addr, advice)
	case w.natures() >= windowNatures:
		return addr, fmt.Sprintf("All queries come from %s, but they differ as those of several senders do: a network device may put its own address in the place of theirs. %s", addr, advice)
	}
	return netip.Addr{}, ""
}

// ownAddresses are the addresses of this host.
func ownAddresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own
}
