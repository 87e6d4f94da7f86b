//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// changer changes the file of one zone in turn with waiting until the server
// serves the change, or has to.
type changer struct {
	*zone
	soak *soak
	r    *rand.Rand
	path string // of the file
	// folder is where the file may come and go, "" where the zone stays.
	folder  string
	changes int
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// run changes the zone until ctx ends.
func (c *changer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.step(ctx); err != nil {
			return fmt.Errorf("change zone %s: %w", c.origin, err)
		}
		c.changes++
		c.soak.changes.Add(1)
		for !c.history.seen() && ctx.Err() == nil {
			pause(ctx, 10*time.Millisecond)
		}
		pause(ctx, time.Duration(c.r.Int64N(int64(2*c.soak.every))))
	}
	return nil
}

// step makes one change.
func (c *changer) step(ctx context.Context) error {
	if c.folder != "" {
		switch now := c.history.last().kind; {
		case now == absent:
			return c.appear(ctx)
		case now == failed || c.r.IntN(3) == 0:
			if c.r.IntN(2) == 0 {
				return c.vanish()
			}
		case c.r.IntN(4) == 0:
			return c.move()
		}
	}
	switch c.r.IntN(10) {
	case 0, 1, 2, 3:
		return c.change(c.replace)
	case 4:
		return c.change(c.overwrite)
	case 5, 6:
		return c.change(func(text string) error { return c.write(ctx, text) })
	case 7:
		for range 1 + c.r.IntN(5) {
			if err := c.begin(c.replace); err != nil {
				return err
			}
		}
		c.history.settle()
		return nil
	case 8:
		return c.same()
	}
	return c.breakFor(ctx)
}

// begin writes the next version in some way.
func (c *changer) begin(write func(text string) error) error {
	c.version++
	c.history.begin(content{version: c.version})
	return write(c.text(c.version))
}

// change writes the next version, which stays.
func (c *changer) change(write func(text string) error) error {
	if err := c.begin(write); err != nil {
		return err
	}
	c.history.settle()
	return nil
}

// replace renames a new file into place.
func (c *changer) replace(text string) error {
	temporary := filepath.Join(c.soak.dir, "new-"+strings.TrimSuffix(c.origin, "."))
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, c.path)
}

// overwrite writes the file in place at once.
func (c *changer) overwrite(text string) error { return os.WriteFile(c.path, []byte(text), 0o644) }

// write writes the file in place slowly, so that halves of it can be read.
func (c *changer) write(ctx context.Context, text string) error {
	file, err := os.Create(c.path)
	if err != nil {
		return err
	}
	defer file.Close()
	for text != "" && ctx.Err() == nil {
		n := min(len(text), 1+c.r.IntN(len(text)))
		if _, err := file.WriteString(text[:n]); err != nil {
			return err
		}
		text = text[n:]
		pause(ctx, time.Duration(c.r.Int64N(int64(60*time.Millisecond))))
	}
	return file.Close()
}

// same writes what is there already, or only touches it: nothing changes.
func (c *changer) same() error {
	if c.r.IntN(2) == 0 {
		now := time.Now()
		return os.Chtimes(c.path, now, now)
	}
	if c.history.last().kind == failed {
		return nil
	}
	return c.replace(c.text(c.version))
}

// breakFor breaks the file for a while: the last good zone stays in service.
func (c *changer) breakFor(ctx context.Context) error {
	write := c.replace
	if c.r.IntN(2) == 0 {
		write = func(text string) error { return c.write(ctx, text) }
	}
	if err := write(c.broken(c.r)); err != nil {
		return err
	}
	pause(ctx, time.Duration(c.r.Int64N(int64(3*time.Second))))
	return c.change(c.replace)
}

// appear brings a zone into the folder that was not there, or a broken file for
// it. A file that is written slowly may be met half done.
func (c *changer) appear(ctx context.Context) error {
	if err := c.choose(); err != nil {
		return err
	}
	switch c.r.IntN(4) {
	case 0:
		c.history.begin(content{kind: failed})
		defer c.history.settle()
		return c.replace(c.broken(c.r))
	case 1:
		c.history.begin(content{kind: failed})
		return c.change(func(text string) error { return c.write(ctx, text) })
	}
	return c.change(c.replace)
}

// choose takes one of the names that the zone's file may have.
func (c *changer) choose() error {
	name := strings.TrimSuffix(c.origin, ".")
	c.path = filepath.Join(c.folder, [...]string{"db." + name, name + ".zone", "sub/" + name + ".db"}[c.r.IntN(3)])
	return os.MkdirAll(filepath.Dir(c.path), 0o755)
}

// vanish takes the zone out.
func (c *changer) vanish() error {
	c.history.begin(content{kind: absent})
	defer c.history.settle()
	return os.Remove(c.path)
}

// move puts the next version where another name is. The zone may be gone for a
// moment.
func (c *changer) move() error {
	old := c.path
	if err := c.choose(); err != nil {
		return err
	}
	if c.path == old {
		return c.change(c.replace)
	}
	c.history.begin(content{kind: absent})
	c.version++
	c.history.begin(content{version: c.version})
	defer c.history.settle()
	if err := c.replace(c.text(c.version)); err != nil {
		return err
	}
	return os.Remove(old)
}
