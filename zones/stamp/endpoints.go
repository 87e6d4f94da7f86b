package stamp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Row is one line of the firewall table: traffic to let in to the stamp.
type Row struct {
	Endpoint string       `json:"endpoint"`
	Host     string       `json:"host,omitempty"` // below the external zone, "portal" or "*.blob"
	FQDN     string       `json:"fqdn,omitempty"` // without the last dot; empty where there is no name
	VIPs     []netip.Addr `json:"vips,omitempty"` // empty where users make them
	Protocol string       `json:"protocol"`
	Ports    string       `json:"ports"`
	Rules    []Rule       `json:"rules"`              // what Protocol and Ports say, for programs
	Provider string       `json:"provider,omitempty"` // resource provider, as with and without name it
	Newer    bool         `json:"newer,omitempty"`    // not in the page's table
}

// Rule is traffic to one range of ports.
type Rule struct {
	Protocol string `json:"protocol"`       // tcp, udp or esp
	From     uint16 `json:"from,omitempty"` // the first port; 0 with esp, which has none
	To       uint16 `json:"to,omitempty"`   // the last port
}

// Endpoints is the firewall table: the rows of the network-integration page's
// inbound table in its order, those of this stamp's other resource providers
// behind them. The table's DNS row is one row for each name server.
func (s *Stamp) Endpoints() ([]Row, error) {
	addrs, err := s.assign()
	if err != nil {
		return nil, err
	}
	var rows []Row
	add := func(r Row) {
		if r.Rules == nil {
			r.Rules = rules(r.Protocol, r.Ports)
		}
		rows = append(rows, r)
	}
	vpn := false
	for i := range catalogue {
		e := &catalogue[i]
		if e.newer && !vpn {
			vpn = true
			add(vpnRow())
		}
		if has, _ := s.has(e); has {
			add(Row{
				Endpoint: e.endpoint, Host: e.host, FQDN: e.host + "." + s.External(), VIPs: addrs[i],
				Protocol: e.protocol, Ports: e.ports, Provider: e.provider.String(), Newer: e.newer,
			})
		}
		if e.host == "crl" {
			for _, ns := range s.NameServers() {
				add(dnsRow(s.Prefix, ns))
			}
		}
	}
	return rows, nil
}

// dnsRow is the table's DNS row, whose "*" means the name servers, for one of them.
func dnsRow(prefix string, ns NameServer) Row {
	return Row{
		Endpoint: "DNS", Host: prefix + "-" + ns.Label, FQDN: ns.Name, VIPs: ns.Addrs,
		Protocol: "TCP & UDP", Ports: "53",
	}
}

// vpnRow has no name and no address: users make VPN gateways. IKEv2 is UDP 500
// and 4500, ESP is IP protocol 50 (RFC 7296 section 2.23, RFC 4303).
func vpnRow() Row {
	return Row{
		Endpoint: "VPN Gateways", Protocol: "UDP, ESP", Ports: "500, 4500 (IKEv2), IP protocol 50 (ESP)",
		Rules: []Rule{{"udp", 500, 500}, {"udp", 4500, 4500}, {Protocol: "esp"}},
	}
}

// rules reads the catalogue's columns: each port, or range of them, over each
// protocol. HTTP and HTTPS are TCP here: the page's table has no QUIC.
func rules(protocol, ports string) []Rule {
	protocols := []string{"tcp"}
	if strings.Contains(protocol, "UDP") {
		protocols = append(protocols, "udp")
	}
	var out []Rule
	for _, p := range protocols {
		for field := range strings.SplitSeq(ports, ", ") {
			field, _, _ = strings.Cut(field, " (")
			first, last, isRange := strings.Cut(field, "-")
			if !isRange {
				last = first
			}
			// The catalogue is ours: a test reads each of its rows.
			from, _ := strconv.ParseUint(first, 10, 16)
			to, _ := strconv.ParseUint(last, 10, 16)
			out = append(out, Rule{p, uint16(from), uint16(to)})
		}
	}
	return out
}

// assign gives each entry of the catalogue its addresses; those that the stamp
// has not may be without.
//
// From a pool, the n-th entry has the n-th host address, whatever else is on
// the stamp: no option moves it. Where that address is a name server's or
// pinned to another entry, the entry alone moves, to the first free address
// behind the catalogue's.
func (s *Stamp) assign() ([][]netip.Addr, error) {
	addrs := make([][]netip.Addr, len(catalogue))
	pinned := make([]bool, len(catalogue))
	for _, p := range s.Pins {
		i, err := findEntry(p.Name)
		if err != nil {
			return nil, err
		}
		if pinned[i] {
			return nil, fmt.Errorf("endpoint %s is given twice: give all addresses at once", p.Name)
		}
		addrs[i], pinned[i] = p.Addrs, true
	}
	taken := func(a netip.Addr, by int) bool {
		if slices.Contains(s.NS01, a) || slices.Contains(s.NS02, a) {
			return true
		}
		for i := range addrs {
			if pinned[i] && i != by && slices.Contains(addrs[i], a) {
				return true
			}
		}
		return false
	}
	if err := s.checkNeed(pinned); err != nil {
		return nil, err
	}
	for _, pool := range s.VIPs {
		need, last, spare := 0, 0, len(catalogue)
		for i := range catalogue {
			place := i
			for a := hostAddr(pool, place); a.IsValid() && taken(a, i); a = hostAddr(pool, place) {
				place = spare
				spare++
			}
			if has, _ := s.has(&catalogue[i]); !has || pinned[i] {
				continue
			}
			if place >= need {
				need, last = place+1, i
			}
			addrs[i] = append(addrs[i], hostAddr(pool, place))
		}
		if have := hosts(pool); have < need {
			return nil, tooSmall(pool, have, need, last)
		}
	}
	return addrs, nil
}

// checkNeed fails if an endpoint has neither pool nor pin.
func (s *Stamp) checkNeed(pinned []bool) error {
	for i := range catalogue {
		if has, _ := s.has(&catalogue[i]); has && !pinned[i] && len(s.VIPs) == 0 {
			return fmt.Errorf("endpoint %s has no address: give vips, or pin it with endpoint %[1]s ADDRESS", catalogue[i].host)
		}
	}
	return nil
}

// hostAddr is the n-th host address of pool, from 0: the network's own address
// and IPv4's broadcast address are left out, IPv6's subnet-router anycast
// address likewise (RFC 4291 section 2.6.1). It is invalid behind the last one.
func hostAddr(pool netip.Prefix, n int) netip.Addr {
	if n >= hosts(pool) {
		return netip.Addr{}
	}
	b := pool.Addr().As16()
	for i, carry := len(b)-1, n+1; i >= 0 && carry > 0; i-- {
		carry += int(b[i])
		b[i] = byte(carry)
		carry >>= 8
	}
	a := netip.AddrFrom16(b)
	if pool.Addr().Is4() {
		a = a.Unmap()
	}
	return a
}

// hosts is how many host addresses pool has, or enough.
func hosts(pool netip.Prefix) int {
	const enough = 20
	bits := min(pool.Addr().BitLen()-pool.Bits(), enough)
	if pool.Addr().Is4() {
		return max(0, 1<<bits-2)
	}
	return 1<<bits - 1
}

func tooSmall(pool netip.Prefix, have, need, last int) error {
	smallest := pool
	for hosts(smallest) < need {
		smallest = netip.PrefixFrom(pool.Addr(), smallest.Bits()-1).Masked()
	}
	return optionf("vips", "%s has %d host addresses, but %d are needed (%s has place %d): use a /%d or larger, such as %s",
		pool, have, need, catalogue[last].host, need, smallest.Bits(), smallest)
}

// checkPools accepts whole networks, one of a family at most.
func checkPools(pools []netip.Prefix) error {
	for i, p := range pools {
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
			return fmt.Errorf("%s is no IPv4 or IPv6 network: write one as 192.0.2.32/27", p)
		case p != p.Masked():
			return fmt.Errorf("%s is not the start of a network: write %s", p, p.Masked())
		case p.Addr().IsMulticast():
			return fmt.Errorf("%s is for multicast: write a network of host addresses", p)
		case i > 0 && p.Addr().Is4() == pools[0].Addr().Is4(), i > 1:
			return fmt.Errorf("%s: one IPv4 and one IPv6 network at most", p)
		}
	}
	return nil
}
