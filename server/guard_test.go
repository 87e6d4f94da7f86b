package server

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// gate is a guard that a test sets.
type gate struct{ refuses, resets, panics atomic.Bool }

func (g *gate) Refuses(netip.AddrPort) bool { return g.refuses.Load() }

func (g *gate) Accepts(local, remote netip.AddrPort) bool {
	if g.panics.Load() {
		panic("guard")
	}
	return !g.resets.Load() || local.Addr() != remote.Addr()
}

// guarded is a plugin whose block has the gate.
func guarded(g *gate, changed *func()) Plugin {
	return Plugin{Name: "guarded", Usage: "guarded", Setup: func(d *Directive) (Handler, error) {
		*changed = d.GuardTCP(g)
		return nil, nil
	}}
}

// connect makes a connection, sends a query and reads from it.
func connect(to netip.AddrPort) error {
	c, err := net.DialTimeout("tcp", to.String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	packet, _ := question("www.example.org.").Pack()
	if _, err := c.Write(append([]byte{0, byte(len(packet))}, packet...)); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Read(make([]byte, 512))
	return err
}

// TestGuardTCP: addresses that are refused are, and taken again, while accept waits and
// over reloads; connections that a guard does not want are reset.
func TestGuardTCP(t *testing.T) {
	var g gate
	var changed func()
	l := newLab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1 127.0.0.2\n guarded\n say hello\n}", func(o *Options) {
		o.Plugins = append(o.Plugins, guarded(&g, &changed))
	})
	to := s.Addrs()[0]
	turned := syscall.ECONNRESET
	if runtime.GOOS == "linux" {
		turned = syscall.ECONNREFUSED
	}
	for range 3 {
		if err := connect(to); err != nil {
			t.Fatal(err)
		}
		g.refuses.Store(true)
		g.resets.Store(turned == syscall.ECONNRESET)
		changed()
		for range 2 {
			if err := connect(to); !errors.Is(err, turned) {
				t.Errorf("refused: %v", err)
			}
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		g.refuses.Store(false)
		g.resets.Store(false)
		changed()
	}
	g.resets.Store(true)
	if err := connect(to); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("not accepted: %v", err)
	}
	g.panics.Store(true)
	if err := connect(to); err != nil {
		t.Errorf("a guard that panics: %v", err)
	}
	g.refuses.Store(true)
	changed()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	changed()
	if strings.Contains(l.log(), "accept TCP connection") {
		t.Errorf("accept failed:\n%s", l.log())
	}
}

// TestOnDrain: what a plugin holds back is let go before the server waits for it.
func TestOnDrain(t *testing.T) {
	l := newLab()
	holder := Plugin{Name: "holder", Setup: func(d *Directive) (Handler, error) {
		if !d.Stands("watch") || d.Stands("say") {
			t.Error("what stands before is watch alone")
		}
		held := make(chan *Query, 1)
		d.OnDrain(func() { (<-held).Resume() })
		return handler{in: func(q *Query) Verdict { held <- q; l.seen.Add(1); return Pending }}, nil
	}}
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n watch\n holder\n say hello\n}", func(o *Options) {
		o.Plugins = slices.Insert(o.Plugins, 1, holder)
	})
	for _, end := range []func() error{s.Reload, func() error { return s.Shutdown(t.Context()) }} {
		l.seen.Store(0)
		replies := make(chan error, 1)
		to := s.Addrs()[0]
		go func() { replies <- connect(to) }()
		for l.seen.Load() < 2 {
			runtime.Gosched()
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := <-replies; err != nil {
			t.Error(err)
		}
	}
}

// TestRest: what made accept fail is told from an address that was refused, also where
// it is not any more by the time that somebody asks.
func TestRest(t *testing.T) {
	if !canRefuse {
		if runtime.GOOS == "linux" {
			t.Fatal("Linux can refuse connections")
		}
		t.Skip("the system cannot refuse connections")
	}
	tcp := newLab().start(t, ".:0 {\n bind 127.0.0.1\n say hello\n}").open()[0].tcp
	turns := tcp.turns.Load()
	if tcp.rest(turns) {
		t.Error("the address is not refused")
	}
	for _, refuse := range []bool{true, false} {
		if err := tcp.refuse(refuse); err != nil {
			t.Fatal(err)
		}
	}
	if !tcp.rest(turns) {
		t.Error("the address was refused")
	}
}
