package forward

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// hints are the name servers of the root, where iteration starts. They are
// immutable.
type hints struct {
	servers []cutServer
	port    uint16 // of all name servers: 53, but for tests
}

// readHints reads the file at path: NS records of the root, and A and AAAA
// records of the name servers that these name, in master-file form. At least one
// has an address. Errors begin with FILE:LINE where there is a line to blame.
func readHints(path string) (*hints, error) {
	h := &hints{port: 53}
	var addrs []zones.Record // with data of their own
	err := zones.FileSource(path, wire.Root()).Records(func(r zones.Record) error {
		owner := lowerName(r.Owner)
		switch r.Type {
		case dns.TypeNS:
			if len(owner) != 1 {
				return fmt.Errorf("%s: NS of %s: only those of the root belong into root hints", r.Pos, owner)
			}
			if h.server(lowerName(r.Data)) == nil {
				h.servers = append(h.servers, cutServer{name: lowerName(r.Data)})
			}
		case dns.TypeA, dns.TypeAAAA:
			r.Owner, r.Data = owner, append([]byte(nil), r.Data...)
			addrs = append(addrs, r)
		default:
			return fmt.Errorf("%s: %s: only NS, A and AAAA belong into root hints: take the record out", r.Pos, dns.Type(r.Type))
		}
		return nil
	})
	var finding *zones.Finding
	switch {
	case errors.As(err, &finding) && finding.Code == "no-soa" && len(h.servers)+len(addrs) == 0:
		return nil, fmt.Errorf("%s: holds no record: root hints have NS records of the root and the addresses of these name servers", path)
	case err != nil:
		return nil, err
	}
	if err := h.addAddresses(path, addrs); err != nil {
		return nil, err
	}
	return h, nil
}

// addAddresses gives the name servers their addresses.
func (h *hints) addAddresses(path string, addrs []zones.Record) error {
	for _, r := range addrs {
		s := h.server(r.Owner)
		if s == nil {
			return fmt.Errorf("%s: address of %s, which no NS record of the root names: add the NS record, or take the address out",
				r.Pos, wire.Name(r.Owner))
		}
		addr, ok := netip.AddrFromSlice(r.Data)
		if !ok || !isServerAddr(addr) {
			return fmt.Errorf("%s: %s is no address of a name server", r.Pos, addr)
		}
		s.addrs = append(s.addrs, addr)
	}
	if len(addrs) == 0 {
		return fmt.Errorf("%s: no name server of the root has an address: add an A or AAAA record", path)
	}
	return nil
}

// server is the name server of a name, nil if there is none.
func (h *hints) server(name wire.Name) *cutServer {
	for i := range h.servers {
		if string(h.servers[i].name) == string(name) {
			return &h.servers[i]
		}
	}
	return nil
}

// root is the cut that stands above all others.
func (h *hints) root() *zoneCut { return &zoneCut{zone: wire.Root(), servers: h.servers} }

// lowerName is the wire-form name b as names are compared, in memory of its own.
func lowerName(b []byte) wire.Name {
	name := append(wire.Name(nil), b...)
	wire.Lower(name)
	return name
}

// isServerAddr says whether a name server can be asked there. What leads to many
// hosts or to none is no such address, nor is one that needs an interface.
func isServerAddr(a netip.Addr) bool {
	return !a.Is4In6() && (a.IsGlobalUnicast() || a.IsLoopback())
}
