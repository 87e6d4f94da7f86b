package health_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/health"
	"github.com/stampdns/stampdns/plugins/ready"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func empty() server.Plugin {
	return servertest.Answer(func(*server.Query) server.Verdict { return server.Answered })
}

func TestHealth(t *testing.T) {
	// One block may stand for two ports, and two blocks may name one address.
	s := servertest.Start(t, "org:0 com:1 {\n bind\n health 127.0.0.1:0\n}\nnet:0 {\n health 127.0.0.1:0\n}", health.Plugin(), anyPort())
	if status, body := s.Get("127.0.0.1:0", "/health"); status != 200 || body != "OK" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := s.Get("127.0.0.1:0", "/other"); status != 404 {
		t.Errorf("another path: %d", status)
	}
}

// anyPort is the directive "bind"; it takes any free port in place of the key's.
func anyPort() server.Plugin {
	return server.Plugin{Name: "bind", Setup: func(d *server.Directive) (server.Handler, error) {
		d.Block.Port = 0
		return nil, nil
	}}
}

// TestLameDuck says that the server answers on for a while after it was told to
// stop, healthy and not ready.
func TestLameDuck(t *testing.T) {
	s := servertest.Start(t, ".:0 {\n health 127.0.0.1:0 {\n  lameduck 1h\n }\n ready 127.0.0.1:0\n answer\n}",
		health.Plugin(), ready.Plugin(), empty())
	to, web := s.Addrs()[0], s.HTTPAddrs()["127.0.0.1:0"]
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	s.Wait("not being ready", func() bool { return s.Ready() != nil })
	if _, err := s.TryExchange("udp", to, servertest.Question("example.org.", dns.TypeA), servertest.Patience); err != nil {
		t.Errorf("no answer from a lame duck: %v", err)
	}
	if body := get(t, fmt.Sprintf("http://%s/health", web)); !strings.HasPrefix(body, "200") {
		t.Errorf("health of a lame duck: %s", body)
	}
	if body := get(t, fmt.Sprintf("http://%s/ready", web)); !strings.HasPrefix(body, "503") {
		t.Errorf("readiness of a lame duck: %s", body)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(servertest.Patience):
		t.Fatal("the lame duck does not end")
	}
}

// get is the status and the body that url answers with.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", r.StatusCode, body)
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"health 8080", `"8080" is no address to listen on: write HOST:PORT or :PORT`},
		{"health :1 :2", "health takes at most one argument, not 2 (usage: health [ADDRESS]"},
		{"health {\n lame 1s\n }", `unknown property "lame"`},
		{"health {\n lameduck\n }", "lameduck takes one argument, not 0"},
		{"health {\n lameduck -1s\n }", "too short"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", health.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
