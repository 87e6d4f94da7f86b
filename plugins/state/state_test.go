package state_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/plugins/state"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// counting is the directive "count": it counts the starts in the state.
func counting(got *[]string) server.Plugin {
	return server.Plugin{Name: "count", Setup: func(d *server.Directive) (server.Handler, error) {
		b := d.Bucket()
		d.OnStart(func() {
			v, err := b.Get("starts")
			*got = append(*got, fmt.Sprint(string(v), err, b.Lasts()))
			if err := b.Put("starts", append(v, '|')); err != nil {
				*got = append(*got, err.Error())
			}
		})
		return nil, nil
	}}
}

// The file is beside the Corefile; blocks may share it, and what is in it outlives
// the server.
func TestState(t *testing.T) {
	dir := t.TempDir()
	var got []string
	for range 2 {
		s, err := servertest.TryIn(t, dir, "org:0 {\n state run.state\n count\n}\ncom:0 {\n state run.state\n}", state.Plugin(), counting(&got))
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(dir, "run.state"); s.StateFile() != want {
			t.Errorf("state file %s, want %s", s.StateFile(), want)
		}
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		s.Stop()
	}
	if want := "<nil> true, |<nil> true, ||<nil> true, |||<nil> true"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWrongConfiguration(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("no state"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, want string }{
		{"state", "Corefile:2: state: state takes one argument, not 0 (usage: state FILE)"},
		{"state a b", "Corefile:2: state: state takes one argument, not 2"},
		{`state ""`, "Corefile:2: state: the file's name is empty"},
		{"state a\n state a", "Corefile:3: state: stands twice in one server block"},
		{"state a {\n sync\n }", `Corefile:3: state: has no property "sync"`},
		{"state a\n}\norg:0 {\n state b", "a already by"},
		{"\n state none/a", "Corefile:3: state: state file"},
		{"\n state none/a", "/none: make it"},
		{"state " + broken, "Corefile:2: state: state file " + broken + " is damaged, or is no state file"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", state.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
