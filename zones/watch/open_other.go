//go:build !linux

package watch

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// handle is an open file.
type handle struct{ *os.File }

// identity is what a file looks like from outside.
type identity struct{ info fs.FileInfo }

// same says that nothing shows that the file is another one.
func (i identity) same(other identity) bool {
	a, b := i.info, other.info
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (i identity) modified() time.Time { return i.info.ModTime() }

func (i identity) length() int64 { return i.info.Size() }

// openFile opens a regular file. Anything else might block, or never end.
func openFile(path string) (handle, identity, error) {
	if _, err := identify(path); err != nil {
		return handle{}, identity{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return handle{}, identity{}, bare(err)
	}
	i, err := handle{f}.identity()
	if err != nil {
		f.Close()
	}
	return handle{f}, i, err
}

func (h handle) identity() (identity, error) {
	info, err := h.Stat()
	return identityOf(info, err)
}

// read is io.Reader's Read.
func (h handle) read(b []byte) (int, error) { return h.Read(b) }

func (h handle) close() { h.Close() }

// identify looks at a file without opening it.
func identify(path string) (identity, error) {
	info, err := os.Stat(path)
	return identityOf(info, err)
}

func identityOf(info fs.FileInfo, err error) (identity, error) {
	switch {
	case err != nil:
		return identity{}, bare(err)
	case !info.Mode().IsRegular():
		return identity{}, errNotRegular
	}
	return identity{info}, nil
}

// bare is the error without the path.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
