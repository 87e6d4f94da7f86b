package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// change is what the tests read.
type change struct {
	Addresses []string `json:"addresses"`
	Once      bool     `json:"once"`
}

func TestReadJSON(t *testing.T) {
	for body, want := range map[string]string{
		`{"addresses":["192.0.2.53"],"once":true}`: "",
		` {} ` + "\n":                "",
		``:                           "it is empty",
		`null`:                       "it is null",
		`[]`:                         "it can't be a JSON array",
		`{"addresses":"192.0.2.53"}`: "addresses can't be a JSON string",
		`{"addresses":[1]}`:          "addresses can't be a JSON number",
		`{"adresses":[]}`:            `unknown field "adresses"`,
		`{"once":true`:               "it ends in the middle of a value",
		`{"once":yes}`:               "invalid character 'y'",
		`{} {}`:                      "more follows behind its value",
		`{}]`:                        "more follows behind its value",
	} {
		r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		var v change
		ok := ReadJSON(w, r, &v)
		if ok != (want == "") || !ok && w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), quoted(want)) {
			t.Errorf("%q: %v %d %s, want %s", body, ok, w.Code, w.Body, want)
		}
	}
	w := httptest.NewRecorder()
	if ReadJSON(w, httptest.NewRequest("PUT", "/", strings.NewReader("{}")), new(change)) || w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("without a type: %d", w.Code)
	}
}

// quoted is text as it stands inside a JSON string.
func quoted(text string) string {
	b, _ := json.Marshal(text)
	return strings.Trim(string(b), `"`)
}

// FuzzAPIRequest: whatever a client sends, the API answers with JSON, and with an
// error's text where it refuses.
func FuzzAPIRequest(f *testing.F) {
	for _, request := range []string{
		"GET /a/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"PUT /read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"addresses\":[\"a\"]}\n",
		"PUT /read HTTP/1.1\r\nHost: [::1]:1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"POST /a/x HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://a.example\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET http://a.example/a/%2e%2e//x HTTP/1.0\r\nAuthorization: Bearer " + testToken + "\r\n\r\n",
	} {
		f.Add([]byte(request), false)
		f.Add([]byte(request), true)
	}
	s := New(Options{Logger: slog.New(slog.DiscardHandler)})
	routes := http.NewServeMux()
	routes.HandleFunc("GET /a/{name}", func(w http.ResponseWriter, r *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]string{"name": r.PathValue("name")})
	})
	routes.HandleFunc("PUT /read", func(w http.ResponseWriter, r *http.Request) {
		var v change
		if ReadJSON(w, r, &v) {
			WriteJSON(w, http.StatusOK, v)
		}
	})
	guards := map[bool]http.Handler{
		false: newAPIGuard(s, apiPoint{}, routes),
		true:  newAPIGuard(s, apiPoint{APIOptions: APIOptions{Token: []byte(testToken)}}, routes),
	}
	f.Fuzz(func(t *testing.T, request []byte, token bool) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		guards[token].ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 {
			return // to the path in its proper form
		}
		if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
		}
		if w.Code >= 400 {
			response{w.Code, w.Header(), w.Body.String()}.fault(t)
		}
		if n := s.panics.Load(); n > 0 {
			t.Fatalf("%d panics", n)
		}
		if token && w.Code < 400 && !strings.Contains(r.Header.Get("Authorization"), testToken) {
			t.Errorf("%d without the token", w.Code)
		}
	})
}
