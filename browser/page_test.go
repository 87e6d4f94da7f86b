//go:build browser

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long the page may take for what a test waits for.
const patience = 20 * time.Second

// page is a tab that shows the status page.
type page struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string // what the console said
}

// view is how somebody looks at the page.
type view struct {
	width, height int64  // 1440x900 unless given
	scheme        string // the system's color scheme: light unless given
	user          string // "NAME:TOKEN@" where the page wants one
	script        string // evaluated before the page's own; "off" is no scripts at all
}

// open opens the server's page in a new tab until the end of the test. What the
// console complains of fails the test.
func open(t *testing.T, s *served, v view) *page {
	t.Helper()
	p := &page{t: t}
	ctx, cancel := chromedp.NewContext(chrome, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	ctx, stop := context.WithTimeout(ctx, 80*time.Second)
	p.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			p.shoot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		stop()
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, fault := range p.faults {
			t.Errorf("the browser complains: %s", fault)
		}
	})
	if v.width == 0 {
		v.width, v.height = 1440, 900
	}
	if v.scheme == "" {
		v.scheme = "light"
	}
	p.do(
		call(log.Enable, cdp.Empty{}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}}),
		call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.script == "off"}),
		chromedp.EmulateViewport(v.width, v.height),
	)
	if v.script != "" && v.script != "off" {
		p.do(call(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: v.script}))
	}
	p.do(chromedp.Navigate(strings.Replace(s.page, "//", "//"+v.user, 1)))
	if v.script != "off" {
		p.wait("the page is live", `document.documentElement.classList.contains('live') && (document.querySelector('#map.drawn') || !document.querySelector('#map'))`)
	}
	return p
}

// call is a command of the browser's protocol as a step.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, command, params)
		return v, err
	}
}

// listen notes what the console complains of.
func (p *page) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.complain(text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			var words []string
			for _, arg := range e.Args {
				words = append(words, string(arg.Value)+arg.Description)
			}
			p.complain(strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.complain(fmt.Sprintf("%s %s", e.Entry.Text, e.Entry.URL))
		}
	case *cdppage.EventJavascriptDialogOpening:
		p.complain("a dialog opens: " + e.Message)
	}
}

func (p *page) complain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, text)
}

// expect takes the complaints with a text as they should be, and fails where there
// are none.
func (p *page) expect(text string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		p.mu.Lock()
		kept := p.faults[:0]
		for _, fault := range p.faults {
			if !strings.Contains(fault, text) {
				kept = append(kept, fault)
			}
		}
		found := len(kept) < len(p.faults)
		p.faults = kept
		p.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the browser does not say %q", text)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval is the value of an expression in the page.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until an expression holds.
func (p *page) wait(what, expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !eval[bool](p, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			p.t.Fatalf("after %v it is not so that %s: %s", patience, what, expression)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// text is the text of the first element that matches, "" if none does.
func (p *page) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf("(document.querySelector(%q)?.textContent || '').trim()", selector))
}

// click clicks on an element as a mouse does.
func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.ScrollIntoView(selector), chromedp.Click(selector))
}

// fill types a text into a field in the place of what it holds.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	p.do(chromedp.ScrollIntoView(selector))
	eval[bool](p, fmt.Sprintf("(document.querySelector(%q).select(), true)", selector))
	p.do(chromedp.SendKeys(selector, text))
}

// choose takes an option of a list.
func (p *page) choose(selector, value string) {
	p.t.Helper()
	chosen := eval[string](p, fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.value = %q;
		s.dispatchEvent(new Event('input', { bubbles: true })); s.dispatchEvent(new Event('change', { bubbles: true })); return s.value; })()`, selector, value))
	if chosen != value {
		p.t.Fatalf("%s has no choice %q", selector, value)
	}
}

// shoot writes a picture of what is on the screen.
func (p *page) shoot(name string) {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(*screenshots, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(*screenshots, name+".png"), picture, 0o644)
	}
	if err != nil {
		p.t.Errorf("picture %s: %v", name, err)
	}
}
