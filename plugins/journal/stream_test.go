package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// event is one server-sent event, or an id without data.
type event struct {
	id, name string
	entry    entry
	count    uint64
	reason   string
	beat     bool
}

// listener is a client of a stream.
type listener struct {
	t      *testing.T
	events chan event // closed when the stream ends
	status int
	body   string // of what is no stream
	cancel context.CancelFunc
}

// listen follows url from behind last on, until the test ends or close is called.
func listen(t *testing.T, url, last string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, events: make(chan event, 1<<16), status: response.StatusCode, cancel: cancel}
	t.Cleanup(cancel)
	if l.status != 200 {
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Scan()
		l.body = lines.Text()
		return l
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %s", got)
	}
	go func() {
		defer close(l.events)
		defer response.Body.Close()
		l.read(bufio.NewScanner(response.Body))
	}()
	return l
}

// read parses the stream as the HTML standard says.
func (l *listener) read(lines *bufio.Scanner) {
	var e event
	data := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data += value
		case "retry":
		case "":
			if lines.Text() != "" {
				break // a comment
			}
			var into any = &e.entry
			if e.name == "skipped" {
				into = &struct {
					Count  *uint64
					Reason *string
				}{&e.count, &e.reason}
			}
			if e.beat = data == ""; !e.beat {
				if err := json.Unmarshal([]byte(data), into); err != nil {
					l.t.Errorf("%s: %v", data, err)
				}
			}
			l.events <- e
			e, data = event{}, ""
		}
	}
}

// next is the next event, beats aside.
func (l *listener) next() event {
	l.t.Helper()
	for {
		e := l.any()
		if !e.beat {
			return e
		}
	}
}

// any is the next event.
func (l *listener) any() event {
	l.t.Helper()
	select {
	case e, ok := <-l.events:
		if !ok {
			l.t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(servertest.Patience):
		l.t.Fatal("nothing comes")
	}
	return event{}
}

// ended waits for the end of the stream.
func (l *listener) ended() {
	l.t.Helper()
	for {
		select {
		case _, ok := <-l.events:
			if !ok {
				return
			}
		case <-time.After(servertest.Patience):
			l.t.Fatal("the stream does not end")
		}
	}
}

// requestTime is how long the server gives a request.
const requestTime = 500 * time.Millisecond

// followed is a journal that is served without a server of DNS.
func followed(t *testing.T, workers, size int) (*journal, string) {
	t.Helper()
	c := &config{journal: made(workers, size), stopped: make(chan struct{})}
	c.journal.pace = pace{5 * time.Millisecond, 10 * time.Millisecond, servertest.Patience}
	s := httptest.NewUnstartedServer(http.HandlerFunc(c.stream))
	s.Config.ReadTimeout, s.Config.WriteTimeout = requestTime, requestTime
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(c.stopped) })
	return c.journal, s.URL
}

// write records n queries for a name.
func write(t *testing.T, j *journal, name string, n int) {
	t.Helper()
	q := query(t, name, 0)
	for i := range n {
		j.rings[i%len(j.rings)].record(q, "ns01")
	}
}

// TestFollow: who follows gets what matches as it comes, and what was there before if
// that is wanted; signs of life tell how far it has come.
func TestFollow(t *testing.T) {
	j, url := followed(t, 2, 100)
	write(t, j, "before.example.org", 3)
	l := listen(t, url+"?name=a.*", "")
	if e := l.any(); !e.beat || e.id != j.cursor(3) {
		t.Errorf("first comes %+v", e)
	}
	write(t, j, "b.example.org", 2)
	write(t, j, "a.example.org", 2)
	for id := range uint64(2) {
		if e := l.next(); e.name != "" || e.entry.ID != id+6 || e.id != j.cursor(id+6) || e.entry.Name != "a.example.org." {
			t.Errorf("comes %+v", e)
		}
	}
	write(t, j, "b.example.org", 1)
	for l.any().id != j.cursor(8) {
	}
	past := listen(t, url+"?since=2000-01-01T00:00:00Z&name=before.*", "")
	for id := range uint64(3) {
		if e := past.next(); e.entry.ID != id+1 {
			t.Errorf("from the past comes %+v", e)
		}
	}
	if e := listen(t, url+"?after=7", "").next(); e.entry.ID != 8 {
		t.Errorf("behind 7 comes %+v", e)
	}
	// A browser gives its first address again with what it has come to.
	if e := listen(t, url+"?after=2", j.cursor(7)).next(); e.entry.ID != 8 {
		t.Errorf("behind 7 comes %+v", e)
	}
	// What a server before has sent is not of this journal.
	if e := listen(t, url, "other-7").next(); e.entry.ID != 1 {
		t.Errorf("behind another journal's comes %+v", e)
	}
}

// TestStreamOutlivesTimeouts: the server's time-outs for a request do not end a
// stream.
func TestStreamOutlivesTimeouts(t *testing.T) {
	j, url := followed(t, 1, 100)
	l := listen(t, url, "")
	for start := time.Now(); time.Since(start) < 2*requestTime; {
		l.any() // signs of life come all the time
	}
	write(t, j, "a.example.org", 1)
	if e := l.next(); e.entry.ID != 1 {
		t.Errorf("comes %+v", e)
	}
}

// TestResume: over broken connections and with all workers writing, each entry comes
// once, in order.
func TestResume(t *testing.T) {
	const workers, each = 4, 2000
	j, url := followed(t, workers, workers*each)
	var writers sync.WaitGroup
	defer writers.Wait()
	for w := range workers {
		q := query(t, "a.example.org", 0)
		writers.Go(func() {
			for i := range each {
				j.rings[w].record(q, "")
				if i%20 == 0 {
					<-time.After(time.Millisecond) // so that streams are broken in between
				}
			}
		})
	}
	last, cursor := uint64(0), j.cursor(0)
	for connections := 0; last < workers*each; connections++ {
		l := listen(t, url+"?max=10000", cursor)
		for range 300 + 100*connections {
			if last == workers*each {
				break
			}
			e := l.next()
			if e.name != "" || e.entry.ID != last+1 {
				t.Fatalf("behind %d comes %+v", last, e)
			}
			last, cursor = e.entry.ID, e.id
		}
		l.cancel()
	}
}

// TestStreamRate: more than the client wants is left out, which is told; what is from
// the past waits.
func TestStreamRate(t *testing.T) {
	j, url := followed(t, 2, 1000)
	write(t, j, "a.example.org", 15)
	l := listen(t, url+"?max=10&after=0", "")
	for id := range uint64(15) {
		if e := l.next(); e.entry.ID != id+1 {
			t.Fatalf("comes %+v, want %d", e, id+1)
		}
	}
	l = listen(t, url+"?max=10", "")
	l.any()
	write(t, j, "a.example.org", 300)
	entries, skipped := 0, 0
	for entries+skipped < 300 {
		switch e := l.next(); {
		case e.name == "":
			entries++
		case e.reason == skipRate:
			skipped += int(e.count)
		default:
			t.Fatalf("comes %+v", e)
		}
	}
	if entries+skipped != 300 || entries < 10 || entries > 50 {
		t.Errorf("%d entries, %d left out", entries, skipped)
	}
}

// TestStreamOverwritten: what newer entries took the place of is told.
func TestStreamOverwritten(t *testing.T) {
	j, url := followed(t, 2, 20)
	write(t, j, "a.example.org", 50)
	l := listen(t, url, j.cursor(10))
	entries, lost := 0, 0
	for entries+lost < 40 {
		if e := l.next(); e.name == "" {
			entries++
		} else if e.reason == skipOverwritten {
			lost += int(e.count)
		}
	}
	if entries != 20 || lost != 20 {
		t.Errorf("%d entries, %d lost", entries, lost)
	}
}

// TestStreamSampled: queries that were not recorded are told.
func TestStreamSampled(t *testing.T) {
	j, url := followed(t, 1, 1000)
	j.adopt(options{1000, minRate})
	l := listen(t, url, "")
	l.any()
	write(t, j, "a.example.org", 2000)
	entries, skipped := 0, 0
	for entries+skipped < 2000 {
		if e := l.next(); e.name == "" {
			entries++
		} else if e.reason == skipSampled {
			skipped += int(e.count)
		} else {
			t.Fatalf("comes %+v", e)
		}
	}
	if skipped < 1000 || entries < 10 {
		t.Errorf("%d entries, %d not recorded", entries, skipped)
	}
}

// TestTooManyStreams: one client more than may follow is told so, and finds a place
// when another one goes.
func TestTooManyStreams(t *testing.T) {
	_, url := followed(t, 1, 100)
	var all []*listener
	for range maxStreams {
		l := listen(t, url, "")
		l.any()
		all = append(all, l)
	}
	if l := listen(t, url, ""); l.status != 503 || !strings.Contains(l.body, "16 clients follow the journal, which is the most") {
		t.Errorf("one more: %d %s", l.status, l.body)
	}
	all[3].cancel()
	wait(t, "a place", func() bool { return listen(t, url, "").status == 200 })
}

// wait is servertest's Wait without a server.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(servertest.Patience); !done(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestStalledReader: a client that does not read loses its place.
func TestStalledReader(t *testing.T) {
	j, url := followed(t, 1, 20000)
	j.pace.write = time.Second
	write(t, j, strings.Repeat(strings.Repeat(`\001`, 62)+".", 4), 20000)
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(c, "GET /?after=0&max=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	wait(t, "the client to have a place", func() bool { return len(j.streams) == 1 })
	wait(t, "the client to lose its place", func() bool { return len(j.streams) == 0 })
}

func TestStreamErrors(t *testing.T) {
	_, url := followed(t, 1, 100)
	for query, want := range map[string]string{
		"?max=0": "from 1 to 10000", "?max=10001": "from 1 to 10000", "?max=x": "from 1 to 10000", "?limit=1": "there is no filter",
		"?after=x": "neither the id", "?path=x": "is none of",
	} {
		if l := listen(t, url+query, ""); l.status != 400 || !strings.Contains(l.body, want) {
			t.Errorf("%s: %d %s, want %s", query, l.status, l.body, want)
		}
	}
	for _, last := range []string{"x", "-1", "a-b", "a-", "99999999999999999999", "a-1-1"} {
		if l := listen(t, url, last); l.status != 400 || !strings.Contains(l.body, "Last-Event-ID") {
			t.Errorf("%s: %d %s", last, l.status, l.body)
		}
	}
	response, err := http.Head(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close() // it has ended, or this would hang
}

// TestStreamEnds: a stream ends with its configuration, and goes on in the next one
// without a loss; it ends at once with the server.
func TestStreamEnds(t *testing.T) {
	o := observe(t, "journal")
	url := "http://" + o.HTTPAddrs()[web].String() + "/api/v1/journal/stream"
	l := listen(t, url, "")
	cursor := l.any().id
	o.ask("a.example.org.", dns.TypeA)
	if e := l.next(); e.entry.Name != "a.example.org." {
		t.Errorf("comes %+v", e)
	} else {
		cursor = e.id
	}
	if err := o.Reload(); err != nil {
		t.Fatal(err)
	}
	l.ended()
	o.ask("b.example.org.", dns.TypeA)
	l = listen(t, url, cursor)
	if e := l.next(); e.entry.Name != "b.example.org." {
		t.Errorf("comes %+v", e)
	}
	stopped := time.Now()
	o.Stop()
	l.ended()
	if took := time.Since(stopped); took > 5*time.Second {
		t.Errorf("the server ends after %s", took)
	}
}
