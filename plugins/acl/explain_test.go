package acl

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// TestExplain says what becomes of questions, and that it is what does become of
// them.
func TestExplain(t *testing.T) {
	s := servertest.Start(t, `example.org:0 {
	acl a.example.org example.org {
		allow type SOA
		block type TXT net 127.0.0.0/8 192.0.2.0/24
		filter type AAAA
		drop type MX
	}
	acl {
		block net 198.51.100.0/24
	}
	answer
}`, Plugin(), answered())
	for _, c := range []struct {
		name    string
		rrtype  uint16
		from    string
		outcome string // of the same question from 127.0.0.1
		verdict string // "" where acl does not decide
		text    string // of acl, without the path of the Corefile
	}{
		{"x.a.example.org", dns.TypeTXT, "127.0.0.1", "blocked", server.ExplainRefused,
			`The policy "block type TXT net 127.0.0.0/8 192.0.2.0/24" for zone a.example.org. at :4 matches x.a.example.org. TXT from 127.0.0.1: ` +
				`it is refused (EDE 18).`},
		{"b.example.org", dns.TypeTXT, "2001:db8::1", "", "", "No policy matches b.example.org. TXT from 2001:db8::1: it passes."},
		{"b.example.org", dns.TypeTXT, "198.51.100.9", "", server.ExplainRefused,
			`The policy "block net 198.51.100.0/24" for zone example.org. at :9 matches b.example.org. TXT from 198.51.100.9: it is refused (EDE 18).`},
		{"b.example.org", dns.TypeAAAA, "127.0.0.1", "filtered", server.ExplainAnswered,
			`The policy "filter type AAAA" for zone example.org. at :5 matches b.example.org. AAAA from 127.0.0.1: the answer is NOERROR and empty.`},
		{"b.example.org", dns.TypeMX, "127.0.0.1", "dropped", server.ExplainDropped,
			`The policy "drop type MX" for zone example.org. at :6 matches b.example.org. MX from 127.0.0.1: there is no answer.`},
		{"example.org", dns.TypeSOA, "198.51.100.9", "", "",
			`The policy "allow type SOA" for zone example.org. at :3 matches example.org. SOA from 198.51.100.9: it passes.`},
		{"example.org", dns.TypeA, "127.0.0.1", "allowed", "", "No policy matches example.org. A from 127.0.0.1: it passes."},
	} {
		question := server.ExplainQuestion{Name: c.name, Type: c.rrtype, From: netip.MustParseAddr(c.from)}
		e, err := s.Explain(question)
		if err != nil {
			t.Fatal(err)
		}
		place, _, _ := strings.Cut(e.Block, "Corefile:")
		step := e.Steps[0]
		if got := strings.ReplaceAll(step.Text, place+"Corefile", ""); got != c.text {
			t.Errorf("got %s\nwant %s", got, c.text)
		}
		if step.Decides != (c.verdict != "") || step.Verdict != c.verdict || step.Plugin != "acl" {
			t.Errorf("%s: %+v", c.name, step)
		}
		if c.outcome == "" {
			continue
		}
		if got := outcome(t, s, c.name, c.rrtype); got != c.outcome {
			t.Errorf("%s is %s, want %s", c.name, got, c.outcome)
		}
	}
}
