package forward

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/cache"
	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/state"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// operated is a server that is changed over its API. All that it answers is held
// against the API's document.
type operated struct {
	*servertest.Server
	t   *testing.T
	doc *servertest.Document
}

// operate starts a server with the lines in its block, in dir.
func operate(t *testing.T, dir, lines string) *operated {
	t.Helper()
	plugins := append([]server.Plugin{api.Plugin(), state.Plugin(), file.Plugin(), authority.Plugin()}, withPlugins()...)
	plugins = append(plugins[:len(plugins)-1], cache.Plugin(), Plugin())
	s, err := servertest.TryIn(t, dir, ".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n api 127.0.0.1:0\n cache\n"+lines+"\n}", plugins...)
	if err != nil {
		t.Fatal(err)
	}
	return &operated{s, t, servertest.ReadDocument(t)}
}

// call makes a request and returns the status and the answer.
func (o *operated) call(method, path, body string) (int, string) {
	o.t.Helper()
	return o.doc.Call(o.Server, "127.0.0.1:0", method, path, body)
}

// want makes a request that must end with a status and texts in its answer.
func (o *operated) want(method, path, body string, status int, texts ...string) {
	o.t.Helper()
	got, answer := o.call(method, path, body)
	if got != status {
		o.t.Errorf("%s %s: %d %s, want %d", method, path, got, answer, status)
	}
	for _, text := range texts {
		if !strings.Contains(answer, text) {
			o.t.Errorf("%s %s: %s, want %s in it", method, path, answer, text)
		}
	}
}

func addressList(addrs ...string) string {
	return fmt.Sprintf(`{"addresses":["%s"]}`, strings.Join(addrs, `","`))
}

// TestRunTime sets, shows and takes out forwarders, which take effect at once, what is
// in the cache notwithstanding.
func TestRunTime(t *testing.T) {
	one, two, corp := startUpstream(t, address4("192.0.2.1")), startUpstream(t, address4("192.0.2.2")), startUpstream(t, address4("192.0.2.3"))
	o := operate(t, t.TempDir(), "forward . "+one.addr+"\nforward fixed.example "+one.addr)
	wantA(t, o.Ask("www.example.org", dns.TypeA), "192.0.2.1")
	o.want("GET", "/forwarders", "", 200, `"source":"corefile"`, one.addr, `"state":"up"`)

	o.want("PUT", "/forwarders", addressList(two.addr), 200, `"source":"runtime"`, `"lasts":false`, two.addr)
	wantA(t, o.Ask("www.example.org", dns.TypeA), "192.0.2.2")
	o.want("DELETE", "/forwarders", "", 200, `"source":"corefile"`, one.addr)
	wantA(t, o.Ask("www.example.org", dns.TypeA), "192.0.2.1")

	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.1")
	o.want("PUT", "/custom-dns/contoso.com", addressList(corp.addr), 200, `"domain":"contoso.com"`, `"source":"runtime"`, corp.addr)
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.3")
	wantA(t, o.Ask("www.example.org", dns.TypeA), "192.0.2.1")
	o.want("GET", "/custom-dns", "", 200, `"domain":"contoso.com"`, `"domain":"fixed.example"`)
	o.want("DELETE", "/custom-dns/contoso.com", "", 204)
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.1")

	o.want("DELETE", "/custom-dns/contoso.com", "", 404, "no conditional forwarder")
	o.want("DELETE", "/custom-dns/fixed.example", "", 409, "the Corefile's")
	o.want("PUT", "/custom-dns/contoso.com", addressList(), 400, "is no address")
	o.want("PUT", "/custom-dns/contoso.com", `{"addresses":[]}`, 400, "name at least one address")
	o.want("PUT", "/custom-dns/contoso.com", addressList("dns.example.org"), 400, "is no address to forward to")
	o.want("PUT", "/custom-dns/a..b", addressList(corp.addr), 400, "domain")
	o.want("PUT", "/forwarders", `{"addresses":"x"}`, 400)
	o.want("GET", "/settings", "", 200, `"use_root_hint":false`, `"root_hints":false`)
	o.want("PATCH", "/settings", `{"use_root_hint":true}`, 409, "root_hints FILE")
	o.want("PATCH", "/settings", `{}`, 400, "no setting given")
}

// TestSurvives: what was set at run time is there after a reload, and with a state
// file after a restart.
func TestSurvives(t *testing.T) {
	one, corp := startUpstream(t, address4("192.0.2.1")), startUpstream(t, address4("192.0.2.3"))
	dir := t.TempDir()
	lines := "state state.db\nforward . " + one.addr
	o := operate(t, dir, lines)
	o.want("PUT", "/custom-dns/contoso.com", addressList(corp.addr), 200, `"lasts":true`)
	if err := o.Reload(); err != nil {
		t.Fatal(err)
	}
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.3")
	o.Stop()
	o = operate(t, dir, lines)
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.3")
	wantA(t, o.Ask("www.example.org", dns.TypeA), "192.0.2.1")
	o.want("GET", "/custom-dns", "", 200, `"source":"runtime"`)

	memory := operate(t, t.TempDir(), "forward . "+one.addr)
	memory.want("PUT", "/custom-dns/contoso.com", addressList(corp.addr), 200, `"lasts":false`)
	if err := memory.Reload(); err != nil {
		t.Fatal(err)
	}
	wantA(t, memory.Ask("www.contoso.com", dns.TypeA), "192.0.2.3")
}

// TestZonesAndForwarders: the longest suffix wins between both; of the same name the
// zone does, and that is said.
func TestZonesAndForwarders(t *testing.T) {
	dir := t.TempDir()
	zone := "@ 60 SOA ns h 1 2 3 4 60\n@ 60 NS ns\nns 60 A 192.0.2.9\nwww 60 A 192.0.2.9\nwww.corp 60 A 192.0.2.9\n"
	if err := os.WriteFile(filepath.Join(dir, "db.example.org"), []byte(zone), 0o644); err != nil {
		t.Fatal(err)
	}
	corp := startUpstream(t, address4("192.0.2.3"))
	o := operate(t, dir, "file db.example.org example.org\nforward corp.example.org "+corp.addr+"\nforward example.org "+corp.addr)
	wantA(t, o.Ask("www.example.org", dns.TypeA), "192.0.2.9")
	wantA(t, o.Ask("www.corp.example.org", dns.TypeA), "192.0.2.3")
	if m := o.Ask("nosuch.example.org", dns.TypeA); m.Rcode != dns.RcodeNameError || !m.Authoritative {
		t.Errorf("reply:\n%s", m)
	}
	o.WaitLog("zone and forwarder have the same name")
	o.want("GET", "/custom-dns", "", 200, `"shadowed_by":"zone example.org`)
	o.want("PUT", "/custom-dns/example.org", addressList(corp.addr), 409, "is a zone of this server")
	o.want("PUT", "/custom-dns/ns.example.org", addressList(corp.addr), 200)
	wantA(t, o.Ask("ns.example.org", dns.TypeA), "192.0.2.3")
	o.want("DELETE", "/custom-dns/ns.example.org", "", 204)
	wantA(t, o.Ask("ns.example.org", dns.TypeA), "192.0.2.9")
}

// TestExplainForward: what the API says of names that are not ours.
func TestExplainForward(t *testing.T) {
	one := startUpstream(t, address4("192.0.2.1"))
	o := operate(t, t.TempDir(), "forward contoso.com "+one.addr+" "+mute(t).String()+" {\n policy sequential\n}")
	o.want("GET", "/explain?name=www.contoso.com", "", 200, `"verdict":"forwarded"`, one.addr+" (unknown)", `"plugin":"cache"`)
	wantA(t, o.Ask("www.contoso.com", dns.TypeA), "192.0.2.1")
	o.want("GET", "/explain?name=www.contoso.com", "", 200, `"verdict":"answered"`, "an answer from the cache is given")
	o.want("GET", "/explain?name=x.contoso.com&from=203.0.113.7", "", 200, `"verdict":"refused"`, "203.0.113.7 is not in a network")
	o.want("GET", "/explain?name=www.example.org", "", 200, `"verdict":"refused"`)
	if n := one.queries.Load(); n != 1 {
		t.Errorf("to explain sent %d queries", n-1)
	}
}

// TestChangeUnderLoad: queries go on while forwarders change, and each is answered by
// one that was set before or after.
func TestChangeUnderLoad(t *testing.T) {
	one, two := startUpstream(t, address4("192.0.2.1")), startUpstream(t, address4("192.0.2.2"))
	o := operate(t, t.TempDir(), "forward . "+one.addr)
	stop, done := make(chan struct{}), make(chan string)
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			m, err := o.TryExchange("udp", o.Addrs()[0], servertest.Question(fmt.Sprintf("n%d.example", i), dns.TypeA), 5*time.Second)
			if err != nil || len(m.Answer) != 1 {
				done <- fmt.Sprintf("query %d: %v %v", i, err, m)
				return
			}
		}
	}()
	for i := range 100 {
		to := []string{one.addr, two.addr}[i%2]
		if status, body := o.call("PUT", "/forwarders", addressList(to)); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	close(stop)
	for fault := range done {
		t.Error(fault)
	}
}
