package forward

import (
	"sync"
	"time"
)

// tick is how exact timers are.
const tick = 10 * time.Millisecond

// wheelSlots times tick is the longest that a timer can be: more than patience.
const wheelSlots = 256

// timer is an exchange's place in the wheel.
type timer struct {
	prev, next *exchange
	slot       int
	armed      bool
}

// wheel is the timers of exchanges: one goroutine for all of them, which ends while
// there are none.
type wheel struct {
	engine *engine

	mu    sync.Mutex
	slots [wheelSlots]*exchange // the first of each slot
	count int
	turns bool  // the goroutine runs
	at    int64 // the slot, counted from the start of time, that is due next
}

// arm has x.expired called at a time of the engine's clock, in place of the time
// that was set before.
func (w *wheel) arm(x *exchange, at int64) {
	due := at/int64(tick) + 1
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(x)
	if !w.turns {
		w.turns, w.at = true, w.engine.now()/int64(tick)
		w.engine.running.Go(w.turn)
	}
	due = min(max(due, w.at), w.at+wheelSlots-1)
	t := &x.timer
	t.slot, t.armed = int(due%wheelSlots), true
	t.next, t.prev = w.slots[t.slot], nil
	if t.next != nil {
		t.next.timer.prev = x
	}
	w.slots[t.slot] = x
	w.count++
}

// disarm takes x's timer out.
func (w *wheel) disarm(x *exchange) {
	w.mu.Lock()
	w.unlink(x)
	w.mu.Unlock()
}

func (w *wheel) unlink(x *exchange) {
	t := &x.timer
	if !t.armed {
		return
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.slot] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	t.prev, t.next, t.armed = nil, nil, false
	w.count--
}

// restTicks is how long the goroutine goes on without timers.
const restTicks = 100

// turn calls what is due until there have been no timers for a while.
func (w *wheel) turn() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var due []*exchange
	for idle := 0; ; idle++ {
		<-ticker.C
		if w.engine.context.Err() != nil {
			idle = restTicks
		}
		var more bool
		due, more = w.due(due[:0])
		for _, x := range due {
			x.expired()
		}
		clear(due)
		if more {
			idle = 0
		}
		if idle >= restTicks && w.rest() {
			return
		}
	}
}

// due appends to list what is due, and says whether there is anything to do.
func (w *wheel) due(list []*exchange) (_ []*exchange, busy bool) {
	now := w.engine.now() / int64(tick)
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; w.at <= now; w.at++ {
		slot := int(w.at % wheelSlots)
		for w.slots[slot] != nil {
			x := w.slots[slot]
			w.unlink(x)
			list = append(list, x)
		}
	}
	return list, w.count > 0 || len(list) > 0
}

// rest ends the goroutine if there is nothing to do.
func (w *wheel) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count > 0 {
		return false
	}
	w.turns = false
	return true
}
