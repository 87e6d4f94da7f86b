package ready_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stampdns/stampdns/plugins/ready"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func TestReady(t *testing.T) {
	var ok atomic.Bool
	slow := server.Plugin{Name: "slow", Setup: func(d *server.Directive) (server.Handler, error) {
		for _, name := range []string{"first", "second"} {
			d.OnReady(name, func() error {
				if ok.Load() {
					return nil
				}
				return errors.New("still loading")
			})
		}
		return nil, nil
	}}
	s := servertest.Start(t, "org:0 {\n ready 127.0.0.1:0\n slow\n}\nnet:0 {\n ready 127.0.0.1:0\n}", ready.Plugin(), slow)
	if status, body := s.Get("127.0.0.1:0", "/ready"); status != 503 || body != "first: still loading\nsecond: still loading\n" {
		t.Errorf("%d %q", status, body)
	}
	ok.Store(true)
	if status, body := s.Get("127.0.0.1:0", "/ready"); status != 200 || body != "OK" {
		t.Errorf("%d %q", status, body)
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"ready localhost", `"localhost" is no address to listen on`},
		{"ready :1 :2", "ready takes at most one argument, not 2 (usage: ready [ADDRESS])"},
		{"ready {\n x\n }", `has no property "x"`},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", ready.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
