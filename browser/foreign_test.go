//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// streams is how many clients may follow the journal at once.
const streams = 16

// TestForeign looks at a page of another site that asks the API for streams in each way
// that pages have: it gets none. Then all are taken, and the status page says so until
// one is free.
func TestForeign(t *testing.T) {
	s := serve(t)
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><link rel="icon" href="data:,"><script>
const ended = new Set(), stream = '%s/api/v1/journal/stream?';
for (let i = 0; i < 3; i++) new EventSource(stream + 'max=' + (i + 1)).onerror = () => ended.add('source ' + i);
fetch(stream, { mode: 'no-cors' }).then((r) => r.text()).then(() => ended.add('fetch'));
new Image().src = stream;
addEventListener('load', () => {
	const frame = document.createElement('iframe');
	frame.onload = () => ended.add('frame');
	frame.src = stream;
	document.body.append(frame);
});
</script>`, s.page)
	}))
	t.Cleanup(foreign.Close)
	p := open(t, s, view{})
	p.do(chromedp.Navigate(strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1)))
	p.wait("the other site's requests are over", `ended.has('source 0') && ended.has('source 1') && ended.has('source 2') && ended.has('frame')`)

	var taken []*http.Response
	free := func() {
		for _, response := range taken {
			response.Body.Close()
		}
		taken = nil
	}
	t.Cleanup(free)
	for n := range streams {
		response, err := http.Get(s.page + "/api/v1/journal/stream")
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, response)
		if response.StatusCode != http.StatusOK {
			t.Errorf("stream %d: %s", n, response.Status)
		}
	}
	late := open(t, s, view{})
	late.wait("the page says that there is no stream", `document.querySelector('#journal-state').textContent.includes('too many')`)
	s.dig(corp, "127.0.0.1", "+norec", "portal."+region)
	late.wait("it shows queries all the same", `document.querySelector('#journal').textContent.includes('portal.')`)
	free()
	late.wait("the stream is live", `document.querySelector('#journal-state').dataset.state === 'live'`)
	late.expect("status of 503")
	p.do(chromedp.Navigate("about:blank"))
	p.mu.Lock()
	p.faults = nil // that the browser kept the other site from reading is as it should be
	p.mu.Unlock()
}
