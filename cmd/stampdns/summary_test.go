package main

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/stampdns/stampdns/server"
)

func TestNameServers(t *testing.T) {
	one, two := netip.MustParseAddrPort("192.0.2.11:53"), netip.MustParseAddrPort("192.0.2.12:53")
	ns := func(name, addr string) server.NameServer {
		return server.NameServer{Name: name + ".example.", Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
	}
	served := func(name string, at netip.AddrPort, published string) nameServer {
		return nameServer{name + ".example", at, []netip.Addr{netip.MustParseAddr(published)}}
	}
	for _, test := range []struct {
		what  string
		block server.BlockInfo
		want  []nameServer
	}{
		{"by order", server.BlockInfo{
			Addrs: []netip.AddrPort{one, two}, NameServers: []server.NameServer{ns("a", "198.51.100.1"), ns("b", "198.51.100.2")},
		}, []nameServer{served("a", one, "198.51.100.1"), served("b", two, "198.51.100.2")}},
		{"by published address", server.BlockInfo{
			Addrs: []netip.AddrPort{one, two}, NameServers: []server.NameServer{ns("a", "192.0.2.12"), ns("b", "192.0.2.11")},
		}, []nameServer{served("a", two, "192.0.2.12"), served("b", one, "192.0.2.11")}},
		{"one address", server.BlockInfo{
			Addrs: []netip.AddrPort{one}, NameServers: []server.NameServer{ns("a", "198.51.100.1"), ns("b", "198.51.100.2")},
		}, []nameServer{served("a", one, "198.51.100.1"), served("b", one, "198.51.100.2")}},
		{"no stamp", server.BlockInfo{Addrs: []netip.AddrPort{one, two}}, []nameServer{{At: one}, {At: two}}},
	} {
		if got := nameServers(test.block); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
		}
	}
}

func TestHTTPURLs(t *testing.T) {
	text := `
. {
    prometheus {
        namespace coredns
    }
    health LOCALHOST:1
    ready
}
example.org {
    ready
}
`
	bound := map[string]netip.AddrPort{
		"127.0.0.1:9153": netip.MustParseAddrPort("127.0.0.1:9153"),
		"localhost:1":    netip.MustParseAddrPort("127.0.0.1:1"),
		":8181":          netip.MustParseAddrPort("[::]:8181"),
	}
	got, err := httpURLs(server.Corefile{Name: "test", Text: []byte(text)}, bound)
	if err != nil {
		t.Fatal(err)
	}
	want := [][2]string{
		{"metrics", "http://127.0.0.1:9153/metrics"}, {"health", "http://127.0.0.1:1/health"}, {"ready", "http://127.0.0.1:8181/ready"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
