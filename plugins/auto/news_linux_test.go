package auto_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stampdns/stampdns/server/servertest"
)

// opens counts how often each file of a directory is opened, as the kernel tells
// it.
type opens struct {
	t  *testing.T
	fd int
}

func countOpens(t *testing.T, dir string) opens {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	return opens{t, fd}
}

// take is what was opened since the last take.
func (o opens) take() map[string]int {
	o.t.Helper()
	counts := make(map[string]int)
	buffer := make([]byte, 1<<16)
	for {
		n, err := unix.Read(o.fd, buffer)
		if err != nil {
			return counts
		}
		for events := buffer[:n]; len(events) > 0; {
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
			if name := unix.ByteSliceToString(events[unix.SizeofInotifyEvent:end]); name != "" {
				counts[name]++
			}
			events = events[end:]
		}
	}
}

// TestOneOfMany says that a change is taken up although nobody looks at the
// directory for an hour, and that of many files only the changed one is read, once.
func TestOneOfMany(t *testing.T) {
	const n = 500
	outside, dir := t.TempDir(), t.TempDir()
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprintf("db.z%d.example", i)), zoneText(1, "192.0.2.1"))
	}
	s := servertest.Start(t, fmt.Sprintf(".:0 {\n auto {\n directory %s\n reload 1h\n }\n}", dir), plugins()...)
	opened := countOpens(t, dir)
	// The server listens when it takes up the first change.
	serial := 1
	s.Wait("a first change", func() bool {
		serial++
		write(t, filepath.Join(dir, "db.z0.example"), zoneText(serial, "192.0.2.9"))
		return address(s, "z0.example.") == "192.0.2.9"
	})
	write(t, filepath.Join(dir, "db.last.example"), zoneText(1, "192.0.2.1"))
	waitFor(s, "last.example.", "192.0.2.1")
	opened.take()

	fresh := filepath.Join(outside, "fresh")
	if err := os.WriteFile(fresh, []byte(zoneText(1<<20, "192.0.2.77")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(dir, "db.z250.example")); err != nil {
		t.Fatal(err)
	}
	waitFor(s, "z250.example.", "192.0.2.77")
	if got := opened.take(); len(got) != 1 || got["db.z250.example"] != 1 {
		t.Errorf("opened: %v", got)
	}
}
