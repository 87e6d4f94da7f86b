package zones

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones/wire"
)

// TestScan reads the files below testdata/scan: a master file "zone" of example.,
// files that it includes, and "want", a line for each record:
//
//	FILE:LINE owner TTL type data
//
// and for each mistake "error: " and its text.
func TestScan(t *testing.T) {
	paths, err := filepath.Glob("testdata/scan/*.txtar")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, archive)
			got := scanFile(t, dir)
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// unpack writes the files of an archive to a folder, but for "want".
func unpack(t *testing.T, archive *txtar.Archive) (dir, want string) {
	t.Helper()
	dir = t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, want
}

// scanFile is the records and the error of the file zone in dir, as in "want".
func scanFile(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := FileSource(filepath.Join(dir, "zone"), testOrigin()).Records(func(r Record) error {
		r.Pos.File, _ = filepath.Rel(dir, r.Pos.File)
		fmt.Fprintf(&b, "%s %s\n", filepath.ToSlash(r.Pos.String()), recordText(&r))
		return nil
	})
	for _, err := range mistakes(err) {
		text := filepath.ToSlash(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
		fmt.Fprintf(&b, "error: %s\n", text)
	}
	return b.String()
}

// mistakes are the errors that one stands for.
func mistakes(err error) []error {
	var several *LoadError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &several):
		return several.Unwrap()
	}
	return []error{err}
}

func recordText(r *Record) string {
	return fmt.Sprintf("%s %d %s %s", wire.Name(r.Owner), r.TTL, typeName(r.Type), appendDataText(nil, r.Type, r.Data))
}
