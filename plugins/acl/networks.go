package acl

import (
	"net/netip"
	"slices"
	"sort"
)

// networks is a set of addresses as prefixes, in order and without overlap.
type networks []netip.Prefix

// newNetworks makes the set; masked addresses become networks.
func newNetworks(prefixes []netip.Prefix) networks {
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
	n := make(networks, 0, len(sorted))
	for _, p := range sorted {
		// A network stands right behind the one that holds it.
		if len(n) == 0 || !n[len(n)-1].Contains(p.Addr()) {
			n = append(n, p)
		}
	}
	return n
}

// contain says whether a is in the set.
func (n networks) contain(a netip.Addr) bool {
	a = a.WithZone("")
	behind := sort.Search(len(n), func(i int) bool { return n[i].Addr().Compare(a) > 0 })
	return behind > 0 && n[behind-1].Contains(a)
}
