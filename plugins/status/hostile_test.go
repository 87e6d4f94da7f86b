package status

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/server"
)

// hostile are names with markup, quotes, schemes, marks of direction, and of full length.
func hostile() []string {
	long := strings.Repeat(strings.Repeat("<", 63)+".", 3) + strings.Repeat(">", 61) + "."
	return []string{
		`<script>alert\(1\)</script>.east.cloud.fabrikam.com.`,
		`"onload="alert\(1\)".east.cloud.fabrikam.com.`,
		`'><img/src/onerror=alert\(1\)>.east.cloud.fabrikam.com.`,
		`</table></section></body>.east.cloud.fabrikam.com.`,
		`</title><style>*{}</style>.east.cloud.fabrikam.com.`,
		`javascript:alert\(1\).east.cloud.fabrikam.com.`,
		`{{.Status}}.east.cloud.fabrikam.com.`,
		`<!--.east.cloud.fabrikam.com.`, `]]>&lt;&\035x41\059.east.cloud.fabrikam.com.`,
		`\226\128\174moc.knab.east.cloud.fabrikam.com.`, // U+202E
		`\000\001\127\255\010\013.east.cloud.fabrikam.com.`,
		long,
	}
}

// TestHostileNames asks for what is no name to be shown as it is: all of it is text.
func TestHostileNames(t *testing.T) {
	s := start(t, whole)
	plain := checkForm(t, s.get("/"))
	for i, name := range hostile() {
		s.ask(1, name, i%2 == 0)
	}
	text := s.get("/")
	n := checkForm(t, text)
	rows := n.id(t, "journal").all("data-id", "*")
	if len(rows) != len(hostile()) {
		t.Fatalf("%d rows", len(rows))
	}
	var journal journalDoc
	if err := json.Unmarshal([]byte(s.get("/api/v1/journal?order=newest")), &journal); err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if got := len(row.all("class", "*")); got != 8 {
			t.Errorf("row %d has %d cells", i, got)
		}
		e := journal.Entries[i]
		row.each(func(cell tree) {
			if cell.Data != "bdi" {
				return
			}
			if got := cell.FirstChild; got.NextSibling != nil || got.Data != e.Asked && got.Data != e.Name {
				t.Errorf("%s is shown as %s", e.Name, cell.text())
			}
			for _, c := range cell.text() {
				if c < ' ' || c > '~' {
					t.Errorf("%s is shown with %q", e.Name, c)
				}
			}
		})
	}
	if got := journal.Entries[len(rows)-1].Name; got != strings.ToLower(hostile()[0]) {
		t.Errorf("the first name is %s", got)
	}
	for _, id := range sections() {
		if got := n.id(t, id); got.Parent.Data != "main" || plain.id(t, id).Parent.Data != "main" {
			t.Errorf("#%s is in <%s>", id, got.Parent.Data)
		}
	}
	if strings.Contains(text, "\u202e") {
		t.Error("a mark of direction gets into the page")
	}
}

// TestHostileDocuments: names of resolvers, zones, faults and forwarders are text as well,
// whatever the API says. So are findings and errors.
func TestHostileDocuments(t *testing.T) {
	const evil = `"><script>alert(1)</script></title></svg><b onclick='x'>\u202e`
	var said string
	if err := json.Unmarshal([]byte(`"`+strings.ReplaceAll(evil, `"`, `\"`)+`"`), &said); err != nil {
		t.Fatal(err)
	}
	replace := func(text string) string { return strings.ReplaceAll(text, "EVIL", strings.ReplaceAll(evil, `"`, `\"`)) }
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"/api/v1/delegation": `{"name_servers":["ns01","EVIL"],"resolvers":[{"name":"EVIL","networks":["EVIL"],"last_seen":"EVIL",
			"queries":{"total":3,"by_path":{"iterative":3},"by_ns":{"ns01":{"queries":3,"by_path":{"iterative":3}},"EVIL":{}}}}],
			"source_hidden":{"address":"EVIL","text":"EVIL"},
			"findings":[{"id":"one-server","level":"warning","resolver":"EVIL","zone":"EVIL","text":"EVIL"}]}`,
		"/api/v1/journal": `{"entries":[{"id":1,"time":"EVIL","ns":"EVIL","source":"EVIL","resolver":"EVIL","name":"EVIL","asked":"EVIL",
			"type":"EVIL","path":"EVIL","rcode":"EVIL","fault":{"rule":"EVIL","kind":"EVIL"}}]}`,
		"/api/v1/forwarders": `{"source":"EVIL","forwarders":[{"address":"EVIL","transport":"EVIL","state":"EVIL"}]}`,
		"/api/v1/custom-dns": `{"custom_dns":[{"domain":"EVIL","source":"runtime","shadowed_by":"EVIL","forwarders":[{"address":"EVIL","state":"EVIL"}]}]}`,
		"/api/v1/faults":     `{"faults":[{"id":"EVIL","rule":"EVIL","ends_at":"EVIL","enabled":true}]}`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(replace(body))) })
	}
	mux.HandleFunc("/api/v1/settings", func(w http.ResponseWriter, _ *http.Request) {
		server.WriteAPIError(w, http.StatusServiceUnavailable, "%s", said)
	})
	c := &config{
		observer: newObserver(1, time.Now()), version: said, ready: func() error { return nil }, now: time.Now, client: client{mux},
		rendering: make(chan struct{}, 1), templates: newTemplates, blocks: func() []server.BlockInfo { return nil },
	}
	w := &recorder{header: make(http.Header), status: 200}
	r, err := http.NewRequest("GET", "/?name="+`%22%3E%3Cscript%3E`, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.getPage(w, r)
	if w.status != 200 {
		t.Fatalf("%d %s", w.status, w.body.String())
	}
	n := checkForm(t, w.body.String())
	if len(n.all("onclick", "*")) > 0 {
		t.Error("markup gets through")
	}
	n.each(func(e tree) {
		if e.Data == "b" {
			t.Error("markup gets through")
		}
	})
	want := strings.Join(strings.Fields(said), " ")
	for _, id := range []string{"finding-list", "map", "map-sentences", "journal", "resolver-table", "forwarder-table", "custom-dns-table", "fault-table", "forwarders", "version"} {
		if got := n.id(t, id).text(); !strings.Contains(got, want) {
			t.Errorf("#%s lacks the name: %s", id, got)
		}
	}
	if len(n.id(t, "finding-list").all("data-id", "source-hidden")) != 1 {
		t.Error("the page does not say that all come from one address")
	}
	if got := n.id(t, "f-name").attr("value"); got != `"><script>` {
		t.Errorf("the filter is %q", got)
	}
	for _, amber := range []string{"node resolver amber", "node server amber", "line silent amber"} {
		if len(n.id(t, "map").all("class", amber)) != 1 {
			t.Errorf("the picture has no %s", amber)
		}
	}
}
