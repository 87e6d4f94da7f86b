package zones

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/zones/wire"
)

// Set is the zones that are served together. It is immutable; each change makes
// a new one.
type Set struct {
	entries []entry
	index   index
	deepest int // labels of the deepest origin
}

// entry is one zone of a Set. A zone that is declared and could not be loaded
// has no data: its names are not the zone's above either.
type entry struct {
	origin wire.Name
	zone   *Zone // nil if not loaded
	label  uint32
	ceded  bool // the names at and below origin are for others to answer
}

// Find returns the zone that name lies in, the longest one, and its label; nil
// if there is none.
func (s *Set) Find(name wire.Name) (*Zone, uint32) {
	var names suffixes
	names.set(name)
	p := names.path()
	if e := s.find(&p, false); e != nil {
		return e.zone, e.label
	}
	return nil, 0
}

// Len is the number of zones, those that could not be loaded among them.
func (s *Set) Len() int {
	n := 0
	for i := range s.entries {
		if !s.entries[i].ceded {
			n++
		}
	}
	return n
}

// find looks for the longest zone at or above a name. With above, a zone of
// exactly that name only counts if there is none above it: it is the parent that
// knows about a zone's DS (RFC 4035 section 3.1.4.1).
func (s *Set) find(p *path, above bool) (found *entry) {
	for k := min(p.labels(), s.deepest); k >= 0; k-- {
		e := s.entry(p, k)
		if e == nil {
			continue
		}
		if !above || k < p.labels() {
			return e
		}
		found = e
	}
	return found
}

func (s *Set) entry(p *path, k int) *entry {
	if len(s.entries) == 0 {
		return nil
	}
	hash, mask := p.hash[k], uint32(len(s.index.slots)-1)
	for i := hash & mask; ; i = (i + 1) & mask {
		at := s.index.slots[i]
		if at.ref == 0 {
			return nil
		}
		if e := &s.entries[at.ref-1]; at.hash == hash && bytes.Equal(e.origin, p.suffix(k)) {
			return e
		}
	}
}

// newSet makes the set of the given entries.
func newSet(entries []entry) *Set {
	s := &Set{entries: entries, index: newIndex(len(entries))}
	var names suffixes
	for i, e := range entries {
		names.set(e.origin)
		s.index.add(names.hash[names.n], uint32(i))
		s.deepest = max(s.deepest, names.n)
	}
	return s
}

// Store holds the zones of one server block: those declared by its sources, and
// of these the loaded ones, which it publishes as a Set. All methods may be
// called from any goroutine; readers of Set never wait.
type Store struct {
	set atomic.Pointer[Set]

	mu    sync.Mutex
	zones map[string]*declared
	batch int         // open batches: publishing waits for the last to close
	dirty []*declared // what the Set does not show yet
	gone  bool        // the Set shows what is released, or ceded no more
	ceded map[string]wire.Name
}

type declared struct {
	status Status
	zone   *Zone
	label  uint32
	place  int // 1 + the entry in the Set; 0 for none
}

// Status is the state of one declared zone.
type Status struct {
	Origin wire.Name
	// Source says where the zone comes from, for people: "file db.example.org".
	Source string
	// Late says that the zone's source came up while the zones were being served
	// (DeclareLate).
	Late bool
	// Loaded says that the zone is served; Serial, Records and LoadedAt are the
	// served zone's.
	Loaded   bool
	Serial   uint32
	Records  int
	LoadedAt time.Time
	// Err is why the last load failed, nil if it did not; FailedAt is when.
	Err      error
	FailedAt time.Time
	// Failures counts the failed loads.
	Failures int
}

// NewStore makes an empty Store.
func NewStore() *Store {
	s := &Store{zones: make(map[string]*declared)}
	s.set.Store(newSet(nil))
	return s
}

// Set is what is published now.
func (s *Store) Set() *Set { return s.set.Load() }

// DuplicateError says that a zone is declared twice.
type DuplicateError struct {
	Origin        wire.Name
	First, Second string // the sources
}

// Error names the zone and both sources.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("zone %s comes from %s and from %s: keep one", e.Origin, e.First, e.Second)
}

// Declare reserves the name of a zone that source is about to load. If another
// source has it, the error is a *DuplicateError.
func (s *Store) Declare(origin wire.Name, source string) error {
	return s.declare(Status{Origin: origin, Source: source})
}

// DeclareLate is Declare for a source that came up while the zones were being
// served: nobody who found the server ready before counted on this one.
func (s *Store) DeclareLate(origin wire.Name, source string) error {
	return s.declare(Status{Origin: origin, Source: source, Late: true})
}

func (s *Store) declare(status Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.zones[string(status.Origin)]; ok {
		return &DuplicateError{Origin: status.Origin, First: d.status.Source, Second: status.Source}
	}
	status.Origin = slices.Clone(status.Origin)
	s.zones[string(status.Origin)] = &declared{status: status}
	if s.ceded[string(status.Origin)] != nil {
		s.gone = true
		s.publish()
	}
	return nil
}

// Release takes a declared zone out, and out of service if it was loaded.
func (s *Store) Release(origin wire.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.zones[string(origin)]
	if !ok {
		return
	}
	delete(s.zones, string(origin))
	if d.zone != nil || d.status.Err != nil || s.ceded[string(origin)] != nil {
		s.gone = true
		s.publish()
	}
}

// Cede says at and below which names others answer, in place of those that were
// ceded before: a zone above such a name does not speak for it any more. A zone of
// the very name goes before, for as long as it is declared.
func (s *Store) Cede(names []wire.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ceded := make(map[string]wire.Name, len(names))
	for _, n := range names {
		ceded[string(n)] = slices.Clone(n)
	}
	s.gone = s.gone || !maps.EqualFunc(s.ceded, ceded, slices.Equal[wire.Name])
	s.ceded = ceded
	s.publish()
}

// Declared says whether a zone of this name is declared, and its source.
func (s *Store) Declared(origin wire.Name) (source string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.zones[string(origin)]
	if !ok {
		return "", false
	}
	return d.status.Source, true
}

// Put serves z, in place of what its name stood for until now. Its name must be
// declared. label comes back with each answer; at is the time of loading.
func (s *Store) Put(z *Zone, label uint32, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.zones[string(z.origin)]
	if !ok {
		return
	}
	d.zone, d.label = z, label
	d.status.Loaded, d.status.LoadedAt, d.status.Err = true, at, nil
	d.status.Serial, d.status.Records = z.Serial(), z.Len()
	s.dirty = append(s.dirty, d)
	s.publish()
}

// Fail notes that loading a declared zone failed. What was served goes on being
// served; where nothing was, Answer says so from now on.
func (s *Store) Fail(origin wire.Name, err error, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.zones[string(origin)]
	if !ok {
		return
	}
	first := d.zone == nil && d.status.Err == nil
	d.status.Err, d.status.FailedAt = err, at
	d.status.Failures++
	if first {
		s.dirty = append(s.dirty, d)
		s.publish()
	}
}

// Batch runs f and publishes what it changes as one Set, at its end. Changes by
// others in the meantime wait for it too.
func (s *Store) Batch(f func()) {
	s.mu.Lock()
	s.batch++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.batch--
		s.publish()
	}()
	f()
}

// publish makes the Set of the zones that are loaded, or failed to, the current
// one. s.mu is held.
func (s *Store) publish() {
	if s.batch > 0 || !s.gone && len(s.dirty) == 0 {
		return
	}
	if s.gone {
		s.set.Store(s.whole())
	} else {
		s.set.Store(s.changed())
	}
	s.gone, s.dirty = false, nil
}

// whole makes a Set from all zones.
func (s *Store) whole() *Set {
	entries := make([]entry, 0, len(s.zones))
	for _, d := range s.zones {
		if d.zone != nil || d.status.Err != nil {
			entries = append(entries, d.entry())
			d.place = len(entries)
		}
	}
	for name, origin := range s.ceded {
		if s.zones[name] == nil {
			entries = append(entries, entry{origin: origin, ceded: true})
		}
	}
	return newSet(entries)
}

// changed makes a Set from the one before and what is dirty: the cost of one zone
// among many is a copy of the table of zones.
func (s *Store) changed() *Set {
	old := s.set.Load()
	next := &Set{entries: make([]entry, len(old.entries), len(old.entries)+len(s.dirty)), index: old.index, deepest: old.deepest}
	copy(next.entries, old.entries)
	var names suffixes
	for _, d := range s.dirty {
		if d.place > 0 {
			next.entries[d.place-1] = d.entry()
			continue
		}
		if len(next.entries) == len(old.entries) {
			next.index = old.index.withRoom(len(s.dirty))
		}
		names.set(d.status.Origin)
		next.index.add(names.hash[names.n], uint32(len(next.entries)))
		next.deepest = max(next.deepest, names.n)
		next.entries = append(next.entries, d.entry())
		d.place = len(next.entries)
	}
	return next
}

func (d *declared) entry() entry {
	return entry{origin: d.status.Origin, zone: d.zone, label: d.label}
}

// Status returns the state of every declared zone, in canonical order.
func (s *Store) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, 0, len(s.zones))
	for _, d := range s.zones {
		all = append(all, d.status)
	}
	slices.SortFunc(all, func(a, b Status) int { return wire.Compare(a.Origin, b.Origin) })
	return all
}
