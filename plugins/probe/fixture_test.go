package probe

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/plugins/stamp"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// lab is a server with probes, whose queries may be said to come from a resolver.
type lab struct {
	*servertest.Server
	t testing.TB
	// from is whom queries come from, nil where nobody looks.
	from atomic.Pointer[server.Resolver]
	doc  *servertest.Document
}

// start starts a server with the lines in its block, beside those of the test.
func start(t testing.TB, lines string, more ...server.Plugin) *lab {
	t.Helper()
	l := &lab{t: t}
	looks := server.Plugin{Name: "looks", Observer: true, Setup: func(*server.Directive) (server.Handler, error) {
		return looker{l}, nil
	}}
	plugins := append([]server.Plugin{bind.Plugin(), api.Plugin(), looks, prometheus.Plugin("test")}, more...)
	plugins = append(plugins, stamp.Plugin(), file.Plugin(), Plugin(), Answers(), authority.Plugin())
	dir := t.TempDir()
	for name, text := range zoneFiles() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	l.Server, err = servertest.TryIn(t, dir, ".:0 {\n bind 127.0.0.1 127.0.0.2\n prometheus 127.0.0.1:0\n api 127.0.0.1:0\n looks\n"+lines+"\n}", plugins...)
	if err != nil {
		t.Fatal(err)
	}
	l.doc = servertest.ReadDocument(t)
	return l
}

// looker stands for the plugin that tells resolvers.
type looker struct{ l *lab }

func (h looker) In(q *server.Query) server.Verdict {
	if r := h.l.from.Load(); r != nil {
		q.Resolver, q.Path = r, server.PathForwarded
	}
	return server.Next
}

func (looker) Out(*server.Query) {}

func zoneFiles() map[string]string {
	const head = "@ 3600 IN SOA ns01 hostmaster 7 3600 300 2419200 300\n@ 3600 IN NS ns01\nns01 3600 IN A 192.0.2.1\n"
	return map[string]string{
		"plain":  head,
		"wild":   head + "* 3600 IN A 192.0.2.9\n",
		"at":     head + "probe 3600 IN TXT mine\n",
		"below":  head + "x.probe 3600 IN TXT mine\n",
		"cut":    head + "probe 3600 IN NS ns.example.net.\nsub 3600 IN NS ns.example.net.\n",
		"signed": head + "@ 3600 IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n",
	}
}

// ask is a question without RD, as a resolver has it that follows delegations.
func ask(name string, rrtype uint16) *dns.Msg {
	m := servertest.Question(name, rrtype)
	m.RecursionDesired = false
	return m
}

// told is what the TXT record of an answer says, nil where the reply is no answer to a
// probe.
func told(r *dns.Msg) map[string]string {
	if len(r.Answer) != 1 || !r.Authoritative || r.Answer[0].Header().Ttl != 0 {
		return nil
	}
	txt, ok := r.Answer[0].(*dns.TXT)
	if !ok || txt.Txt[0] != "v=1" {
		return nil
	}
	facts := map[string]string{}
	for _, s := range txt.Txt {
		key, value, _ := strings.Cut(s, "=")
		facts[key] = value
	}
	return facts
}

// call makes a request of the API and returns status and answer.
func (l *lab) call(method, path, body string) (int, string) {
	l.t.Helper()
	return l.doc.Call(l.Server, "127.0.0.1:0", method, path, body)
}

// want makes a request that must end with a status and texts in its answer.
func (l *lab) want(method, path, body string, status int, texts ...string) {
	l.t.Helper()
	got, answer := l.call(method, path, body)
	if got != status {
		l.t.Errorf("%s %s: %d %s, want %d", method, path, got, answer, status)
	}
	for _, text := range texts {
		if !strings.Contains(answer, text) {
			l.t.Errorf("%s %s: %s, want %s in it", method, path, answer, text)
		}
	}
}

// second is the address of the second name server.
func (l *lab) second() netip.AddrPort { return l.Addrs()[1] }
