// Package health says over HTTP that the process is alive.
package health

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stampdns/stampdns/server"
)

// DefaultAddress is where health is told unless the directive says otherwise.
const DefaultAddress = ":8080"

// Plugin is the health directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "health", Usage: "health [ADDRESS] { lameduck DURATION }", Observer: true, Setup: setup}
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
	var lameDuck time.Duration
	for d.NextBlock() {
		if d.Val() != "lameduck" {
			return nil, d.UnknownProperty("lameduck")
		}
		if lameDuck, err = d.DurationArgument(0); err != nil {
			return nil, err
		}
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	d.LameDuck(lameDuck)
	// Health is the whole process's: blocks that name one address share it.
	mounted := server.ShareAll(d, func() addresses { return make(addresses) })
	if mounted[addr] {
		return nil, nil
	}
	mounted[addr] = true
	return nil, d.Mount(addr, "GET /health", http.HandlerFunc(ok))
}

// addresses are those where health is told.
type addresses map[string]bool

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, "OK")
}
