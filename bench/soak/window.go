//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// window is the queries that one flow has under way: so many at once, each
// answer making room for the next. It is used by one goroutine.
type window struct {
	soak     *soak
	name     string // of the flow, for findings
	listener int    // which address of the server it asks
	pool     *pool
	r        *rand.Rand
	slots    []slot
	free     []uint16
	turn     uint16 // upper bits of the next ID
	lost     map[uint16]lostQuery
	tally    tally
	begun    time.Duration
}

// slot is a query under way. Its index is the lower byte of the query's ID.
type slot struct {
	busy     bool
	id       uint16
	question *question
	floor    int32
	sent     time.Duration
}

// lostQuery was not answered in time; it may be yet.
type lostQuery struct {
	what string
	sent time.Duration
}

// tally is what one flow counted.
type tally struct {
	sent, answered, wrong uint64
	lost                  uint64 // not answered
	tardy                 uint64 // answered, but later than patience
	byRCode               [16]uint64
	truncated             uint64
	connections           uint64
	latency               histogram
}

// maxWindow is how many queries a flow may have under way, by the bits of an ID.
const maxWindow = 256

func (s *soak) newWindow(name string, listener int, tcp bool, r *rand.Rand) (*window, error) {
	p, err := s.newPool(tcp, r)
	if err != nil {
		return nil, err
	}
	w := &window{
		soak: s, name: name, listener: listener, pool: p, r: r, slots: make([]slot, s.window),
		lost: make(map[uint16]lostQuery), begun: s.now(),
	}
	for i := range w.slots {
		w.free = append(w.free, uint16(i))
	}
	return w, nil
}

// next appends a query to b, or returns nil where the window is full, the rate is
// reached, or the run ends.
func (w *window) next(b []byte) []byte {
	if len(w.free) == 0 || w.soak.loadOver() {
		return nil
	}
	now := w.soak.now()
	if rate := w.soak.rate; rate > 0 {
		allowed := float64(rate) / float64(w.soak.flows()) * (now - w.begun).Seconds()
		if float64(w.tally.sent) >= allowed {
			return nil
		}
	}
	i := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	w.turn += 1 << 8
	for range 1 << 8 {
		// The ID of a lost query stays its own: its answer may come yet.
		if _, taken := w.lost[w.turn|i]; !taken {
			break
		}
		w.turn += 1 << 8
	}
	q := w.pool.draw(w.r)
	w.slots[i] = slot{busy: true, id: w.turn | i, question: q, floor: q.history.floor(w.listener), sent: now}
	at := len(b)
	b = append(b, q.packet...)
	binary.BigEndian.PutUint16(b[at:], w.turn|i)
	w.tally.sent++
	return b
}

// unsend takes back a query that could not be sent.
func (w *window) unsend(packet []byte) {
	i := binary.BigEndian.Uint16(packet) & 0xFF
	w.slots[i].busy = false
	w.free = append(w.free, i)
	w.tally.sent--
}

// waiting is how many queries are under way.
func (w *window) waiting() int { return len(w.slots) - len(w.free) }

// take looks at a reply.
func (w *window) take(reply []byte) {
	received := w.soak.now()
	if len(reply) < 12 {
		w.wrong("short reply", "%s: a reply of %d octets: %x", w.name, len(reply), reply)
		return
	}
	id := binary.BigEndian.Uint16(reply)
	i := int(id & 0xFF)
	if i >= len(w.slots) || !w.slots[i].busy || w.slots[i].id != id {
		w.stray(id, received)
		return
	}
	one := w.slots[i]
	w.slots[i].busy = false
	w.free = append(w.free, uint16(i))
	w.tally.answered++
	w.tally.byRCode[reply[3]&0xF]++
	if reply[2]&2 != 0 {
		w.tally.truncated++
	}
	w.tally.latency.add(received - one.sent)
	q := one.question
	c, err := q.identify(reply)
	if err != nil {
		w.wrong("wrong answer", "%s: %s, sent at %.3fs, answered at %.3fs: %v;%s", w.name, q, one.sent.Seconds(),
			received.Seconds(), err, q.history)
		return
	}
	j := q.history.judge(c, w.listener, one.floor, one.sent, received)
	if j != right && !(j == back && w.soak.mayGoBack) {
		w.wrong("answer "+j.String(), "%s: %s, sent at %.3fs, answered at %.3fs: %s;%s; state %d was known", w.name, q,
			one.sent.Seconds(), received.Seconds(), c, q.history, one.floor)
	}
}

// stray is a reply to no query that is under way.
func (w *window) stray(id uint16, received time.Duration) {
	if one, ok := w.lost[id]; ok {
		delete(w.lost, id)
		w.tally.lost--
		w.tally.tardy++
		w.tally.latency.add(received - one.sent)
		return
	}
	w.wrong("stray reply", "%s: a reply to no query, or the second to one", w.name)
}

func (w *window) wrong(kind, format string, args ...any) {
	w.tally.wrong++
	w.soak.findings.add(kind, fmt.Sprintf(format, args...))
}

// expire gives up the queries that have waited too long, or all of them.
func (w *window) expire(all bool) {
	now := w.soak.now()
	for i := range w.slots {
		one := &w.slots[i]
		if !one.busy || !all && now-one.sent < w.soak.patience {
			continue
		}
		one.busy = false
		w.free = append(w.free, uint16(i))
		w.lost[one.id] = lostQuery{one.question.String(), one.sent}
		w.tally.lost++
	}
}
