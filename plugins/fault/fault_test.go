package fault

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// rcode asks ns01 over UDP.
func (w *world) rcode(name string, rrtype uint16) int {
	w.t.Helper()
	r := w.ask("udp", "ns01", servertest.Question(name, rrtype))
	if r.err != nil {
		w.t.Fatal(r.err)
	}
	return r.Rcode
}

func (w *world) wantRCode(name string, rrtype uint16, want int) {
	w.t.Helper()
	if got := w.rcode(name, rrtype); got != want {
		w.t.Errorf("%s %s: %s, want %s", name, dns.Type(rrtype), dns.RcodeToString[got], dns.RcodeToString[want])
	}
}

// TestSelectors: a rule is about what it names, and the first that matches decides.
func TestSelectors(t *testing.T) {
	w := startWorld(t, " fault {\n  notimp name late.example.org\n }")
	const a, www, refused, fail = dns.TypeA, "www.example.org.", dns.RcodeRefused, dns.RcodeServerFailure
	w.add("refused name *.blob.* type A AAAA")
	w.wantRCode("x.BLOB.east.example.org.", a, refused)
	w.wantRCode("x.blob.east.example.org.", dns.TypeTXT, 0)
	w.wantRCode(www, a, 0)
	w.add("servfail client 192.0.2.0/24")
	w.wantRCode(www, a, 0)
	w.add("servfail client 127.0.0.0/8 name " + www)
	w.wantRCode(www, a, fail)
	w.add("refused name www.example.org late.example.org")
	w.wantRCode(www, a, fail)
	w.wantRCode("late.example.org.", a, refused) // run time goes before the Corefile
	w.clear()
	w.wantRCode("late.example.org.", a, 0) // off until the next reload
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.wantRCode("late.example.org.", a, dns.RcodeNotImplemented)
	w.add("servfail resolver other")
	w.wantRCode(www, a, 0)
	w.add("servfail resolver corp other")
	w.wantRCode(www, a, fail)
	w.clear()
	w.add("servfail transport tcp")
	w.wantRCode(www, a, 0)
	if r := w.ask("tcp", "ns01", servertest.Question(www, a)); r.err != nil || r.Rcode != fail {
		t.Errorf("over TCP: %v %v", r.err, r.Msg)
	}
	w.clear()
	w.add("formerr-edns")
	plain := new(dns.Msg).SetQuestion(www, a)
	if r := w.ask("udp", "ns01", plain); r.err != nil || r.Rcode != 0 {
		t.Errorf("without EDNS: %v %v", r.err, r.Msg)
	}
	w.clear()
	w.add("refused every 3")
	for i := 1; i <= 9; i++ {
		want := 0
		if i%3 == 0 {
			want = refused
		}
		w.wantRCode(www, a, want)
	}
}

// TestCount: a rule with a count acts as often, however many ask at once.
func TestCount(t *testing.T) {
	w := startWorld(t, " fault\n prometheus "+web)
	w.add("refused count 40 as forty")
	var mu sync.Mutex
	var all sync.WaitGroup
	n := 0
	for range 8 {
		all.Go(func() {
			for range 10 {
				r := exchange("udp", w.at("ns02"), servertest.Question("www.example.org.", dns.TypeA), servertest.Patience)
				if r.err == nil && r.Rcode == dns.RcodeRefused {
					mu.Lock()
					n++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if n != 40 {
		t.Errorf("%d faults of 40", n)
	}
	w.WaitLog(`msg="fault ends" plugin=fault rule=forty kind=refused by=count hits=40`)
	if got := w.Metric(web, `stampdns_fault_injected_total{kind="refused",ns="ns02",rule="forty"}`); got != "40" {
		t.Errorf("metric %q", got)
	}
	if got := w.Metric(web, `stampdns_fault_active{kind="refused",rule="forty"}`); got != "" {
		t.Errorf("active %q", got)
	}
	w.want("GET", "/faults", "", 200, `"faults":[]`, `"ended_by":"count"`, `"hits":40`, `"remaining_count":0`)
}

// TestNothingToEdit: a reply that has nothing to make the fault on has none, and does
// not count.
func TestNothingToEdit(t *testing.T) {
	w := startWorld(t, " fault")
	w.add("stale-serial count 1")
	r := w.ask("udp", "ns01", servertest.Question("www.example.org.", dns.TypeA))
	if r.err != nil || r.ede() != "" {
		t.Errorf("%v %q", r.err, r.ede())
	}
	w.want("GET", "/faults", "", 200, `"hits":0`, `"remaining_count":1`)
	r = w.ask("udp", "ns01", servertest.Question("example.org.", dns.TypeSOA))
	if r.err != nil || r.Answer[0].(*dns.SOA).Serial != serial-1 || r.ede() != "fault f1: stale-serial" {
		t.Errorf("%v %v", r.err, r.Msg)
	}
	w.add("lame count 1")
	if r := exchange("udp", w.at("ns01"), servertest.Question("silent.example.org.", dns.TypeA), 20*time.Millisecond); r.err != errNone {
		t.Errorf("%v %v", r.err, r.Msg)
	}
	w.want("GET", "/faults", "", 200, `"remaining_count":1`)
}

// TestOversized: a reply that is longer already than the rule says has the fault if it is
// longer than the client takes. Else it has none, and does not say so.
func TestOversized(t *testing.T) {
	w := startWorld(t, " fault")
	w.add("oversize 600")
	for size, want := range map[uint16]string{1232: "", 512: "fault f1: oversize"} {
		m := servertest.Question("large.example.org.", dns.TypeTXT)
		m.IsEdns0().SetUDPSize(size)
		r := w.ask("udp", "ns02", m)
		if r.err != nil || r.Truncated || len(r.Answer) != 1 || r.size < 750 || r.ede() != want {
			t.Errorf("%d octets for %d, extended error %q: %v %v", r.size, size, r.ede(), r.err, r.Msg)
		}
	}
	w.want("GET", "/faults", "", 200, `"hits":1`)
}

// TestZone: a reply that a fault makes is one about the zone that the name is in.
func TestZone(t *testing.T) {
	dir := t.TempDir()
	for _, zone := range []string{"example.org", "child.example.org"} {
		text := "@ 60 IN SOA ns mail 1 1 1 1 1\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n"
		if err := os.WriteFile(filepath.Join(dir, zone), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := servertest.TryIn(t, dir, ".:0 {\n prometheus "+web+"\n fault {\n  servfail name *.example.org\n  drop name *.example.net\n }\n"+
		" file example.org example.org\n file child.example.org child.example.org\n}",
		prometheus.Plugin("test"), Plugin(), file.Plugin())
	if err != nil {
		t.Fatal(err)
	}
	s.Ask("www.example.org", dns.TypeA)
	s.Ask("www.child.example.org", dns.TypeA)
	s.TryExchange("udp", s.Addrs()[0], servertest.Question("www.example.net", dns.TypeA), time.Millisecond)
	for _, zone := range []string{"example.org.", "child.example.org.", "."} {
		s.Wait("a query for "+zone, func() bool {
			return s.Metric(web, `stampdns_dns_requests_total{family="1",proto="udp",server="dns://:0",type="A",zone="`+zone+`"}`) == "1"
		})
	}
}

// TestEnds: rules end in time, those of the Corefile for good: a reload does not bring
// them back.
func TestEnds(t *testing.T) {
	t.Parallel()
	w := startWorld(t, " fault {\n  servfail for 4s as brief\n  refused until 2020-01-01T00:00:00Z as past\n }\n prometheus "+web)
	w.wantRCode("www.example.org.", dns.TypeA, dns.RcodeServerFailure)
	if got := w.Metric(web, `stampdns_fault_active{kind="servfail",rule="brief"}`); got != "1" {
		t.Errorf("active %q", got)
	}
	w.Wait("the end", func() bool { return w.rcode("www.example.org.", dns.TypeA) == 0 })
	w.WaitLog("rule=brief kind=servfail by=time")
	w.WaitLog("rule=past kind=refused by=time hits=0")
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.wantRCode("www.example.org.", dns.TypeA, 0)
	w.Rewrite(worldFile(" fault {\n  notimp\n }"))
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.wantRCode("www.example.org.", dns.TypeA, dns.RcodeNotImplemented)
	w.Rewrite(worldFile(" fault"))
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.WaitLog("kind=notimp by=removed")
	w.wantRCode("www.example.org.", dns.TypeA, 0)
}

// TestLasts: rules of run time are there after a reload, and with a state file after a
// restart, with what is left of their count and their time.
func TestLasts(t *testing.T) {
	dir := t.TempDir()
	lines := " state " + filepath.Join(dir, "state.db") + "\n fault {\n  drop name never.example.org as mine\n }"
	w, err := tryWorld(t, dir, lines)
	if err != nil {
		t.Fatal(err)
	}
	w.want("POST", "/faults", `{"kind":"refused","count":5,"as":"few","ns":["ns01"]}`, 201, `"lasts":true`, `"rule":"refused ns ns01 count 5 for 10m as few"`)
	w.add("servfail name x.example.org for 1h")
	w.wantRCode("a.example.org.", dns.TypeA, dns.RcodeRefused)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.wantRCode("a.example.org.", dns.TypeA, dns.RcodeRefused)
	w.want("PATCH", "/faults/f1", `{"enabled":false}`, 200, `"enabled":false`)
	_, before := w.call("GET", "/faults", "")
	w.Stop()
	if w, err = tryWorld(t, dir, strings.Replace(lines, "as mine", "as few", 1)); err != nil {
		t.Fatal(err)
	}
	w.want("GET", "/faults", "", 200, `"remaining_count":3`, `"id":"f1"`, `"enabled":false`)
	for range 3 {
		w.wantRCode("a.example.org.", dns.TypeA, dns.RcodeRefused)
	}
	w.wantRCode("a.example.org.", dns.TypeA, 0)
	w.WaitLog("by=count hits=5")
	// The Corefile has the name few for itself now.
	w.WaitLog("a fault gets another name")
	_, after := w.call("GET", "/faults", "")
	if a, b := endOf(before, "f1"), endOf(after, "f1"); a == "" || a != b {
		t.Errorf("ends at %q, then %q", a, b)
	}
}

// endOf is when a rule ends, as the API says it.
func endOf(list, id string) string {
	_, rest, _ := strings.Cut(list, `"id":"`+id+`"`)
	_, rest, _ = strings.Cut(rest, `"ends_at":"`)
	end, _, _ := strings.Cut(rest, `"`)
	return end
}

// TestHeld: what waits goes on at once when its configuration goes out of use, so that
// neither a reload nor the end waits.
func TestHeld(t *testing.T) {
	w := startWorld(t, " fault")
	w.add("delay 60s")
	for _, end := range []func(){func() {
		if err := w.Reload(); err != nil {
			t.Error(err)
		}
	}, w.Stop} {
		results := make(chan result, 2)
		for _, network := range []string{"udp", "tcp"} {
			to := w.at("ns01")
			go func() {
				results <- exchange(network, to, servertest.Question("www.example.org.", dns.TypeA), servertest.Patience)
			}()
		}
		w.Wait("two queries that wait", func() bool { return w.engine().waiting.Load() == 2 })
		end()
		for range 2 {
			if r := <-results; r.err != nil || len(r.Answer) != 1 || r.ede() != "fault f1: delay" {
				t.Errorf("%v %v", r.err, r.Msg)
			}
		}
	}
	if n := w.engine().waiting.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// TestCrowd: no more replies are held back than there may be.
func TestCrowd(t *testing.T) {
	w := startWorld(t, " fault\n prometheus "+web)
	w.add("delay 60s")
	w.engine().waiting.Store(maxHeld)
	r := exchange("udp", w.at("ns01"), servertest.Question("www.example.org.", dns.TypeA), 50*time.Millisecond)
	if r.err != errNone {
		t.Errorf("%v %v", r.err, r.Msg)
	}
	w.Wait("the drop to be counted", func() bool { return w.Metric(web, "stampdns_fault_delay_dropped_total") == "1" })
	w.engine().waiting.Store(0)
}

// TestRefused: an address is refused by the kernel for as long as a rule says so, over
// reloads, and the server ends while it is.
func TestRefused(t *testing.T) {
	w := startWorld(t, " fault")
	open, err := net.Dial("tcp", w.at("ns01").String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	w.add("tcp-refuse ns ns01 as shut")
	kept := &dns.Conn{Conn: open}
	for i := range 3 {
		if r := w.ask("tcp", "ns01", servertest.Question("www.example.org.", dns.TypeA)); !isRefused(r.err) {
			t.Errorf("round %d: %v", i, r.err)
		}
		w.healthy("tcp", "ns02", "www.example.org.", dns.TypeA)
		w.healthy("udp", "ns01", "www.example.org.", dns.TypeA)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	// A connection that was open before stays so.
	if err := kept.WriteMsg(servertest.Question("www.example.org.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	kept.SetReadDeadline(time.Now().Add(servertest.Patience))
	if m, err := kept.ReadMsg(); err != nil || len(m.Answer) != 1 {
		t.Errorf("%v %v", err, m)
	}
	w.want("PATCH", "/faults/shut", `{"enabled":false}`, 200)
	w.healthy("tcp", "ns01", "www.example.org.", dns.TypeA)
	w.want("PATCH", "/faults/shut", `{"enabled":true}`, 200)
	if r := w.ask("tcp", "ns01", servertest.Question("www.example.org.", dns.TypeA)); !isRefused(r.err) {
		t.Error(r.err)
	}
	if strings.Contains(w.Log(), "accept TCP connection") {
		t.Error("the log complains of accept")
	}
}

// TestDoors: rules about some connections only reset these.
func TestDoors(t *testing.T) {
	w := startWorld(t, " fault\n prometheus "+web)
	w.add("tcp-refuse every 2 as second")
	for i := range 6 {
		r := w.ask("tcp", "ns02", servertest.Question("www.example.org.", dns.TypeA))
		if i%2 == 0 && r.err != nil || i%2 == 1 && !isReset(r.err) {
			t.Errorf("connection %d: %v", i, r.err)
		}
	}
	if got := w.Metric(web, `stampdns_fault_injected_total{kind="tcp-refuse",ns="ns02",rule="second"}`); got != "3" {
		t.Errorf("metric %q", got)
	}
}

// engine is the server's.
func (w *world) engine() *engine { return w.handler.(*block).engine }

// TestExplain says which fault would be put into a query.
func TestExplain(t *testing.T) {
	w := startWorld(t, " fault")
	ask := func() server.Explanation {
		e, err := w.Explain(server.ExplainQuestion{Name: "www.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	explains := func(want, verdict string) {
		t.Helper()
		e := ask()
		var texts []string
		for _, s := range e.Steps {
			texts = append(texts, s.Text)
		}
		if all := strings.Join(texts, "\n"); !strings.Contains(all, want) || verdict != "" && e.Verdict != verdict {
			t.Errorf("%s: %s, want %s: %s", e.Verdict, all, verdict, want)
		}
	}
	explains("No fault is in use.", "")
	w.add("servfail name x.example.org")
	explains("No fault is about www.example.org. A from 127.0.0.1.", "")
	w.add("refused probability 0.5 as maybe")
	explains("Some queries like www.example.org. A from 127.0.0.1 get a fault: maybe.", "")
	w.add("lame name www.example.org type aaaa")
	w.add("servfail name www.* delay 1s")
	explains("The fault f3 (servfail delay 1s name www.* for 10m) is put into www.example.org. A from 127.0.0.1 on purpose: "+
		"the answer is SERVFAIL and nothing else, after 1s.", server.ExplainAnswered)
	w.clear()
	w.add("drop")
	explains("there is no answer.", server.ExplainDropped)
	w.want("GET", "/faults", "", 200, `"hits":0`)
}

// TestWrongConfiguration names the line and what to do.
func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"fault servfail", "rules stand in a block, one a line"},
		{"fault {\n  servfial\n }", `Corefile:8: fault: unknown kind of fault "servfial"; did you mean "servfail"?`},
		{"fault {\n  servfail as x\n  drop as x\n }", "has the name x"},
		{"fault {\n  servfail\n  servfail\n }", "the same rule stands at"},
		{"fault {\n" + manyRules(maxRules+1) + " }", "more than 256 rules"},
	} {
		if _, err := tryWorld(t, t.TempDir(), " "+tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.60s: %v, want …%s…", tc.text, err, tc.want)
		}
	}
	_, err := servertest.Try(t, ".:0 {\n fault {\n  servfail resolver corp\n }\n}", Plugin())
	if err == nil || !strings.Contains(err.Error(), "add the directive delegation") {
		t.Errorf("a resolver where none is told: %v", err)
	}
	// One rule for both ports, and a name server that there is not.
	s := servertest.Start(t, ".:0 example.net:0 {\n fault {\n  servfail as x ns ns09\n }\n}", Plugin())
	s.WaitLog("fault for name servers that the block does not have")
}

func manyRules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  servfail name n%d.example.org\n", i)
	}
	return b.String()
}

// TestAPI adds, shows and clears rules, and says what is wrong with others.
func TestAPI(t *testing.T) {
	w := startWorld(t, " fault {\n  drop name never.example.org as mine\n }")
	w.want("GET", "/faults", "", 200, `"id":"mine"`, `"source":"corefile"`, `"ended":[]`, `"name":["never.example.org"]`)
	w.want("POST", "/faults", `{"kind":"servfail","ns":["ns01"],"name":["*.blob.*"],"type":["a"],"probability":0.5,"delay":"5ms","for":"5m"}`, 201,
		`"id":"f1"`, `"rule":"servfail delay 5ms ns ns01 name *.blob.* type A probability 0.5 seed `, `"source":"runtime"`, `"lasts":false`, `"enabled":true`, `"hits":0`)
	w.want("POST", "/faults", `{"rule":"drop name x as mine"}`, 409, "there is a fault mine")
	w.want("POST", "/faults", `{"rule":"drop","kind":"drop"}`, 400, "not both")
	w.want("POST", "/faults", `{}`, 400, "no kind of fault given")
	w.want("POST", "/faults", `{"rule":"drop ns ns1"}`, 400, `unknown ns \"ns1\"`, "there are ns01, ns02")
	w.want("POST", "/faults", `{"kind":"drop","ns":["for"]}`, 400, `\"for\" cannot be a value here`)
	w.want("POST", "/faults", `{"kind":"drop","as":"a b"}`, 400, "a value has no blanks")
	w.want("POST", "/faults", `{"rule":"drop until 2020-01-01T00:00:00Z"}`, 400, "is over already")
	w.want("POST", "/faults", `{"knd":"drop"}`, 400, "knd")
	w.want("PATCH", "/faults/none", `{"enabled":true}`, 404, "there is no fault none")
	w.want("PATCH", "/faults/mine", `{}`, 400, "enabled is true or false")
	w.want("DELETE", "/faults/none", "", 404, "there is no fault none")
	w.want("DELETE", "/faults/f1", "", 204)
	w.want("DELETE", "/faults/mine", "", 204)
	w.want("GET", "/faults", "", 200, `"id":"mine"`, `"enabled":false`, `"ended_by":"cleared"`)
	for i := range maxRules - 1 {
		w.add(fmt.Sprintf("drop name n%d.example.org", i))
	}
	w.want("POST", "/faults", `{"rule":"drop"}`, 409, "there are 256 faults")
	w.want("DELETE", "/faults", "", 200, `"cleared":["f1"`)
	w.want("GET", "/faults", "", 200, `"faults":[{"id":"mine"`)
}

// TestNameClaimed: a rule of run time gives its name up to one of a new Corefile while
// queries get the fault, and goes on under another.
func TestNameClaimed(t *testing.T) {
	w := startWorld(t, " fault")
	w.add("refused name www.example.org count 1000 as mine")
	stop := make(chan struct{})
	var asking sync.WaitGroup
	to := w.at("ns01")
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if r := exchange("udp", to, servertest.Question("www.example.org.", dns.TypeA), servertest.Patience); r.err != nil || r.Rcode != dns.RcodeRefused {
				t.Errorf("%v %v", r.err, r.Msg)
				return
			}
		}
	})
	w.Rewrite(worldFile(" fault {\n  drop name never.example.org as mine\n }"))
	if err := w.Reload(); err != nil {
		t.Error(err)
	}
	close(stop)
	asking.Wait()
	w.want("GET", "/faults", "", 200, `"faults":[{"id":"f1","rule":"refused name www.example.org count 1000 for 10m",`, `"id":"mine","rule":"drop`)
	w.wantRCode("www.example.org.", dns.TypeA, dns.RcodeRefused)
}
