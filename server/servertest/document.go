package servertest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Document is the description of the API, against which answers are held.
type Document struct {
	t      testing.TB
	doc    *openapi3.T
	routes routers.Router
}

// ReadDocument reads the description for a test in the folder of a plugin.
func ReadDocument(t testing.TB) *Document {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	routes, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &Document{t, doc, routes}
}

// Check holds an answer against the description. The path is below /api/v1.
func (d *Document) Check(method, path string, status int, header http.Header, body string) {
	d.t.Helper()
	request, err := http.NewRequest(method, d.doc.Servers[0].URL+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	route, params, err := d.routes.FindRoute(request)
	if err != nil {
		d.t.Fatalf("%s %s is not in the document: %v", method, path, err)
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 status, Header: header, Body: io.NopCloser(strings.NewReader(body)),
	})
	if err != nil {
		d.t.Errorf("%s %s: %d %s: %v", method, path, status, body, err)
	}
}

// Call makes a request of the API that the Corefile has at addr, and holds the answer
// against the description. The path is below /api/v1; a body is JSON.
func (d *Document) Call(s *Server, addr, method, path, body string) (status int, answer string) {
	d.t.Helper()
	request, err := http.NewRequest(method, "http://"+s.HTTPAddrs()[addr].String()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	d.Check(method, path, response.StatusCode, response.Header, string(text))
	return response.StatusCode, string(text)
}
