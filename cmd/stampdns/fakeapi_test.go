package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stampdns/stampdns/zones/stamp"
)

// fakeAPI answers as the API of a server does, and is strict about how it is
// asked.
type fakeAPI struct {
	t     *testing.T
	token string
	lasts bool

	mu         sync.Mutex
	forwarders []string
	runtime    bool // forwarders are not the Corefile's
	custom     map[string][]string
	rootHint   bool
	faults     []map[string]any
	requests   []string // "METHOD PATH BODY"

	// page says that the API has what the status page asks for.
	page bool
	// sample says that the stamp is the sample stamp, and not one that is all corners.
	sample bool
	// seen are the nonces that queries came for: the name server of each.
	seen sync.Map
}

// newFakeAPI is an API with two DNS forwarders and a conditional one from its
// Corefile; an empty token means that it wants none.
func newFakeAPI(t *testing.T, token string) *fakeAPI {
	return &fakeAPI{t: t, token: token, forwarders: corefileForwarders(), custom: map[string][]string{}, rootHint: true}
}

func corefileForwarders() []string { return []string{"192.0.2.53", "tls://192.0.2.55%dns.example.net"} }

// serve listens until the test ends and returns the URL.
func (f *fakeAPI) serve() string {
	server := httptest.NewServer(f)
	f.t.Cleanup(server.Close)
	return server.URL
}

func (f *fakeAPI) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/forwarders", f.getForwarders)
	mux.HandleFunc("PUT /api/v1/forwarders", f.putForwarders)
	mux.HandleFunc("DELETE /api/v1/forwarders", f.deleteForwarders)
	mux.HandleFunc("GET /api/v1/custom-dns", f.getCustom)
	mux.HandleFunc("PUT /api/v1/custom-dns/{domain}", f.putCustom)
	mux.HandleFunc("DELETE /api/v1/custom-dns/{domain}", f.deleteCustom)
	mux.HandleFunc("GET /api/v1/settings", f.getSettings)
	mux.HandleFunc("PATCH /api/v1/settings", f.patchSettings)
	mux.HandleFunc("GET /api/v1/stamp", func(w http.ResponseWriter, _ *http.Request) {
		if f.sample {
			usual := stamp.Default()
			info, err := usual.Info()
			if err != nil {
				f.t.Error(err)
			}
			writeJSON(w, 200, json.RawMessage(info))
			return
		}
		writeJSON(w, 200, json.RawMessage(`{"RegionName":"east","NumberOfNodes":4,"HardwareInfo":{},`+
			`"EmergencyConsoleIPAddresses":["198.51.100.224","198.51.100.225"],`+
			`"AdminExternalEndpoints":{"AdminPortal":"https://adminportal.east.cloud.fabrikam.com/","Hosts":["a","b"]},"CloudName":null}`))
	})
	mux.HandleFunc("GET /api/v1/explain", f.explain)
	mux.HandleFunc("GET /api/v1/delegation", f.delegation)
	mux.HandleFunc("GET /api/v1/journal", f.journal)
	mux.HandleFunc("POST /api/v1/probes/{nonce}/confirm", f.confirm)
	mux.HandleFunc("GET /api/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, 404, apiError("there is no "+r.URL.Path+": /api/v1/openapi.json says what there is"))
	})
	f.serveStatus(mux)
	f.serveFaults(mux)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI())
	hasBody := r.Method == http.MethodPut || r.Method == http.MethodPatch || r.Method == http.MethodPost
	switch {
	case f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token:
		writeJSON(w, 401, apiError("no token, or a wrong one: send Authorization: Bearer TOKEN"))
	case f.token == "" && r.Header.Get("Authorization") != "":
		f.t.Errorf("a token came that was not asked for: %s", r.Header.Get("Authorization"))
	case hasBody && r.Header.Get("Content-Type") != "application/json":
		f.t.Errorf("%s with Content-Type %q", r.Method, r.Header.Get("Content-Type"))
		writeJSON(w, 415, apiError("want application/json"))
	default:
		mux.ServeHTTP(w, r)
	}
}

func apiError(text string) any { return map[string]string{"error": text} }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

// readBody decodes a body that has just the fields of v.
func (f *fakeAPI) readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil || dec.More() {
		f.t.Errorf("%s %s: body is wrong: %v", r.Method, r.URL, err)
		writeJSON(w, 400, apiError("wrong body"))
		return false
	}
	return true
}

// readAddresses reads a list of upstreams.
func (f *fakeAPI) readAddresses(w http.ResponseWriter, r *http.Request) ([]string, bool) {
	var body struct {
		Addresses []string `json:"addresses"`
	}
	if !f.readBody(w, r, &body) {
		return nil, false
	}
	for _, a := range body.Addresses {
		host, _, _ := strings.Cut(strings.TrimPrefix(a, "tls://"), "%")
		if _, err := netip.ParseAddr(host); err == nil {
			continue
		}
		if _, err := netip.ParseAddrPort(host); err != nil {
			writeJSON(w, 400, apiError(fmt.Sprintf("address %q: want an IP address", a)))
			return nil, false
		}
	}
	return body.Addresses, len(body.Addresses) > 0
}

// upstreams are addresses as the API tells of them.
func upstreams(addresses []string) []any {
	list := []any{}
	for i, a := range addresses {
		u := map[string]any{"address": a, "transport": "dns", "state": "up", "rtt_ms": 1.25, "failures": 0, "queries": 123}
		if rest, ok := strings.CutPrefix(a, "tls://"); ok {
			u["transport"] = "tls"
			at, name, named := strings.Cut(rest, "%")
			if named {
				name = "%" + name
			}
			u["address"] = "tls://" + at + ":853" + name
		} else if addr, err := netip.ParseAddr(a); err == nil {
			u["address"] = netip.AddrPortFrom(addr, 53).String()
		}
		if i > 0 {
			u["state"], u["rtt_ms"], u["failures"], u["queries"] = "unknown", 0, 7, 0
		}
		list = append(list, u)
	}
	return list
}

func source(runtime bool) string {
	if runtime {
		return "runtime"
	}
	return "corefile"
}

func (f *fakeAPI) getForwarders(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, 200, map[string]any{"source": source(f.runtime), "lasts": f.lasts, "forwarders": upstreams(f.forwarders)})
}

func (f *fakeAPI) putForwarders(w http.ResponseWriter, r *http.Request) {
	if list, ok := f.readAddresses(w, r); ok {
		f.forwarders, f.runtime = list, true
		f.getForwarders(w, r)
	}
}

func (f *fakeAPI) deleteForwarders(w http.ResponseWriter, r *http.Request) {
	f.forwarders, f.runtime = corefileForwarders(), false
	f.getForwarders(w, r)
}

// customOf is a conditional forwarder as the API tells of it.
func (f *fakeAPI) customOf(domain string) any {
	custom := map[string]any{"domain": domain, "source": "runtime", "lasts": f.lasts, "forwarders": upstreams(f.custom[domain])}
	switch domain {
	case "corp.example":
		custom["source"], custom["forwarders"] = "corefile", upstreams([]string{"2001:db8::53"})
	case "shadowed.example":
		custom["shadowed_by"] = "zone shadowed.example"
	}
	return custom
}

func (f *fakeAPI) getCustom(w http.ResponseWriter, _ *http.Request) {
	list := []any{f.customOf("corp.example")}
	for _, domain := range slices.Sorted(maps.Keys(f.custom)) {
		list = append(list, f.customOf(domain))
	}
	writeJSON(w, 200, map[string]any{"custom_dns": list})
}

func (f *fakeAPI) putCustom(w http.ResponseWriter, r *http.Request) {
	domain := r.PathValue("domain")
	list, ok := f.readAddresses(w, r)
	switch {
	case !ok:
	case domain != strings.ToLower(domain) || strings.HasSuffix(domain, "."):
		f.t.Errorf("domain %q is not in its plain form", domain)
	case domain == "east.cloud.fabrikam.com":
		writeJSON(w, 409, apiError("east.cloud.fabrikam.com is a zone of this server: it cannot be forwarded"))
	default:
		status := 200
		if f.custom[domain] == nil {
			status = 201
		}
		f.custom[domain] = list
		writeJSON(w, status, f.customOf(domain))
	}
}

func (f *fakeAPI) deleteCustom(w http.ResponseWriter, r *http.Request) {
	domain := r.PathValue("domain")
	switch {
	case f.custom[domain] != nil:
		delete(f.custom, domain)
		w.WriteHeader(204)
	case domain == "corp.example":
		writeJSON(w, 409, apiError("corp.example is in the Corefile: remove it there"))
	default:
		writeJSON(w, 404, apiError("there is no conditional forwarder for "+domain))
	}
}

func (f *fakeAPI) getSettings(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, 200, map[string]any{"use_root_hint": f.rootHint, "root_hints": true, "source": source(!f.rootHint)})
}

func (f *fakeAPI) patchSettings(w http.ResponseWriter, r *http.Request) {
	var body struct {
		UseRootHint *bool `json:"use_root_hint"`
	}
	if f.readBody(w, r, &body) && body.UseRootHint != nil {
		f.rootHint = *body.UseRootHint
		f.getSettings(w, r)
	}
}

func (f *fakeAPI) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for key := range q {
		if !slices.Contains([]string{"name", "type", "from", "to"}, key) {
			f.t.Errorf("explain has no parameter %s", key)
		}
	}
	if q.Get("type") == "NONSENSE" {
		writeJSON(w, 400, apiError(`type "NONSENSE" is unknown`))
		return
	}
	writeJSON(w, 200, json.RawMessage(`{"name":"x.contoso.com.","type":"A","from":"127.0.0.1","to":"127.0.0.1:1053","block":"Corefile:1",
"verdict":"forwarded","text":"contoso.com is forwarded to 192.168.1.1:53, which is up","steps":[
{"plugin":"acl","decides":false,"text":"no rule is about this client"},
{"plugin":"forward","decides":true,"text":"contoso.com is forwarded to 192.168.1.1:53, which is up\u001b[2J","facts":{"upstream":"192.168.1.1:53","rtt":"1.2ms"}}]}`))
}

// journal has two entries, of which the filter ns takes one; a server that sends more
// than text is not trusted.
func (f *fakeAPI) journal(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for key := range q {
		if !slices.Contains([]string{"resolver", "source", "name", "type", "path", "transport", "ns", "rcode", "fault", "since", "limit", "after", "order"}, key) {
			f.t.Errorf("the journal has no parameter %s", key)
		}
	}
	if q.Get("path") == "nonsense" {
		writeJSON(w, 400, apiError(`path "nonsense" is none of iterative, forwarded, direct`))
		return
	}
	entries := []json.RawMessage{}
	for i, ns := range []string{"ns01", "ns02"} {
		if (q.Get("ns") == "" || q.Get("ns") == ns) && q.Get("after") != "x-8" {
			entries = append(entries, json.RawMessage([]string{
				`{"id":7,"time":"2026-01-02T15:04:05.678901234Z","ns":"ns01","source":"192.0.2.53:4242","resolver":"co\u001b[2J\u009brp","name":"x.blob.east.cloud.fabrikam.com.",` +
					`"type":"A","zone":"","rd":false,"flags":[],"edns":null,"transport":"udp","rcode":"NOERROR","aa":true,"tc":false,"path":"iterative","took_us":12.53,"size":45,"answers":1}`,
				`{"id":8,"time":"2026-01-02T15:04:06Z","ns":"ns02","source":"[2001:db8::53]:4242","resolver":"","name":"y\\007.example.",` +
					`"type":"AAAA","zone":"","rd":true,"flags":["rd"],"edns":null,"transport":"tcp","rcode":"","aa":false,"tc":false,"path":"","took_us":1234.5,"size":0,"answers":0,"fault":{"rule":"r1","kind":"drop"},"one_in":4}`,
			}[i]))
		}
	}
	writeJSON(w, 200, map[string]any{"entries": entries, "more": false, "cursor": "x-8", "seen": 12, "recorded": 8, "sampled": true,
		"sampled_from": "2026-01-02T15:04:06Z", "sampled_to": "2026-01-02T15:04:07Z", "oldest": "2026-01-02T15:04:05Z", "size": 100})
}

func (f *fakeAPI) confirm(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Result   string  `json:"result"`
		Resolver string  `json:"resolver_address"`
		Source   string  `json:"answer_source"`
		RCode    string  `json:"rcode"`
		NS       string  `json:"ns"`
		Latency  float64 `json:"latency_ms"`
	}
	if !f.readBody(w, r, &body) {
		return
	}
	if _, err := netip.ParseAddrPort(body.Resolver); err != nil || body.Result != "confirmed" && body.Result != "failed" || body.Latency < 0 {
		f.t.Errorf("%s: %+v", r.URL, body)
	}
	nonce := r.PathValue("nonce")
	ns, ok := f.seen.Load(nonce)
	if !ok {
		writeJSON(w, 404, apiError("no query for this nonce came here"))
		return
	}
	if body.Result == "confirmed" && (body.NS != ns || body.RCode != "NOERROR" || body.Source != body.Resolver) {
		f.t.Errorf("%s: %+v, want %s", r.URL, body, ns)
	}
	writeJSON(w, 200, map[string]any{"nonce": nonce, "queries": 1, "confirmed": []any{}, "sightings": []any{map[string]any{
		"time": "2026-01-02T03:04:05.678Z", "ns": ns, "source": "192.0.2.53:40000", "resolver": "corp", "path": "iterative", "rd": false,
		"transport": "udp", "edns": "none", "case": "lower", "type": "TXT", "name": nonce + ".probe.",
	}}})
}
