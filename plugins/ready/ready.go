// Package ready says over HTTP whether the server is ready for queries.
package ready

import (
	"fmt"
	"net/http"

	"github.com/stampdns/stampdns/server"
)

// DefaultAddress is where readiness is told unless the directive says otherwise.
const DefaultAddress = ":8181"

// Plugin is the ready directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "ready", Usage: "ready [ADDRESS]", Observer: true, Setup: setup}
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
	if err := d.End(); err != nil {
		return nil, err
	}
	// Readiness is the whole server's: blocks that name one address share it.
	mounted := server.ShareAll(d, func() addresses { return make(addresses) })
	if mounted[addr] {
		return nil, nil
	}
	mounted[addr] = true
	return nil, d.Mount(addr, "GET /ready", answer(d.Ready()))
}

// addresses are those where readiness is told.
type addresses map[string]bool

// answer is 200 and OK, or 503 and what is not ready, one to a line.
func answer(ready func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprint(w, "OK")
	})
}
