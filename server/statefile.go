package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	stateMode = 0o600
	// stateWait is how long another process may take to let go of the file.
	stateWait = time.Second
)

// stateFile is a store in a bbolt file.
type stateFile struct {
	path  string
	info  os.FileInfo // tells it from other files
	users int         // configurations; guarded by states.mu

	// mu is held during each access: there are few, and an access that a broken
	// file ends in the middle leaves bbolt's own locks held.
	mu     sync.Mutex
	db     *bbolt.DB
	file   *os.File // what db reads and writes
	closed error    // why it is not usable any more
}

// openStateFile opens the file at path, and makes it if there is none. A file that
// is not a whole state file is left as it is.
func openStateFile(path string) (*stateFile, error) {
	f := &stateFile{path: path}
	err := fenced(func() error {
		info, err := os.Stat(path)
		switch {
		case err != nil: // it is made, or opening it says why not
		case !info.Mode().IsRegular():
			return &os.PathError{Op: "open", Path: path, Err: errNoFile}
		case info.Size() > 0:
			if err := checkStateFile(path); err != nil {
				return err
			}
		}
		return f.openDB()
	})
	if err == nil {
		return f, nil
	}
	if f.db == nil && f.file != nil {
		f.abandon() // where bbolt panicked, it left the lock
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("state file %s: another process has it open: end that process, or name another file", path)
	case errors.Is(err, errDamaged):
		return nil, fmt.Errorf("state file %s is damaged, or is no state file: move it away to begin with an empty one, "+
			"it was not changed: %w", path, err)
	}
	return nil, fmt.Errorf("state file: %w", err)
}

// openDB opens the file to read and write it.
func (f *stateFile) openDB() error {
	db, err := bbolt.Open(f.path, stateMode, &bbolt.Options{
		Timeout: stateWait,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			file, err := os.OpenFile(name, flag, mode)
			f.file = file
			return file, err
		},
	})
	if err != nil {
		return err
	}
	f.db = db
	f.info, err = f.file.Stat()
	if err != nil {
		db.Close()
	}
	return err
}

// checkStateFile reads all of a file without changing it. bbolt maps the file and
// trusts it: a page behind its end, or one that is not what it should be, would
// end the process later.
func checkStateFile(path string) error {
	db, err := bbolt.Open(path, stateMode, &bbolt.Options{Timeout: stateWait, ReadOnly: true})
	if err != nil {
		return damage(err)
	}
	defer db.Close()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: %d of its %d octets are there", errDamaged, info.Size(), tx.Size())
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	})
}

var (
	errDamaged = errors.New("damaged")
	errNoFile  = errors.New("it is a folder or a device: name a file")
)

// damage is an error of bbolt.Open as errDamaged, unless the system or another
// process is the reason.
func damage(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, bolterrors.ErrTimeout) {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// fenced calls f, which reads the mapped file. What would end the process for what
// is in the file, or is in it no more, is an error.
func fenced(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %v", errDamaged, fault)
		}
	}()
	return f()
}

// access calls f while nobody else reads or writes. A file found broken is not
// touched again.
func (f *stateFile) access(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed == nil {
		err := fenced(do)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errDamaged) {
			return fmt.Errorf("state file %s: %w", f.path, err)
		}
		f.closed = err
		f.abandon()
	}
	return fmt.Errorf("state file %s: %w", f.path, f.closed)
}

// abandon lets go of the file in bbolt's place, which can't be asked to any more. It
// stays mapped, and a mapped file would keep its lock.
func (f *stateFile) abandon() {
	unlock(f.file)
	f.file.Close()
}

// usable says whether the file is open and was not found broken.
func (f *stateFile) usable() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed == nil
}

func (f *stateFile) get(bucket, key string) (value []byte, err error) {
	err = f.access(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			if b := tx.Bucket([]byte(bucket)); b != nil {
				value = bytes.Clone(b.Get([]byte(key)))
			}
			return nil
		})
	})
	return value, err
}

func (f *stateFile) put(bucket, key string, value []byte) error {
	return f.access(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			if value != nil {
				return putIn(tx, bucket, key, value)
			}
			if b := tx.Bucket([]byte(bucket)); b != nil {
				return b.Delete([]byte(key))
			}
			return nil
		})
	})
}

func putIn(tx *bbolt.Tx, bucket, key string, value []byte) error {
	b, err := tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	return b.Put([]byte(key), value)
}

// fill puts buckets into a file that has none.
func (f *stateFile) fill(buckets map[string]map[string][]byte) error {
	if len(buckets) == 0 {
		return nil
	}
	return f.access(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			if first, _ := tx.Cursor().First(); first != nil {
				return nil
			}
			for bucket, values := range buckets {
				for key, value := range values {
					if err := putIn(tx, bucket, key, value); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}

// close closes the file. Who uses it afterwards gets an error.
func (f *stateFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed != nil {
		return nil
	}
	f.closed = errStateClosed
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("state file %s: %w", f.path, err)
	}
	return nil
}
