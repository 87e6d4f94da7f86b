//go:build linux

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// kind is what a zone is to those who ask.
type kind uint8

const (
	served kind = iota // by the version that the state says
	absent             // no zone of ours: REFUSED
	failed             // its file came, and is broken: SERVFAIL
)

func (k kind) String() string { return [...]string{"served", "absent", "broken"}[k] }

// content is what can be told from an answer. Versions of a zone differ in every
// record that is asked for, and are never used twice.
type content struct {
	kind    kind
	version uint32 // where it is served, from 1 on
}

func (c content) String() string {
	switch {
	case c == content{}:
		return "some version"
	case c.kind == served:
		return fmt.Sprintf("version %d", c.version)
	}
	return c.kind.String()
}

// state is what a zone's files have said for a while. All times count from the
// start of the run.
type state struct {
	content
	// from is when the change to this state began: before it, no answer has it.
	from time.Duration
	// must is when the server has to have noticed: no query that is sent later may
	// be answered by an earlier state. 0: the state did not last, and may never be
	// seen.
	must time.Duration
}

// listeners is how many addresses of the server the load asks.
const listeners = 2

// history is all that a zone has been. One goroutine changes it, any number look.
type history struct {
	bound time.Duration
	now   func() time.Duration

	mu     sync.RWMutex
	states []state
	// floors are the latest states seen at each of the server's addresses: what a
	// query was answered with, a later query is not answered without. In a
	// reload, addresses change over one after the other, hence one for each.
	floors [listeners]atomic.Int32
}

func newHistory(bound time.Duration, now func() time.Duration, first content) *history {
	return &history{bound: bound, now: now, states: []state{{content: first}}}
}

// begin notes a state that is about to come up.
func (h *history) begin(c content) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = append(h.states, state{content: c, from: h.now()})
}

// settle notes that the last state is whole, and will last until it was seen or
// is due.
func (h *history) settle() { h.settleWithin(h.bound) }

// settleWithin is settle with a bound of its own.
func (h *history) settleWithin(bound time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states[len(h.states)-1].must = h.now() + bound
}

// seen says whether the last state is in service, or has to be.
func (h *history) seen() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	last := len(h.states) - 1
	if must := h.states[last].must; must > 0 && h.now() > must {
		return true
	}
	for i := range h.floors {
		if int(h.floors[i].Load()) < last {
			return false
		}
	}
	return true
}

// last is the state that the files are in.
func (h *history) last() state {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.states[len(h.states)-1]
}

// floor is the latest state that a listener is known to have reached, for a query
// that is about to be sent.
func (h *history) floor(listener int) int32 { return h.floors[listener].Load() }

// judgement says what is wrong with an answer by time.
type judgement uint8

const (
	right judgement = iota
	early           // the zone was not yet this
	late            // the zone was this, but a change was due
	back            // the zone was this, but something later had been served
	never           // the zone was never this
)

func (j judgement) String() string {
	return [...]string{"right", "too early", "too late", "went back", "never was"}[j]
}

// judge says whether a query that was sent at a time, with the floor of then, and
// answered at another, may have been answered with c; and raises the floor. A
// served c of version 0 is any version.
func (h *history) judge(c content, listener int, floor int32, sent, received time.Duration) judgement {
	h.mu.RLock()
	defer h.mu.RUnlock()
	low := h.due(sent)
	j := never
	for i := len(h.states) - 1; i >= 0; i-- {
		s := &h.states[i]
		if s.content != c && (c != content{} || s.kind != served) {
			continue
		}
		switch {
		case s.from > received:
			j = early
			continue
		case int32(i) >= max(low, floor):
			if c != (content{}) {
				h.raise(listener, h.lowest(i, c, max(low, floor)))
			}
			return right
		case int32(i) >= low:
			return back
		}
		return late
	}
	return j
}

// due is the latest state that was due at a time.
func (h *history) due(at time.Duration) int32 {
	for i := len(h.states) - 1; i > 0; i-- {
		if must := h.states[i].must; must > 0 && must <= at {
			return int32(i)
		}
	}
	return 0
}

// lowest is the first state from low on that has the content, of which i is one:
// nobody can tell which of them was meant.
func (h *history) lowest(i int, c content, low int32) int32 {
	for n := low; n < int32(i); n++ {
		if h.states[n].content == c {
			return n
		}
	}
	return int32(i)
}

func (h *history) raise(listener int, to int32) {
	f := &h.floors[listener]
	for {
		old := f.Load()
		if to <= old || f.CompareAndSwap(old, to) {
			return
		}
	}
}

// recent are the contents that the zone had last, newest first, without
// repetition.
func (h *history) recent() []content {
	const most = 64
	h.mu.RLock()
	defer h.mu.RUnlock()
	var out []content
	seen := make(map[content]bool)
	for i := len(h.states) - 1; i >= 0 && len(out) < most; i-- {
		if c := h.states[i].content; !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out
}

// String says what the zone was last, for findings.
func (h *history) String() string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := ""
	for i := max(0, len(h.states)-4); i < len(h.states); i++ {
		s := h.states[i]
		due := "no due time"
		if s.must > 0 {
			due = fmt.Sprintf("due %.3fs", s.must.Seconds())
		}
		out += fmt.Sprintf(" [%d: %s from %.3fs, %s]", i, s.content, s.from.Seconds(), due)
	}
	return out + fmt.Sprintf(" seen [%d %d]", h.floors[0].Load(), h.floors[1].Load())
}
