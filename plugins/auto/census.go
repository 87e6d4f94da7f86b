package auto

import "sync"

// census knows which files of a directory were there when the server began to
// serve it. The server is not ready without their zones; files that come later
// do not count, whatever reloads of the Corefile come after. It may be used by
// any number of goroutines.
type census struct {
	mu    sync.Mutex
	taken bool
	there map[string]bool // paths; it only shrinks
}

func newCensus() *census { return &census{there: make(map[string]bool)} }

// over says that the census is taken.
func (c *census) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken
}

// take adds files that were there at the start.
func (c *census) take(paths []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = true
	for _, p := range paths {
		c.there[p] = true
	}
}

// late says that a file came after the census.
func (c *census) late(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken && !c.there[path]
}

// forget strikes out a file that is gone: should it come back, it is late.
func (c *census) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.there, path)
}
