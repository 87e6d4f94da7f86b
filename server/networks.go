package server

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
)

// Networks is a set of addresses as prefixes, in order and without overlap. It is
// read-only once made.
type Networks []netip.Prefix

// NewNetworks makes the set; masked addresses become networks.
func NewNetworks(prefixes []netip.Prefix) Networks {
	sorted := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		sorted[i] = p.Masked()
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	n := make(Networks, 0, len(sorted))
	for _, p := range sorted {
		// A network stands right behind the one that holds it.
		if len(n) == 0 || !n[len(n)-1].Contains(p.Addr()) {
			n = append(n, p)
		}
	}
	return n
}

// Contains says whether a is in the set.
func (n Networks) Contains(a netip.Addr) bool {
	a = a.WithZone("")
	behind := sort.Search(len(n), func(i int) bool { return n[i].Addr().Compare(a) > 0 })
	return behind > 0 && n[behind-1].Contains(a)
}

// Networks reads addresses and networks; nil is all addresses, which * stands for.
func (d *Directive) Networks(texts []string) (Networks, error) {
	n, err := ParseNetworks(texts)
	if err != nil {
		return nil, d.UsageErr("%w", err)
	}
	return n, nil
}

// ParseNetworks is Directive.Networks for texts that are not the Corefile's.
func ParseNetworks(texts []string) (Networks, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	var prefixes []netip.Prefix
	for _, text := range texts {
		if text == "*" {
			return nil, nil
		}
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			a = a.Unmap()
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no network: write an address, a network such as 192.0.2.0/24, or *", text)
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q: write IPv4 networks in their own form", text)
		}
		prefixes = append(prefixes, p)
	}
	return NewNetworks(prefixes), nil
}
