package journal

import (
	"encoding/binary"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// slot is one entry as it is kept: what a Query has, without what it points to in
// buffers that are used again. The pointers lead to small things that no longer
// change.
type slot struct {
	id       uint64
	received int64 // nanoseconds since 1970
	took     time.Duration
	source   netip.AddrPort
	ns       string
	resolver *server.Resolver
	fault    *server.Injection
	options  uint64 // bit set of EDNS option codes; see optionBit
	zone     uint32
	oneIn    uint32 // 1, or how many queries the entry stands for

	qtype, class       uint16
	query, reply       uint16 // the flags words of the headers
	rcode              uint16
	size, answers      uint16
	ednsSize           uint16
	ednsVersion        uint8
	transport          server.Transport
	path               server.Path
	edns, do, answered bool
	nameLen            uint8 // 0 where no question could be read
	name               [wire.MaxName]byte
}

// ring is what one worker has recorded. Several goroutines may serve one worker,
// so it has a lock; who reads takes it for a few slots at a time only.
type ring struct {
	mu    sync.Mutex
	ids   *atomic.Uint64 // the last id given by any ring
	slots []slot
	// count is how many entries were ever written; entry n is in slots[n%len(slots)]
	// while n+len(slots) >= count and n >= base.
	count, base uint64
	sampling
	_ [64]byte
}

// record writes an entry for a query that is over, unless there are too many.
//
// The id is taken with the lock held. So whoever reads the last id first and takes
// the lock then finds every entry up to that id.
func (r *ring) record(q *server.Query, ns string) {
	took := q.Took()
	received := q.Received.UnixNano()
	options := optionBits(q.EDNS.Options) // their number is the client's: not under the lock
	r.mu.Lock()
	oneIn := r.admit(received, q)
	if oneIn > 0 {
		s := &r.slots[r.count%uint64(len(r.slots))]
		s.id = r.ids.Add(1)
		s.received, s.took, s.oneIn, s.ns, s.options = received, took, oneIn, ns, options
		s.fill(q)
		r.count++
	}
	r.mu.Unlock()
}

// fill copies the facts of a query that are in fields of it.
func (s *slot) fill(q *server.Query) {
	s.source, s.resolver, s.fault = q.Remote, q.Resolver, q.Injected
	s.zone, s.qtype, s.class = q.Zone, q.Type, q.Class
	s.transport, s.path = q.Transport, q.Path
	s.query = wire.Flags(q.Packet)
	s.edns, s.do = q.EDNS.Present, q.EDNS.DO
	s.ednsSize, s.ednsVersion = q.EDNS.Size, q.EDNS.Version
	s.nameLen = 0
	if q.QuestionEnd > wire.HeaderLen {
		s.nameLen = uint8(copy(s.name[:], q.Packet[wire.HeaderLen:q.QuestionEnd-4]))
	}
	s.answered = q.Verdict() == server.Answered
	s.reply, s.rcode, s.size, s.answers = 0, 0, 0, 0
	if s.answered && len(q.Reply) >= wire.HeaderLen {
		s.reply, s.rcode = wire.Flags(q.Reply), q.RCode()
		s.size, s.answers = uint16(len(q.Reply)), wire.Count(q.Reply, wire.CountAN)
	}
}

// asked is the name as it was asked, in wire form.
func (s *slot) asked() []byte { return s.name[:s.nameLen] }

// otherOptions is the bit of all options whose code has none of its own.
const otherOptions = 63

// optionBits is the set of the codes of EDNS options in wire form.
func optionBits(options []byte) (set uint64) {
	for len(options) >= 4 {
		set |= 1 << min(otherOptions, binary.BigEndian.Uint16(options))
		n := 4 + int(binary.BigEndian.Uint16(options[2:]))
		if n > len(options) {
			break
		}
		options = options[n:]
	}
	return set
}

// first is the number of the oldest entry. mu is held.
func (r *ring) first() uint64 { return max(r.base, r.count-min(r.count, uint64(len(r.slots)))) }

// find is the number of the oldest entry with an id of at least id.
func (r *ring) find(id uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.first()
	n := sort.Search(int(r.count-first), func(i int) bool {
		return r.slots[(first+uint64(i))%uint64(len(r.slots))].id >= id
	})
	return first + uint64(n)
}

// copyUp copies entries from number at on into chunk, and returns how many, and
// the number behind them.
func (r *ring) copyUp(at uint64, chunk []slot) (n int, next uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at = max(at, r.first())
	for ; n < len(chunk) && at < r.count; n++ {
		chunk[n] = r.slots[at%uint64(len(r.slots))]
		at++
	}
	return n, at
}

// copyDown copies the entries before number end into chunk, the newest first.
func (r *ring) copyDown(end uint64, chunk []slot) (n int, next uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.first()
	for ; n < len(chunk) && end > first; n++ {
		end--
		chunk[n] = r.slots[end%uint64(len(r.slots))]
	}
	return n, end
}

// resize gives the ring room for size entries; the newest that fit stay. Queries go
// on to be recorded meanwhile.
func (r *ring) resize(size int) {
	if len(r.slots) == size {
		return // nobody else resizes
	}
	slots := make([]slot, size)
	r.mu.Lock()
	at := max(r.first(), r.count-min(r.count, uint64(size)))
	base := at
	for at < r.count {
		for range min(chunkLen, r.count-at) {
			slots[at%uint64(size)] = r.slots[at%uint64(len(r.slots))]
			at++
		}
		r.mu.Unlock()
		r.mu.Lock()
		if gone := r.first(); at < gone {
			at, base = gone, gone
		}
	}
	r.slots, r.base = slots, base
	r.mu.Unlock()
}
