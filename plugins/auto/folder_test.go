package auto

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/watch"
	"github.com/stampdns/stampdns/zones/wire"
)

const zone = "@ 3600 IN SOA ns01 hostmaster 1 3600 300 2419200 300\n@ 3600 IN NS ns01\nns01 3600 IN A 192.0.2.1\n"

func newFolder(t *testing.T) *folder {
	t.Helper()
	return &folder{
		options: options{directory: t.TempDir(), naming: defaultNaming, zones: []wire.Name{wire.Root()}},
		store:   zones.NewStore(), memory: watch.NewMemory(), census: newCensus(), workers: 2,
		label: func(string) uint32 { return 1 }, candidates: make(map[string]*candidate), homeless: make(map[string]*candidate),
		log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// TestReplacedByRemoval says that a file that is away for a moment costs nothing.
func TestReplacedByRemoval(t *testing.T) {
	f := newFolder(t)
	path := filepath.Join(f.directory, "db.example.org")
	put := func() {
		t.Helper()
		if err := os.WriteFile(path, []byte(zone), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	scan := func(what string, soon bool, zones int) {
		t.Helper()
		if got := f.scan(time.Now()); got != soon {
			t.Errorf("%s: look again soon is %v", what, got)
		}
		if got := f.store.Set().Len(); got != zones {
			t.Errorf("%s: %d zones served, want %d", what, got, zones)
		}
	}
	put()
	scan("there", false, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	scan("away", true, 1)
	put()
	scan("back", false, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	scan("away again", true, 1)
	scan("still away", false, 0)
}

// TestDirectoryAway says that what cannot be looked at is not gone.
func TestDirectoryAway(t *testing.T) {
	f := newFolder(t)
	for _, name := range []string{"db.example.org", "sub/db.example.net"} {
		path := filepath.Join(f.directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(zone), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.scan(time.Now())
	if err := os.Rename(f.directory, f.directory+".away"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.scan(time.Now())
	}
	if got := f.store.Set().Len(); got != 2 {
		t.Errorf("%d zones served with the directory away", got)
	}
	if err := os.Rename(f.directory+".away", f.directory); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(f.directory, "sub")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.scan(time.Now())
	}
	if got := f.store.Set().Len(); got != 1 {
		t.Errorf("%d zones served with a subdirectory removed", got)
	}
}

// TestHear says that only the files that something was heard of are looked at:
// the others have changed too, and nobody notices.
func TestHear(t *testing.T) {
	f := newFolder(t)
	path := func(i int) string { return filepath.Join(f.directory, fmt.Sprintf("db.z%d.example", i)) }
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	serials := func(want ...uint32) {
		t.Helper()
		for i, serial := range want {
			name, err := wire.ParseName(fmt.Sprintf("z%d.example", i))
			if err != nil {
				t.Fatal(err)
			}
			z, _ := f.store.Set().Find(name)
			if got := uint32(0); z != nil {
				got = z.Serial()
				if got != serial {
					t.Errorf("serial of zone %d is %d, want %d", i, got, serial)
				}
			} else if serial != 0 {
				t.Errorf("zone %d is not served", i)
			}
		}
	}
	part := filepath.Join(f.directory, "part")
	put(part, "a 60 IN A 192.0.2.1\n")
	put(path(0), zone)
	put(path(1), zone+"$INCLUDE part\n")
	put(path(2), zone)
	f.scan(time.Now())
	if files, folders := f.follows(); !slices.Equal(files, []string{part}) || !slices.Equal(folders, []string{f.directory}) {
		t.Errorf("follows %q and %q", files, folders)
	}
	second := strings.Replace(zone, "hostmaster 1", "hostmaster 2", 1)
	for i := range 4 {
		put(path(i), second)
	}
	f.hear([]string{path(0), path(0) + "~", filepath.Join(f.directory, "..data")}, time.Now())
	serials(2, 1, 1, 0)
	f.hear([]string{part}, time.Now())
	serials(2, 2, 1, 0)
	f.hear([]string{path(3)}, time.Now())
	serials(2, 2, 1, 2)
	if err := os.Remove(path(0)); err != nil {
		t.Fatal(err)
	}
	f.hear([]string{path(0)}, time.Now())
	serials(0, 2, 1, 2)
	put(path(0), second)
	f.hear([]string{path(0), path(2)}, time.Now())
	serials(2, 2, 2, 2)
}
