package dnstap

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// What one worker's queries may leave for the writer to fetch.
const (
	laneRecords = 4096
	laneOctets  = 512 << 10 // of messages; more than two of the longest
)

// record is what is known of a query that is over, but for its messages.
type record struct {
	tap           *tap
	kinds         types
	received      int64 // nanoseconds since the epoch
	took          int64 // nanoseconds
	local, remote netip.AddrPort
	zone          uint32
	query, reply  int32 // lengths of the messages
	ns            uint8
	tcp           bool
}

// load is records and, one behind the other, their messages.
type load struct {
	records []record
	octets  []byte
}

// lane takes the queries of one worker to the writer. Nobody waits in it for longer
// than a copy takes; what finds no room is dropped.
type lane struct {
	dropped atomic.Uint64 // messages
	wake    chan<- struct{}
	full    chan<- struct{}

	mu   sync.Mutex
	load load
	_    [64]byte
}

// put keeps a record and its messages.
func (l *lane) put(r record, query, reply []byte) {
	if r.kinds&queries == 0 {
		query = nil
	}
	if r.kinds&responses == 0 {
		reply = nil
	}
	r.query, r.reply = int32(len(query)), int32(len(reply))
	l.mu.Lock()
	records, octets := len(l.load.records), len(l.load.octets)+len(query)+len(reply)
	if records == cap(l.load.records) || octets > cap(l.load.octets) {
		l.mu.Unlock()
		l.dropped.Add(r.messages())
		return
	}
	l.load.records = append(l.load.records, r)
	l.load.octets = append(append(l.load.octets, query...), reply...)
	l.mu.Unlock()
	switch {
	case records == 0:
		tell(l.wake)
	case records == laneRecords/2 || octets > laneOctets/2 && octets-len(query)-len(reply) <= laneOctets/2:
		tell(l.full)
	}
}

// messages is how many messages a record makes.
func (r *record) messages() (n uint64) {
	if r.kinds&queries != 0 {
		n++
	}
	if r.kinds&responses != 0 {
		n++
	}
	return n
}

// tell wakes the one who waits on c, now or when it next waits.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// swap takes what the lane holds, and gives it an empty load of the same room.
func (l *lane) swap(empty load) load {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.load
	l.load = load{empty.records[:0], empty.octets[:0]}
	return full
}

// newLoad is room for what a lane may hold.
func newLoad() load {
	return load{make([]record, 0, laneRecords), make([]byte, 0, laneOctets)}
}

// gather is how long messages wait for others to be written with, unless they are
// many.
const gather = 20 * time.Millisecond
