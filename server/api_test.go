package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const testToken = "0123456789abcdef"

// apiLab has the directives of the API's tests: serveapi ADDR [TOKEN [tls]], and
// route PATTERN WHAT.
type apiLab struct {
	*lab
	entered chan struct{} // told by each request that a route holds
	free    chan struct{} // ends their waiting
	certs   []tls.Certificate
}

func newAPILab() *apiLab {
	return &apiLab{lab: newLab(), entered: make(chan struct{}, 2*maxAPIRequests), free: make(chan struct{})}
}

func (l *apiLab) add(o *Options) {
	o.Plugins = append(o.Plugins,
		Plugin{Name: "serveapi", Setup: func(d *Directive) (Handler, error) {
			d.Next()
			args := append(d.RemainingArgs(), "", "")
			o := APIOptions{Addr: args[0], Token: []byte(args[1])}
			if args[2] == "tls" {
				o.TLS = &tls.Config{Certificates: slices.Clone(l.certs)}
			}
			return nil, d.ServeAPI(o)
		}},
		Plugin{Name: "route", Setup: func(d *Directive) (Handler, error) {
			for d.Next() {
				args := d.RemainingArgs()
				if err := d.MountAPI(args[0], l.handler(args[1])); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}},
	)
}

func (l *apiLab) handler(what string) http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"hello": func(w http.ResponseWriter, r *http.Request) {
			WriteJSON(w, http.StatusOK, map[string]string{"hello": r.PathValue("name")})
		},
		"read": func(w http.ResponseWriter, r *http.Request) {
			var v struct{ Addresses []string }
			if ReadJSON(w, r, &v) {
				WriteJSON(w, http.StatusOK, v)
			}
		},
		"count": func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			WriteJSON(w, http.StatusOK, fmt.Sprint(n, " ", err))
		},
		"panic": func(http.ResponseWriter, *http.Request) { panic("a bug") },
		"late": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "begun")
			http.NewResponseController(w).Flush()
			panic("a bug")
		},
		"nan": func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, http.StatusOK, func() {}) },
		"hold": func(w http.ResponseWriter, _ *http.Request) {
			l.entered <- struct{}{}
			<-l.free
			WriteJSON(w, http.StatusOK, "done")
		},
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			fmt.Fprintln(w, c.SetWriteDeadline(time.Time{}), c.Flush())
			c.Flush()
			<-l.free
		},
	}[what]
}

const routes = `
	route "GET /api/v1/hello/{name}" hello
	route "PUT /api/v1/read" read
	route "PUT /api/v1/count" count
	route "DELETE /api/v1/hello/{name}" hello
	route "GET /api/v1/panic" panic
	route "GET /api/v1/late" late
	route "GET /api/v1/nan" nan
	route "GET /api/v1/hold" hold
	route "GET /api/v1/stream" stream
`

// response is what came back.
type response struct {
	status int
	header http.Header
	body   string
}

// fault is the text of an error of the API; what is none is a fault of the test.
func (r response) fault(t testing.TB) string {
	t.Helper()
	var body struct{ Error string }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Error == "" || r.status < 400 {
		t.Errorf("status %d with %q is no error of the API: %v", r.status, r.body, err)
	}
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("an error of type %q", got)
	}
	return body.Error
}

// call sends a request; headers are "Name: value", and Host is one of them.
func call(t testing.TB, url, method, path, body string, headers ...string) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	r, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{r.StatusCode, r.Header, string(b)}
}

const asJSON = "Content-Type: application/json"

func TestAPIGuard(t *testing.T) {
	open := newAPILab()
	closed := newAPILab()
	url := map[bool]string{
		false: open.start(t, ".:0 {\n bind 127.0.0.1\n serveapi 127.0.0.1:0\n"+routes+"}\n", open.add).APIAddrs()[0].URL(),
		true:  closed.start(t, ".:0 {\n bind 127.0.0.1\n serveapi :0 "+testToken+"\n"+routes+"}\n", closed.add).APIAddrs()[0].URL(),
	}
	bearer := "Authorization: Bearer " + testToken
	basic := func(user, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	password := basic("user", testToken)
	large := `{"addresses":["` + strings.Repeat("x", maxAPIBody) + `"]}`
	for name, tc := range map[string]struct {
		token        bool
		method, path string
		body         string
		headers      []string
		status       int
		want         string // in the body
	}{
		"plain":          {false, "GET", "/api/v1/hello/a", "", nil, 200, `{"hello":"a"}`},
		"localhost":      {false, "GET", "/api/v1/hello/a", "", []string{"Host: LocalHost:8053"}, 200, "a"},
		"IPv6 loopback":  {false, "GET", "/api/v1/hello/a", "", []string{"Host: [::1]:8053"}, 200, "a"},
		"no port":        {false, "GET", "/api/v1/hello/a", "", []string{"Host: 127.0.0.1"}, 200, "a"},
		"rebinding":      {false, "GET", "/api/v1/hello/a", "", []string{"Host: dns.contoso.com"}, 403, "no name of this machine"},
		"other address":  {false, "GET", "/api/v1/hello/a", "", []string{"Host: 192.0.2.1:8053"}, 403, "no name of this machine"},
		"like localhost": {false, "GET", "/api/v1/hello/a", "", []string{"Host: localhost.contoso.com"}, 403, "no name of this machine"},
		"needless token": {false, "GET", "/api/v1/hello/a", "", []string{"Authorization: Bearer x"}, 200, "a"},

		"no token":       {true, "GET", "/api/v1/hello/a", "", nil, 401, "no token sent"},
		"wrong token":    {true, "GET", "/api/v1/hello/a", "", []string{bearer + "x"}, 401, "token sent is wrong"},
		"half a token":   {true, "GET", "/api/v1/hello/a", "", []string{bearer[:len(bearer)-1]}, 401, "token sent is wrong"},
		"empty token":    {true, "GET", "/api/v1/hello/a", "", []string{"Authorization: Bearer"}, 401, "token sent is wrong"},
		"another scheme": {true, "GET", "/api/v1/hello/a", "", []string{"Authorization: Digest YTpi"}, 401, "no bearer token"},
		"token":          {true, "GET", "/api/v1/hello/a", "", []string{bearer}, 200, "a"},
		"any host":       {true, "GET", "/api/v1/hello/a", "", []string{bearer, "Host: dns.contoso.com"}, 200, "a"},

		"password":                {true, "GET", "/api/v1/hello/a", "", []string{password}, 200, "a"},
		"password of nobody":      {true, "GET", "/api/v1/hello/a", "", []string{basic("", testToken)}, 200, "a"},
		"wrong password":          {true, "GET", "/api/v1/hello/a", "", []string{basic("user", testToken+"x")}, 401, "token sent is wrong"},
		"half a password":         {true, "GET", "/api/v1/hello/a", "", []string{basic("user", testToken[1:])}, 401, "token sent is wrong"},
		"no password":             {true, "GET", "/api/v1/hello/a", "", []string{basic(testToken, "")}, 401, "token sent is wrong"},
		"no Base64":               {true, "GET", "/api/v1/hello/a", "", []string{"Authorization: Basic %"}, 401, "no bearer token"},
		"write with password":     {true, "PUT", "/api/v1/read", `{"addresses":["a"]}`, []string{asJSON, password, "Sec-Fetch-Site: same-origin"}, 200, "a"},
		"other site, password":    {true, "DELETE", "/api/v1/hello/a", "", []string{password, "Sec-Fetch-Site: cross-site"}, 403, "pages of other sites"},
		"sister site, password":   {true, "PUT", "/api/v1/read", "{}", []string{asJSON, password, "Sec-Fetch-Site: same-site"}, 403, "pages of other sites"},
		"other origin, password":  {true, "PUT", "/api/v1/read", "{}", []string{asJSON, password, "Origin: https://www.contoso.com"}, 403, "pages of other sites"},
		"form of another site":    {true, "PUT", "/api/v1/read", "a=b", []string{"Content-Type: text/plain", password, "Sec-Fetch-Site: cross-site"}, 403, "pages of other sites"},
		"form with password":      {true, "PUT", "/api/v1/read", "a=b", []string{"Content-Type: application/x-www-form-urlencoded", password}, 415, "application/x-www-form-urlencoded"},
		"page without token":      {true, "GET", "/", "", nil, 401, "no token sent"},
		"page with wrong token":   {true, "GET", "/", "", []string{basic("user", "x")}, 401, "token sent is wrong"},
		"page with bearer token":  {true, "GET", "/", "", []string{bearer}, 404, "there is no /"},
		"page under another name": {false, "GET", "/", "", []string{"Host: dns.contoso.com"}, 403, "no name of this machine"},
		"hidden paths":            {true, "GET", "/nowhere", "", nil, 401, "no token sent"},

		"write":              {false, "PUT", "/api/v1/read", `{"addresses":["a"]}`, []string{asJSON}, 200, `{"Addresses":["a"]}`},
		"charset":            {false, "PUT", "/api/v1/read", `{"addresses":["a"]}`, []string{asJSON + "; charset=utf-8"}, 200, "a"},
		"without body":       {false, "DELETE", "/api/v1/hello/a", "", nil, 200, "a"},
		"form":               {false, "PUT", "/api/v1/read", `{}`, []string{"Content-Type: text/plain"}, 415, `"text/plain"`},
		"no type":            {false, "DELETE", "/api/v1/hello/a", `{}`, nil, 415, "send Content-Type"},
		"empty":              {false, "PUT", "/api/v1/read", ``, []string{asJSON}, 400, "it is empty"},
		"other site":         {false, "DELETE", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: cross-site"}, 403, "pages of other sites"},
		"other origin":       {false, "PUT", "/api/v1/read", "{}", []string{asJSON, "Origin: https://www.contoso.com"}, 403, "pages of other sites"},
		"other site, token":  {true, "DELETE", "/api/v1/hello/a", "", []string{bearer, "Sec-Fetch-Site: same-site"}, 403, "pages of other sites"},
		"own page":           {false, "DELETE", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: same-origin"}, 200, "a"},
		"other site reads":   {false, "GET", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, 403, "pages of other sites"},
		"sister site reads":  {false, "GET", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 403, "pages of other sites"},
		"other origin reads": {false, "GET", "/api/v1/hello/a", "", []string{"Origin: https://www.contoso.com"}, 403, "pages of other sites"},
		"no origin reads":    {true, "GET", "/api/v1/hello/a", "", []string{password, "Origin: null"}, 403, "pages of other sites"},
		"frame":              {false, "GET", "/", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403, "pages of other sites"},
		"link":               {true, "GET", "/api/v1/hello/a", "", []string{password, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, "a"},
		"form as a link":     {false, "DELETE", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 403, "pages of other sites"},
		"typed address":      {false, "GET", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, "a"},
		"own page reads":     {false, "GET", "/api/v1/hello/a", "", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, 200, "a"},
		"too long":           {false, "PUT", "/api/v1/read", large, []string{asJSON}, 413, "longer than 65536 octets"},

		"no such path":   {false, "GET", "/api/v1/nothing", "", nil, 404, "there is no /api/v1/nothing"},
		"no such method": {false, "POST", "/api/v1/hello/a", "", nil, 405, "use DELETE, GET, HEAD"},
		"not JSON":       {false, "GET", "/api/v1/nan", "", nil, 500, "a fault of the server"},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, url[tc.token], tc.method, tc.path, tc.body, tc.headers...)
			if r.status != tc.status || !strings.Contains(r.body, tc.want) && !strings.Contains(r.fault(t), tc.want) {
				t.Errorf("%d %s, want %d …%s…", r.status, r.body, tc.status, tc.want)
			}
			if r.status >= 400 {
				r.fault(t)
			}
			if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" ||
				r.header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" || r.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("headers %v", r.header)
			}
			scheme := ""
			if tc.status == 401 {
				scheme = "Basic"
				if strings.HasPrefix(tc.path, "/api/") {
					scheme = "Bearer"
				}
			}
			if got, _, _ := strings.Cut(r.header.Get("WWW-Authenticate"), " "); got != scheme {
				t.Errorf("WWW-Authenticate: %q", got)
			}
			if tc.status == 405 && r.header.Get("Allow") != "DELETE, GET, HEAD" {
				t.Errorf("Allow: %q", r.header.Get("Allow"))
			}
		})
	}
}

// A body of unknown length is bounded while it is read, whoever reads it.
func TestAPIChunkedBody(t *testing.T) {
	l := newAPILab()
	url := l.start(t, ".:0 {\n bind 127.0.0.1\n serveapi 127.0.0.1:0\n"+routes+"}\n", l.add).APIAddrs()[0].URL()
	for path, want := range map[string]string{
		"/api/v1/read":  `413 {"error":"the body is longer than 65536 octets, which is the most"}`,
		"/api/v1/count": `200 "65536 http: request body too large"`,
	} {
		body := io.MultiReader(strings.NewReader(`{"addresses":["`), io.LimitReader(endless('x'), 1<<20), strings.NewReader(`"]}`))
		request, err := http.NewRequestWithContext(t.Context(), "PUT", url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if got := fmt.Sprintf("%d %s", r.StatusCode, bytes.TrimSpace(b)); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
}

type endless byte

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

func TestAPIConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		".:0 {\n serveapi :8053\n}\n":                                                            "Corefile:2: serveapi: other machines may reach :8053, so a token is needed: add a line token FILE",
		".:0 {\n serveapi 0.0.0.0:8053\n}\n":                                                     "Corefile:2: serveapi: other machines may reach 0.0.0.0:8053",
		".:0 {\n serveapi [::]:8053\n}\n":                                                        "Corefile:2: serveapi: other machines may reach [::]:8053",
		".:0 {\n serveapi 192.0.2.53:8053\n}\n":                                                  "Corefile:2: serveapi: other machines",
		".:0 {\n serveapi dns.contoso.com:8053\n}\n":                                             "Corefile:2: serveapi: other machines",
		".:0 {\n serveapi localhost.example:8053\n}\n":                                           "Corefile:2: serveapi: other machines",
		"a.:0 {\n serveapi 127.0.0.1:0\n}\nb.:0 {\n serveapi 127.0.0.1:0 " + testToken + "\n}\n": "Corefile:5: serveapi: the API at 127.0.0.1:0 has another token at Corefile:2: give both the same",
		"a.:0 {\n serveapi localhost:0 " + testToken + " tls\n}\nb.:0 {\n serveapi LOCALHOST:0 " + testToken + "\n}\n": "Corefile:5: serveapi: the API at localhost:0 has another certificate at Corefile:2",
		".:0 {\n route \"GET /a\" hello\n route \"GET /a\" hello\n}\n":                                                 "Corefile:3: route: GET /a of the API is taken already by Corefile:2",
		".:0 {\n route \"GET  a\" hello\n}\n":                                                                          "Corefile:2: route: mount GET  a of the API: ",
		".:0 {\n mount 127.0.0.1:0 / x\n serveapi 127.0.0.1:0\n}\n":                                                    "Corefile:3: serveapi: / at 127.0.0.1:0 is taken already by Corefile:2",
		// These are in order.
		".:0 {\n serveapi 127.0.0.2:0\n}\n": "", ".:0 {\n serveapi [::1]:0\n}\n": "", ".:0 {\n serveapi localhost:0\n}\n": "",
		".:0 {\n serveapi :8053 " + testToken + "\n}\n":                                                                    "",
		"a.:0 {\n serveapi localhost:0 " + testToken + " tls\n}\nb.:0 {\n serveapi localhost:0 " + testToken + " tls\n}\n": "",
	} {
		l := newAPILab()
		err := l.newServer(t, l.add).Validate(Corefile{Text: []byte(text)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// A name that leads to other addresses than it says does not open the API.
func TestAPIBoundElsewhere(t *testing.T) {
	g := &generation{apis: []apiPoint{{at: place{"Corefile", 7}, directive: "api", APIOptions: APIOptions{Addr: "localhost:8053"}}}}
	err := g.checkBound("localhost:8053", netip.MustParseAddrPort("192.0.2.1:8053"))
	if err == nil || !strings.HasPrefix(err.Error(), "Corefile:7: api: localhost:8053 is 192.0.2.1:8053, which other machines may reach") {
		t.Error(err)
	}
	if err := g.checkBound("localhost:8053", netip.MustParseAddrPort("127.0.0.1:8053")); err != nil {
		t.Error(err)
	}
}

// Routes may come before the directive that serves them, at several addresses, and
// are nowhere without it; what else is mounted at an address is not behind the guard.
func TestAPIMounts(t *testing.T) {
	l := newAPILab()
	s, path := l.startFile(t, `a.:0 {
		bind 127.0.0.1
		route "GET /api/v1/hello/{name}" hello
		mount 127.0.0.1:0 /metrics numbers
	}
	b.:0 {
		bind 127.0.0.1
		serveapi 127.0.0.1:0 `+testToken+`
	}
	c.:0 {
		bind 127.0.0.1
		serveapi localhost:0
	}`, l.add)
	if got := get(t, s, "127.0.0.1:0", "/metrics"); got != "numbers" {
		t.Error(got)
	}
	addrs := s.APIAddrs()
	if len(addrs) != 2 || !addrs[0].Token || addrs[1].Token || addrs[0].TLS ||
		addrs[0].Addr != "127.0.0.1:0" || addrs[0].Bound != s.HTTPAddrs()["127.0.0.1:0"] {
		t.Fatalf("%+v", addrs)
	}
	for i, want := range []int{401, 200} {
		if r := call(t, addrs[i].URL(), "GET", "/api/v1/hello/a", ""); r.status != want {
			t.Errorf("%s: %d, want %d", addrs[i].URL(), r.status, want)
		}
	}
	// Without the API the address has just the other mount.
	write(t, path, ".:0 {\n bind 127.0.0.1\n mount 127.0.0.1:0 /metrics numbers\n route \"GET /api/v1/hello/{name}\" hello\n}\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "127.0.0.1:0", "/api/v1/hello/a"); got != "404 Not Found" || len(s.APIAddrs()) != 0 {
		t.Error(got, s.APIAddrs())
	}
}

func TestAPIURL(t *testing.T) {
	for _, tc := range []struct {
		addr string
		tls  bool
		want string
	}{
		{":0", false, "http://127.0.0.1:99"}, {"0.0.0.0:8053", true, "https://127.0.0.1:99"}, {"[::]:0", false, "http://127.0.0.1:99"},
		{"dns.contoso.com:0", true, "https://dns.contoso.com:99"}, {"[::1]:0", false, "http://[::1]:99"},
	} {
		if got := (APIAddr{Addr: tc.addr, Bound: loopback(1, 99), TLS: tc.tls}).URL(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.addr, got, tc.want)
		}
	}
}

// Handlers that panic cost their request; a response that has begun ends short.
func TestAPIPanics(t *testing.T) {
	l := newAPILab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n serveapi 127.0.0.1:0\n"+routes+" say hello\n}\n", l.add)
	url := s.APIAddrs()[0].URL()
	if r := call(t, url, "GET", "/api/v1/panic", ""); r.status != 500 || !strings.Contains(r.fault(t), "a fault of the server") {
		t.Errorf("%d %s", r.status, r.body)
	}
	r, err := http.Get(url + "/api/v1/late")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err == nil || string(b) != "begun" {
		t.Errorf("a response cut short reads as %q, %v", b, err)
	}
	if n := metric(t, s, "stampdns_panics_total"); n != 2 {
		t.Errorf("%v panics counted", n)
	}
	if log := l.log(); !strings.Contains(log, "a handler of the API panicked") || !strings.Contains(log, "path=/api/v1/panic") {
		t.Error(log)
	}
}

// There are only so many requests at once, and none of them holds up a query.
func TestAPIBounded(t *testing.T) {
	l := newAPILab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n serveapi 127.0.0.1:0\n"+routes+" say hello\n}\n", l.add)
	url := s.APIAddrs()[0].URL()
	done := make(chan error, maxAPIRequests)
	for range maxAPIRequests {
		go func() {
			r, err := http.Get(url + "/api/v1/hold")
			if err == nil {
				r.Body.Close()
			}
			done <- err
		}()
	}
	for range maxAPIRequests {
		<-l.entered
	}
	r := call(t, url, "GET", "/api/v1/hello/a", "")
	if r.status != 503 || r.header.Get("Retry-After") != "1" || !strings.Contains(r.fault(t), "64 requests are under way") {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != "hello" {
		t.Error(got)
	}
	close(l.free)
	for range maxAPIRequests {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if r := call(t, url, "GET", "/api/v1/hello/a", ""); r.status != 200 {
		t.Error(r.status)
	}
}

// A response may go on for long: what the server allows can be lifted.
func TestAPIStream(t *testing.T) {
	l := newAPILab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n serveapi 127.0.0.1:0\n"+routes+"}\n", l.add)
	r, err := http.Get(s.APIAddrs()[0].URL() + "/api/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if line, err := bufio.NewReader(r.Body).ReadString('\n'); err != nil || line != "<nil> <nil>\n" {
		t.Errorf("%q %v", line, err)
	}
	close(l.free)
}
