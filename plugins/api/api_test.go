package api_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

const token = "for-tests-only-0123456789abcdef"

// dirWith is a folder with token and certificate, as the page's examples have them.
func dirWith(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/readme")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "api.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// get asks for the document; the client knows the certificate.
func get(t *testing.T, dir string, a server.APIAddr, authorization string) (status int, body string) {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "api.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), "GET", a.URL()+"/api/v1/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	r, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// Two blocks name one address, the one with token and certificate is for others.
func TestServe(t *testing.T) {
	dir := dirWith(t)
	s, err := servertest.TryIn(t, dir, `org:0 {
	api 127.0.0.1:0
}
com:0 {
	api 127.0.0.1:0
}
net:0 {
	api :0 {
		token api.token
		tls api.crt api.key
	}
}`, api.Plugin())
	if err != nil {
		t.Fatal(err)
	}
	addrs := s.APIAddrs()
	if len(addrs) != 2 || addrs[0].Token || addrs[0].TLS || !addrs[1].Token || !addrs[1].TLS {
		t.Fatalf("%+v", addrs)
	}
	for _, tc := range []struct {
		addr          int
		authorization string
		status        int
		want          string
	}{
		{0, "", 200, `"openapi": "3.0.3"`},
		{1, "Bearer " + token, 200, `"openapi": "3.0.3"`},
		{1, "", 401, "no token sent"},
		{1, "Bearer 0123456789abcdef", 401, "the token sent is wrong"},
	} {
		if status, body := get(t, dir, addrs[tc.addr], tc.authorization); status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%+v: %d %s", tc, status, body)
		}
	}
	if log := s.Log(); strings.Contains(log, "level=WARN") {
		t.Error(log)
	}
}

// The token is read again by a reload, also where the Corefile is the same.
func TestTokenChanges(t *testing.T) {
	dir := dirWith(t)
	s, err := servertest.TryIn(t, dir, ".:0 {\n api 127.0.0.1:0 {\n  token api.token\n }\n}", api.Plugin())
	if err != nil {
		t.Fatal(err)
	}
	const other = "another-token-of-the-tests"
	write(t, dir, "api.token", "  "+other+" \r\nthe rest is not read\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	a := s.APIAddrs()[0]
	for text, want := range map[string]int{token: 401, other: 200} {
		if status, body := get(t, dir, a, "Bearer "+text); status != want {
			t.Errorf("%s: %d %s", text, status, body)
		}
	}
	// What can't be used changes nothing.
	write(t, dir, "api.token", "short\n")
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "has 5 characters") {
		t.Error(err)
	}
	if status, _ := get(t, dir, a, "Bearer "+other); status != 200 {
		t.Error(status)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is not an error is in the log.
func TestWarnings(t *testing.T) {
	dir := dirWith(t)
	if err := os.Chmod(filepath.Join(dir, "api.token"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := servertest.TryIn(t, dir, ".:0 {\n api :0 {\n  token api.token\n }\n}", api.Plugin())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Log(), "crosses the network for all to read: add a line tls CERT KEY") {
		t.Error(s.Log())
	}
	if !strings.Contains(s.Log(), "every user of this machine may read the token file") && runtime.GOOS != "windows" {
		t.Error(s.Log())
	}
}

func TestWrongConfiguration(t *testing.T) {
	dir := dirWith(t)
	write(t, dir, "short", "0123456789abcde\n")
	write(t, dir, "empty", "")
	write(t, dir, "long", strings.Repeat("x", 5000))
	write(t, dir, "blank", "0123456789 abcdef\n")
	for _, tc := range []struct{ text, want string }{
		{"api 8053", `Corefile:2: api: "8053" is no address to listen on`},
		{"api :1 :2", "Corefile:2: api: api takes at most one argument, not 2 (usage: api [ADDRESS]"},
		{"api {\n tokens a\n }", `Corefile:3: api: unknown property "tokens"; did you mean "token"?`},
		{"api {\n token\n }", "Corefile:3: api: token takes one argument, not 0"},
		{"api {\n token api.token\n token api.token\n }", "Corefile:4: api: token stands twice"},
		{"api {\n tls api.crt api.key\n tls api.crt api.key\n }", "Corefile:4: api: tls stands twice"},
		{"api {\n tls api.crt\n }", "Corefile:3: api: tls takes 2 arguments, not 1"},
		{"api {\n tls api.crt api.token\n }", "Corefile:3: api: certificate api.crt with key api.token: "},
		{"api {\n tls none.crt api.key\n }", "none.crt: no such file"},
		{"api {\n token none\n }", "none: no such file"},
		{"api {\n token short\n }", "short: its first line has 15 characters: a token has 16 or more"},
		{"api {\n token empty\n }", "its first line has 0 characters"},
		{"api {\n token long\n }", "its first line is too long"},
		{"api {\n token blank\n }", "character 11 of its first line can't be part of a token"},
		{"api\n api", "Corefile:3: api: stands twice in one server block"},
		{"api :8053 {\n tls api.crt api.key\n }", "Corefile:2: api: other machines may reach :8053, so a token is needed: add a line token FILE"},
		{"api 127.0.0.1:0\n}\norg:0 {\n api 127.0.0.1:0 {\n token api.token\n }", "Corefile:5: api: the API at 127.0.0.1:0 has another token at "},
	} {
		_, err := servertest.TryIn(t, dir, ".:0 {\n "+tc.text+"\n}", api.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
