// Package bufsize limits the size of UDP replies.
package bufsize

import (
	"strconv"

	"github.com/stampdns/stampdns/server"
)

// The sizes that CoreDNS's plugin of this name takes.
const (
	least = 512
	most  = 4096
)

// Plugin is the bufsize directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "bufsize", Usage: "bufsize [SIZE]", Setup: setup, Observer: true}
}

func setup(d *server.Directive) (server.Handler, error) {
	d.Next()
	args, err := d.Arguments(0, 1)
	if err != nil {
		return nil, err
	}
	d.Block.UDPSize = server.DefaultUDPSize
	if len(args) == 1 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < least || n > most {
			return nil, d.UsageErr("size %q: a number from %d to %d", args[0], least, most)
		}
		d.Block.UDPSize = n
	}
	return nil, d.End()
}
