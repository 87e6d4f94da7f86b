package server

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen starts a server that looks at nothing by itself but once at the start, and
// waits until the system tells of the files.
func (r *record) listen(t *testing.T) *Server {
	t.Helper()
	r.interval = time.Hour
	s := newLab().start(t, recordConf, r.plugin)
	eventually(t, "the system to tell", r.watched)
	eventually(t, "the look at the start", func() bool { _, looks := r.told(); return looks == 1 })
	r.mu.Lock()
	r.looks = 0
	r.mu.Unlock()
	return s
}

func (r *record) hears(t *testing.T, what string, want ...string) {
	t.Helper()
	eventually(t, what, func() bool { heard, _ := r.told(); return len(heard) >= len(want) })
	if heard, looks := r.told(); !slices.Equal(heard, want) || looks > 0 {
		t.Errorf("%s: told of %q and %d times of everything, want %q", what, heard, looks, want)
	}
	r.mu.Lock()
	r.heard = nil
	r.mu.Unlock()
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// TestChangedFile says that just the file that changed is told of, and not before
// it is whole.
func TestChangedFile(t *testing.T) {
	dir := t.TempDir()
	r := &record{}
	for _, name := range []string{"a", "b", "c"} {
		path := filepath.Join(dir, name)
		r.files = append(r.files, path)
		write(t, path, "text")
	}
	r.listen(t)
	write(t, filepath.Join(dir, "other"), "text")
	write(t, filepath.Join(dir, ".a.swp"), "text")
	write(t, filepath.Join(dir, "new"), "text")
	rename(t, filepath.Join(dir, "new"), r.files[1])
	r.hears(t, "a file replaced", "b")

	f, err := os.OpenFile(r.files[0], os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	write(t, r.files[2], "text")
	r.hears(t, "a file written, and another one being written", "c")
	f.Close()
	r.hears(t, "the other one closed", "a")

	if err := os.Remove(r.files[0]); err != nil {
		t.Fatal(err)
	}
	r.hears(t, "a file removed", "a")
	write(t, r.files[0], "text")
	r.hears(t, "a file back", "a")
}

func TestChangedFolder(t *testing.T) {
	dir := t.TempDir()
	r := &record{folders: []string{dir}}
	r.listen(t)
	write(t, filepath.Join(dir, "a"), "text")
	r.hears(t, "a new file", "a")
	symlink(t, "nowhere", filepath.Join(dir, "link"))
	r.hears(t, "a new link", "link")
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	r.hears(t, "a second name", "hard")
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.hears(t, "a new folder", "sub")
}

// TestChangedLink plays Kubernetes, twice: the way to a file leads over a link to
// a folder that is exchanged.
func TestChangedLink(t *testing.T) {
	dir := t.TempDir()
	publish := func(version string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "file"), version)
		symlink(t, version, filepath.Join(dir, "..data_tmp"))
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	publish("..1")
	symlink(t, "..data/file", filepath.Join(dir, "file"))
	r := &record{files: []string{filepath.Join(dir, "file")}}
	r.listen(t)
	for _, version := range []string{"..2", "..3"} {
		_, before := r.told()
		publish(version)
		eventually(t, "a look after "+version, func() bool { _, looks := r.told(); return looks > before })
		// The new way may be looked over once more.
		eventually(t, "the new way to be followed", func() bool {
			r.mu.Lock()
			table := r.w.table
			r.mu.Unlock()
			table.notifier.mu.Lock()
			defer table.notifier.mu.Unlock()
			d := table.notifier.dirs[filepath.Join(dir, "..data")]
			return r.watched() && d != nil && d.turn == table.notifier.turn
		})
		r.mu.Lock()
		r.heard = nil
		r.mu.Unlock()
		// A look at everything may take the news away.
		eventually(t, "news from behind the links", func() bool {
			write(t, filepath.Join(dir, version, "file"), "again")
			heard, _ := r.told()
			return slices.Contains(heard, "file")
		})
	}
}

// TestFolderAway says that a folder that comes back is heard of again, and looked
// at every interval meanwhile.
func TestFolderAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &record{interval: time.Millisecond, folders: []string{dir}}
	newLab().start(t, recordConf, r.plugin)
	eventually(t, "the system to tell", r.watched)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss to be noticed", func() bool { return !r.watched() })
	_, before := r.told()
	eventually(t, "looks while it is away", func() bool { _, looks := r.told(); return looks > before+3 })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the system to tell again", r.watched)
	// A look at everything may take the news away.
	eventually(t, "news", func() bool {
		write(t, filepath.Join(dir, "a"), "text")
		heard, _ := r.told()
		return slices.Contains(heard, "a")
	})
}

// TestOverflow says that news that were too many to keep lead to a look at
// everything.
func TestOverflow(t *testing.T) {
	r := &record{files: []string{filepath.Join(t.TempDir(), "file")}}
	s := r.listen(t)
	event := make([]byte, unix.SizeofInotifyEvent)
	binary.NativeEndian.PutUint32(event, 1<<32-1)
	binary.NativeEndian.PutUint32(event[4:], unix.IN_Q_OVERFLOW)
	s.current.watches.notifier.take(event, time.Now())
	eventually(t, "a look at everything", func() bool { _, looks := r.told(); return looks == 1 })
}

// TestUntold says that a file system that others may change is looked at every
// interval, and that this is logged, once.
func TestUntold(t *testing.T) {
	r := &record{interval: time.Millisecond, files: []string{"/proc/self/status", "/proc/self/stat", "/proc/version"}}
	l := newLab()
	l.start(t, recordConf, r.plugin)
	eventually(t, "looks", func() bool { _, looks := r.told(); return looks > 3 })
	if n := strings.Count(l.log(), "does not tell of changed files"); n != 1 || r.watched() {
		t.Errorf("logged %d times:\n%s", n, l.log())
	}
}

// TestForgets says that nothing is left of what is not followed any more.
func TestForgets(t *testing.T) {
	r := &record{files: []string{filepath.Join(t.TempDir(), "file")}, folders: []string{t.TempDir()}}
	s := r.listen(t)
	// Between its calls, a Watch may still be busy with the last one.
	s.current.watches.pause()
	defer s.current.watches.resume()
	n := &s.current.watches.notifier
	r.w.Follow(nil, nil)
	s.current.watches.follow(r.w)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.dirs) > 0 || len(n.byWD) > 0 {
		t.Errorf("%d folders, %d told of", len(n.dirs), len(n.byWD))
	}
}
