package watch

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// A folder of many small zones costs little but system calls: handle has none
// that package os would add.

// handle is an open file.
type handle int

// identity is what a file looks like from outside.
type identity struct {
	dev, ino            uint64
	size, mtime, change int64 // change is of the inode: a time that nobody can set
}

// same says that nothing shows that the file is another one.
func (i identity) same(other identity) bool { return i == other }

func (i identity) modified() time.Time { return time.Unix(0, i.mtime) }

// openFile opens a regular file. Anything else might block, or never end.
func openFile(path string) (handle, identity, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, identity{}, err
		}
		i, err := handle(fd).identity()
		if err != nil {
			handle(fd).close()
		}
		return handle(fd), i, err
	}
}

func (h handle) identity() (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(h), &st); err != nil {
		return identity{}, err
	}
	return identityOf(&st)
}

// read is io.Reader's Read.
func (h handle) read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(h), b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (h handle) close() { unix.Close(int(h)) }

// identify looks at a file without opening it.
func identify(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return identity{}, err
	}
	return identityOf(&st)
}

func identityOf(st *unix.Stat_t) (identity, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return identity{}, errNotRegular
	}
	return identity{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size,
		mtime: st.Mtim.Nano(), change: st.Ctim.Nano(),
	}, nil
}

func (i identity) length() int64 { return i.size }
