package server

import (
	"sync"
	"sync/atomic"
)

// maxLabels bounds the zone labels: a server that has seen more zones than this
// counts the queries of further ones under the label of slot 0.
const maxLabels = 1 << 16

// labels numbers zone names, so that a query carries a number and metrics need
// no look-up by string. A number, once given, stays; slot 0 is "other".
type labels struct {
	mu    sync.Mutex
	slots map[string]uint32
	names atomic.Pointer[[]string] // grows, but nothing below its length changes
}

func newLabels() *labels {
	l := &labels{slots: make(map[string]uint32)}
	l.names.Store(&[]string{"other"})
	return l
}

// slot is the number of zone.
func (l *labels) slot(zone string) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.slots[zone]; ok {
		return n
	}
	names := *l.names.Load()
	if len(names) >= maxLabels {
		return 0
	}
	n := uint32(len(names))
	names = append(names, zone)
	l.names.Store(&names)
	l.slots[zone] = n
	return n
}

// name is the zone of a number.
func (l *labels) name(n uint32) string {
	names := *l.names.Load()
	if int(n) >= len(names) {
		n = 0
	}
	return names[n]
}
