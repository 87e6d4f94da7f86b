// Package api serves the HTTP API, by which commands, scripts and pages ask a
// running server and change it. What there is to ask, other plugins mount.
package api

import (
	_ "embed" // for the document
	"net/http"

	"github.com/stampdns/stampdns/server"
)

// DefaultAddress is where the API is served unless the directive says otherwise:
// for this machine only.
const DefaultAddress = "127.0.0.1:8053"

// Plugin is the api directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "api", Usage: "api [ADDRESS] { token FILE; tls CERT KEY }", Observer: true, Setup: setup}
}

func setup(d *server.Directive) (server.Handler, error) {
	d.Next()
	o, warnings, err := parse(d)
	if err != nil {
		return nil, err
	}
	if err := d.ServeAPI(o); err != nil {
		return nil, err
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	d.OnStart(func() {
		for _, w := range warnings {
			d.Logger().Warn(w, "address", o.Addr)
		}
	})
	server.ShareAll(d, func() routes {
		err = mount(d)
		return routes{}
	})
	return nil, err
}

// routes are there once for all blocks.
type routes struct{}

// document describes the whole API in OpenAPI 3.0.
//
//go:embed openapi.json
var document []byte

// mount mounts what is of the API itself.
func mount(d *server.Directive) error {
	for _, route := range []struct {
		pattern string
		handler http.HandlerFunc
	}{
		{"GET /api/v1/openapi.json", openAPI},
		{"GET /api/v1/explain", d.ExplainHandler().ServeHTTP},
	} {
		if err := d.MountAPI(route.pattern, route.handler); err != nil {
			return err
		}
	}
	return nil
}

func openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(document)
}
