package pprof_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stampdns/stampdns/plugins/pprof"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func empty() server.Plugin {
	return servertest.Answer(func(*server.Query) server.Verdict { return server.Answered })
}

// TestProfiles asks for what tools ask for; two blocks name one address.
func TestProfiles(t *testing.T) {
	s := servertest.Start(t, "org:0 {\n pprof 127.0.0.1:0\n answer\n}\ncom:0 {\n pprof 127.0.0.1:0\n answer\n}", pprof.Plugin(), empty())
	for path, want := range map[string]string{
		"/debug/pprof/":                   "full goroutine stack dump",
		"/debug/pprof/goroutine?debug=1":  "goroutine profile: total",
		"/debug/pprof/allocs?debug=1":     "heap profile:",
		"/debug/pprof/cmdline":            ".test",
		"/debug/pprof/symbol":             "num_symbols: 1",
		"/debug/pprof/trace?seconds=0.01": "go 1.",
		"/debug/pprof/profile?seconds=1":  "\x1f\x8b", // gzip
	} {
		if status, body := s.Get("127.0.0.1:0", path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %d octets, want %q in it", path, status, len(body), want)
		}
	}
	for _, path := range []string{"/debug/pprof/nosuchprofile", "/", "/debug/vars"} {
		if status, _ := s.Get("127.0.0.1:0", path); status != 404 {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
	web := "http://" + s.HTTPAddrs()["127.0.0.1:0"].String()
	response, err := http.Post(web+"/debug/pprof/symbol", "text/plain", strings.NewReader("0x0"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("POST symbol: %s", response.Status)
	}
}

// TestStop: a profile under way does not hold up the end of the server.
func TestStop(t *testing.T) {
	s := servertest.Start(t, ".:0 {\n pprof 127.0.0.1:0\n answer\n}", pprof.Plugin(), empty())
	web := "http://" + s.HTTPAddrs()["127.0.0.1:0"].String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := http.Get(web + "/debug/pprof/profile?seconds=50"); err == nil {
			response.Body.Close()
		}
	}()
	// Another profile would say it too, but would be the only one if it came first.
	s.Wait("the profile", func() bool {
		_, stacks := s.Get("127.0.0.1:0", "/debug/pprof/goroutine?debug=1")
		return strings.Contains(stacks, "net/http/pprof.sleep")
	})
	s.Stop()
	<-done
}

// TestNotElsewhere: the listener of another directive has no profiles on it.
func TestNotElsewhere(t *testing.T) {
	other := server.Plugin{Name: "other", Setup: func(d *server.Directive) (server.Handler, error) {
		d.Next()
		return nil, d.Mount("127.0.0.1:0", "GET /other", http.NotFoundHandler())
	}}
	s := servertest.Start(t, ".:0 {\n other\n answer\n}", pprof.Plugin(), other, empty())
	if status, body := s.Get("127.0.0.1:0", "/debug/pprof/"); status != 404 || strings.Contains(body, "goroutine") {
		t.Errorf("%d %q", status, body)
	}
}

// TestBlock: the block profile is on from the start of a configuration that asks
// for it, over a reload, to one that does not.
func TestBlock(t *testing.T) {
	const with = ".:0 {\n pprof 127.0.0.1:0 {\n  block\n }\n answer\n}"
	s := servertest.Start(t, with, pprof.Plugin(), empty())
	if !records(t, s) {
		t.Error("nothing is recorded")
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.Wait("the block profile after a reload", func() bool { return records(t, s) })
	s.Rewrite(strings.Replace(with, " {\n  block\n }", "", 1))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.Wait("the end of the block profile", func() bool { return !records(t, s) })
}

// records says whether a goroutine that waits now gets into the block profile.
func records(t *testing.T, s *servertest.Server) bool {
	t.Helper()
	before := blocked(t, s)
	waitHere()
	return blocked(t, s) > before
}

// waitHere has two goroutines meet: whichever comes first waits.
//
//go:noinline
func waitHere() {
	var wg sync.WaitGroup
	c := make(chan struct{})
	wg.Go(func() { <-c })
	c <- struct{}{}
	wg.Wait()
}

// blocked is how often waitHere waited, by the profile.
func blocked(t *testing.T, s *servertest.Server) (n int) {
	t.Helper()
	status, body := s.Get("127.0.0.1:0", "/debug/pprof/block?debug=1")
	if status != 200 {
		t.Fatalf("block profile: %d", status)
	}
	for _, part := range strings.Split(body, "\n\n") {
		if strings.Contains(part, "waitHere") {
			n += count(part)
		}
	}
	return n
}

// count reads the events of a stack: "CYCLES EVENTS @ ADDRESS…".
func count(part string) (n int) {
	for line := range strings.Lines(part) {
		words := strings.Fields(line)
		if len(words) < 3 || words[2] != "@" {
			continue
		}
		for _, c := range words[1] {
			if c < '0' || c > '9' {
				return 0
			}
			n = 10*n + int(c-'0')
		}
	}
	return n
}

// TestProfileIsRead: what comes is a profile, not an error message in one.
func TestProfileIsRead(t *testing.T) {
	s := servertest.Start(t, ".:0 {\n pprof 127.0.0.1:0\n answer\n}", pprof.Plugin(), empty())
	_, body := s.Get("127.0.0.1:0", "/debug/pprof/heap")
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || !bytes.Contains(text, []byte("inuse_space")) {
		t.Errorf("%d octets, %v", len(text), err)
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"pprof 6053", `"6053" is no address to listen on: write HOST:PORT or :PORT`},
		{"pprof :1 :2", "pprof takes at most one argument, not 2 (usage: pprof [ADDRESS]"},
		{"pprof {\n blok\n }", `unknown property "blok"`},
		{"pprof {\n block 0\n }", `block rate "0" is not a number of nanoseconds, 1 or more`},
		{"pprof {\n block fast\n }", `block rate "fast"`},
		{"pprof {\n block 1 2\n }", "block takes at most one argument, not 2"},
		{"pprof 127.0.0.1:0 {\n block 5\n }\n answer\n}\norg:0 {\n pprof 127.0.0.1:0 {\n block 6\n }", "another server block asks for a block rate of 5"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", pprof.Plugin(), empty())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
