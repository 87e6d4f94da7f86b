package bind

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// host has two interfaces with addresses and one without.
func host() (map[string][]netip.Addr, error) {
	return map[string][]netip.Addr{
		"lo0":  {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.3")},
		"eth0": {netip.MustParseAddr("127.0.0.2")},
		"eth1": nil,
	}, nil
}

func TestBind(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"bind 127.0.0.1", "127.0.0.1"},
		{"bind 127.0.0.2 127.0.0.1", "127.0.0.2 127.0.0.1"},
		{"bind 127.0.0.1\n bind 127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2"},
		{"bind ::ffff:127.0.0.1", "127.0.0.1"},
		{"bind lo0 eth0", "127.0.0.1 127.0.0.3 127.0.0.2"},
		{"bind lo0 eth0 {\n except 127.0.0.1 eth0\n }", "127.0.0.3"},
		{"bind lo0 {\n except 127.0.0.1\n }\n bind 127.0.0.1", "127.0.0.3 127.0.0.1"},
	} {
		var binds []netip.Addr
		look := server.Plugin{Name: "look", Setup: func(d *server.Directive) (server.Handler, error) {
			binds = d.Block.Binds
			return nil, nil
		}}
		s := servertest.Start(t, ".:0 {\n "+tc.text+"\n look\n}", plugin(host), look)
		var got []string
		for _, a := range s.Addrs() {
			got = append(got, a.Addr().String())
			if r := s.Exchange("udp", a, servertest.Question("example.org.", dns.TypeA)); r.Rcode != dns.RcodeRefused {
				t.Errorf("%s: no answer from %s", tc.text, a)
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s, want %s", tc.text, got, tc.want)
		}
		if len(binds) != len(got) {
			t.Errorf("%s: addresses of the block %v", tc.text, binds)
		}
		s.Stop()
	}
}

// TestLoopback asks the operating system itself.
func TestLoopback(t *testing.T) {
	all, err := hostInterfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, addrs := range all {
		if slices.Contains(addrs, netip.MustParseAddr("127.0.0.1")) {
			return
		}
	}
	t.Errorf("no interface has 127.0.0.1: %v", all)
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"bind", "bind takes at least one argument, not 0 (usage: bind ADDRESS|IFACE..."},
		{"bind eth9", `"eth9" is neither an IP address nor an interface of this host`},
		{"bind 127.0.0.256", `"127.0.0.256" is neither`},
		{"bind eth1", "interface eth1 has no IP address"},
		{"bind lo0 {\n except lo0\n }", "no address is left"},
		{"bind lo0 {\n accept eth0\n }", `unknown property "accept"`},
		{"bind lo0 {\n except\n }", "except takes at least one argument"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", plugin(host))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
	fails := func() (map[string][]netip.Addr, error) { return nil, errors.New("no list") }
	_, err := servertest.Try(t, ".:0 {\n bind lo0\n}", plugin(fails))
	var config *server.ConfigError
	if !errors.As(err, &config) || config.Line != 2 || !strings.Contains(err.Error(), "no list") {
		t.Errorf("host without a list of interfaces: %v", err)
	}
}
