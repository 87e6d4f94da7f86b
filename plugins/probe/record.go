package probe

import (
	"container/list"
	"strings"
	"sync"
	"time"
)

// Bounds of the record: whatever comes, it takes no more than a few MiB.
const (
	maxNonces        = 1024
	maxSightings     = 8 // of a nonce: its first queries
	maxConfirmations = 8 // of a nonce: its last ones
	maxName          = 255
)

// What a nonce looks like that is recorded: as long as nobody hits upon one by chance,
// and free of what needs to be escaped.
const (
	minNonce = 8
	maxNonce = 63
)

// recordable says whether a label, lower-cased, is a nonce that is recorded.
func recordable(label []byte) bool {
	if len(label) < minNonce || len(label) > maxNonce {
		return false
	}
	for _, c := range label {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// record is what is remembered of probes. It outlives reloads. All methods may be called
// from any goroutine; they take the lock for a moment.
type record struct {
	mu     sync.Mutex
	nonces map[string]*list.Element // of *probed
	recent *list.List               // of *probed, the last one asked for first
	counts counts
}

// probed is one nonce.
type probed struct {
	nonce     string
	queries   uint64
	sightings []sighting
	confirmed []confirmation
}

// confirmation is what the asker's side says of a nonce.
type confirmation struct {
	at       time.Time
	result   result
	resolver string // the address that was asked
	source   string // that of the answer, empty where there was none
	rcode    string // empty where there was no answer
	ns       string // that the answer named, empty where it named none
	latency  float64
}

func newRecord() *record {
	return &record{nonces: make(map[string]*list.Element), recent: list.New(), counts: newCounts()}
}

// see notes a query.
func (r *record) see(nonce string, s sighting) {
	s.name = s.name[:min(len(s.name), maxName)]
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.nonces[nonce]
	if !known {
		if r.recent.Len() >= maxNonces {
			last := r.recent.Back()
			r.recent.Remove(last)
			delete(r.nonces, last.Value.(*probed).nonce)
		}
		e = r.recent.PushFront(&probed{nonce: nonce})
		r.nonces[nonce] = e
		r.counts.count(s.resolver, s.path, asked)
	} else {
		r.recent.MoveToFront(e)
	}
	p := e.Value.(*probed)
	p.queries++
	if len(p.sightings) < maxSightings {
		p.sightings = append(p.sightings, s)
	}
}

// confirm notes what the asker says of a nonce, and returns all that is known of it then;
// ok is false where nobody has asked for it.
func (r *record) confirm(nonce string, c confirmation) (doc probeDoc, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.nonces[strings.ToLower(nonce)]
	if !ok {
		return probeDoc{}, false
	}
	p := e.Value.(*probed)
	if len(p.confirmed) == maxConfirmations {
		p.confirmed = append(p.confirmed[:0], p.confirmed[1:]...)
	}
	p.confirmed = append(p.confirmed, c)
	s := p.answered(c.ns)
	r.counts.count(s.resolver, s.path, c.result)
	r.counts.verify(s.resolver, s.path, s.ns, c.result == confirmed)
	return p.document(), true
}

// answered is the last query to the name server that the asker was answered by, or the
// last of all.
func (p *probed) answered(ns string) *sighting {
	for i := len(p.sightings) - 1; i >= 0; i-- {
		if p.sightings[i].ns == ns {
			return &p.sightings[i]
		}
	}
	return &p.sightings[len(p.sightings)-1]
}

// of is what is known of a nonce.
func (r *record) of(nonce string) (probeDoc, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.nonces[strings.ToLower(nonce)]
	if !ok {
		return probeDoc{}, false
	}
	return e.Value.(*probed).document(), true
}

// last is what is known of the last nonces, as many as limit, the last one asked for
// first.
func (r *record) last(limit int) []probeDoc {
	r.mu.Lock()
	defer r.mu.Unlock()
	docs := []probeDoc{}
	for e := r.recent.Front(); e != nil && len(docs) < limit; e = e.Next() {
		docs = append(docs, e.Value.(*probed).document())
	}
	return docs
}
