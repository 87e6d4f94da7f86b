package reload

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// version is the directive "version", by whose argument a test sees which
// Corefile is in use.
func version(seen chan<- string) server.Plugin {
	return server.Plugin{Name: "version", Setup: func(d *server.Directive) (server.Handler, error) {
		d.Next()
		args := d.RemainingArgs()
		d.OnStart(func() { seen <- args[0] })
		return nil, nil
	}}
}

// TestReload takes changes up as they happen, where the system tells of them, and
// otherwise after the shortest time that the directive allows.
func TestReload(t *testing.T) {
	t.Parallel()
	t.Run("news", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS != "linux" {
			t.Log("only Linux tells")
			return
		}
		testReload(t, servertest.Start, "1h")
	})
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		testReload(t, servertest.StartPolling, "2s 1s")
	})
}

func testReload(t *testing.T, start func(testing.TB, string, ...server.Plugin) *servertest.Server, times string) {
	seen := make(chan string, 16)
	text := func(more string) string {
		return fmt.Sprintf(".:0 {\n reload %s\n %s\n}", times, more)
	}
	s := start(t, text("version one")+"\nnet:0 {\n reload "+times+"\n}", Plugin(), version(seen))
	if v := <-seen; v != "one" {
		t.Fatalf("started with %s", v)
	}
	// Again and again, as the server may not listen yet.
	rewrite := func(more string, done func() bool) {
		t.Helper()
		s.Wait(more, func() bool { s.Rewrite(text(more)); return done() })
	}
	started := func(want string) func() bool {
		return func() bool {
			select {
			case got := <-seen:
				return got == want
			default:
				return false
			}
		}
	}
	rewrite("version two", started("two"))
	rewrite("version three\n nonsense", func() bool { return strings.Contains(s.Log(), "unknown directive") })
	rewrite("version four", started("four"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	corefile, imported := filepath.Join(dir, "Corefile"), filepath.Join(dir, "imported")
	write(t, corefile, ".:0 {\n import imported\n version {$STAMPDNS_TEST_VERSION}\n}\n")
	write(t, imported, "errors\n")
	t.Setenv("STAMPDNS_TEST_VERSION", "1")
	cf, err := server.ReadCorefile(corefile)
	if err != nil {
		t.Fatal(err)
	}
	reloads := 0
	var fail error
	w := &watcher{
		corefile: cf, known: cf.Digest(), log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		reload: func() error { reloads++; return fail },
	}
	look := func(what string, want int) {
		t.Helper()
		reloads = 0
		if w.look(); reloads != want {
			t.Errorf("%s: %d reloads, want %d", what, reloads, want)
		}
	}
	look("nothing changed", 0)
	write(t, corefile, "# a comment\n.:0 {\n\n import imported\n  version {$STAMPDNS_TEST_VERSION} # another\n}\n")
	look("comments and spaces", 0)
	write(t, imported, "errors\nlog\n")
	look("an imported file", 1)
	look("still the same", 0)
	t.Setenv("STAMPDNS_TEST_VERSION", "2")
	look("an environment variable", 1)
	write(t, corefile, ".:0 {\n import imported\n version\n 2\n}\n")
	look("a line break", 1)
	fail = errors.New("no good")
	write(t, corefile, ".:0 {\n import imported\n")
	look("a syntax error", 1)
	look("an error that is known", 0)
	if err := os.Remove(corefile); err != nil {
		t.Fatal(err)
	}
	look("no Corefile", 0)
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"reload 1s", "interval: 1s is too short: at least 2s (usage: reload [INTERVAL [JITTER]])"},
		{"reload 10s 10ms", "jitter: 10ms is too short: at least 1s"},
		{"reload soon", `"soon" is no duration`},
		{"reload 2s 2s 2s", "at most 2 arguments, not 3"},
		{"reload\n reload", "stands twice"},
		{"reload 2s\n}\norg:0 {\n reload 3s", "must be the same in all blocks"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
