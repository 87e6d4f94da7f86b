package delegation

import (
	"math/bits"
	"sync"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// worker is what one goroutine group counts. Workers share no cache line, so the
// lock is nearly always free.
type worker struct {
	_         [64]byte
	mu        sync.Mutex
	seed      uint64
	cache     [cacheSize]cached
	traffic   [maxZones + 1]*[maxNS]traffic
	servers   [maxNS]serverCounts
	sizes     sizeHistogram
	delays    histogram
	resolvers []*resolverCounts // by slot
	distinct  [maxNS]*distinct
	window    window
	pace      pace
	passed    uint64 // questions that were passed over; see history
	_         [64]byte
}

// pathCount is the number of paths; a path's index is its number less one.
const pathCount = 3

func pathIndex(p server.Path) int { return int(p) - int(server.PathIterative) }

func pathName(i int) string { return (server.PathIterative + server.Path(i)).String() }

// traffic are the queries for one zone at one name server.
type traffic struct {
	queries  [pathCount][2][2]uint64 // by path, transport and family
	belowCut uint64
}

// The closed sets of the labels flag, version, option and type.
const (
	flagRD = iota
	flagCD
	flagAD
	flagTC
	flagZ
	flagCount
)

func flagNames() [flagCount]string { return [...]string{"rd", "cd", "ad", "tc", "z"} }

const (
	ednsNone = iota
	ednsZero
	ednsOther
	ednsCount
)

func ednsNames() [ednsCount]string { return [...]string{"none", "0", "other"} }

const (
	optionDO = iota
	optionNSID
	optionCookie
	optionECS
	optionPadding
	optionKeepalive
	optionChain
	optionEDE
	optionOther
	optionCount
)

func optionNames() [optionCount]string {
	return [...]string{"do", "nsid", "cookie", "ecs", "padding", "keepalive", "chain", "ede", "other"}
}

func optionIndex(code uint16) int {
	switch code {
	case dns.EDNS0NSID:
		return optionNSID
	case dns.EDNS0COOKIE:
		return optionCookie
	case dns.EDNS0SUBNET:
		return optionECS
	case dns.EDNS0PADDING:
		return optionPadding
	case dns.EDNS0TCPKEEPALIVE:
		return optionKeepalive
	case 13: // RFC 7901
		return optionChain
	case dns.EDNS0EDE:
		return optionEDE
	}
	return optionOther
}

const dnssecCount = 4

func dnssecNames() [dnssecCount]string { return [...]string{"DS", "DNSKEY", "NSEC3PARAM", "CDS"} }

// dnssecIndex is -1 for types that no validator asks for on its own account.
func dnssecIndex(t uint16) int {
	switch t {
	case dns.TypeDS:
		return 0
	case dns.TypeDNSKEY:
		return 1
	case dns.TypeNSEC3PARAM:
		return 2
	case dns.TypeCDS:
		return 3
	}
	return -1
}

// serverCounts are the queries to one name server.
type serverCounts struct {
	flags   [flagCount]uint64
	edns    [ednsCount]uint64
	options [optionCount]uint64
	dnssec  [dnssecCount]uint64
}

// Capabilities, as bits; in the order of the label's values.
const (
	capEDNS = 1 << iota
	capDO
	capTCP
	capCookie
	capCase
	capQmin
	capIPv6
	capCount = 7
)

func capNames() [capCount]string {
	return [...]string{"edns", "do", "tcp", "cookie", "case_random", "qmin", "ipv6"}
}

// Signals of QNAME minimisation (RFC 9156).
const (
	signalApex = iota
	signalCut
	signalUnderscore
	signalCount
)

func signalNames() [signalCount]string { return [...]string{"apex", "cut_probe", "underscore"} }

// resolverCounts is what one resolver did.
type resolverCounts struct {
	queries   [maxNS][pathCount]uint64
	lastSeen  [maxNS]int64 // nanoseconds since 1970
	transport [2]uint64
	zones     [maxWatched]uint64
	caps      uint8
	noEDNS    uint64

	signals      [signalCount]uint64
	caseRandom   uint64
	dsAtChild    uint64
	apexNS       uint64
	glue         [maxNS]uint64
	outside      [outsideCount]uint64
	outsideAsked [outsideCount]uint64 // of outside those that came iteratively
	belowCut     uint64

	tcpAfterTC, unretried, tcpWithoutTC uint64
	failover                            [maxNS][maxNS]uint64
	refetch                             histogram
}

// total is the number of queries.
func (r *resolverCounts) total() uint64 {
	var n uint64
	for i := range r.queries {
		for _, q := range r.queries[i] {
			n += q
		}
	}
	return n
}

// add adds o.
func (r *resolverCounts) add(o *resolverCounts) {
	for i := range r.queries {
		addAll(r.queries[i][:], o.queries[i][:])
		r.lastSeen[i] = max(r.lastSeen[i], o.lastSeen[i])
		addAll(r.failover[i][:], o.failover[i][:])
	}
	addAll(r.transport[:], o.transport[:])
	addAll(r.zones[:], o.zones[:])
	r.caps |= o.caps
	r.noEDNS += o.noEDNS
	addAll(r.signals[:], o.signals[:])
	r.caseRandom += o.caseRandom
	r.dsAtChild += o.dsAtChild
	r.apexNS += o.apexNS
	addAll(r.glue[:], o.glue[:])
	addAll(r.outside[:], o.outside[:])
	addAll(r.outsideAsked[:], o.outsideAsked[:])
	r.belowCut += o.belowCut
	r.tcpAfterTC += o.tcpAfterTC
	r.unretried += o.unretried
	r.tcpWithoutTC += o.tcpWithoutTC
	r.refetch.add(&o.refetch)
}

func addAll(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
}

// histogram counts values by bounds that it is told.
type histogram struct {
	buckets [maxBuckets + 1]uint64
	sum     float64
}

const maxBuckets = 9

func (h *histogram) observe(v float64, bounds []float64) {
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	h.buckets[i]++
	h.sum += v
}

func (h *histogram) add(o *histogram) {
	addAll(h.buckets[:], o.buckets[:])
	h.sum += o.sum
}

// sizeHistogram counts UDP sizes, in octets.
type sizeHistogram struct {
	buckets [6]uint64
	sum     uint64
}

func (h *sizeHistogram) observe(size uint16) {
	i := 5
	switch {
	case size <= 512:
		i = 0
	case size <= 1232:
		i = 1
	case size <= 1400:
		i = 2
	case size <= 1472:
		i = 3
	case size <= 4096:
		i = 4
	}
	h.buckets[i]++
	h.sum += uint64(size)
}

// The bounds of the histograms.
func sizeBounds() []float64  { return []float64{512, 1232, 1400, 1472, 4096} }
func delayBounds() []float64 { return []float64{.05, .1, .2, .4, .8, 1.6, 3.2, 6.4, 10} }
func ratioBounds() []float64 { return []float64{.1, .5, .9, 1, 1.1, 2, 10} }

// resolver are the counts of a slot; w.mu is held.
func (w *worker) resolver(slot int) *resolverCounts {
	for len(w.resolvers) <= slot {
		w.resolvers = append(w.resolvers, nil)
	}
	if w.resolvers[slot] == nil {
		w.resolvers[slot] = new(resolverCounts)
	}
	return w.resolvers[slot]
}

// meet takes notice of a source at a name server; w.mu is held.
func (w *worker) meet(ns uint8, hash uint64) {
	if w.distinct[ns] == nil {
		w.distinct[ns] = new(distinct)
	}
	w.distinct[ns].add(hash)
}

// count counts what is told of name servers and zones; w.mu is held.
func (w *worker) count(q *server.Query, f *facts) {
	z := w.traffic[f.zone]
	if z == nil {
		z = new([maxNS]traffic)
		w.traffic[f.zone] = z
	}
	z[f.ns].queries[f.path][f.tcp][f.six]++
	if f.belowCut {
		z[f.ns].belowCut++
	}
	s := &w.servers[f.ns]
	for rest := f.flags; rest != 0; rest &= rest - 1 {
		s.flags[bits.TrailingZeros8(rest)]++
	}
	s.edns[f.edns]++
	if f.edns != ednsNone {
		w.sizes.observe(q.EDNS.Size)
		for rest := f.options; rest != 0; rest &= rest - 1 {
			s.options[bits.TrailingZeros16(rest)]++
		}
	}
	if i := dnssecIndex(q.Type); i >= 0 {
		s.dnssec[i]++
	}
}

// countResolver counts what is told of a resolver; w.mu is held.
func (w *worker) countResolver(t *table, slot int, q *server.Query, f *facts, o *observer) {
	w.pace.add(f.now)
	r := w.resolver(slot)
	r.queries[f.ns][f.path]++
	r.lastSeen[f.ns] = max(r.lastSeen[f.ns], f.now)
	r.transport[f.tcp]++
	if i := o.watched[f.zone].Load(); i > 0 {
		r.zones[i-1]++
	}
	r.caps |= f.caps
	if f.edns == ednsNone {
		r.noEDNS++
	}
	if f.rare != 0 {
		r.countRare(f)
	}
	if slot != otherSlot {
		if f.path == 0 { // who forwards minimizes nothing
			t.slots[slot].probes.see(o, q, f, r)
		}
		o.known.see(o, w, slot, r, q, f)
	} else {
		o.strangers.see(o, w, slot, r, q, f)
	}
}
