// Package pprof serves the run-time profiles of the process over HTTP, to find
// out where its time and memory go.
//
// net/http/pprof, whose handlers these are, also puts them onto
// http.DefaultServeMux when it is imported. No listener of the server serves that
// one, so without the directive nothing is to be seen.
package pprof

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
	"sync"

	"github.com/stampdns/stampdns/server"
)

// DefaultAddress is where the profiles are served unless the directive says
// otherwise: as in CoreDNS, for this machine only.
const DefaultAddress = "localhost:6053"

// Plugin is the pprof directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "pprof", Usage: "pprof [ADDRESS] { block [RATE] }", Observer: true, Setup: setup}
}

func setup(d *server.Directive) (server.Handler, error) {
	d.Next()
	args, err := d.Arguments(0, 1)
	if err != nil {
		return nil, err
	}
	addr := DefaultAddress
	if len(args) == 1 {
		if addr, err = d.Address(args[0]); err != nil {
			return nil, err
		}
	}
	rate := 0
	for d.NextBlock() {
		if d.Val() != "block" {
			return nil, d.UnknownProperty("block")
		}
		if rate, err = blockRate(d); err != nil {
			return nil, err
		}
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	// Profiles are the whole process's: blocks that name one address share it.
	all := server.ShareAll(d, func() *profiles { return &profiles{mounted: make(map[string]bool)} })
	if err := all.profileBlocking(d, rate); err != nil {
		return nil, err
	}
	return nil, all.mount(d, addr)
}

// blockRate reads the property block: on average one event of so many
// nanoseconds of blocking is recorded, every event by default.
func blockRate(d *server.Directive) (int, error) {
	args, err := d.Arguments(0, 1)
	if err != nil {
		return 0, err
	}
	if len(args) == 0 {
		return 1, nil
	}
	rate, err := strconv.Atoi(args[0])
	if err != nil || rate < 1 {
		return 0, d.UsageErr("block rate %q is not a number of nanoseconds, 1 or more", args[0])
	}
	return rate, nil
}

// profiles are what the blocks of one configuration show together.
type profiles struct {
	mounted map[string]bool // by address
	rate    int             // of the block profile, 0 for none
}

// mount has the profiles served at addr, once.
func (p *profiles) mount(d *server.Directive, addr string) error {
	if p.mounted[addr] {
		return nil
	}
	p.mounted[addr] = true
	for _, route := range []struct {
		pattern string
		handler http.HandlerFunc
	}{
		{"GET /debug/pprof/", pprof.Index}, // and the profiles by name
		{"GET /debug/pprof/cmdline", pprof.Cmdline},
		{"GET /debug/pprof/profile", pprof.Profile},
		{"GET /debug/pprof/symbol", pprof.Symbol},
		{"POST /debug/pprof/symbol", pprof.Symbol},
		{"GET /debug/pprof/trace", pprof.Trace},
	} {
		if err := d.Mount(addr, route.pattern, route.handler); err != nil {
			return err
		}
	}
	return nil
}

// profileBlocking turns the block profile on from the start of this
// configuration to its end.
func (p *profiles) profileBlocking(d *server.Directive, rate int) error {
	switch {
	case rate == 0 || rate == p.rate:
		return nil
	case p.rate != 0:
		return d.Errf("another server block asks for a block rate of %d: the process has one, give it once", p.rate)
	}
	p.rate = rate
	b := server.Keep(d, "", func() *blocking { return new(blocking) })
	d.OnStart(func() { b.start(p) })
	d.OnStop(func() { b.stop(p) })
	return nil
}

// blocking knows which configuration has the block profile on: at a reload the
// next one starts before the last one stops.
type blocking struct {
	mu sync.Mutex
	by *profiles
}

func (b *blocking) start(p *profiles) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by = p
	runtime.SetBlockProfileRate(p.rate)
}

func (b *blocking) stop(p *profiles) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == p {
		b.by = nil
		runtime.SetBlockProfileRate(0)
	}
}
