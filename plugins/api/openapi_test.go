package api_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// document is the OpenAPI document that is served.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	s := servertest.Start(t, ".:0 {\n api 127.0.0.1:0\n}", api.Plugin())
	status, body := s.Get("127.0.0.1:0", "/api/v1/openapi.json")
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if file, err := os.ReadFile("openapi.json"); err != nil || !bytes.Equal(file, []byte(body)) {
		t.Errorf("what is served is not the file: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocument holds the document to OpenAPI, its examples to its schemas, and its
// operations to the API.
func TestDocument(t *testing.T) {
	doc := document(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, path := range doc.Paths.InMatchingOrder() {
		for method, op := range doc.Paths.Find(path).Operations() {
			if op.OperationID == "" || op.Summary == "" || op.Responses.Default() == nil {
				t.Errorf("%s %s lacks id, summary or errors", method, path)
			}
			if unsafe := method == "PUT" || method == "PATCH" || method == "POST"; unsafe != (op.RequestBody != nil) {
				t.Errorf("%s %s: has a body: %v", method, path, !unsafe)
			}
			got = append(got, method+" "+path)
		}
	}
	want := []string{
		"GET /forwarders", "PUT /forwarders", "DELETE /forwarders", "GET /custom-dns", "PUT /custom-dns/{domain}",
		"DELETE /custom-dns/{domain}", "GET /settings", "PATCH /settings", "GET /stamp", "GET /explain", "GET /openapi.json",
		"GET /delegation", "GET /faults", "POST /faults", "DELETE /faults", "PATCH /faults/{name}", "DELETE /faults/{name}",
		"GET /journal", "GET /journal/stream", "GET /status", "GET /history",
		"GET /probes", "GET /probes/{nonce}", "POST /probes/{nonce}/confirm",
	}
	for _, w := range want {
		if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+w+"\n") {
			t.Errorf("%s is not described", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("described are %q", got)
	}
}

// TestDocumentTellsApart tries the document on responses: it has to pass good ones
// and those of the guard, and to see what is wrong with others.
func TestDocumentTellsApart(t *testing.T) {
	doc := document(t)
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	const upstream = `{"address":"192.0.2.53:53","transport":"dns","state":"up","rtt_ms":1.25,"failures":0,"queries":123}`
	refused := httptest.NewRecorder()
	server.WriteAPIError(refused, http.StatusUnauthorized, "no token sent")
	for _, tc := range []struct {
		method, path string
		status       int
		body         string
		ok           bool
	}{
		{"GET", "/forwarders", 200, `{"source":"runtime","lasts":true,"forwarders":[` + upstream + `]}`, true},
		{"GET", "/forwarders", 200, `{"source":"runtime","lasts":true,"forwarders":null}`, false},
		{"GET", "/forwarders", 200, `{"source":"file","lasts":true,"forwarders":[]}`, false},
		{"GET", "/forwarders", 200, `{"source":"runtime","lasts":true,"forwarders":[],"more":1}`, false},
		{"GET", "/forwarders", 401, refused.Body.String(), true},
		{"GET", "/forwarders", 500, `{"fault":"x"}`, false},
		{"GET", "/custom-dns", 200, `{"custom_dns":[{"domain":"contoso.com","source":"corefile","lasts":false,"forwarders":[` + upstream + `]}]}`, true},
		{"GET", "/custom-dns", 200, `{"custom_dns":[{"domain":"contoso.com","source":"corefile","lasts":false,"shadowed_by":"zone contoso.com","forwarders":[]}]}`, true},
		{"PUT", "/custom-dns/contoso.com", 201, `{"domain":"contoso.com","source":"runtime","lasts":true,"forwarders":[]}`, true},
		{"PUT", "/custom-dns/contoso.com", 409, `{"error":"x"}`, true},
		{"DELETE", "/custom-dns/contoso.com", 404, `{"error":""}`, false},
		{"GET", "/settings", 200, `{"use_root_hint":true,"root_hints":false,"source":"corefile"}`, true},
		{"GET", "/settings", 200, `{"use_root_hint":"yes","root_hints":false,"source":"corefile"}`, false},
		{"GET", "/stamp", 200, `{"RegionName":"east","ExternalDomainFQDN":"east.cloud.fabrikam.com","NumberOfNodes":4}`, true},
		{"GET", "/explain?name=x.contoso.com", 200, `{"name":"x.contoso.com.","type":"A","from":"127.0.0.1","to":"127.0.0.1:1053",` +
			`"block":"Corefile:1","verdict":"answered","steps":[{"plugin":"acl","decides":false,"text":"Allowed.","facts":{"k":"v"}}],"text":"x"}`, true},
	} {
		request := httptest.NewRequest(tc.method, "/api/v1"+tc.path, nil)
		route, params, err := router.FindRoute(request)
		if err != nil {
			t.Errorf("%s %s: %v", tc.method, tc.path, err)
			continue
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
			Status:                 tc.status,
			Header:                 http.Header{"Content-Type": {"application/json"}},
		}
		input.SetBodyBytes([]byte(tc.body))
		if err := openapi3filter.ValidateResponse(t.Context(), input); (err == nil) != tc.ok {
			t.Errorf("%s %s %d %s: %v", tc.method, tc.path, tc.status, tc.body, err)
		}
	}
}
