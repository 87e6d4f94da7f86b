// Package state names the file in which run-time changes outlive the process.
package state

import "github.com/stampdns/stampdns/server"

// Plugin is the state directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "state", Usage: "state FILE", Observer: true, Setup: setup}
}

func setup(d *server.Directive) (server.Handler, error) {
	d.Next()
	args, err := d.Arguments(1, 1)
	if err != nil {
		return nil, err
	}
	if args[0] == "" {
		return nil, d.UsageErr("the file's name is empty")
	}
	if err := d.UseState(d.Path(args[0])); err != nil {
		return nil, err
	}
	return nil, d.End()
}
