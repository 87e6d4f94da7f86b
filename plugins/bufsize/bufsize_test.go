package bufsize_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/bufsize"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func TestSize(t *testing.T) {
	for _, tc := range []struct {
		text             string
		client           uint16
		limit, announced int
	}{
		{"bufsize", 4096, 1232, 1232},
		{"bufsize 1400", 4096, 1400, 1400},
		{"bufsize 1400", 700, 700, 1400},
		{"bufsize 512", 4096, 512, 512},
		{"bufsize 4096", 4096, 4096, 4096},
	} {
		limit := make(chan int, 1)
		s := servertest.Start(t, ".:0 {\n "+tc.text+"\n answer\n}", bufsize.Plugin(),
			servertest.Answer(func(q *server.Query) server.Verdict {
				limit <- q.Limit()
				return server.Answered
			}))
		r := s.Exchange("udp", s.Addrs()[0], new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(tc.client, false))
		if got := <-limit + 11; got != tc.limit {
			t.Errorf("%s, client %d: replies up to %d, want %d", tc.text, tc.client, got, tc.limit)
		}
		if got := int(r.IsEdns0().UDPSize()); got != tc.announced {
			t.Errorf("%s: announced %d, want %d", tc.text, got, tc.announced)
		}
		s.Stop()
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"bufsize 511", `size "511": a number from 512 to 4096 (usage: bufsize [SIZE])`},
		{"bufsize 4097", `size "4097"`},
		{"bufsize big", `size "big"`},
		{"bufsize 512 513", "at most one argument, not 2"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", bufsize.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
