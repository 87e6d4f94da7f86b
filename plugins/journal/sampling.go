package journal

import (
	"time"

	"github.com/stampdns/stampdns/server"
)

// window is how long queries are counted before it is decided how many of the next
// ones are recorded.
const window = 100 * time.Millisecond

// episodeGap is how long nothing must have been left out for the next time to be
// told as another one.
const episodeGap = int64(10 * time.Second)

// sampling decides, for one worker, which queries are recorded. Its fields are
// under the ring's lock.
type sampling struct {
	budget  uint64 // queries a window
	start   int64  // of the window, in nanoseconds since 1970
	inside  uint64 // queries in the window
	taken   uint64 // of them recorded since oneIn changed
	oneIn   uint64 // one in so many is recorded
	seen    uint64
	skipped uint64
	// from and to are when the first and the last query of an episode were left out.
	from, to int64
}

// setRate has queries beyond rate a second sampled. The ring's lock is held.
func (s *sampling) setRate(rate int) {
	s.budget = max(1, uint64(rate)*uint64(window)/uint64(time.Second))
}

// admit says whether a query that came at the given time is recorded: 0 for no, else
// how many queries it stands for. The ring's lock is held.
func (s *sampling) admit(received int64, q *server.Query) uint32 {
	s.seen++
	if since := received - s.start; since >= int64(window) || since < -int64(window) {
		s.turn(received, since)
	}
	s.inside++
	if s.oneIn > 1 && s.inside%s.oneIn != 0 {
		if q.Injected != nil || isProbe(q.Name) {
			return 1
		}
		s.skipped++
		if s.from == 0 || received-s.to > episodeGap {
			s.from = received
		}
		s.to = max(s.to, received)
		return 0
	}
	oneIn := s.oneIn
	if s.taken++; s.taken >= s.budget {
		// More than was expected: half as many of what comes in the window.
		s.taken, s.oneIn = 0, min(2*oneIn, 1<<31)
	}
	return uint32(oneIn)
}

// turn begins a window, for which the one before tells how much to expect.
func (s *sampling) turn(received, since int64) {
	expected := uint64(0)
	if since >= int64(window) {
		expected = s.inside * uint64(window) / uint64(since)
	}
	s.oneIn = max(1, (expected+s.budget-1)/s.budget)
	s.start, s.inside, s.taken = received, 0, 0
}

// isProbe says whether a name is one that somebody made to find its own query
// again: any label, and then "probe".
func isProbe(name []byte) bool {
	if len(name) == 0 || name[0] == 0 {
		return false
	}
	rest := name[1+int(name[0]):]
	return len(rest) > 6 && string(rest[:6]) == "\x05probe"
}
