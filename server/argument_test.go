package server_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// reads is the directive "read", whose set-up is f.
func reads(f func(d *server.Directive) error) server.Plugin {
	return server.Plugin{Name: "read", Usage: "read THIS", Setup: func(d *server.Directive) (server.Handler, error) {
		return nil, f(d)
	}}
}

func TestArguments(t *testing.T) {
	for _, tc := range []struct {
		text        string
		least, most int
		want        string // of the error, "" for none
	}{
		{"read", 0, 0, ""},
		{"read a b", 2, -1, ""},
		{"read a", 0, 0, "read takes no arguments, not 1 (usage: read THIS)"},
		{"read", 1, 1, "read takes one argument, not 0"},
		{"read a b c", 2, 2, "read takes 2 arguments, not 3"},
		{"read a b", 0, 1, "read takes at most one argument, not 2"},
		{"read a", 2, 4, "read takes 2 to 4 arguments, not 1"},
		{"read", 1, -1, "read takes at least one argument, not 0"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", reads(func(d *server.Directive) error {
			d.Next()
			_, err := d.Arguments(tc.least, tc.most)
			return err
		}))
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.text, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}

// TestBraceOnLine says what is wrong with a block on one line.
func TestBraceOnLine(t *testing.T) {
	_, err := servertest.Try(t, ".:0 {\n read {\n  time 1s }\n}", reads(func(d *server.Directive) error {
		d.Next()
		d.NextBlock()
		_, err := d.DurationArgument(0)
		return err
	}))
	if err == nil || !strings.Contains(err.Error(), "time: the closing brace of a block stands on a line of its own") {
		t.Errorf("error %v", err)
	}
}

func TestEnd(t *testing.T) {
	for text, want := range map[string]string{
		"read":               "",
		"read {\n }":         "",
		"read\n read":        "Corefile:3: read: stands twice in one server block",
		"read {\n a\n }":     `read: has no property "a" (usage: read THIS)`,
		"read {\n }\n read ": "stands twice",
	} {
		_, err := servertest.Try(t, ".:0 {\n "+text+"\n}", reads(func(d *server.Directive) error {
			d.Next()
			return d.End()
		}))
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	dir := t.TempDir()
	check := func(d *server.Directive) error {
		d.Next()
		if v, err := d.Duration("x", "90s", time.Minute); v != 90*time.Second || err != nil {
			t.Errorf("90s: %v %v", v, err)
		}
		for _, text := range []string{"", "90", "59s", "-2m"} {
			if v, err := d.Duration("x", text, time.Minute); err == nil {
				t.Errorf("%q is %v", text, v)
			}
		}
		for text, good := range map[string]bool{
			":8080": true, "127.0.0.1:0": true, "[::1]:9153": true, "localhost:1": true,
			"": false, "8080": false, "localhost": false, "127.0.0.1:": false, ":70000": false, ":http": false,
		} {
			if _, err := d.Address(text); (err == nil) != good {
				t.Errorf("address %q: %v", text, err)
			}
		}
		if names, err := d.Names(nil); err != nil || len(names) != 2 || names[1].String() != "net." {
			t.Errorf("the block's names: %v %v", names, err)
		}
		if names, err := d.Names([]string{"Example.ORG"}); err != nil || len(names) != 1 || names[0].String() != "example.org." {
			t.Errorf("names: %v %v", names, err)
		}
		if got := d.Path("zones/db"); got != filepath.Join(dir, "zones", "db") {
			t.Errorf("relative path: %s", got)
		}
		if got := d.Path(os.DevNull); got != os.DevNull {
			t.Errorf("absolute path: %s", got)
		}
		return nil
	}
	s, err := servertest.TryIn(t, dir, "org:0 net:0 {\n read\n}", reads(check))
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
}

// TestShareAll says that the blocks of a configuration have a value together,
// and that another configuration has another.
func TestShareAll(t *testing.T) {
	type value struct{ blocks int }
	var seen []*value
	s := servertest.Start(t, "org:0 {\n read\n}\nnet:0 {\n read\n}", reads(func(d *server.Directive) error {
		v := server.ShareAll(d, func() *value { return new(value) })
		v.blocks++
		seen = append(seen, v)
		return nil
	}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 4 || seen[0] != seen[1] || seen[2] != seen[3] || seen[0] == seen[2] || seen[0].blocks != 2 {
		t.Errorf("values %v", seen)
	}
}

func TestDirectives(t *testing.T) {
	var list func() []string
	servertest.Start(t, ".:0 {\n answer\n read\n}", reads(func(d *server.Directive) error {
		list = d.Directives()
		return nil
	}), servertest.Answer(nil))
	if got := list(); !slices.Equal(got, []string{"read", "answer"}) {
		t.Errorf("directives %v", got)
	}
}

func TestServerLabels(t *testing.T) {
	for _, tc := range []struct {
		binds []string
		want  []string
	}{
		{nil, []string{"dns://:53"}},
		{[]string{"127.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"}, []string{"dns://127.0.0.1:53", "dns://[2001:db8::1]:53", "dns://192.0.2.1:53"}},
		{[]string{"0.0.0.0", "::"}, []string{"dns://0.0.0.0:53", "dns://:53"}},
	} {
		b := &server.Block{Port: 53}
		for _, a := range tc.binds {
			b.Binds = append(b.Binds, netip.MustParseAddr(a))
		}
		if got := b.ServerLabels(); !slices.Equal(got, tc.want) {
			t.Errorf("%v: %v, want %v", tc.binds, got, tc.want)
		}
	}
}
