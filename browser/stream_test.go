//go:build browser

package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStream pauses, filters and goes on.
func TestStream(t *testing.T) {
	s := serve(t)
	p := open(t, s, view{})
	s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
	s.dig(lab, "127.0.0.2", "nosuch."+region)
	p.wait("both are there", `document.querySelectorAll('#journal tbody tr').length === 2`)
	p.choose("#f-rcode", "NXDOMAIN")
	p.wait("one matches", `document.querySelectorAll('#journal tbody tr').length === 1 && document.querySelector('#journal').textContent.includes('nosuch.')`)
	p.wait("the stream goes on", `document.querySelector('#journal-state').dataset.state === 'live'`)
	s.dig(corp, "127.0.0.1", "+norec", "management."+region)
	s.dig(corp, "127.0.0.1", "+norec", "nosuch2."+region)
	p.wait("what matches comes, the newest first", `document.querySelectorAll('#journal tbody tr').length === 2 && document.querySelector('#journal tbody tr').textContent.includes('nosuch2.')`)
	p.choose("#f-rcode", "")
	p.fill("#f-name", "manage")
	p.wait("a part of a name is enough", `document.querySelectorAll('#journal tbody tr').length === 1 && document.querySelector('#journal').textContent.includes('management.')`)
	p.fill("#f-name", " ")
	p.wait("all are there", `document.querySelectorAll('#journal tbody tr').length === 4`)

	p.click("#pause")
	p.wait("the page says so", `document.querySelector('#journal-state').textContent === 'paused' && document.querySelector('#pause').getAttribute('aria-pressed') === 'true'`)
	s.dig(corp, "127.0.0.1", "+norec", "graph."+region)
	var status struct {
		Endpoints []struct{ Seen map[string]string }
	}
	until(t, "the server has seen the query", func() bool {
		s.get("/status", &status)
		seen := 0
		for _, e := range status.Endpoints {
			seen += len(e.Seen)
		}
		return seen >= 3
	})
	if n := eval[int](p, `document.querySelectorAll('#journal tbody tr').length`); n != 4 {
		t.Errorf("a paused stream has %d rows", n)
	}
	p.click("#pause")
	p.wait("it goes on with what came meanwhile", `document.querySelectorAll('#journal tbody tr').length === 5`)

	p.fill("#f-type", "NOTATYPE")
	p.wait("it says what is wrong with a filter", `document.querySelector('#journal-state').textContent.includes('NOTATYPE')`)
	p.expect("status of 400")
}

// TestLoad streams a thousand queries a second for ten seconds, and stays smooth.
func TestLoad(t *testing.T) {
	s := serve(t)
	p := open(t, s, view{})
	stop := make(chan struct{})
	s.flood(1000, stop)
	defer close(stop)
	p.wait("the stream says what it leaves out", `/\d+ not shown/.test(document.querySelector('#journal-skipped').textContent)`)
	// What else runs on the machine makes a browser late as well: one good span is enough.
	for span := 1; ; span++ {
		gaps := p.frames(10 * time.Second)
		t.Logf("%d frames in 10 s; between two of them: median %.0f ms, 95 %% within %.0f ms, at most %.0f ms", gaps.Frames, gaps.Median, gaps.P95, gaps.Most)
		if gaps.Median <= 40 && gaps.P95 <= 150 && gaps.Most <= 1500 {
			break
		}
		if span == 3 {
			t.Errorf("the page is not smooth")
			break
		}
	}
	if n := eval[int](p, `document.querySelectorAll('#journal tbody tr').length`); n > 200 {
		t.Errorf("the stream has %d rows", n)
	}
	p.wait("the picture has the rate", `parseFloat(document.querySelector('#map .server .port').textContent) > 300`)
}

// gaps are the milliseconds between two frames of the page.
type gaps struct {
	Frames            int
	Median, P95, Most float64
}

// frames watches the page draw.
func (p *page) frames(span time.Duration) gaps {
	p.t.Helper()
	eval[bool](p, `(window.watched = { gaps: [], last: performance.now() }, (function beat(now) {
		watched.gaps.push(now - watched.last); watched.last = now; watched.next = requestAnimationFrame(beat); })(watched.last), true)`)
	<-time.After(span)
	return eval[gaps](p, `(cancelAnimationFrame(watched.next), watched.gaps.sort((a, b) => a - b), { Frames: watched.gaps.length,
		Median: watched.gaps[watched.gaps.length >> 1], P95: watched.gaps[Math.floor(watched.gaps.length * 0.95)], Most: watched.gaps.at(-1) })`)
}

// TestCost measures what an open page costs the server while nobody asks.
func TestCost(t *testing.T) {
	s := serve(t)
	s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
	p := open(t, s, view{})
	p.wait("the stream is live", `document.querySelector('#journal-state').dataset.state === 'live'`)
	const seconds = 5
	before := s.cpu()
	<-time.After(seconds * time.Second)
	share := float64(s.cpu()-before) / (seconds * 100) // /proc counts in hundredths of a second
	t.Logf("an open page costs the server %.1f %% of a core", 100*share)
	if share > 0.02 {
		t.Errorf("an open page costs the server %.1f %% of a core", 100*share)
	}

	// One that nobody looks at costs nothing: it does not ask.
	eval[bool](p, `(Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true }), window.away = true,
		document.dispatchEvent(new Event('visibilitychange')), true)`)
	const asked = `performance.getEntriesByType('resource').length`
	<-time.After(time.Second) // for what was under way
	first := eval[int](p, asked)
	<-time.After(5 * time.Second / 2)
	if last := eval[int](p, asked); last != first {
		t.Errorf("a page that nobody looks at asked %d times", last-first)
	}
	s.dig(corp, "127.0.0.1", "+norec", "graph."+region)
	eval[bool](p, `(window.away = false, document.dispatchEvent(new Event('visibilitychange')), true)`)
	p.wait("it catches up when it is looked at", `document.querySelectorAll('#journal tbody tr').length === 2`)
}

// cpu is the time that the server used, in hundredths of a second.
func (s *served) cpu() (ticks int) {
	s.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var user, system int
	words := strings.Fields(rest)
	if _, err := fmt.Sscan(words[11]+" "+words[12], &user, &system); err != nil {
		s.t.Fatal(err)
	}
	return user + system
}
