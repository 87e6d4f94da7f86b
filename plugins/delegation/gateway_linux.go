package delegation

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// gateways are the default gateways of this host.
func gateways() []netip.Addr {
	var all []netip.Addr
	for path, read := range map[string]func(io.Reader) []netip.Addr{
		"/proc/net/route": gateways4, "/proc/net/ipv6_route": gateways6,
	} {
		f, err := os.Open(path)
		if err != nil {
			continue // no such family
		}
		all = append(all, read(f)...)
		f.Close()
	}
	return all
}

// gateways4 reads /proc/net/route: interface, destination and gateway, each
// address as the hexadecimal number that its octets are on this machine, which is
// little-endian wherever we run.
func gateways4(r io.Reader) (all []netip.Addr) {
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 4 || f[2] == "00000000" {
			continue
		}
		slices.Reverse(b)
		a, _ := netip.AddrFromSlice(b)
		all = append(all, a)
	}
	return all
}

// gateways6 reads /proc/net/ipv6_route: destination, its length, source, its
// length, gateway.
func gateways6(r io.Reader) (all []netip.Addr) {
	const none = "00000000000000000000000000000000"
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 5 || f[0] != none || f[1] != "00" || f[4] == none {
			continue
		}
		if b, err := hex.DecodeString(f[4]); err == nil {
			if a, ok := netip.AddrFromSlice(b); ok {
				all = append(all, a)
			}
		}
	}
	return all
}
