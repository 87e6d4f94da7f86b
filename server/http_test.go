package server

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// get is the body that the server gives for path at the address addr of the Corefile.
func get(t testing.TB, s *Server, addr, path string) string {
	t.Helper()
	bound, ok := s.HTTPAddrs()[addr]
	if !ok {
		t.Fatalf("%s is not in %v", addr, s.HTTPAddrs())
	}
	r, err := http.Get("http://" + bound.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK {
		return r.Status
	}
	return string(b)
}

func TestMountsFollowReloads(t *testing.T) {
	s, path := newLab().startFile(t, `.:0 {
		bind 127.0.0.1
		mount 127.0.0.1:0 /a one
		mount 127.0.0.1:0 /b two
	}
	other.:0 {
		bind 127.0.0.1
		mount 127.0.0.1:0 /c three
		mount localhost:0 /a four
	}`)
	before := s.HTTPAddrs()["127.0.0.1:0"]
	for path, want := range map[string]string{"/a": "one", "/b": "two", "/c": "three", "/d": "404 Not Found"} {
		if got := get(t, s, "127.0.0.1:0", path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := get(t, s, "localhost:0", "/a"); got != "four" {
		t.Error(got)
	}
	gone := s.HTTPAddrs()["localhost:0"]
	write(t, path, ".:0 {\n bind 127.0.0.1\n mount 127.0.0.1:0 /b new\n}\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if s.HTTPAddrs()["127.0.0.1:0"] != before {
		t.Error("the listener was not kept")
	}
	for path, want := range map[string]string{"/a": "404 Not Found", "/b": "new"} {
		if got := get(t, s, "127.0.0.1:0", path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	eventually(t, "unused listener closed", func() bool {
		r, err := http.Get("http://" + gone.String() + "/a")
		if err == nil {
			r.Body.Close()
		}
		return err != nil
	})
}

func TestMountConflicts(t *testing.T) {
	s := newLab().newServer(t)
	for text, want := range map[string]string{
		".:0 {\n mount :9153 /a x\n mount :9153 /a y\n}\n":           "Corefile:3: mount: /a at :9153 is taken already by Corefile:2",
		".:0 {\n mount :9153 a x\n}\n":                               "Corefile:2: mount: mount a at :9153: ",
		".:0 {\n mount :9153 /{x}/b x\n mount :9153 /a/{y} y\n}\n":   "Corefile:3: mount: mount /a/{y} at :9153: ",
		"a.:0 {\n mount H:1 /a x\n}\nb.:0 {\n mount h:1 /a x\n}\n\n": "Corefile:5: mount: /a at h:1 is taken already by Corefile:2",
	} {
		if err := s.Validate(Corefile{Text: []byte(text)}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestReady(t *testing.T) {
	l := newLab()
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n check zones\n}\n")
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	fault := errors.New("not loaded")
	l.ready.Store(&fault)
	if err := s.Ready(); !errors.Is(err, fault) || err.Error() != "zones: not loaded" {
		t.Error(err)
	}
}
