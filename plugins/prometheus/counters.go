package prometheus

import (
	"math/bits"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// The closed sets of the type and rcode labels. What is in neither list is
// counted as "other", under the index behind the last.
const (
	typeCount  = 18
	rcodeCount = 24
)

// types are the query types that metrics tell apart, by what typeIndex returns.
func types() [typeCount + 1]string {
	return [...]string{
		"A", "AAAA", "MX", "SOA", "CNAME", "PTR", "TXT", "NS", "SRV", "DS", "DNSKEY", "RRSIG",
		"NSEC", "NSEC3", "HTTPS", "IXFR", "AXFR", "ANY", "other",
	}
}

func typeIndex(t uint16) int {
	switch t {
	case dns.TypeA:
		return 0
	case dns.TypeAAAA:
		return 1
	case dns.TypeMX:
		return 2
	case dns.TypeSOA:
		return 3
	case dns.TypeCNAME:
		return 4
	case dns.TypePTR:
		return 5
	case dns.TypeTXT:
		return 6
	case dns.TypeNS:
		return 7
	case dns.TypeSRV:
		return 8
	case dns.TypeDS:
		return 9
	case dns.TypeDNSKEY:
		return 10
	case dns.TypeRRSIG:
		return 11
	case dns.TypeNSEC:
		return 12
	case dns.TypeNSEC3:
		return 13
	case dns.TypeHTTPS:
		return 14
	case dns.TypeIXFR:
		return 15
	case dns.TypeAXFR:
		return 16
	case dns.TypeANY:
		return 17
	}
	return typeCount
}

// Buckets of the histograms. Those of the durations are firstBucket times the
// powers of two: CoreDNS's 0.25 ms to 8 s, and four shorter ones, as most
// answers take a few microseconds.
const (
	durationBuckets = 20
	firstBucket     = 15625 * time.Nanosecond
	sizeBuckets     = 14
)

// sizes are the upper bounds of the size buckets, in octets.
func sizes() [sizeBuckets]int {
	return [...]int{0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16000, 32000, 48000, 64000}
}

// durations are the histogram of the time that queries took.
type durations struct {
	buckets [durationBuckets + 1]uint64
	sum     uint64 // nanoseconds
}

func (h *durations) observe(d time.Duration) {
	d = max(d, 1)
	h.buckets[min(bits.Len64(uint64((d-1)/firstBucket)), durationBuckets)]++
	h.sum += uint64(d)
}

// sizeHistogram is the histogram of the lengths of messages.
type sizeHistogram struct {
	buckets [sizeBuckets + 1]uint64
	sum     uint64
}

func (h *sizeHistogram) observe(n int, bounds *[sizeBuckets]int) {
	i := 0
	for i < sizeBuckets && n > bounds[i] {
		i++
	}
	h.buckets[i]++
	h.sum += uint64(n)
}

// counts is all that is counted for one series: a server, a zone and a name
// server.
type counts struct {
	requests  [2][2][typeCount + 1]uint64 // by transport and family
	responses [rcodeCount + 1]uint64
	do        uint64
	duration  durations
	query     [2]sizeHistogram // by transport
	reply     [2]sizeHistogram // by transport
}

// cell is what one worker counted for one series. Cells of different workers
// share no cache line, so the lock, which is cheaper than an atomic addition for
// each of the counters, is nearly always free.
type cell struct {
	_  [64]byte
	mu sync.Mutex
	counts
	_ [64]byte
}

// sum is what the cells of a series hold together.
func sum(cells []*cell) *counts {
	total := new(counts)
	for _, c := range cells {
		c.mu.Lock()
		part := c.counts
		c.mu.Unlock()
		total.add(&part)
	}
	return total
}

func (c *counts) add(o *counts) {
	for p := range c.requests {
		for f := range c.requests[p] {
			addAll(c.requests[p][f][:], o.requests[p][f][:])
		}
		c.query[p].add(&o.query[p])
		c.reply[p].add(&o.reply[p])
	}
	addAll(c.responses[:], o.responses[:])
	c.do += o.do
	addAll(c.duration.buckets[:], o.duration.buckets[:])
	c.duration.sum += o.duration.sum
}

func (h *sizeHistogram) add(o *sizeHistogram) {
	addAll(h.buckets[:], o.buckets[:])
	h.sum += o.sum
}

func addAll(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
}

// count adds the query, which is over, to the cell.
func (c *cell) count(q *server.Query, bounds *[sizeBuckets]int) {
	c.mu.Lock()
	proto := int(q.Transport) & 1
	family := 0
	if q.Remote.Addr().Is6() {
		family = 1
	}
	c.requests[proto][family][typeIndex(q.Type)]++
	c.query[proto].observe(len(q.Packet), bounds)
	if q.EDNS.DO {
		c.do++
	}
	c.duration.observe(q.Took())
	if q.Verdict() == server.Answered {
		c.responses[min(int(q.RCode()), rcodeCount)]++
		c.reply[proto].observe(len(q.Reply), bounds)
	}
	c.mu.Unlock()
}
