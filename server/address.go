package server

import "net/netip"

// ServerLabels are the values of the metrics' server label, by the index that
// Query.Server returns: dns://ADDRESS:PORT for each address of Binds, or
// dns://:PORT. They are complete once the block is set up.
func (b *Block) ServerLabels() []string {
	if len(b.Binds) == 0 {
		return []string{listenKey{port: b.Port}.String()}
	}
	labels := make([]string, len(b.Binds))
	for i, a := range b.Binds {
		labels[i] = keyOf(a, b.Port).String()
	}
	return labels
}

// Server is the index in Block.ServerLabels of the address of ours that the query
// came to, also where it came by a proxy.
func (q *Query) Server() int {
	binds := q.chain.block.Binds
	if len(binds) > 1 {
		to := q.arrival()
		for i, a := range binds {
			if a == to {
				return i
			}
		}
	}
	return 0
}

// keyOf is the listener of an address of Binds. The unspecified IPv6 address
// takes IPv4 as well, and so is the same as no address.
func keyOf(a netip.Addr, port uint16) listenKey {
	if a == netip.IPv6Unspecified() {
		return listenKey{port: port}
	}
	return listenKey{a.Unmap(), port}
}
