package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// runAgainst runs a command line and returns its exit code and what it wrote.
func runAgainst(env []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs, env)
	return code, out.String(), errs.String()
}

// write puts text into a file of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAPIRequests looks at what each verb asks, path, query and all.
func TestAPIRequests(t *testing.T) {
	api := newFakeAPI(t, "")
	api.lasts = true
	env := []string{"STAMPDNS_API=" + api.serve()}
	for _, tc := range []struct{ line, want string }{
		{"forwarder get", "GET /api/v1/forwarders"},
		{"forwarder set 192.0.2.1", "PUT /api/v1/forwarders"},
		{"forwarder reset", "DELETE /api/v1/forwarders"},
		{"custom-dns list", "GET /api/v1/custom-dns"},
		{"custom-dns register A.example. 192.0.2.1", "PUT /api/v1/custom-dns/a.example"},
		{`custom-dns register a/b\.c?d.example 192.0.2.1`, "PUT /api/v1/custom-dns/a%2Fb%5C.c%3Fd.example"},
		{"custom-dns remove a.example", "DELETE /api/v1/custom-dns/a.example"},
		{"settings get", "GET /api/v1/settings"},
		{"settings set use-root-hint=false", "PATCH /api/v1/settings"},
		{"delegation", "GET /api/v1/delegation"},
		{"explain a.example", "GET /api/v1/explain?name=a.example"},
		{"explain a+b&c.example aaaa --from 2001:db8::1 --to [2001:db8::2]:53",
			"GET /api/v1/explain?from=2001%3Adb8%3A%3A1&name=a%2Bb%26c.example&to=%5B2001%3Adb8%3A%3A2%5D%3A53&type=AAAA"},
		{"journal", "GET /api/v1/journal?limit=100"},
		{"journal --name *.a+b&c --type A --since 10m --limit 5 -o json", "GET /api/v1/journal?limit=5&name=%2A.a%2Bb%26c&since=10m&type=A"},
		{"pep Get-AzureStackStampInformation", "GET /api/v1/stamp"},
		{"pep Get-AzSDnsForwarder", "GET /api/v1/forwarders"},
		{"pep Set-AzSDnsForwarder 192.0.2.1", "PUT /api/v1/forwarders"},
		{"pep Register-CustomDnsServer a.example 192.0.2.1", "PUT /api/v1/custom-dns/a.example"},
		{"pep Get-AzSDnsServerSettings", "GET /api/v1/settings"},
		{"pep Set-AzSDnsServerSettings true", "PATCH /api/v1/settings"},
	} {
		code, _, stderr := runAgainst(env, strings.Fields(tc.line)...)
		asked := api.asked()
		if last := asked[len(asked)-1]; code != exitOK || last != tc.want {
			t.Errorf("%s asks %s and exits with %d, want %s\n%s", tc.line, last, code, tc.want, stderr)
		}
		if strings.Contains(stderr, "until the server ends") {
			t.Errorf("%s: %s, though changes last", tc.line, stderr)
		}
	}
}

func TestAPIToken(t *testing.T) {
	api := newFakeAPI(t, "s3cret")
	url := api.serve()
	right, wrong := write(t, "token", "\n s3cret \r\n"), write(t, "wrong", "other")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitFailed, "stampdns: the API at " + url + " wants a token: give --api-token-file FILE\n"},
		{[]string{"--api-token-file", right}, exitOK, ""},
		{[]string{"--api-token-file", wrong}, exitFailed, "does not take the token in " + wrong},
		{[]string{"--api-token-file", write(t, "empty", " \n")}, exitFailed, "stampdns: --api-token-file: "},
		{[]string{"--api-token-file", write(t, "two", "a\nb")}, exitFailed, "more than a token"},
		{[]string{"--api-token-file", write(t, "long", strings.Repeat("x", 5000))}, exitFailed, "more than 4096 bytes"},
		{[]string{"--api-token-file", filepath.Join(t.TempDir(), "none")}, exitFailed, "stampdns: --api-token-file: open "},
	} {
		code, _, stderr := runAgainst([]string{"STAMPDNS_API=" + url}, append([]string{"settings", "get"}, tc.args...)...)
		if code != tc.code || !strings.Contains(stderr, tc.want) || tc.want == "" && stderr != "" {
			t.Errorf("%v exits with %d, want %d\n%s", tc.args, code, tc.code, stderr)
		}
	}
	if code, _, stderr := runAgainst([]string{"STAMPDNS_API=" + url, "STAMPDNS_API_TOKEN_FILE=" + right}, "forwarder", "get"); code != exitOK {
		t.Errorf("the token from the environment: %d\n%s", code, stderr)
	}
}

// clientFor is the way to the API that a variable and flags say, and what is
// told of it.
func clientFor(t *testing.T, env []string, args ...string) (client *apiClient, stderr string) {
	t.Helper()
	var errs bytes.Buffer
	c := &command{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs, env: newEnvironment(env), loopback: loopback()}
	var flags apiFlags
	cmd := new(cobra.Command)
	flags.add(c, cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := c.readEnvironment(cmd); err != nil {
		t.Fatal(err)
	}
	client, err := flags.client()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return client, errs.String()
}

// TestAPIAddress: what serve takes is good for the commands, and a token on its
// way in the clear is told.
func TestAPIAddress(t *testing.T) {
	certificate := httptest.NewTLSServer(http.NotFoundHandler())
	defer certificate.Close()
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate().Raw})))
	token := write(t, "token", "s3cret")
	for _, tc := range []struct {
		api   string
		args  []string
		base  string
		warns bool
	}{
		{"", nil, "http://127.0.0.1:8053", false},
		{"127.0.0.1:9000", nil, "http://127.0.0.1:9000", false},
		{":9000", nil, "http://127.0.0.1:9000", false},
		{"[::]:9000", nil, "http://127.0.0.1:9000", false},
		{"[2001:db8::1]:9000", nil, "http://[2001:db8::1]:9000", false},
		{"stamp.example:9000", []string{"--api-ca", ca}, "https://stamp.example:9000", false},
		{"http://stamp.example", nil, "http://stamp.example", false},
		{"https://stamp.example/dns/api/v1/", nil, "https://stamp.example/dns", false},
		{"http://stamp.example:9000/", []string{"--api-token-file", token}, "http://stamp.example:9000", true},
		{"192.0.2.1:9000", []string{"--api-token-file", token}, "http://192.0.2.1:9000", true},
		{"https://stamp.example", []string{"--api-token-file", token}, "https://stamp.example", false},
		{"localhost:9000", []string{"--api-token-file", token}, "http://localhost:9000", false},
		{"[::1]:9000", []string{"--api-token-file", token}, "http://[::1]:9000", false},
	} {
		client, stderr := clientFor(t, []string{"STAMPDNS_API=" + tc.api}, tc.args...)
		if client.base != tc.base {
			t.Errorf("%q %v is %s, want %s", tc.api, tc.args, client.base, tc.base)
		}
		if strings.Contains(stderr, "warning: the token goes to") != tc.warns || strings.Contains(stderr, "s3cret") {
			t.Errorf("%q %v: %s", tc.api, tc.args, stderr)
		}
		here := slices.ContainsFunc([]string{"http://127.", "http://localhost", "http://[::1]"}, func(start string) bool { return strings.HasPrefix(tc.base, start) })
		if proxied := client.http.Transport.(*http.Transport).Proxy != nil; proxied == here {
			t.Errorf("%s by way of a proxy: %t", tc.base, proxied)
		}
	}
}

// TestAPIOverTLS: a private CA has to be named, and mistaking HTTP for HTTPS
// is told either way.
func TestAPIOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(newFakeAPI(t, ""))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "https://")
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	plain := newFakeAPI(t, "").serve()
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--api", server.URL}, exitFailed, "give --api-ca FILE"},
		{[]string{"--api", server.URL, "--api-ca", ca}, exitOK, ""},
		{[]string{"--api", address, "--api-ca", ca}, exitOK, ""},
		{[]string{"--api", address}, exitFailed, "speaks HTTPS: give --api https://" + address},
		{[]string{"--api", "https" + strings.TrimPrefix(plain, "http")}, exitFailed, "does not speak HTTPS: give --api " + plain},
		{[]string{"--api", server.URL, "--api-ca", write(t, "none.pem", "none")}, exitFailed, "none.pem has no certificate: want PEM"},
		{[]string{"--api", server.URL, "--api-ca", filepath.Join(t.TempDir(), "none")}, exitFailed, "--api-ca: open "},
	} {
		code, _, stderr := runAgainst(nil, append([]string{"forwarder", "get"}, tc.args...)...)
		if code != tc.code || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") > 1 {
			t.Errorf("%v exits with %d, want %d and %q\n%s", tc.args, code, tc.code, tc.want, stderr)
		}
	}
}

// TestAPIOfSomethingElse: what is no stampdns is told from one.
func TestAPIOfSomethingElse(t *testing.T) {
	redirected := newFakeAPI(t, "")
	elsewhere := redirected.serve()
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		code    int
		want    string
	}{
		{"not found", http.NotFound, exitFailed, " has nothing at /api/v1/forwarders: is it the API of a stampdns"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, exitFailed, "answered something other than JSON"},
		{"wrong JSON", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, []int{1}) }, exitFailed, "answered what no stampdns would"},
		{"broken JSON", func(w http.ResponseWriter, _ *http.Request) { sendText(w, 200, `{"source":`) }, exitFailed, "answered what no stampdns would"},
		{"deep JSON", func(w http.ResponseWriter, _ *http.Request) { sendText(w, 200, strings.Repeat("[", 1<<20)) }, exitFailed, "answered what no stampdns would"},
		{"an error page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "\x1b[2J", 500) }, exitFailed, "answered 500 Internal Server Error"},
		{"orders to the terminal", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 409, apiError("no\x1b[2J\nway")) }, exitFailed, "stampdns: no?[2J?way\n"},
		{"a wrong request", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 400, apiError("no such thing")) }, exitUsage, "stampdns: no such thing\n"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		}, exitFailed, "sends us on to \"" + elsewhere},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for chunk := bytes.Repeat([]byte(" "), 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, exitFailed, "answered more than 16 MiB"},
		{"an end in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			sendText(w, 200, `{`)
		}, exitFailed, "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			for _, args := range [][]string{{"forwarder", "get"}, {"pep", "Get-AzSDnsForwarder"}} {
				code, stdout, stderr := runAgainst(nil, append(args, "--api", server.URL)...)
				if code != tc.code || !strings.Contains(stderr, tc.want) || stdout != "" || strings.Count(stderr, "\n") != 1 {
					t.Errorf("%v exits with %d, want %d and %q\n%s%s", args, code, tc.code, tc.want, stdout, stderr)
				}
			}
		})
	}
	if asked := redirected.asked(); len(asked) != 0 {
		t.Errorf("a redirect was followed: %v", asked)
	}
}

func sendText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// TestAPIPatience: a server that says nothing is given up, after as long as
// -TimeoutInSecs says.
func TestAPIPatience(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	start := time.Now()
	code, _, stderr := runAgainst(nil, "pep", "Register-CustomDnsServer", "a.example", "192.0.2.1", "1", "--api", silent.Addr().String())
	if took := time.Since(start); code != exitFailed || !strings.Contains(stderr, "did not answer in time") || took < time.Second || took > apiPatience {
		t.Errorf("exit code %d after %s: %s", code, took, stderr)
	}
}

// TestVerbsSpeakToTheAPI: each verb that needs a server has the same options for
// it.
func TestVerbsSpeakToTheAPI(t *testing.T) {
	var found []string
	for _, cmd := range commands(root()) {
		if cmd.Flags().Lookup("api-ca") == nil {
			continue
		}
		found = append(found, strings.TrimPrefix(cmd.CommandPath(), "stampdns "))
		for _, flag := range []string{"api", "api-token-file"} {
			if cmd.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", cmd.CommandPath(), flag)
			}
		}
	}
	slices.Sort(found)
	want := []string{"custom-dns list", "custom-dns register", "custom-dns remove", "delegation", "explain", "fault add", "fault clear", "fault list",
		"forwarder get", "forwarder reset", "forwarder set", "journal", "journal expect", "pep", "probe", "settings get", "settings set", "top"}
	if !slices.Equal(found, want) {
		t.Errorf("verbs over the API are %q, want %q", found, want)
	}
}

// TestTarget: upstreams are shown as one writes them, and as the server takes them.
func TestTarget(t *testing.T) {
	for _, tc := range []struct{ address, transport, want string }{
		{"192.0.2.1:53", "dns", "192.0.2.1"},
		{"192.0.2.1:5353", "dns", "192.0.2.1:5353"},
		{"[2001:db8::1]:53", "dns", "2001:db8::1"},
		{"[fe80::1%eth0]:53", "dns", "fe80::1%eth0"},
		{"tls://192.0.2.1:853", "tls", "tls://192.0.2.1"},
		{"tls://192.0.2.1:853%dns.example.net", "tls", "tls://192.0.2.1%dns.example.net"},
		{"tls://[2001:db8::1]:853%dns.example.net", "tls", "tls://2001:db8::1%dns.example.net"},
		{"tls://192.0.2.1:8853%dns.example.net", "tls", "tls://192.0.2.1:8853%dns.example.net"},
	} {
		if got := (&upstream{Address: tc.address, Transport: tc.transport}).target(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.address, got, tc.want)
		}
	}
}
