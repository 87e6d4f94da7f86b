package status

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/stampdns/stampdns/server/servertest"
)

// sections are the parts of the page.
func sections() []string {
	return []string{"endpoints", "faults", "findings", "forwarders", "history", "picture", "queries", "resolvers", "stamp"}
}

// checkForm holds a page to what all of its pages are: no script or style inside, ids
// that are there once and are what others speak of, labels, captions, headings in order.
func checkForm(t *testing.T, text string) tree {
	t.Helper()
	n := parse(t, text)
	ids := make(map[string]int)
	var order []string
	n.each(func(e tree) {
		for _, a := range e.Attr {
			switch {
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s> has %s=%q, which the policy forbids", e.Data, a.Key, a.Val)
			case (a.Key == "href" || a.Key == "src" || a.Key == "action") && (!strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//")) && !strings.HasPrefix(a.Val, "#"):
				t.Errorf("<%s> leads to %q", e.Data, a.Val)
			case a.Key == "id":
				ids[a.Val]++
			}
		}
		switch e.Data {
		case "style", "iframe", "object", "embed", "base":
			t.Errorf("there is a <%s>", e.Data)
		case "script":
			if !strings.HasPrefix(e.attr("src"), "/status/") || e.FirstChild != nil {
				t.Errorf("there is a script %q %q", e.attr("src"), e.text())
			}
		case "section":
			order = append(order, e.attr("id"))
		case "table":
			if e.FirstChild.NextSibling.Data != "caption" {
				t.Errorf("table %s begins with <%s>", e.attr("id"), e.FirstChild.NextSibling.Data)
			}
		case "th":
			if e.attr("scope") == "" {
				t.Errorf("heading %q has no scope", e.text())
			}
		}
	})
	for id, times := range ids {
		if times > 1 {
			t.Errorf("#%s is there %d times", id, times)
		}
	}
	for _, attr := range []string{"for", "aria-labelledby", "aria-describedby"} {
		for _, e := range n.all(attr, "*") {
			for id := range strings.FieldsSeq(e.attr(attr)) {
				if ids[id] == 0 {
					t.Errorf("%s of <%s> is #%s, which is not there", attr, e.Data, id)
				}
			}
		}
	}
	n.each(func(e tree) {
		if e.Data == "input" || e.Data == "select" {
			if len(n.all("for", e.attr("id"))) != 1 {
				t.Errorf("#%s has no label", e.attr("id"))
			}
		}
	})
	if slices.Sort(order); !slices.Equal(order, sections()) {
		t.Errorf("sections are %q", order)
	}
	return n
}

// TestPage looks at all parts of a page that shows all there is.
func TestPage(t *testing.T) {
	s := start(t, whole)
	s.ask(1, "portal.east.cloud.fabrikam.com.", false)
	s.ask(2, "x.blob.east.cloud.fabrikam.com.", true)
	s.post("/api/v1/faults", `{"rule":"servfail ns ns01 name *.vault.* as broken for 5m"}`)
	n := checkForm(t, s.get("/"))
	for id, want := range map[string][]string{
		"top":              {"east", "1.2.3", "ready"},
		"stamp":            {"azs-ns01.east.cloud.fabrikam.com", "192.0.2.12", "east.cloudapp.cloud.fabrikam.com", "25"},
		"endpoint-table":   {"*.blob.east.cloud.fabrikam.com", "TCP 80, 443", "asked by lab at", "not asked by corp", "TCP & UDP 53"},
		"map":              {"lab asked ns01 by delegation: 1 queries", "lab asked ns02 by forwarding: 1 queries", "192.0.2.11"},
		"map-sentences":    {"corp has not asked yet.", "lab asked ns01 1 times by delegation, ns02 1 times by forwarding."},
		"journal":          {"portal.east.cloud.fabrikam.com.", "NOERROR", "iterative", "forwarded", "ns02"},
		"resolver-table":   {"corp", "192.0.2.0/24", "127.0.0.0/8", "never"},
		"forwarder-table":  {"192.0.2.53:53", "192.0.2.54:53", "unknown", "of the Corefile"},
		"custom-dns-table": {"contoso.com", "192.0.2.55:53"},
		"fault-table":      {"broken", "*.vault.*", "Turn off", "Clear", "5m0s"},
		"findings":         {"corp has not asked yet."},
		"history":          {"Queries per second by path", "Time to answer"},
	} {
		got := n.id(t, id).text()
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("#%s lacks %q:\n%s", id, text, got)
			}
		}
	}
	if title := n.title(); title != "azs east – stampdns" {
		t.Errorf("the title is %q", title)
	}
	if got := n.id(t, "endpoints-progress").text(); !strings.HasPrefix(got, "2 of ") {
		t.Errorf("progress: %s", got)
	}
	for _, id := range []string{"endpoint-filter", "endpoints-copy", "endpoints-csv", "pause", "f-resolver", "f-name", "f-type", "f-path", "f-rcode",
		"query", "forwarders-form", "custom-dns-form", "fault-form"} {
		n.id(t, id)
	}
	if n.body().attr("data-api") != "/api/v1" || len(n.all("data-fault", "broken")) != 3 {
		t.Error("the script's attributes are not there")
	}
}

func (n tree) title() string {
	var title string
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == "title" && d.Parent.Data == "head" {
			title = tree{d}.text()
		}
	}
	return title
}

func (n tree) body() (body tree) {
	n.each(func(e tree) {
		if e.Data == "body" {
			body = e
		}
	})
	return body
}

// post sends JSON that must be taken.
func (p *page) post(path, body string) {
	p.t.Helper()
	r, err := http.Post("http://"+p.HTTPAddrs()[at].String()+path, "application/json", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode >= 300 {
		p.t.Fatalf("%s: %s", path, r.Status)
	}
}

// TestPagePlain: a page without most directives says which would show what.
func TestPagePlain(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/zone", []byte("@ 60 IN SOA ns hostmaster 7 1 1 1 1\n@ 60 IN NS ns.example.com.\nwww 60 IN A 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, " bind 127.0.0.1\n api 127.0.0.1:0\n status\n file "+dir+"/zone example.org\n")
	s.ask(1, "www.example.org.", true)
	n := checkForm(t, s.get("/"))
	for id, want := range map[string]string{
		"findings": "no directive delegation", "stamp": "no directive stamp", "endpoints": "no directive stamp", "picture": "no directive delegation",
		"queries": "no directive journal", "resolvers": "no directive delegation", "forwarders": "no directive forward", "faults": "no directive fault",
		"zones": "example.org 7 3 served", "history": "no directive delegation",
	} {
		if got := n.id(t, id).text(); !strings.Contains(got, want) {
			t.Errorf("#%s: %s, want %s", id, got, want)
		}
	}
	if title := n.title(); title != "stampdns" {
		t.Errorf("the title is %q", title)
	}
	s.api("/status")
	s.api("/history")
	// Not even zones.
	n = checkForm(t, start(t, " bind 127.0.0.1\n api 127.0.0.1:0\n status\n").get("/"))
	if got := n.id(t, "zones").text(); !strings.Contains(got, "No zones.") {
		t.Error(got)
	}
}

// TestHeaders: what is sent with page, assets and table.
func TestHeaders(t *testing.T) {
	s := start(t, whole)
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/status/style.css": "text/css; charset=utf-8", "/status/app.js": "text/javascript; charset=utf-8",
		"/status/icon.svg": "image/svg+xml", "/endpoints.csv": "text/csv; charset=utf-8; header=present",
	} {
		r, body := s.response(path)
		if r.StatusCode != 200 || body == "" || r.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %s %s", path, r.Status, r.Header.Get("Content-Type"))
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		cached := strings.HasPrefix(path, "/status/")
		if got := r.Header.Get("Cache-Control"); cached != (got == "no-cache") || !cached && got != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
		if !cached {
			continue
		}
		if r, body := s.response(path, "If-None-Match: "+r.Header.Get("ETag")); r.StatusCode != 304 || body != "" {
			t.Errorf("%s again: %s", path, r.Status)
		}
	}
	for _, path := range []string{"/status/", "/status/none.js", "/status/..%2fstatus.go", "/status/assets", "/status/a/b.css", "/index.html"} {
		if r, body := s.response(path); r.StatusCode != 404 {
			t.Errorf("%s: %s %s", path, r.Status, body)
		}
	}
}

// TestGuard: the page is behind the API's guard.
func TestGuard(t *testing.T) {
	open := start(t, whole)
	for host, want := range map[string]int{"localhost:8053": 200, "127.0.0.1": 200, "[::1]:8053": 200, "rebound.example": 403, "localhost.example": 403, "192.0.2.1": 403} {
		for _, path := range []string{"/", "/endpoints.csv", "/status/app.js", "/api/v1/status"} {
			if r, _ := open.response(path, "Host: "+host); r.StatusCode != want {
				t.Errorf("%s of %s: %s", path, host, r.Status)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/token", []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := start(t, strings.Replace(whole, "api 127.0.0.1:0", "api 127.0.0.1:0 {\n  token "+dir+"/token\n }", 1))
	for _, tc := range []struct {
		path, authorization string
		status              int
		challenge           string
	}{
		{"/", "", 401, "Basic"}, {"/status/style.css", "", 401, "Basic"}, {"/endpoints.csv", "", 401, "Basic"}, {"/api/v1/status", "", 401, "Bearer"},
		{"/", "Basic dXNlcjowMTIzNDU2Nzg5YWJjZGVm", 200, ""}, {"/api/v1/history", "Basic dXNlcjowMTIzNDU2Nzg5YWJjZGVm", 200, ""},
		{"/", "Bearer 0123456789abcdef", 200, ""}, {"/", "Basic dXNlcjp3cm9uZw==", 401, "Basic"}, {"/", "Bearer wrong", 401, "Basic"},
	} {
		r, body := closed.response(tc.path, "Authorization: "+tc.authorization)
		challenge, _, _ := strings.Cut(r.Header.Get("WWW-Authenticate"), " ")
		if r.StatusCode != tc.status || challenge != tc.challenge || tc.status != 200 && strings.Contains(body, "east") {
			t.Errorf("%s with %q: %s, challenge %q", tc.path, tc.authorization, r.Status, challenge)
		}
	}
}

// TestFilter: the form for queries works without a script.
func TestFilter(t *testing.T) {
	s := start(t, whole)
	s.ask(1, "portal.east.cloud.fabrikam.com.", true)
	s.ask(1, "nothing.east.cloud.fabrikam.com.", false)
	for query, want := range map[string]int{
		"": 2, "?rcode=NXDOMAIN": 1, "?name=portal.*": 1, "?name=portal": 1, "?name=ort": 1, "?name=ort*": 0, "?path=iterative": 1, "?resolver=lab&type=A": 2, "?resolver=corp": 0, "?limit=1&order=oldest": 2, "?name=": 2,
	} {
		n := checkForm(t, s.get("/"+query))
		if got := len(n.id(t, "journal").all("data-id", "*")); got != want {
			t.Errorf("%q: %d rows, want %d", query, got, want)
		}
	}
	n := checkForm(t, s.get("/?rcode=NXDOMAIN&name=n*"))
	if n.id(t, "f-name").attr("value") != "n*" || len(n.id(t, "f-rcode").all("selected", "*")) != 1 {
		t.Error("the form does not show its filter")
	}
	if got := checkForm(t, s.get("/?type=NOTYPE")).id(t, "queries").text(); !strings.Contains(got, "NOTYPE") || !strings.Contains(got, "/api/v1/journal") {
		t.Errorf("a wrong filter: %s", got)
	}
}

// TestCSV reads the table as a spreadsheet would, and has nothing for it to run.
func TestCSV(t *testing.T) {
	s := start(t, whole)
	s.ask(1, "portal.east.cloud.fabrikam.com.", true)
	rows, err := csv.NewReader(strings.NewReader(s.get("/endpoints.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows[0], "|"); got != "endpoint|service|address|ports|zone|last query of corp|last query of lab" {
		t.Error(got)
	}
	found := false
	for _, row := range rows[1:] {
		if row[0] == "portal.east.cloud.fabrikam.com" {
			found = row[5] == "" && strings.HasPrefix(row[6], "20")
		}
	}
	if !found || len(rows) < 20 {
		t.Errorf("%q", rows)
	}
	for cell, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\r=1": "'\r=1", "a=1": "a=1", "": "", "*.blob": "*.blob", "1": "1",
	} {
		if got := inert(cell); got != want {
			t.Errorf("%q becomes %q", cell, got)
		}
	}
}

// TestAPI holds what the page asks for against the document, and what it refuses.
func TestAPI(t *testing.T) {
	s := start(t, whole)
	doc := s.status()
	if doc.Version != "1.2.3" || !doc.Ready || doc.ZonesTotal != 2 || doc.Stamp.NameServers[1].Listen[0] != s.Addrs()[1].String() {
		t.Errorf("%+v", doc)
	}
	var h historyDoc
	if err := json.Unmarshal([]byte(s.api("/history?minutes=2")), &h); err != nil || len(h.Paths["direct"]) != 12 || len(h.Latency["p99"]) != 12 {
		t.Errorf("%+v %v", h, err)
	}
	for _, minutes := range []string{"0", "61", "-1", "x", ""} {
		if r, body := s.response("/api/v1/history?minutes=" + minutes); r.StatusCode != 400 || !strings.Contains(body, "from 1 to 60") {
			t.Errorf("minutes=%s: %s %s", minutes, r.Status, body)
		}
	}
	var described struct {
		Components struct {
			Schemas struct {
				NewFault struct {
					Properties struct{ Kind struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(s.get("/api/v1/openapi.json")), &described); err != nil {
		t.Fatal(err)
	}
	if enum := described.Components.Schemas.NewFault.Properties.Kind.Enum; !slices.Equal(enum, kinds()) {
		t.Errorf("kinds of faults are %q", enum)
	}
}

// TestTooMany: pages that are asked for at once are bounded.
func TestTooMany(t *testing.T) {
	c := &config{rendering: make(chan struct{}, 1)}
	c.rendering <- struct{}{}
	w := &recorder{header: make(http.Header)}
	c.getPage(w, nil)
	if w.status != http.StatusServiceUnavailable || w.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", w.status, w.body.String())
	}
}

// slowReader looks, while it takes a page, how many are being made.
type slowReader struct {
	recorder
	making func() int
	most   int
}

func (r *slowReader) Write(b []byte) (int, error) {
	r.most = max(r.most, r.making())
	return r.recorder.Write(b)
}

// TestSlowReader: who takes a page slowly keeps nobody else from having one.
func TestSlowReader(t *testing.T) {
	c := &config{
		rendering: make(chan struct{}, 1), templates: sync.OnceValue(newTemplates), client: client{http.NotFoundHandler()},
		observer: newObserver(1, time.Now()), now: time.Now, ready: func() error { return nil },
	}
	w := &slowReader{recorder: recorder{header: make(http.Header), status: http.StatusOK}, making: func() int { return len(c.rendering) }}
	c.getPage(w, httptest.NewRequest("GET", "/", nil))
	if w.status != http.StatusOK || w.body.Len() == 0 || w.most != 0 {
		t.Errorf("status %d, %d octets; %d pages are being made while this one is taken", w.status, w.body.Len(), w.most)
	}
}

func TestWrongConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"status":                             "Corefile:2: status: the page is served where the API is, and there is none: add a line api",
		"api 127.0.0.1:0\nstatus on":         "status takes no argument",
		"api 127.0.0.1:0\nstatus {\n x\n}":   `Corefile:4: status: has no property "x"`,
		"api 127.0.0.1:0\nstatus\nstatus":    "Corefile:4: status: stands twice in one server block",
		"status # api\n":                     "there is none: add a line api",
		"status\n}\nexample.org:0 {\n api :": "is no address",
	} {
		if _, err := servertest.Try(t, ".:0 {\n"+text+"\n}\n", all(nil)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", text, err, want)
		}
	}
	// The API may be in another block, and both blocks may have the page.
	s := start(t, " bind 127.0.0.1\n status\n}\nexample.org:0 {\n bind 127.0.0.1\n api 127.0.0.1:0\n status\n")
	s.get("/")
}
