package probe

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// probes is what the API lists.
func (l *lab) probes() []probeDoc {
	l.t.Helper()
	_, text := l.call("GET", "/probes?limit=1024", "")
	var doc probesDoc
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		l.t.Fatal(err)
	}
	return doc.Probes
}

// TestJoin follows a probe from the question to the asker's word.
func TestJoin(t *testing.T) {
	l := start(t, "stamp")
	l.want("GET", "/probes", "", 200, `{"probes":[]}`)
	l.want("GET", "/probes/"+nonce, "", 404, "no query for this nonce came here")
	l.from.Store(&server.Resolver{Name: "corp"})
	l.Exchange("udp", l.Addrs()[0], ask(nonce+".probe."+zone, dns.TypeTXT))
	l.Exchange("tcp", l.second(), servertest.Question(strings.ToUpper(nonce)+".probe."+zone, dns.TypeA))
	l.want("GET", "/probes/"+nonce, "", 200, `"nonce":"`+nonce+`","queries":2`, `"ns":"ns01"`, `"ns":"ns02"`, `"resolver":"corp"`,
		`"path":"forwarded","rd":false,"transport":"udp","edns":"0 size=1232 do=0","case":"lower","type":"TXT"`,
		`"rd":true,"transport":"tcp","edns":"0 size=1232 do=0","case":"mixed","type":"A","name":"K3V9X2M7Q1.probe.`, `"confirmed":[]`)
	l.want("POST", "/probes/"+strings.ToUpper(nonce)+"/confirm",
		`{"result":"confirmed","resolver_address":"192.0.2.53:53","answer_source":"192.0.2.53:53","rcode":"NOERROR","ns":"ns02","latency_ms":1.5}`,
		200, `"result":"confirmed","resolver_address":"192.0.2.53:53","answer_source":"192.0.2.53:53","rcode":"NOERROR","ns":"ns02","latency_ms":1.5`)
	l.want("POST", "/probes/"+nonce+"/confirm", `{"result":"failed","resolver_address":"192.0.2.53"}`, 200, `"result":"failed"`)
	l.want("GET", "/probes", "", 200, `"nonce":"`+nonce+`"`)
	for series, want := range map[string]string{
		`stampdns_delegation_probe_total{path="forwarded",resolver="corp",result="asked"}`:     "1",
		`stampdns_delegation_probe_total{path="forwarded",resolver="corp",result="confirmed"}`: "1",
		`stampdns_delegation_probe_total{path="forwarded",resolver="corp",result="failed"}`:    "1",
		`stampdns_delegation_verified{ns="ns02",path="forwarded",resolver="corp"}`:             "0",
		`stampdns_delegation_verified{ns="ns01",path="forwarded",resolver="corp"}`:             "",
	} {
		if got := l.Metric("127.0.0.1:0", series); got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	_, page := l.Get("127.0.0.1:0", "/metrics")
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	l.want("GET", "/probes/"+nonce, "", 200, `"queries":2`)
}

// TestRefusesToJoin: what the asker's side says has to make sense.
func TestRefusesToJoin(t *testing.T) {
	l := start(t, "stamp")
	l.Ask(nonce+".probe."+zone, dns.TypeTXT)
	for body, want := range map[string]string{
		`{}`:                     `result \"\": want confirmed or failed`,
		`{"result":"confirmed"}`: "resolver_address",
		`{"result":"confirmed","resolver_address":"dns.example.net"}`:                         "resolver_address",
		`{"result":"failed","resolver_address":"::1","rcode":"FINE"}`:                         "rcode",
		`{"result":"failed","resolver_address":"::1","latency_ms":-1}`:                        "latency_ms",
		`{"result":"failed","resolver_address":"::1","answer_source":"x"}`:                    "answer_source",
		`{"result":"failed","resolver_address":"::1","more":1}`:                               "unknown field",
		`{"result":"failed","resolver_address":"::1","ns":"` + strings.Repeat("n", 64) + `"}`: "ns",
	} {
		l.want("POST", "/probes/"+nonce+"/confirm", body, 400, want)
	}
	l.want("POST", "/probes/unheardof0/confirm", `{"result":"failed","resolver_address":"::1"}`, 404, "no query for this nonce")
	for _, limit := range []string{"0", "1025", "x"} {
		l.want("GET", "/probes?limit="+limit, "", 400, "want a number from 1 to 1024")
	}
}

// TestRecordable: what somebody hits upon by chance is answered, and not recorded.
func TestRecordable(t *testing.T) {
	l := start(t, "stamp")
	for name, want := range map[string]int{
		"short12": 0, "longer12": 1, "with-dash1": 0, "under_score": 0, `a\.bcdefghi`: 0, "*": 0,
		strings.Repeat("a", 63): 1, "x.below123": 1,
	} {
		before := len(l.probes())
		if told(l.Exchange("udp", l.Addrs()[0], ask(name+".probe."+zone, dns.TypeTXT))) == nil {
			t.Errorf("%s is not answered", name)
		}
		if got := len(l.probes()) - before; got != want {
			t.Errorf("%s: %d records", name, got)
		}
	}
}

// TestBounded has many ask for a million nonces, of as many resolvers.
func TestBounded(t *testing.T) {
	r := newRecord()
	var group sync.WaitGroup
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	name := strings.Repeat("n", 1000)
	for g := range 4 {
		group.Go(func() {
			for i := range 250_000 {
				text := fmt.Sprintf("nonce%dx%d", g, i)
				r.see(text, sighting{
					at: time.Now(), source: netip.MustParseAddrPort("192.0.2.1:53"), resolver: text, name: name, ns: "ns01",
				})
				if i%1000 == 0 {
					for range 20 {
						r.see("thesame1", sighting{resolver: text, name: name})
						r.confirm("thesame1", confirmation{})
					}
				}
			}
		})
	}
	group.Wait()
	after := heap()
	docs := r.last(1 << 20)
	if len(docs) != maxNonces || len(r.nonces) != maxNonces || r.recent.Len() != maxNonces {
		t.Errorf("%d nonces, %d, %d", len(docs), len(r.nonces), r.recent.Len())
	}
	for _, doc := range docs {
		if len(doc.Sightings) > maxSightings || len(doc.Confirmed) > maxConfirmations || len(doc.Sightings[0].Name) > maxName {
			t.Fatalf("%+v", doc)
		}
	}
	if n := len(r.counts.resolvers); n > maxResolvers {
		t.Errorf("%d resolvers with series of their own", n)
	}
	if after > before+16<<20 {
		t.Errorf("the record takes %d MiB", (after-before)>>20)
	}
	runtime.KeepAlive(r)
}

// TestKeepsTheRecent: of the nonces, those go first that nobody asked for longest.
func TestKeepsTheRecent(t *testing.T) {
	r := newRecord()
	r.see("thefirst", sighting{})
	r.see("thesecond", sighting{})
	for i := range maxNonces - 1 {
		if i == maxNonces/2 {
			r.see("thefirst", sighting{})
		}
		r.see(fmt.Sprintf("another%d", i), sighting{})
	}
	if _, ok := r.of("thefirst"); !ok {
		t.Error("what was asked for again is gone")
	}
	if _, ok := r.of("thesecond"); ok {
		t.Error("the oldest nonce is there still")
	}
}

func BenchmarkSee(b *testing.B) {
	r := newRecord()
	for i := 0; b.Loop(); i++ {
		r.see("nonce"+fmt.Sprint(i&4095)+"x", sighting{name: "n", resolver: "corp"})
	}
}
