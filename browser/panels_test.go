//go:build browser

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPanels has two real resolvers and dig ask the server, and sees it in each part
// of the page, as it comes.
func TestPanels(t *testing.T) {
	s := serve(t)
	p := open(t, s, view{})
	p.wait("the picture says that nobody has asked, or who", `document.querySelectorAll('#map .node').length >= 3`)
	if got := p.text("#ready"); got != "ready" {
		t.Errorf("the page says %q of a server that is ready", got)
	}
	for _, zone := range []string{region, "east.cloudapp.cloud.fabrikam.com"} {
		if got := p.text(fmt.Sprintf("#zones tr[data-zone=%q] .serial", zone)); got != "1" {
			t.Errorf("the serial of %s is %q", zone, got)
		}
	}
	viaCorp, viaLab := s.unbound(corp, true), s.unbound(lab, false)
	for i := range 30 {
		viaCorp(fmt.Sprintf("account%d.blob.%s", i, region), "A")
		viaLab(fmt.Sprintf("vault%d.vault.%s", i, region), "A")
	}
	s.dig(visitor, "127.0.0.2", "management."+region)
	s.dig(visitor, "127.0.0.1", "+norec", "+tcp", region, "SOA")

	// Progress at a glance: a tick for each resolver, and none where it did not ask.
	p.wait("endpoints have ticks for who asked", `document.querySelector('[data-endpoint="*.blob.east.cloud.fabrikam.com"] td[data-resolver=corp] .yes')
		&& document.querySelector('[data-endpoint="*.vault.east.cloud.fabrikam.com"] td[data-resolver=lab] .yes')`)
	if !eval[bool](p, `Boolean(document.querySelector('[data-endpoint="*.vault.east.cloud.fabrikam.com"] td[data-resolver=corp] .no'))`) {
		t.Error("the endpoint that corp did not ask for has a tick")
	}
	// The picture: the path is the color, and a warning is amber.
	p.wait("the picture has both resolvers with their paths", `document.querySelector('#map path.path-iterative[data-resolver=corp]')
		&& document.querySelector('#map path.path-forwarded[data-resolver=lab]')`)
	p.wait("a warning is amber in the picture, with its sentence in the findings",
		`document.querySelector('#map .node.amber') && [...document.querySelectorAll('.finding.warning')].some((f) => f.textContent.includes('cloudapp'))`)
	p.wait("the stream has queries by both paths", `document.querySelector('#journal .path-iterative') && document.querySelector('#journal .path-forwarded')`)
	p.wait("the table of resolvers knows what corp can do", `document.querySelector('#resolver-table tr[data-resolver=corp] [data-capability=edns] .yes')`)
	p.wait("the history has the queries, with its next ten seconds", `document.querySelector('#chart-paths .area')?.getAttribute('d')`)
	p.wait("the history has response codes and latency", `document.querySelector('#chart-rcodes .area')?.getAttribute('d') && document.querySelector('#chart-latency path.series')?.getAttribute('d')`)
	// Width is queries per second: it shrinks once nobody asks.
	p.wait("lines become thin once nobody asks", `document.querySelector('#map path.path-iterative[data-resolver=corp].idle')?.getAttribute('stroke-width') < 1.5`)
}

// TestFacts opens one query, and closes it by keyboard.
func TestFacts(t *testing.T) {
	s := serve(t)
	s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
	p := open(t, s, view{})
	p.wait("the query is there", `document.querySelector('#journal tbody tr td.name button')`)
	p.do(focus("#journal tbody tr td.name button"))
	p.press("\r")
	p.wait("the dialog has the facts", `document.querySelector('#query').open && document.querySelector('#query-facts').textContent.includes('127.0.0.11')`)
	p.wait("the dialog has what decides", `document.querySelector('#query-explain .decides')?.textContent.includes('authority')`)
	for _, fact := range []string{"corp", "delegation", "UDP", "cookie", "NOERROR", region} {
		if got := p.text("#query-facts"); !strings.Contains(got, fact) {
			t.Errorf("the facts do not say %q: %s", fact, got)
		}
	}
	p.press("\x1b")
	p.wait("Escape closes the dialog", `!document.querySelector('#query').open`)
}

// TestEndpoints filters the table and takes it along.
func TestEndpoints(t *testing.T) {
	s := serve(t)
	p := open(t, s, view{script: `window.saved = ''; window.copied = '';
		navigator.clipboard.writeText = async (text) => { window.copied = text; };
		const make = URL.createObjectURL;
		URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return make(blob); };`})
	all := eval[int](p, `document.querySelectorAll('#endpoint-table tbody tr').length`)
	if all < 15 {
		t.Fatalf("the table has %d endpoints", all)
	}
	p.fill("#endpoint-filter", "portal 443")
	p.wait("the table has the portals only", `document.querySelectorAll('#endpoint-table tbody tr').length === 2`)
	p.click("#endpoints-copy")
	p.wait("what is shown was copied", `window.copied.split('\n').length === 3 && window.copied.includes('portal.east.cloud.fabrikam.com\t')`)
	p.click("#endpoints-csv")
	p.wait("what is shown was saved", `window.saved.includes('portal.east.cloud.fabrikam.com,') && window.saved.startsWith('Name,Service,Address')`)
	p.fill("#endpoint-filter", "no such endpoint")
	p.wait("nothing matches", `document.querySelectorAll('#endpoint-table tbody tr').length === 0`)
}

// TestKeyboard reads a chart without a mouse, and skips to the content.
func TestKeyboard(t *testing.T) {
	s := serve(t)
	s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
	p := open(t, s, view{})
	p.press("\t")
	if got := eval[string](p, `document.activeElement.className`); got != "skip" {
		t.Errorf("the first thing that Tab comes to is %q", got)
	}
	p.wait("the chart is drawn", `document.querySelector('#chart-latency').tabIndex === 0`)
	p.do(focus("#chart-latency"))
	p.press("ArrowLeft")
	p.wait("the chart tells of a moment", `/at \d\d:\d\d:\d\d UTC/.test(document.querySelector('#chart-latency-summary').textContent)`)
	unnamed := eval[string](p, `[...document.querySelectorAll('button, input, select, [tabindex="0"]')].filter((e) => e.checkVisibility()
		&& !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML).join(' ')`)
	if unnamed != "" {
		t.Errorf("controls without a name: %s", unnamed)
	}
}

// TestGone says that the server is gone, and that it is back.
func TestGone(t *testing.T) {
	s := serve(t)
	p := open(t, s, view{})
	s.stop()
	p.wait("the banner says so", `!document.querySelector('#banner').hidden && document.querySelector('#journal-state').dataset.state === 'lost'`)
	s.again()
	p.wait("the page is live again", `document.querySelector('#banner').hidden && document.querySelector('#journal-state').dataset.state === 'live'`)
	s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
	p.wait("the stream goes on", `document.querySelector('#journal tbody').textContent.includes('portal.')`)
	p.expect("ERR_")
}

// TestToken opens a page that wants a token, and changes something there.
func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--api-token-file", file)
	p := open(t, s, view{user: "anybody:0123456789abcdef0123456789abcdef@"})
	p.wait("the stream is live", `document.querySelector('#journal-state').dataset.state === 'live'`)
	p.choose("#fault-kind", "refused")
	p.click(`#fault-form button[type="submit"]`)
	p.wait("the fault is in use", `document.querySelector('#fault-table tr.acting')`)
}

// TestFewDirectives opens the page of a server that has next to nothing to show.
func TestFewDirectives(t *testing.T) {
	port, api := freePort(t), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	file := filepath.Join(t.TempDir(), "Corefile")
	corefile := fmt.Sprintf(".:%d {\n    bind 127.0.0.1\n    api %s\n    status\n}\n", port, api)
	if err := os.WriteFile(file, []byte(corefile), 0o644); err != nil {
		t.Fatal(err)
	}
	p := open(t, begin(t, port, api, "--conf", file), view{})
	p.wait("the page has polled", `/up \d+ s/.test(document.querySelector('#uptime').textContent)`)
	p.shoot("few-directives")
}
