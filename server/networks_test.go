package server

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestNetworks compares the set with the plain way.
func TestNetworks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		if random.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(4)), byte(random.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: byte(random.IntN(256))})
	}
	for range 2000 {
		var prefixes []netip.Prefix
		for range random.IntN(8) {
			a := address()
			prefixes = append(prefixes, netip.PrefixFrom(a, random.IntN(a.BitLen()+1)))
		}
		set := NewNetworks(prefixes)
		for range 20 {
			a := address()
			want := false
			for _, p := range prefixes {
				want = want || p.Contains(a)
			}
			if got := set.Contains(a); got != want {
				t.Fatalf("%v contains %s: %v", prefixes, a, got)
			}
		}
	}
	if !NewNetworks([]netip.Prefix{netip.MustParsePrefix("fe80::/10")}).Contains(netip.MustParseAddr("fe80::1%eth0")) {
		t.Error("an address with a zone is in no network")
	}
}
