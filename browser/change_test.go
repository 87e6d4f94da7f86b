//go:build browser

package browser

import (
	"strings"
	"testing"
)

// TestFault switches a fault on in the page's form, and sees it in an answer, off and
// on again, and clears it.
func TestFault(t *testing.T) {
	s := serve(t)
	p := open(t, s, view{})
	name := "account.blob." + region
	if got := s.dig(corp, "127.0.0.1", name); !strings.Contains(got, "status: NOERROR") {
		t.Fatalf("before the fault: %s", got)
	}
	p.choose("#fault-kind", "servfail")
	p.choose("#fault-ns", "ns01")
	p.fill("#fault-name", "*.blob.*")
	p.fill("#fault-for", "5m")
	p.click(`#fault-form button[type="submit"]`)
	p.wait("the fault is in the table, with the time it has left",
		`/^4 min 5\d s$|^5 min/.test(document.querySelector('#fault-table tr.acting td.left')?.textContent)`)
	if got := s.dig(corp, "127.0.0.1", name); !strings.Contains(got, "status: SERVFAIL") {
		t.Errorf("with the fault: %s", got)
	}
	if got := s.dig(corp, "127.0.0.2", name); !strings.Contains(got, "status: NOERROR") {
		t.Errorf("the other server has the fault as well: %s", got)
	}
	p.wait("the stream shows the broken reply", `document.querySelector('#journal tr.broken .rcode-servfail')`)
	p.wait("the hit is counted", `document.querySelector('#fault-table tr.acting td.number')?.textContent === '1'`)
	p.wait("time goes by", `/^4 min/.test(document.querySelector('#fault-table tr.acting td.left').textContent)`)

	p.click("#fault-table .fault-switch")
	p.wait("the fault is off", `document.querySelector('#fault-table .fault-switch').getAttribute('aria-checked') === 'false'`)
	if got := s.dig(corp, "127.0.0.1", name); !strings.Contains(got, "status: NOERROR") {
		t.Errorf("with the fault off: %s", got)
	}
	p.click("#fault-table .fault-switch")
	p.wait("the fault is on again", `document.querySelector('#fault-table .fault-switch').getAttribute('aria-checked') === 'true'`)
	p.click("#fault-table .fault-clear")
	p.wait("the fault is over", `!document.querySelector('#fault-table tr.acting') && document.querySelector('#fault-table tr.over')`)

	// What is wrong stands beside the form.
	p.fill("#fault-for", "soon")
	p.click(`#fault-form button[type="submit"]`)
	p.wait("the form says what is wrong", `document.querySelector('#fault-form .result[data-kind=wrong]')?.textContent.includes('soon')`)
	p.expect("status of 400")
}

// TestForwarder sets forwarders in the page, and a query uses them.
func TestForwarder(t *testing.T) {
	s := serve(t, "--forwarder", upstream(t, "127.0.0.21", "192.0.2.201"))
	p := open(t, s, view{})
	if got := s.dig(corp, "127.0.0.1", "+short", "www.example.com"); strings.TrimSpace(got) != "192.0.2.201" {
		t.Fatalf("before: %s", got)
	}
	p.fill("#forwarders-addresses", upstream(t, "127.0.0.22", "192.0.2.202"))
	p.click(`#forwarders-form button[type="submit"]`)
	p.wait("the page has the new forwarder", `document.querySelector('#forwarder-table').textContent.includes('127.0.0.22')
		&& !document.querySelector('#forwarder-table').textContent.includes('127.0.0.21')`)
	if got := s.dig(corp, "127.0.0.1", "+short", "www2.example.com"); strings.TrimSpace(got) != "192.0.2.202" {
		t.Errorf("after: %s", got)
	}
	p.wait("its health is shown", `document.querySelector('#forwarder-table .state-up')`)

	p.fill("#custom-dns-domain", "contoso.com")
	p.fill("#custom-dns-addresses", upstream(t, "127.0.0.23", "192.0.2.203"))
	p.click(`#custom-dns-form button[type="submit"]`)
	p.wait("the page has the conditional forwarder", `document.querySelector('#custom-dns-table tr[data-domain="contoso.com"]')`)
	if got := s.dig(corp, "127.0.0.1", "+short", "www.contoso.com"); strings.TrimSpace(got) != "192.0.2.203" {
		t.Errorf("in the domain: %s", got)
	}
	p.click(`#custom-dns-table tr[data-domain="contoso.com"] button`)
	p.wait("the conditional forwarder is gone", `!document.querySelector('#custom-dns-table tr[data-domain="contoso.com"]')`)
	p.click("#forwarders-reset")
	p.wait("the forwarder of before is back", `document.querySelector('#forwarder-table').textContent.includes('127.0.0.21')`)

	p.fill("#forwarders-addresses", "nowhere")
	p.click(`#forwarders-form button[type="submit"]`)
	p.wait("the form says what is wrong", `document.querySelector('#forwarders-form .result[data-kind=wrong]')?.textContent.includes('nowhere')`)
	p.expect("status of 400")
}
