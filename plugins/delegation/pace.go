package delegation

import "time"

// busyRate is how many queries a second make a worker a busy one.
const busyRate = 5000

const second = int64(time.Second)

// pace says whether a worker is busy, by the second before. It is under the worker's
// lock.
type pace struct {
	start  int64 // of the second, in nanoseconds since 1970
	inside int   // queries in it
	busy   bool
	noted  int64 // when the worker last said that it passed something over
}

// add counts a query that was received now.
func (p *pace) add(now int64) {
	if since := now - p.start; since >= second || since < -second {
		p.busy = p.inside >= busyRate && since >= 0 && since < 2*second
		p.start, p.inside = now, 0
	}
	p.inside++
}
