package status

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/miekg/dns"
	"golang.org/x/net/html"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/delegation"
	"github.com/stampdns/stampdns/plugins/fault"
	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/forward"
	"github.com/stampdns/stampdns/plugins/journal"
	"github.com/stampdns/stampdns/plugins/stamp"
	"github.com/stampdns/stampdns/plugins/state"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// at is where the API of the tests is.
const at = "127.0.0.1:0"

// page is a running server with its page.
type page struct {
	*servertest.Server
	t testing.TB
}

// all are the plugins whose directives the page shows something of. seen are the
// resolvers that queries come from, in turn: nil for what delegation says.
func all(seen *atomic.Pointer[server.Resolver]) []server.Plugin {
	looks := server.Plugin{Name: "looks", Observer: true, Implicit: seen != nil, Setup: func(*server.Directive) (server.Handler, error) {
		return looker{seen}, nil
	}}
	return []server.Plugin{
		bind.Plugin(), state.Plugin(), api.Plugin(), delegation.Plugin(), looks, journal.Plugin(), Plugin("1.2.3"),
		fault.Plugin(), stamp.Plugin(), file.Plugin(), authority.Plugin(), forward.Gate(), forward.Plugin(),
	}
}

// looker says whom queries come from.
type looker struct {
	seen *atomic.Pointer[server.Resolver]
}

func (l looker) In(q *server.Query) server.Verdict {
	if r := l.seen.Load(); r != nil {
		q.Resolver = r
	}
	return server.Next
}

func (looker) Out(*server.Query) {}

const whole = " bind 127.0.0.1 127.0.0.2\n api 127.0.0.1:0\n status\n delegation {\n  resolver corp 192.0.2.0/24\n  resolver lab 127.0.0.0/8\n }\n" +
	" journal\n fault\n stamp\n forward\n forward . 192.0.2.53 192.0.2.54\n forward contoso.com 192.0.2.55\n"

// start runs a server with the lines in its block.
func start(t testing.TB, lines string, plugins ...server.Plugin) *page {
	t.Helper()
	if plugins == nil {
		plugins = all(nil)
	}
	return &page{servertest.Start(t, ".:0 {\n"+lines+"}\n", plugins...), t}
}

// ask sends a question to the n-th name server.
func (p *page) ask(n int, name string, rd bool) *dns.Msg {
	p.t.Helper()
	m := servertest.Question(name, dns.TypeA)
	m.RecursionDesired = rd
	return p.Exchange("udp", p.Addrs()[n-1], m)
}

// response makes a request with headers, "Name: value".
func (p *page) response(path string, headers ...string) (*http.Response, string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), "GET", "http://"+servertest.Reachable(p.HTTPAddrs()[at]).String()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if request.Header.Set(name, value); name == "Host" {
			request.Host = value
		}
	}
	r, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return r, string(body)
}

// get is the body of a page that must be there.
func (p *page) get(path string) string {
	p.t.Helper()
	r, body := p.response(path)
	if r.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %d %s", path, r.StatusCode, body)
	}
	return body
}

// api is an answer of the API, which is held against its document.
func (p *page) api(path string) string {
	p.t.Helper()
	r, body := p.response("/api/v1" + path)
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi.json")
	if err != nil {
		p.t.Fatal(err)
	}
	routes, err := legacy.NewRouter(doc)
	if err != nil {
		p.t.Fatal(err)
	}
	request := httptest.NewRequest("GET", "/api/v1"+path, nil)
	route, params, err := routes.FindRoute(request)
	if err != nil {
		p.t.Fatal(err)
	}
	err = openapi3filter.ValidateResponse(p.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 r.StatusCode, Header: r.Header, Body: io.NopCloser(bytes.NewReader([]byte(body))),
	})
	if err != nil {
		p.t.Errorf("%s: %d %s: %v", path, r.StatusCode, body, err)
	}
	return body
}

// tree is an HTML document.
type tree struct{ *html.Node }

func parse(t testing.TB, text string) tree {
	t.Helper()
	n, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree{n}
}

// each calls f with all elements.
func (n tree) each(f func(tree)) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode {
			f(tree{d})
		}
	}
}

// id is the element with an id.
func (n tree) id(t testing.TB, id string) (found tree) {
	t.Helper()
	n.each(func(e tree) {
		if e.attr("id") == id {
			found = e
		}
	})
	if found.Node == nil {
		t.Fatalf("there is no #%s", id)
	}
	return found
}

// all are the elements below with an attribute of that value; "*" is any.
func (n tree) all(attr, value string) (list []tree) {
	n.each(func(e tree) {
		for _, a := range e.Attr {
			if a.Key == attr && (value == "*" || a.Val == value) {
				list = append(list, e)
			}
		}
	})
	return list
}

func (n tree) attr(name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is all text below, with single blanks.
func (n tree) text() string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// observed is an observer that is fed by hand.
func observed(t testing.TB, names ...string) *observer {
	t.Helper()
	o := newObserver(2, noon())
	o.watch(names, "r.example", 1)
	return o
}

// source is a client of the tests.
func source() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:4242") }
