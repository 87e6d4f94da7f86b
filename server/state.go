package server

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// UseState has the server keep its run-time state in the file at path. The file is
// opened, and made if there is none, with the sockets of the configuration, not by
// Validate. Blocks may all name one file. Without UseState the state is in memory
// until the process ends.
func (d *Directive) UseState(path string) error {
	u := d.gen.state
	if u.path != "" && u.path != path {
		return d.Errf("the state is in %s already by %s: the server has one state file, give it once", u.path, u.at)
	}
	if u.path == "" {
		u.path, u.at, u.directive = path, d.here(), d.Plugin.Name
	}
	return nil
}

// Bucket is the plugin's own part of the server's run-time state, by the plugin's
// name. It may be used from OnStart on.
func (d *Directive) Bucket() *Bucket { return &Bucket{d.gen.state, d.Plugin.Name} }

// Bucket is one plugin's part of the server's state: values by key. Its methods
// may be called from any goroutine, but not on the way of a query: they wait for
// the disk, and for each other.
//
// Two configurations that name the same file, or none, have the same state. What
// is in memory goes over into the first file that is named, if that has nothing
// yet.
type Bucket struct {
	use  *stateUse
	name string
}

// maxStateKey is the longest key, in octets.
const maxStateKey = 32768

var (
	errStateKey    = fmt.Errorf("a key of the state has 1 to %d octets", maxStateKey)
	errStateEarly  = errors.New("the state is not open before the configuration starts")
	errStateClosed = errors.New("closed: the configuration that used it is over")
)

// Get returns a copy of the value at key, nil if there is none.
func (b *Bucket) Get(key string) ([]byte, error) {
	switch {
	case key == "" || len(key) > maxStateKey:
		return nil, errStateKey
	case b.use.store == nil:
		return nil, errStateEarly
	}
	return b.use.store.get(b.name, key)
}

// Put sets the value at key; nil deletes it. When it returns without an error, the
// value outlives the process if Lasts, however that ends. The caller may change
// value afterwards.
func (b *Bucket) Put(key string, value []byte) error {
	switch {
	case key == "" || len(key) > maxStateKey:
		return errStateKey
	case b.use.store == nil:
		return errStateEarly
	}
	return b.use.store.put(b.name, key, value)
}

// Lasts says whether the state outlives the process. It is known from OnStart on.
func (b *Bucket) Lasts() bool { return b.use.path != "" }

// StateFile is the path of the state file in use, "" where there is none and
// run-time changes last until the process ends.
func (s *Server) StateFile() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return ""
	}
	return s.current.state.path
}

// stateUse is what one configuration says of the state.
type stateUse struct {
	path      string // "" for memory
	at        place
	directive string
	store     store // from install on
}

// store keeps values by bucket and key.
type store interface {
	get(bucket, key string) ([]byte, error)
	put(bucket, key string, value []byte) error
}

// states are the stores that configurations use: one file for all that name it,
// and the memory, which is there as long as the server.
type states struct {
	memory memoryState

	mu    sync.Mutex
	files []*stateFile
}

// open opens what u names. It is u's until release.
func (s *states) open(u *stateUse) error {
	if u.path == "" {
		u.store = &s.memory
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.fileLocked(u.path)
	if err != nil {
		return &ConfigError{File: u.at.file, Line: u.at.line, Directive: u.directive, Err: err}
	}
	f.users++
	u.store = f
	return nil
}

// fileLocked is the file at path. Which one that is says the file system: a path
// may lead to another file than at the last reload, and two paths to one.
func (s *states) fileLocked(path string) (*stateFile, error) {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("state file %s: there is no folder %s: make it, so that the server may write in it", path, folder)
	}
	if info, err := os.Stat(path); err == nil {
		for _, f := range s.files {
			if os.SameFile(info, f.info) && f.usable() {
				return f, nil
			}
		}
	}
	f, err := openStateFile(path)
	if err == nil {
		s.files = append(s.files, f)
	}
	return f, err
}

// adopt moves what is in memory into u's file if that has nothing yet: it is the
// first since the server started.
func (s *states) adopt(u *stateUse) error {
	f, ok := u.store.(*stateFile)
	if !ok {
		return nil
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if err := f.fill(s.memory.buckets); err != nil {
		return &ConfigError{File: u.at.file, Line: u.at.line, Directive: u.directive, Err: err}
	}
	s.memory.buckets = nil
	return nil
}

// release closes u's file if nobody else uses it.
func (s *states) release(u *stateUse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := u.store.(*stateFile)
	if !ok {
		return nil
	}
	if f.users--; f.users > 0 {
		return nil
	}
	s.files = slices.DeleteFunc(s.files, func(other *stateFile) bool { return other == f })
	return f.close()
}

// memoryState is a store that ends with the process.
type memoryState struct {
	mu      sync.Mutex
	buckets map[string]map[string][]byte
}

func (m *memoryState) get(bucket, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.buckets[bucket][key]), nil
}

func (m *memoryState) put(bucket, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value == nil {
		delete(m.buckets[bucket], key)
		return nil
	}
	if m.buckets == nil {
		m.buckets = make(map[string]map[string][]byte)
	}
	if m.buckets[bucket] == nil {
		m.buckets[bucket] = make(map[string][]byte)
	}
	m.buckets[bucket][key] = bytes.Clone(value)
	return nil
}
