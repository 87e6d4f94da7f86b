// Package bind chooses the addresses that a server block listens on.
package bind

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/stampdns/stampdns/server"
)

// Plugin is the bind directive.
func Plugin() server.Plugin { return plugin(hostInterfaces) }

func plugin(list lister) server.Plugin {
	return server.Plugin{
		Name:     "bind",
		Usage:    "bind ADDRESS|IFACE... { except ADDRESS|IFACE... }",
		Observer: true,
		Setup:    func(d *server.Directive) (server.Handler, error) { return nil, setup(d, list) },
	}
}

// lister gives the addresses of each interface of the host.
type lister func() (map[string][]netip.Addr, error)

func setup(d *server.Directive, list lister) error {
	for d.Next() {
		args, err := d.Arguments(1, -1)
		if err != nil {
			return err
		}
		addrs, err := resolve(d, args, list)
		if err != nil {
			return err
		}
		var except []netip.Addr
		for d.NextBlock() {
			if d.Val() != "except" {
				return d.UnknownProperty("except")
			}
			args, err := d.Arguments(1, -1)
			if err != nil {
				return err
			}
			some, err := resolve(d, args, list)
			if err != nil {
				return err
			}
			except = append(except, some...)
		}
		addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return slices.Contains(except, a) })
		if len(addrs) == 0 {
			return d.Errf("no address is left to listen on")
		}
		for _, a := range addrs {
			if !slices.Contains(d.Block.Binds, a) {
				d.Block.Binds = append(d.Block.Binds, a)
			}
		}
	}
	return nil
}

// resolve turns addresses and names of interfaces into addresses.
func resolve(d *server.Directive, args []string, list lister) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, arg := range args {
		if a, err := netip.ParseAddr(arg); err == nil {
			addrs = append(addrs, a.Unmap())
			continue
		}
		interfaces, err := list()
		if err != nil {
			return nil, d.Errf("list the host's interfaces: %w", err)
		}
		of, ok := interfaces[arg]
		if !ok {
			names := make([]string, 0, len(interfaces))
			for name := range interfaces {
				names = append(names, name)
			}
			return nil, d.UsageErr("%q is neither an IP address nor an interface of this host%s", arg, server.Suggest(arg, names))
		}
		if len(of) == 0 {
			return nil, d.Errf("interface %s has no IP address", arg)
		}
		addrs = append(addrs, of...)
	}
	return addrs, nil
}

// hostInterfaces asks the operating system. A link-local address needs its zone
// to be listened on.
func hostInterfaces() (map[string][]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	all := make(map[string][]netip.Addr, len(interfaces))
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", i.Name, err)
		}
		all[i.Name] = nil
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, ok := netip.AddrFromSlice(n.IP)
			if !ok {
				continue
			}
			if ip = ip.Unmap(); ip.IsLinkLocalUnicast() && ip.Is6() {
				ip = ip.WithZone(i.Name)
			}
			all[i.Name] = append(all[i.Name], ip)
		}
	}
	return all, nil
}
