package authority_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones"
)

// TestExplain says that explanations are of the zones as they are loaded, and
// that the RCODE is that of the answer.
func TestExplain(t *testing.T) {
	var store *zones.Store
	s := servertest.Start(t, ".:0 {\n source\n}", source(func(d *server.Directive, st *zones.Store) error {
		store = st
		return errors.Join(load(t, d, st, "example.org"), st.Declare(name(t, "example.net"), "file"))
	}), authority.Plugin())
	for _, c := range []struct {
		name, verdict, block, rcode, text string
	}{
		{"a.b.blob.example.org", "answered", "authority", "NOERROR",
			"a.b.blob.example.org does not exist itself; the wildcard *.blob.example.org in zone example.org stands for it and has one A record."},
		{"x.ns01.example.org", "answered", "authority", "NXDOMAIN", "x.ns01.example.org does not exist in zone example.org"},
		{"www.example.com", "refused", "server", "REFUSED", "Nothing in the server block at "},
		{"www.example.net", "refused", "server", "REFUSED", "Nothing in the server block at "},
	} {
		e, err := s.Explain(server.ExplainQuestion{Name: c.name})
		if err != nil {
			t.Fatal(err)
		}
		last := e.Steps[len(e.Steps)-1]
		if e.Verdict != c.verdict || last.Plugin != c.block || last.Facts["rcode"] != c.rcode || !strings.HasPrefix(e.Text, c.text) {
			t.Errorf("%s: %+v", c.name, e)
		}
		if e.Steps[0].Plugin != "authority" {
			t.Errorf("%s: authority was not asked: %+v", c.name, e.Steps)
		}
		if got := dns.RcodeToString[s.Ask(c.name, dns.TypeA).Rcode]; got != c.rcode {
			t.Errorf("%s: explained as %s, answered %s", c.name, c.rcode, got)
		}
	}
	store.Fail(name(t, "example.net"), errors.New("no good"), time.Now())
	e, err := s.Explain(server.ExplainQuestion{Name: "www.example.net"})
	if err != nil || e.Verdict != "answered" || e.Text != "www.example.net is in zone example.net, which is not loaded." || e.Steps[0].Facts["rcode"] != "SERVFAIL" {
		t.Errorf("%+v, %v", e, err)
	}
}
