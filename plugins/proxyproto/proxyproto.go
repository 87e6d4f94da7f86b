// Package proxyproto has queries that come by a proxy counted, filtered and logged
// under the client's address, which the proxy tells in a PROXY header.
package proxyproto

import (
	"net/netip"

	"github.com/stampdns/stampdns/server"
)

// Plugin is the proxyproto directive. The server itself reads the headers, before
// any block is chosen.
func Plugin() server.Plugin {
	return server.Plugin{
		Name: "proxyproto", Usage: "proxyproto NETWORK... { allow NETWORK...; default skip|reject }",
		Setup: setup, Observer: true,
	}
}

func setup(d *server.Directive) (server.Handler, error) {
	for d.Next() {
		texts, err := d.Arguments(0, -1)
		if err != nil {
			return nil, err
		}
		if err := add(d, texts); err != nil {
			return nil, err
		}
		for d.NextBlock() {
			if err := property(d); err != nil {
				return nil, err
			}
		}
	}
	if len(d.Block.Proxies) == 0 {
		return nil, d.UsageErr("name the proxies: whoever may send a header may pass for anybody")
	}
	return nil, nil
}

// property reads a line of the block, which is how CoreDNS has it.
func property(d *server.Directive) error {
	switch d.Val() {
	case "allow":
		texts, err := d.Arguments(1, -1)
		if err != nil {
			return err
		}
		return add(d, texts)
	case "default":
		args, err := d.Arguments(1, 1)
		if err != nil {
			return err
		}
		switch args[0] {
		case "skip", "reject":
			return nil
		case "use", "ignore":
			return d.UsageErr("default %s: a header from a sender that is not listed is never looked at, "+
				"and makes a broken query: write skip or reject, or leave the line out", args[0])
		}
		return d.UsageErr("unknown default %q%s", args[0], server.Suggest(args[0], []string{"skip", "reject"}))
	}
	return d.UnknownProperty("allow", "default")
}

// add has the senders in the networks be proxies.
func add(d *server.Directive, texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	networks, err := d.Networks(texts)
	if err != nil {
		return err
	}
	if networks == nil { // *
		networks = server.Networks{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	d.Block.Proxies = append(d.Block.Proxies, networks...)
	return nil
}
