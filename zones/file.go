package zones

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stampdns/stampdns/zones/wire"
)

// maxIncludeDepth bounds $INCLUDE in $INCLUDE.
const maxIncludeDepth = 16

// maxIncluded bounds the $INCLUDEs of a zone: files that include others several
// times each are a handful, and never end.
const maxIncluded = 1 << 16

// MaxText is the most octets that the files of a zone have, counted as often as
// they are included: 1 GiB. A file with holes in it can be larger than all memory.
const MaxText = min(1<<30, math.MaxInt>>2)

var errLargeText = fmt.Errorf("more than %d octets in the files of one zone: this is no zone file, or split the zone", int64(MaxText))

// fileSource is a Source that reads a master file, from path or from text.
type fileSource struct {
	path   string
	text   []byte
	isText bool
	origin wire.Name
	read   ReadFunc
}

// ReadFunc reads a whole file, as os.ReadFile does, but refuses what is not
// regular. Its error does not repeat the path. The text is only read, and no
// longer than the Records that asked for it runs.
type ReadFunc func(path string) ([]byte, error)

// FileSource is the zone that a master file (RFC 1035 section 5) holds. Origin is
// the zone's name, and what names in the file are relative to before the first
// $ORIGIN. The file is read anew at each call of Records. It and the files that
// it includes must be regular files; $INCLUDE is relative to the including file.
//
// A mistake in a file is a *Finding with its place; several are a *LoadError, in
// the order they were met, and at most maxMistakes. Records before the first one
// are handed on, those behind it are not. A file without any record is an error,
// too. Errors of add come back as they are.
func FileSource(path string, origin wire.Name) Source {
	return FileSourceFrom(path, origin, readFile)
}

// FileSourceFrom is FileSource for a caller that reads the files itself, the one
// at path and those that it includes, because it keeps account of them.
func FileSourceFrom(path string, origin wire.Name, read ReadFunc) Source {
	return &fileSource{path: path, origin: origin, read: read}
}

// TextSource is like FileSource for a text in memory, which must not change while
// it is read. Name stands in messages where a file's path would. The text has no
// directory, so that $INCLUDE in it is an error.
func TextSource(name string, text []byte, origin wire.Name) Source {
	return &fileSource{path: name, text: text, isText: true, origin: origin}
}

// Origin is the zone's name.
func (f *fileSource) Origin() wire.Name { return f.origin }

// shortBuffer holds owners and data of common length, in octets.
const shortBuffer = 128

// Records calls add for each record, in the order of the file.
func (f *fileSource) Records(add func(Record) error) error {
	// One piece of memory, as many zones are small.
	all := &struct {
		zone        zoneScan
		scanner     scanner
		owner, data [shortBuffer]byte
	}{}
	z, s := &all.zone, &all.scanner
	z.add, z.empty = add, true
	*s = scanner{zone: z, file: f.path, text: f.text, origin: f.origin, owner: all.owner[:0], data: all.data[:0]}
	if !f.isText {
		text, err := f.read(f.path)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		s.text, s.base = text, filepath.Dir(f.path)
		z.read, z.open = f.read, append(z.open, f.path)
	}
	if err := s.scan(); z.ended != nil {
		return err
	}
	if err := z.err(); err != nil {
		return err
	}
	if z.empty {
		// Nobody behind us could tell which file it is.
		return &Finding{
			Pos: Pos{File: f.path}, Severity: Error, Code: "no-soa",
			Text: fmt.Sprintf("holds no record: zone %s needs an SOA record, NS records, and what it is to serve", f.origin),
		}
	}
	return nil
}

// include reads the entries of another file, as if they stood in this one.
func (s *scanner) include(path string, origin []byte) error {
	if s.base == "" {
		return s.errorf("$INCLUDE %s: a zone that is not read from a file has no directory to include from", path)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.base, path)
	}
	z := s.zone
	if s.depth == maxIncludeDepth {
		return s.errorf("$INCLUDE %s: more than %d files deep", path, maxIncludeDepth)
	}
	if z.included == maxIncluded {
		return s.errorf("$INCLUDE %s: more than %d in one zone", path, maxIncluded)
	}
	for i, open := range z.open {
		if sameFile(open, path) {
			return s.errorf("$INCLUDE %s: the file includes itself: %s", path, loopText(z.open[i:], path))
		}
	}
	text, err := z.read(path)
	if err != nil {
		return s.errorf("$INCLUDE %s: %w", path, err)
	}
	z.included++
	if z.octets += int64(len(text)); z.octets > MaxText {
		return s.errorf("$INCLUDE %s: %w", path, errLargeText)
	}
	z.open = append(z.open, path)
	sub := &scanner{
		zone: z, file: path, base: filepath.Dir(path), depth: s.depth + 1, text: text,
		origin: origin, owner: append([]byte(nil), s.owner...),
	}
	err = sub.scan()
	z.open = z.open[:len(z.open)-1]
	return err
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

func loopText(open []string, path string) string {
	return strings.Join(append(slices.Clone(open), path), " -> ")
}

// readFile reads a regular file: anything else could block the server, or never
// end. An error does not repeat the path.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	if err == nil && info.Size() > MaxText {
		return nil, errLargeText
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return text, err
}
