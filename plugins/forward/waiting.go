package forward

import (
	"math/rand/v2"

	"github.com/stampdns/stampdns/zones/wire"
)

// waiting are the attempts that wait for their answers at one socket or stream, by ID.
// Whoever has it guards it.
type waiting map[uint16]waiter

// waiter is an attempt that waits for its answer.
type waiter struct {
	exchange *exchange
	attempt  int
}

// maxWaiting bounds the attempts that wait at one place, so that there is always an ID
// that takes long to guess.
const maxWaiting = 1 << 14

// full says that no more may wait.
func (w waiting) full() bool { return len(w) >= maxWaiting }

// enter has attempt n of x wait under an ID that nobody can foresee: math/rand/v2 draws
// from ChaCha8, which the system seeds. It returns the message to send.
func (w waiting) enter(x *exchange, n int) []byte {
	id := uint16(rand.Uint32())
	for w.taken(id) {
		id = uint16(rand.Uint32())
	}
	w[id] = waiter{x, n}
	x.attempts[n].id = id
	m := x.message()
	m[0], m[1] = byte(id>>8), byte(id)
	return m
}

func (w waiting) taken(id uint16) bool {
	_, taken := w[id]
	return taken
}

// is says whether an attempt of x waits under an ID.
func (w waiting) is(id uint16, x *exchange) bool { return w[id].exchange == x }

// match finds who waits for m. What is no answer to the question that was asked under
// its ID is for nobody.
func (w waiting) match(m []byte) (waiter, reason) {
	found, ok := w[wire.ID(m)]
	if !ok {
		return found, unexpected
	}
	return found, found.exchange.asked(m)
}
