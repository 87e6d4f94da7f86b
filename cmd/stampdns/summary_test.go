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

// TestObserving: the summary names commands that the configuration has something for.
func TestObserving(t *testing.T) {
	here, there := [][2]string{{"metrics", "http://127.0.0.1:9153"}, {"api", "http://127.0.0.1:8053"}}, [][2]string{{"api", "http://192.0.2.1:80"}}
	const probe, journal, elsewhere = "stampdns probe --resolver ADDRESS", "stampdns journal --follow", " --api http://192.0.2.1:80"
	for _, tc := range []struct {
		lines string
		http  [][2]string
		want  []string
	}{
		{"stamp\njournal", here, []string{probe, journal}},
		{"stamp\njournal", there, []string{probe + elsewhere, journal + elsewhere}},
		{"stamp\njournal 500", nil, []string{probe}},
		{"stamp\nprobe off", here, nil},
		{"stamp\nprobe off\njournal", here, []string{journal}},
		{"file db.example.org\nprobe", here, []string{probe}},
		{"file db.example.org", here, nil},
	} {
		got, err := observing(server.Corefile{Name: "test", Text: []byte(". {\n" + tc.lines + "\n}\n")}, tc.http)
		if err != nil {
			t.Fatal(err)
		}
		var commands []string
		for _, o := range got {
			commands = append(commands, o[1])
		}
		if !reflect.DeepEqual(commands, tc.want) {
			t.Errorf("%q: %q, want %q", tc.lines, commands, tc.want)
		}
	}
}
