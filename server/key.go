package server

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/stampdns/stampdns/zones/wire"
)

// key is one key of a server block: the zones it names, and a port.
type key struct {
	place
	zones []wire.Name
	port  uint16
}

// dnsPort is the port of DNS (RFC 1035 section 4.2).
const dnsPort = 53

// parseKey reads [dns://]ZONE[:PORT], where ZONE may be a network in CIDR form,
// which stands for its reverse zones.
func parseKey(text string, at place, defaultPort uint16) (key, error) {
	k := key{place: at, port: defaultPort}
	rest := text
	if strings.ContainsAny(text, "{}") {
		return k, at.errorf("key %q: a brace in a key: { and } are words of their own", text)
	}
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		if err := checkScheme(scheme, at); err != nil {
			return k, err
		}
		rest = after
	}
	zone, port, err := splitPort(rest)
	if err != nil {
		return k, at.errorf("key %q: %w", text, err)
	}
	if port >= 0 {
		k.port = uint16(port)
	}
	if k.zones, err = parseZone(zone); err != nil {
		return k, at.errorf("key %q: %w", text, err)
	}
	return k, nil
}

func checkScheme(scheme string, at place) error {
	switch strings.ToLower(scheme) {
	case "dns":
		return nil
	case "tls", "https", "https3", "quic", "grpc":
		return at.errorf("%s:// is not supported yet: only dns:// is, which may be left out", scheme)
	}
	return at.errorf("unknown scheme %s://: only dns:// is supported, and may be left out", scheme)
}

// splitPort cuts :PORT off the end; port is negative where there is none. A
// colon with a / behind it belongs to an IPv6 network.
func splitPort(s string) (zone string, port int, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.Contains(s[i:], "/") {
		return s, -1, nil
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port: write a number up to 65535 behind the colon", s[i+1:])
	}
	return s[:i], int(n), nil
}

// parseZone reads a zone name, or a network.
func parseZone(s string) ([]wire.Name, error) {
	switch {
	case s == "":
		return []wire.Name{wire.Root()}, nil
	case strings.Contains(s, "/"):
		net, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no zone and no network in CIDR form, such as 10.0.0.0/24", s)
		}
		return reverseZones(net)
	case strings.HasPrefix(s, "*"):
		return nil, fmt.Errorf("a zone is no wildcard: it covers all names below it anyway")
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil, fmt.Errorf("an address is no zone: for an address to listen on use bind, for a reverse zone write a network such as 10.0.0.0/24")
	}
	n, err := wire.ParseName(s)
	if err != nil {
		return nil, err
	}
	return []wire.Name{n}, nil
}

// reverseZones are the zones of a network below in-addr.arpa (RFC 1035 section
// 3.5) or ip6.arpa (RFC 3596 section 2.5). A network whose length falls inside
// a label is as many zones as it takes.
func reverseZones(net netip.Prefix) ([]wire.Name, error) {
	unit, suffix := 8, "in-addr.arpa."
	if net.Addr().Is6() {
		unit, suffix = 4, "ip6.arpa."
	}
	net = net.Masked()
	labels := (net.Bits() + unit - 1) / unit
	count := 1 << (labels*unit - net.Bits())
	octets := net.Addr().AsSlice()
	var zones []wire.Name
	for i := range count {
		name := suffix
		for l := range labels {
			v := int(octets[l*unit/8])
			if unit == 4 {
				v = v >> (4 * (1 - l%2)) & 0xF
			}
			if l == labels-1 {
				v += i
			}
			if unit == 4 {
				name = strconv.FormatInt(int64(v), 16) + "." + name
			} else {
				name = strconv.Itoa(v) + "." + name
			}
		}
		z, err := wire.ParseName(name)
		if err != nil {
			return nil, err
		}
		zones = append(zones, z)
	}
	return zones, nil
}
