package proxyproto_test

import (
	"strings"
	"testing"

	"github.com/stampdns/stampdns/plugins/proxyproto"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func TestNetworks(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"proxyproto 192.0.2.1", "192.0.2.1/32"},
		{"proxyproto 192.0.2.1 2001:db8::/64\n proxyproto 198.51.100.7/24", "192.0.2.1/32 2001:db8::/64 198.51.100.0/24"},
		{"proxyproto *", "0.0.0.0/0 ::/0"},
		{"proxyproto {\n allow 192.0.2.0/24 192.0.3.1\n default skip\n}", "192.0.2.0/24 192.0.3.1/32"},
		{"proxyproto 192.0.2.1 {\n allow 192.0.3.1\n default reject\n}", "192.0.2.1/32 192.0.3.1/32"},
	} {
		var block *server.Block
		s := servertest.Start(t, ".:0 {\n "+tc.text+"\n look\n}", proxyproto.Plugin(), server.Plugin{
			Name: "look",
			Setup: func(d *server.Directive) (server.Handler, error) {
				block = d.Block
				return nil, nil
			},
		})
		var got []string
		for _, p := range block.Proxies {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q: proxies %v, want %s", tc.text, got, tc.want)
		}
		s.Stop()
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"proxyproto", "name the proxies"},
		{"proxyproto {\n default skip\n}", "name the proxies"},
		{"proxyproto 192.0.2.0/33", `"192.0.2.0/33" is no network`},
		{"proxyproto dnsdist", `"dnsdist" is no network`},
		{"proxyproto 192.0.2.1 {\n allow\n}", "allow takes at least one argument"},
		{"proxyproto 192.0.2.1 {\n default\n}", "default takes one argument"},
		{"proxyproto 192.0.2.1 {\n default use\n}", "never looked at"},
		{"proxyproto 192.0.2.1 {\n default ignore\n}", "never looked at"},
		{"proxyproto 192.0.2.1 {\n default rejected\n}", `unknown default "rejected"; did you mean "reject"?`},
		{"proxyproto 192.0.2.1 {\n udp_session_tracking 28s\n}", `unknown property "udp_session_tracking"`},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", proxyproto.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "Corefile:") {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
