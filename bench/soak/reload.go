//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// config is a Corefile. What differs from one to the next is all that it has.
type config struct {
	soak    *soak
	stamp   uint32 // version
	edition int    // of the whole, in a comment
	blocked []string
	logging bool
	extra   bool // one more address to listen on
}

// extraAddr is where the server listens from time to time.
var extraAddr = netip.AddrFrom4([4]byte{127, 0, 0, 3})

// lines are the Corefile, all but the closing brace.
func (c *config) lines() []string {
	s := c.soak
	bind := "bind"
	for _, a := range s.addrs {
		bind += " " + a.Addr().String()
	}
	if c.extra {
		bind += " " + extraAddr.String()
	}
	lines := []string{
		fmt.Sprintf("# edition %d", c.edition),
		fmt.Sprintf(".:%d {", s.addrs[0].Port()),
		bind,
		"prometheus " + s.metrics.String(), "health " + s.health.String(), "ready " + s.ready.String(),
		"errors", "reload 2s 1s",
		"delegation {", "resolver local 127.0.0.1", "}", "journal 1000", "fault", "api 127.0.0.1:0", "status",
		"acl {", "block net " + strings.Join(c.blocked, " "), "allow", "}",
		"stamp {",
	}
	lines = append(append(lines, stampOptions(c.stamp)...), "}")
	look := ""
	if s.look > 0 {
		look = "reload " + s.look.String()
	}
	lines = append(lines, "auto {", "directory "+s.folder(), look, "}", "file "+s.fileZonePath()+" "+fileZone+" {", look, "}")
	if c.logging {
		lines = append(lines, "log . {", "class error", "}")
	}
	return lines
}

func (c *config) text() string { return strings.Join(append(c.lines(), "}", ""), "\n") }

// broken is a Corefile that does not work, one way or another.
func (c *config) broken(r *rand.Rand) string {
	bad := []string{
		"nosuchdirective",
		"stamp", // twice in a block
		"file " + filepath.Join(c.soak.dir, "no-such-file") + " missing.example",
		"bind 192.0.2.1", // not on this machine
		"acl {\nblock net nonsense\n}",
	}
	n := r.IntN(len(bad) + 1)
	if n == len(bad) {
		return strings.Join(c.lines(), "\n") // no closing brace
	}
	return strings.Join(append(c.lines(), bad[n], "}", ""), "\n")
}

// vary makes the next Corefile, with or without another stamp.
func (c *config) vary(r *rand.Rand) (newStamp bool) {
	c.edition++
	c.blocked = []string{"203.0.113.0/24"}
	for range r.IntN(4) {
		c.blocked = append(c.blocked, fmt.Sprintf("198.51.100.%d", r.IntN(256)))
	}
	c.logging = r.IntN(4) == 0
	c.extra = r.IntN(4) == 0
	if newStamp = r.IntN(2) == 0; newStamp {
		c.stamp++
	}
	return newStamp
}

// reloader changes the Corefile twice a second, and tells the server by a signal
// or not at all, as it looks itself.
type reloader struct {
	config
	r *rand.Rand
	// good and bad are what was written: Corefiles that work, and that do not.
	good, bad int
}

// lookEvery is how soon the server looks at its Corefile by itself, at the
// latest: the directive says 2s, and a quarter more or less.
const lookEvery = 2500 * time.Millisecond

func (l *reloader) run(ctx context.Context) error {
	tick := time.NewTicker(l.soak.reloadEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		switch {
		case n%60 == 0:
			err = l.unsignalled(ctx)
		case n%12 == 0:
			err = l.wrong(ctx)
		default:
			err = l.signalled(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("reload: %w", err)
		}
	}
}

// write puts a Corefile in place, by renaming or by writing over it.
func (l *reloader) write(text string) error {
	path := l.soak.corefile()
	if l.r.IntN(4) == 0 {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func (l *reloader) hangUp() error { return syscall.Kill(l.soak.server.PID(), syscall.SIGHUP) }

// next writes the next Corefile that works.
func (l *reloader) next() error {
	if l.vary(l.r) {
		l.soak.stamp.begin(content{version: l.stamp})
	}
	l.good++
	return l.write(l.text())
}

// signalled changes the Corefile and says so at once.
func (l *reloader) signalled(ctx context.Context) error {
	if err := l.next(); err != nil {
		return err
	}
	if err := l.hangUp(); err != nil {
		return err
	}
	l.soak.stamp.settle()
	if !l.extra {
		return nil
	}
	return l.probe(ctx)
}

// unsignalled changes it and waits until the server has found out.
func (l *reloader) unsignalled(ctx context.Context) error {
	if err := l.next(); err != nil {
		return err
	}
	l.soak.stamp.settleWithin(l.soak.bound + lookEvery)
	l.await(ctx)
	return nil
}

// await waits until the stamp that was configured last is served, or due.
func (l *reloader) await(ctx context.Context) {
	for !l.soak.stamp.seen() && ctx.Err() == nil {
		pause(ctx, 10*time.Millisecond)
	}
}

// wrong writes a Corefile that does not work: the one before goes on. The next
// one repairs it.
func (l *reloader) wrong(ctx context.Context) error {
	l.await(ctx)
	l.bad++
	if err := l.write(l.broken(l.r)); err != nil {
		return err
	}
	return l.hangUp()
}

// probe asks at the address that has come up, until it answers or should have.
func (l *reloader) probe(ctx context.Context) error {
	at := netip.AddrPortFrom(extraAddr, l.soak.addrs[0].Port()).String()
	query := new(dns.Msg).SetQuestion("portal."+externalZone, dns.TypeA)
	end := l.soak.now() + l.soak.bound
	for _, network := range []string{"udp", "tcp"} {
		client := dns.Client{Net: network, Timeout: 200 * time.Millisecond}
		for {
			m, _, err := client.ExchangeContext(ctx, query, at)
			if err == nil && m.Rcode == dns.RcodeSuccess && len(m.Answer) == 1 {
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			if l.soak.now() > end {
				l.soak.findings.addf("address not opened", "%s over %s, configured %s ago: %v, %v", at, network, l.soak.bound, m, err)
				return nil
			}
			pause(ctx, 10*time.Millisecond)
		}
	}
	return nil
}
