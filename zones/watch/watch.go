// Package watch keeps zones of a Store in step with the master files they come
// from.
//
// It has no clock, no goroutine and no news of the file system: whoever owns a
// File calls Poll as often as changes are to be noticed, or when something says
// that there may be one, and says what time it is.
package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// retryAfter is how often a broken file is read again although nothing that we
// saw of it has changed: the cause may lie in a file that was not there.
const retryAfter = 30 * time.Second

// maxShown is the most findings of one load that are logged one by one.
const maxShown = 10

// Config says what a File keeps in step with what.
type Config struct {
	Path   string
	Origin wire.Name
	Store  *zones.Store // Origin must be declared in it
	Label  uint32       // for Store.Put
	Log    *slog.Logger
	// Memory is where the last good zone is found by who comes after.
	Memory *Memory
}

// File keeps one zone in step with its master file and what that includes. It is
// used by one goroutine at a time.
type File struct {
	Config
	source func(path string, origin wire.Name, read zones.ReadFunc) zones.Source
	seen   content
	zone   *zones.Zone // the last good one
	err    error       // why the last load failed
	tried  time.Time   // when that was
}

// New makes a File. It reads nothing yet.
func New(c Config) *File { return &File{Config: c, source: zones.FileSourceFrom} }

// Load puts the zone into the Store for the first time. Where Memory has the
// zone as the file still holds it, that one is taken; where the file is broken,
// the last good zone of Memory is served, and only if there is none does Load
// return an error: the zone is not served then. The failure is in the Store's
// Status in either case. An error that is returned is not logged: Report does.
func (f *File) Load(now time.Time) error {
	kept, ok := f.Memory.get(f.Path, f.Origin)
	if ok {
		f.seen, f.zone = kept.seen, kept.zone
		f.Store.Put(f.zone, f.Label, kept.at)
	}
	f.look(now, ok, false)
	if f.zone == nil {
		return f.err
	}
	return nil
}

// Report logs the error that Load has returned, and what else is wrong with the
// file, as Poll would.
func (f *File) Report() {
	if f.err != nil {
		f.report()
	}
}

// Poll looks whether the file has changed, and if so loads the zone anew: whole,
// or not at all. A broken file leaves the last good zone in service. What
// happens is logged; changed says that another zone is served now.
func (f *File) Poll(now time.Time) (changed bool) {
	again := f.err != nil && now.Sub(f.tried) >= retryAfter
	return f.look(now, true, again)
}

// Includes are the files that the zone's file includes, there or not, as it was
// last read.
func (f *File) Includes() []string {
	if len(f.seen.files) < 2 {
		return nil
	}
	var paths []string
	for i := range f.seen.files[1:] {
		paths = append(paths, f.seen.files[i+1].path)
	}
	return paths
}

// Close forgets the zone and takes it out of the Store.
func (f *File) Close() {
	f.Memory.drop(f.Path, f.Origin)
	f.Store.Release(f.Origin)
}

// look is Poll; loud has a failure logged, and again has the zone loaded although
// nothing shows that its files have changed.
func (f *File) look(now time.Time, loud, again bool) (changed bool) {
	if f.seen.files != nil && !f.seen.restless && !again && !f.seen.moved() {
		return false
	}
	z, warnings, known, err := f.read(now, again)
	if known {
		return false
	}
	if err != nil {
		logged := f.err != nil && f.err.Error() == err.Error()
		f.Store.Fail(f.Origin, err, now)
		f.err, f.tried = err, now
		if loud && !logged {
			f.report()
		}
		return false
	}
	old := f.zone
	f.zone, f.err = z, nil
	f.Store.Put(z, f.Label, now)
	f.Memory.put(f.Path, f.Origin, kept{seen: f.seen, zone: z, at: now})
	f.show(slog.LevelWarn, warnings)
	if old != nil {
		f.compare(old, z)
	}
	return true
}

// read loads the zone, and again if its files changed meanwhile. Files that do
// not settle are read again at the next Poll: known says so, or that the files
// hold what they held, and that the zone needs not be loaded.
func (f *File) read(now time.Time, again bool) (z *zones.Zone, warnings []zones.Finding, known bool, err error) {
	for range 3 {
		settled := false
		r := f.Memory.open(f.Path)
		if known = !again && r.finds(&f.seen); !known {
			z, warnings, err = f.load(r)
		}
		f.seen, settled = r.content(now)
		f.Memory.close(r)
		if settled {
			return z, warnings, known, err
		}
	}
	// Nothing is served yet: what was read is better than nothing.
	return z, warnings, f.zone != nil, err
}

// load loads the zone from what r reads. A panic is an error of this zone: the
// others are to be served all the same.
func (f *File) load(r *reader) (z *zones.Zone, warnings []zones.Finding, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%s: loading it panicked, please report this: %v\n%s", f.Path, fault, debug.Stack())
		}
	}()
	loader := f.Memory.loaders.Get().(*zones.Loader)
	z, warnings, err = loader.Load(f.source(f.Path, f.Origin, r.read))
	f.Memory.loaders.Put(loader)
	return z, warnings, err
}

// report logs why the last load failed.
func (f *File) report() {
	state := "not served"
	if f.zone != nil {
		state = "the last good zone stays in service"
	}
	f.Log.Error("zone not loaded", "zone", f.Origin.String(), "file", f.Path, "error", f.err, "state", state)
	var all *zones.LoadError
	if errors.As(f.err, &all) && len(all.Findings) > 1 {
		f.show(slog.LevelError, all.Findings[1:])
	}
}

func (f *File) show(level slog.Level, findings []zones.Finding) {
	for i := range findings {
		if i == maxShown {
			f.Log.Log(context.Background(), level, "more findings in the zone", "zone", f.Origin.String(), "more", len(findings)-i)
			return
		}
		f.Log.Log(context.Background(), level, findings[i].Error(), "zone", f.Origin.String(), "code", findings[i].Code)
	}
}

// compare logs the change from old to z. A zone whose serial does not grow
// (RFC 1982 section 3.2) is served all the same, but its secondaries and those
// who compare serials do not notice.
func (f *File) compare(old, z *zones.Zone) {
	log := f.Log.With("zone", f.Origin.String(), "serial", z.Serial(), "records", z.Len())
	switch step := int32(z.Serial() - old.Serial()); {
	case step > 0:
		log.Info("zone reloaded", "was", old.Serial())
	case sameRecords(old, z):
		log.Info("zone reloaded: the file changed, its records did not")
	case step == 0:
		log.Warn("zone reloaded, but its serial is the old one: raise it with each change")
	default:
		log.Warn("zone reloaded, but its serial went back: raise it with each change", "was", old.Serial())
	}
}

func sameRecords(a, b *zones.Zone) bool {
	if a.Len() != b.Len() {
		return false
	}
	all := slices.Collect(a.Records())
	i := 0
	for r := range b.Records() {
		s := all[i]
		if r.Type != s.Type || r.TTL != s.TTL || string(r.Owner) != string(s.Owner) || string(r.Data) != string(s.Data) {
			return false
		}
		i++
	}
	return true
}

// Memory holds the last good zones, so that a new configuration starts with what
// the old one served. It may be used by any number of goroutines.
type Memory struct {
	seed    maphash.Seed // of the sums
	buffers buffers
	loaders sync.Pool // of *zones.Loader
	mu      sync.Mutex
	kept    map[memoryKey]kept
}

type memoryKey struct{ path, origin string }

type kept struct {
	seen content
	zone *zones.Zone
	at   time.Time
}

// NewMemory makes an empty Memory.
func NewMemory() *Memory {
	return &Memory{
		seed: maphash.MakeSeed(), kept: make(map[memoryKey]kept),
		loaders: sync.Pool{New: func() any { return new(zones.Loader) }},
	}
}

// Retain forgets all zones but those of the given files.
func (m *Memory) Retain(files []*File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := make(map[memoryKey]bool, len(files))
	for _, f := range files {
		keep[memoryKey{f.Path, string(f.Origin)}] = true
	}
	maps.DeleteFunc(m.kept, func(k memoryKey, _ kept) bool { return !keep[k] })
}

func (m *Memory) get(path string, origin wire.Name) (kept, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[memoryKey{path, string(origin)}]
	return k, ok
}

func (m *Memory) put(path string, origin wire.Name, k kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[memoryKey{path, string(origin)}] = k
}

func (m *Memory) drop(path string, origin wire.Name) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, memoryKey{path, string(origin)})
}
