//go:build browser

package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// focus gives an element the keyboard.
func focus(selector string) chromedp.Action[chromedp.Void] { return chromedp.Focus(selector) }

// press presses a key: a character, or the name of an arrow.
func (p *page) press(key string) {
	p.t.Helper()
	if key == "ArrowLeft" {
		key = kb.ArrowLeft
	}
	p.do(chromedp.KeyEvent(key))
}

// TestHostileNames asks for names that would be markup, and sees them as text.
func TestHostileNames(t *testing.T) {
	s := serve(t)
	names := []string{
		`<script>alert(1)</script>.` + region,
		`<img src=x onerror=alert(2)>.` + region,
		`"><svg onload=alert(3)>.` + region,
		`'};alert(4);{'.` + region,
		`\226\128\174evil.` + region, // turns the direction of writing
		`{{.Status}}${7*7}.` + region,
	}
	for _, name := range names {
		s.dig(corp, "127.0.0.1", "+norec", "-q", strings.ReplaceAll(name, " ", `\032`))
	}
	for _, script := range []string{"", "off"} {
		t.Run("script="+script, func(t *testing.T) {
			p := open(t, s, view{script: script})
			if script == "" {
				p.wait("all are there", fmt.Sprintf(`[...document.querySelectorAll('#journal tbody tr')].length >= %d`, len(names)))
			}
			var stored struct {
				Entries []struct{ Name string }
			}
			s.get("/journal", &stored)
			shown := eval[[]string](p, `[...document.querySelectorAll('#journal tbody td.name')].map((c) => c.textContent)`)
			for i, entry := range stored.Entries {
				want := entry.Name
				got := strings.TrimSuffix(shown[len(stored.Entries)-1-i], ".")
				if got != strings.TrimSuffix(want, ".") {
					t.Errorf("%s is shown as %s", want, got)
				}
			}
			if n := eval[int](p, `document.querySelectorAll('#journal script, #journal img, #journal svg').length`); n != 0 {
				t.Errorf("names made %d elements", n)
			}
			if script == "" { // in the dialog as well
				for i := range names {
					eval[bool](p, fmt.Sprintf(`(document.querySelectorAll('#journal tbody td.name button')[%d].click(), true)`, i))
					p.wait("the dialog is there", `document.querySelector('#query').open && !document.querySelector('#query-explain').textContent.includes('asking')`)
					if n := eval[int](p, `document.querySelectorAll('#query script, #query img, #query svg').length`); n != 0 {
						t.Errorf("names made %d elements in the dialog", n)
					}
				}
			}
		})
	}
}

// TestWithoutScript reads the page as the server writes it.
func TestWithoutScript(t *testing.T) {
	s := serve(t, "--forwarder", upstream(t, "127.0.0.21", "192.0.2.201"))
	for range 6 {
		s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
		s.dig(lab, "127.0.0.2", "management."+region)
	}
	p := open(t, s, view{script: "off"})
	for part, words := range map[string]string{
		"#stamp": "azs-ns01." + region, "#endpoints": "portal." + region, "#findings": "corp", "#queries": "management." + region,
		"#resolvers": corp, "#forwarders": "127.0.0.21", "#faults": "stampdns fault add", "#history": "Time to answer", "#map-sentences": "lab asked",
	} {
		if got := eval[string](p, fmt.Sprintf("document.querySelector(%q).innerText", part)); !strings.Contains(got, words) {
			t.Errorf("%s does not say %q: %s", part, words, got)
		}
	}
	if n := eval[int](p, `document.querySelectorAll('#map path').length`); n < 2 {
		t.Errorf("the picture has %d lines", n)
	}
	if n := eval[int](p, `[...document.querySelectorAll('button')].filter((b) => b.checkVisibility() && !b.matches(':disabled') && b.id !== 'query-close' && b.textContent !== 'Show').length`); n != 0 {
		t.Errorf("%d buttons look as if they worked", n)
	}
	p.shoot("without-script")
}

// TestNarrow looks with a telephone.
func TestNarrow(t *testing.T) {
	s := serve(t, "--forwarder", upstream(t, "127.0.0.21", "192.0.2.201"), "--custom-dns", "contoso.com=127.0.0.22:5353")
	s.dig(corp, "127.0.0.1", "+norec", strings.Repeat("a", 63)+"."+strings.Repeat("b", 63)+"."+region)
	for i := range 25 {
		s.dig(lab, "127.0.0.1", fmt.Sprintf("x%d.blob.%s", i, region))
	}
	for _, script := range []string{"", "off"} {
		p := open(t, s, view{width: 360, height: 740, script: script})
		if script == "" {
			p.wait("it is all there", `document.querySelector('#journal tbody tr.broken, #journal tbody tr')`)
		}
		if wide := eval[int](p, `document.scrollingElement.scrollWidth`); wide > 360 {
			t.Errorf("script %q: the page is %d wide", script, wide)
		}
		p.shoot("narrow" + script)
	}
}

// TestColors follows the system, until somebody chooses, and keeps the choice.
func TestColors(t *testing.T) {
	s := serve(t)
	const background = `getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number).reduce((a, b) => a + b) / 3`
	light, dark := open(t, s, view{}), open(t, s, view{scheme: "dark"})
	if got := eval[float64](light, background); got < 200 {
		t.Errorf("the light page's background has brightness %.0f", got)
	}
	if got := eval[float64](dark, background); got > 50 {
		t.Errorf("the dark page's background has brightness %.0f", got)
	}
	dark.click("#theme")
	dark.wait("the page is light", background+" > 200")
	dark.do(chromedp.Reload())
	dark.wait("it is still light after it was loaded again", background+" > 200 && document.querySelector('#theme').textContent.includes('Dark')")
	dark.click("#theme")
	dark.wait("the page is dark again", background+" < 50")
}

// TestPictures takes a light and a dark picture of a stamp at work.
func TestPictures(t *testing.T) {
	s := serve(t, "--forwarder", upstream(t, "127.0.0.21", "192.0.2.201"), "--custom-dns", "contoso.com="+upstream(t, "127.0.0.22", "192.0.2.202"))
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	s.mixture(stop)
	s.dig(visitor, "127.0.0.1", "www.example.com")
	s.dig(visitor, "127.0.0.1", "www.contoso.com")
	p := open(t, s, view{width: 1440, height: 900})
	p.wait("there is something to see", `document.querySelectorAll('#journal tbody tr').length > 60 && document.querySelectorAll('.finding.warning').length > 0
		&& document.querySelector('#map path.busy')`)
	p.shoot("light")
	d := open(t, s, view{width: 1440, height: 900, scheme: "dark"})
	d.choose("#fault-kind", "servfail")
	d.choose("#fault-ns", "ns01")
	d.fill("#fault-name", "*.queue.*")
	d.click(`#fault-form button[type="submit"]`)
	d.wait("the fault shows", `document.querySelector('#journal tr.broken') && document.querySelector('#fault-table tr.acting') && document.querySelector('#map path.busy')`)
	eval[bool](d, `(document.activeElement.blur(), scrollTo(0, 0), true)`)
	d.shoot("dark")
}
