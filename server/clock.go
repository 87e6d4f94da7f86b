package server

import "time"

// readings is how often the clock is read while a batch of queries is answered,
// at most. Reading it costs as much as a tenth of an answer.
const readings = 3

// batchClock tells the goroutine that answers a batch of queries how late it is.
// A query alone in its batch is timed exactly; the time of others may lack what
// some of those before them in the batch took.
type batchClock struct {
	read  time.Time // the last reading
	every int       // questions for the time that one reading serves
	asked int       // since the last reading
}

// start begins a batch of n queries and returns when that is.
func (c *batchClock) start(n int) time.Time {
	c.read, c.every, c.asked = time.Now(), (n+readings-1)/readings, 0
	return c.read
}

// since is the time passed since then, which is a reading of the clock.
func (c *batchClock) since(then time.Time) time.Duration {
	if c.asked++; c.asked >= c.every {
		c.read, c.asked = time.Now(), 0
	}
	return c.read.Sub(then)
}
