package watch

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// fixture is one watched file with its store and log, and a clock that the test
// sets.
type fixture struct {
	*File
	t    *testing.T
	path string
	log  bytes.Buffer
	now  time.Time

	writes int
}

func newFixture(t *testing.T, memory *Memory) *fixture {
	t.Helper()
	origin, err := wire.ParseName("example.org")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "db"), now: time.Unix(2_000_000_000, 0)}
	f.File = New(Config{
		Path: f.path, Origin: origin, Store: zones.NewStore(), Log: slog.New(slog.NewTextHandler(&f.log, nil)), Memory: memory,
	})
	if err := f.Store.Declare(origin, "test"); err != nil {
		t.Fatal(err)
	}
	return f
}

func zoneText(serial uint32, more string) string {
	return fmt.Sprintf("@ 3600 IN SOA ns01 hostmaster %d 3600 300 2419200 300\n@ 3600 IN NS ns01\nns01 3600 IN A 192.0.2.1\n%s", serial, more)
}

// write changes a file and gives it a time of its own, long past, so that nothing
// about it is fresh.
func (f *fixture) write(path, text string) {
	f.t.Helper()
	f.writes++
	f.writeAt(path, text, f.now.Add(-time.Hour+time.Duration(f.writes)*time.Second))
}

func (f *fixture) writeAt(path, text string, at time.Time) {
	f.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// tick passes time and polls.
func (f *fixture) tick(d time.Duration) bool {
	f.now = f.now.Add(d)
	return f.Poll(f.now)
}

func (f *fixture) status() zones.Status { return f.Store.Status()[0] }

func (f *fixture) load() {
	f.t.Helper()
	if err := f.Load(f.now); err != nil {
		f.t.Fatal(err)
	}
}

func TestUnchanged(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, zoneText(1, ""))
	f.load()
	for range 3 {
		if f.tick(time.Minute) {
			t.Error("loaded anew without a change")
		}
	}
	f.writeAt(f.path, zoneText(1, ""), f.now)
	if f.tick(time.Second) {
		t.Error("loaded anew for a new time on the same content")
	}
}

// TestHiddenChange changes a file without another size or time, as two writes
// within one tick of the file system's clock do.
func TestHiddenChange(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.writeAt(f.path, zoneText(1, ""), f.now)
	f.load()
	f.writeAt(f.path, zoneText(2, ""), f.now)
	if !f.tick(time.Second) || f.status().Serial != 2 {
		t.Errorf("serial is %d", f.status().Serial)
	}
}

func TestInclude(t *testing.T) {
	f := newFixture(t, NewMemory())
	part := filepath.Join(filepath.Dir(f.path), "part")
	f.write(part, "a 3600 IN A 192.0.2.2\n")
	f.write(f.path, zoneText(1, "$INCLUDE part\n"))
	f.load()
	if got := f.status().Records; got != 4 {
		t.Fatalf("%d records", got)
	}
	if f.tick(time.Second) {
		t.Error("loaded anew without a change")
	}
	f.write(part, "a 3600 IN A 192.0.2.2\nb 3600 IN A 192.0.2.3\n")
	if !f.tick(time.Second) || f.status().Records != 5 {
		t.Errorf("%d records after a change of the included file", f.status().Records)
	}
	f.write(part, "a 3600 IN A nonsense\n")
	if f.tick(time.Second) || f.status().Err == nil || !strings.Contains(f.status().Err.Error(), part+":1") {
		t.Errorf("broken included file: %v", f.status().Err)
	}
	f.write(part, "a 3600 IN A 192.0.2.9\n")
	if !f.tick(time.Second) || f.status().Err != nil {
		t.Errorf("repaired included file: %v", f.status().Err)
	}
}

// restless is a Source whose file is written to while it is read.
type restless struct {
	zones.Source
	write func()
}

func (r restless) Records(add func(zones.Record) error) error {
	defer r.write()
	return r.Source.Records(add)
}

// TestWriting says that a file that somebody is writing is not taken before it
// rests.
func TestWriting(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, zoneText(1, ""))
	f.load()
	serial := uint32(1)
	source := f.source
	f.source = func(path string, origin wire.Name, read zones.ReadFunc) zones.Source {
		return restless{source(path, origin, read), func() {
			serial++
			f.write(f.path, zoneText(serial, ""))
		}}
	}
	f.write(f.path, zoneText(serial, "x 60 IN A 192.0.2.7\n"))
	if f.tick(time.Second) || f.status().Serial != 1 {
		t.Errorf("serial %d of a file that changes was taken", f.status().Serial)
	}
	f.source = source
	if !f.tick(time.Second) || f.status().Serial != serial {
		t.Errorf("serial is %d with the file at rest, want %d", f.status().Serial, serial)
	}
	if f.tick(time.Second) {
		t.Error("loaded once more")
	}
}

// TestMissingInclude says that an included file that was not there is looked for.
func TestMissingInclude(t *testing.T) {
	f := newFixture(t, NewMemory())
	part := filepath.Join(filepath.Dir(f.path), "part")
	f.write(f.path, zoneText(1, "$INCLUDE part\n"))
	if err := f.Load(f.now); err == nil {
		t.Fatal("loaded without the included file")
	}
	if got := f.Includes(); !slices.Equal(got, []string{part}) {
		t.Errorf("files to look at: %q", got)
	}
	if f.tick(time.Second) {
		t.Error("loaded although nothing changed")
	}
	f.write(part, "a 3600 IN A 192.0.2.2\n")
	if !f.tick(time.Second) || !f.status().Loaded {
		t.Errorf("not loaded with the included file there: %v", f.status().Err)
	}
}

// TestRetry says that a broken zone is tried again even if nothing that was seen
// of it changes.
func TestRetry(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, "nonsense")
	if err := f.Load(f.now); err == nil {
		t.Fatal("loaded nonsense")
	}
	f.tick(retryAfter - time.Second)
	if got := f.status().Failures; got != 1 {
		t.Errorf("%d tries at once", got)
	}
	f.tick(time.Second)
	if got := f.status().Failures; got != 2 {
		t.Errorf("%d tries after a while", got)
	}
}

func TestBrokenLogsOnce(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, zoneText(1, ""))
	f.load()
	f.write(f.path, "nonsense")
	for range 5 {
		f.tick(retryAfter)
	}
	if n := strings.Count(f.log.String(), "zone not loaded"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, f.log.String())
	}
	s := f.status()
	if !s.Loaded || s.Serial != 1 || s.Failures != 5 {
		t.Errorf("status %+v", s)
	}
	f.write(f.path, zoneText(2, ""))
	if !f.tick(time.Second) || f.status().Serial != 2 {
		t.Errorf("status after repair %+v", f.status())
	}
}

func TestSerials(t *testing.T) {
	for _, tc := range []struct {
		serial uint32
		more   string
		want   string
	}{
		{6, "x 60 IN A 192.0.2.2\n", `level=INFO msg="zone reloaded"`},
		{5, "x 60 IN A 192.0.2.2\n", `level=WARN msg="zone reloaded, but its serial is the old one`},
		{5, "; a comment\n", `level=INFO msg="zone reloaded: the file changed, its records did not"`},
		{4, "", `level=WARN msg="zone reloaded, but its serial went back`},
		{5 + 1<<31, "", `level=WARN msg="zone reloaded, but its serial went back`},
	} {
		f := newFixture(t, NewMemory())
		f.write(f.path, zoneText(5, ""))
		f.load()
		f.write(f.path, zoneText(tc.serial, tc.more))
		if !f.tick(time.Second) {
			t.Errorf("serial %d was not taken", tc.serial)
		}
		if !strings.Contains(f.log.String(), tc.want) {
			t.Errorf("serial %d: want %s in\n%s", tc.serial, tc.want, f.log.String())
		}
	}
}

func TestManyFindings(t *testing.T) {
	f := newFixture(t, NewMemory())
	var more strings.Builder
	for i := range 30 {
		fmt.Fprintf(&more, "h%d 3600 IN CNAME www\nh%d 3600 IN A 192.0.2.1\n", i, i)
	}
	f.write(f.path, zoneText(1, more.String()))
	if err := f.Load(f.now); err == nil {
		t.Fatal("a zone with CNAME beside A was loaded")
	}
	if f.log.Len() > 0 {
		t.Errorf("Load logs what it returns:\n%s", f.log.String())
	}
	f.Report()
	if want := `msg="zone not loaded" zone=example.org. file=` + f.path; !strings.Contains(f.log.String(), want) {
		t.Errorf("want %s in:\n%s", want, f.log.String())
	}
	if n := strings.Count(f.log.String(), "\n"); n > maxShown+2 {
		t.Errorf("%d lines for one load:\n%s", n, f.log.String())
	}
	if !strings.Contains(f.log.String(), "more findings") {
		t.Errorf("does not say that there are more:\n%s", f.log.String())
	}
}

// TestMemory follows a file from one configuration to the next.
func TestMemory(t *testing.T) {
	first := newFixture(t, NewMemory())
	first.write(first.path, zoneText(1, ""))
	first.load()
	next := func(at time.Time) *File {
		f := New(first.Config)
		f.Store = zones.NewStore()
		if err := f.Store.Declare(f.Origin, "test"); err != nil {
			t.Fatal(err)
		}
		if err := f.Load(at); err != nil {
			t.Fatal(err)
		}
		return f
	}
	later := first.now.Add(time.Hour)
	second := next(later)
	if second.zone != first.zone || !second.Store.Status()[0].LoadedAt.Equal(first.now) {
		t.Error("an unchanged zone was loaded anew")
	}
	first.write(first.path, "nonsense")
	third := next(later)
	if s := third.Store.Status()[0]; !s.Loaded || s.Err == nil || s.Serial != 1 {
		t.Errorf("broken meanwhile: %+v", s)
	}
	first.write(first.path, zoneText(7, ""))
	if s := next(later).Store.Status()[0]; s.Serial != 7 || s.Err != nil {
		t.Errorf("changed meanwhile: %+v", s)
	}
	third.Close()
	if len(third.Store.Status()) != 0 || third.Store.Set().Len() != 0 {
		t.Error("closed, and still there")
	}
	fourth := New(first.Config)
	if err := fourth.Store.Declare(fourth.Origin, "again"); err == nil {
		t.Fatal("declared twice")
	}
	first.write(first.path, "nonsense")
	if err := fourth.Load(later); err == nil {
		t.Error("a forgotten zone is served")
	}
}

func TestNoRegularFile(t *testing.T) {
	f := newFixture(t, NewMemory())
	if err := os.Mkdir(f.path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Load(f.now); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("directory: %v", err)
	}
	// An error that Load has returned and nobody reported is not logged later.
	f.tick(retryAfter)
	if f.log.Len() > 0 {
		t.Errorf("logged:\n%s", f.log.String())
	}
}

// A file that is larger than all memory, and takes no room on disk, is an error,
// and so is a panic in what loads it.
func TestHostileFile(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, zoneText(1, ""))
	f.load()
	if err := os.Truncate(f.path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if f.tick(time.Minute) || !strings.Contains(f.log.String(), "this is no zone file") || !f.status().Loaded {
		t.Errorf("log:\n%s", f.log.String())
	}
	f.source = func(string, wire.Name, zones.ReadFunc) zones.Source { panic("boom") }
	f.write(f.path, zoneText(2, ""))
	if f.tick(time.Minute) || !strings.Contains(f.log.String(), "boom") || !f.status().Loaded {
		t.Errorf("log:\n%s", f.log.String())
	}
}

// TestReadsOnce says that a changed file is loaded once, and one that is as it was
// not at all.
func TestReadsOnce(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, zoneText(1, ""))
	f.load()
	read := 0
	source := f.source
	f.source = func(path string, origin wire.Name, _ zones.ReadFunc) zones.Source {
		return source(path, origin, func(string) ([]byte, error) {
			read++
			return []byte(zoneText(9, "")), nil
		})
	}
	f.tick(time.Minute)
	if read > 0 {
		t.Error("read without a change")
	}
	f.write(f.path, zoneText(2, ""))
	if !f.tick(time.Minute) || read != 1 || f.status().Serial != 9 {
		t.Errorf("read %d times, serial %d", read, f.status().Serial)
	}
}

func TestRetain(t *testing.T) {
	m := NewMemory()
	a, b := newFixture(t, m), newFixture(t, m)
	for _, f := range []*fixture{a, b} {
		f.write(f.path, zoneText(1, ""))
		f.load()
	}
	m.Retain([]*File{b.File})
	if _, ok := m.get(a.path, a.Origin); ok {
		t.Error("a zone that nobody wants is kept")
	}
	if _, ok := m.get(b.path, b.Origin); !ok {
		t.Error("a zone that is wanted is gone")
	}
}

// TestLargeFile reads one longer than the buffers that are kept.
func TestLargeFile(t *testing.T) {
	f := newFixture(t, NewMemory())
	f.write(f.path, zoneText(1, strings.Repeat("; a comment\n", keepBuffer/8)))
	f.load()
	f.write(f.path, zoneText(2, ""))
	if !f.tick(time.Second) || f.status().Serial != 2 {
		t.Errorf("serial %d", f.status().Serial)
	}
}
