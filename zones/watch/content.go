package watch

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/stampdns/stampdns/zones"
)

// fresh is how young a change may be for another one to hide behind it: file
// systems tell times no more finely than this.
const fresh = 2 * time.Second

var errTooLarge = fmt.Errorf("larger than %d octets: this is no zone file", int64(zones.MaxText))

var errNotRegular = errors.New("not a regular file")

// content is what a zone's files were like when we read them, the zone's own
// first.
type content struct {
	files []sighting // nil: not known
	// restless says that the files may change, or have changed, without any of
	// it showing in their size and time: look inside next time.
	restless bool
}

// sighting is one file.
type sighting struct {
	path  string
	there bool
	id    identity
	sum   uint64 // of the octets, by the Memory's seed
}

// equal says that both were one file's content.
func (s *sighting) equal(t *sighting) bool {
	return s.path == t.path && s.there == t.there && s.sum == t.sum
}

// moved says that some file looks different from outside now.
func (c *content) moved() bool {
	for i := range c.files {
		s := &c.files[i]
		id, err := identify(s.path)
		if s.there != (err == nil) || s.there && !id.same(s.id) {
			return true
		}
	}
	return false
}

// reader reads the files of one zone, each once, and keeps account of them. It
// is used for one look, by one goroutine.
type reader struct {
	seed maphash.Seed
	seen []sighting
	// first is the zone's own file: open until the look ends, so that it can be
	// told whether somebody wrote to it meanwhile.
	first  handle
	opened bool
	text   []byte
	err    error
	buffer *[]byte
}

// buffers hold what files are read into.
type buffers struct{ sync.Pool }

// keepBuffer is the largest buffer that waits for the next file.
const keepBuffer = 1 << 18

func (b *buffers) get() *[]byte {
	if buffer, ok := b.Get().(*[]byte); ok {
		return buffer
	}
	return new([]byte)
}

// open begins a look at the zone whose own file is at path, and reads that.
func (m *Memory) open(path string) *reader {
	r := &reader{seed: m.seed, buffer: m.buffers.get()}
	s := sighting{path: path}
	r.first, s.id, r.err = openFile(path)
	if r.opened = r.err == nil; r.opened {
		*r.buffer, r.err = readAll(r.first, s.id, *r.buffer)
		r.text = *r.buffer
		s.there, s.sum = r.err == nil, maphash.Bytes(r.seed, r.text)
	}
	r.seen = append(r.seen, s)
	return r
}

// close ends the look: texts of it must not be used any more.
func (m *Memory) close(r *reader) {
	if r.opened {
		r.first.close()
	}
	if cap(*r.buffer) <= keepBuffer {
		m.buffers.Put(r.buffer)
	}
}

// read is a zones.ReadFunc.
func (r *reader) read(path string) ([]byte, error) {
	if path == r.seen[0].path {
		return r.text, r.err
	}
	s, text, err := r.look(path)
	r.note(s)
	return text, err
}

// look reads another file than the first.
func (r *reader) look(path string) (s sighting, text []byte, err error) {
	s.path = path
	h, id, err := openFile(path)
	if err != nil {
		return s, nil, err
	}
	defer h.close()
	if text, err = readAll(h, id, nil); err != nil {
		return s, nil, err
	}
	s.there, s.id, s.sum = true, id, maphash.Bytes(r.seed, text)
	return s, text, nil
}

// note takes a sighting down. A file that is included twice counts as it was
// first: if it changed in between, it has moved.
func (r *reader) note(s sighting) {
	if !slices.ContainsFunc(r.seen, func(t sighting) bool { return t.path == s.path }) {
		r.seen = append(r.seen, s)
	}
}

// finds says whether the files still hold what c says. Those that c knows and
// that are not read yet are read for it.
func (r *reader) finds(c *content) bool {
	if len(c.files) == 0 || !r.seen[0].equal(&c.files[0]) {
		return false
	}
	for i := range c.files[1:] {
		s, _, _ := r.look(c.files[i+1].path)
		if !s.equal(&c.files[i+1]) {
			r.seen = r.seen[:1]
			return false
		}
		r.note(s)
	}
	return true
}

// content is what was read. It is unknown if somebody wrote to a file meanwhile:
// half a file may look like a whole one.
func (r *reader) content(now time.Time) (c content, settled bool) {
	if r.opened {
		id, err := r.first.identity()
		if s := &r.seen[0]; err != nil || s.there && !id.same(s.id) {
			return content{}, false
		}
	}
	c.files = slices.Clip(r.seen)
	if others := (content{files: c.files[1:]}); others.moved() {
		return content{}, false
	}
	for i := range c.files {
		s := &c.files[i]
		c.restless = c.restless || s.there && now.Sub(s.id.modified()) < fresh
	}
	return c, true
}

// readAll reads an open file to its end, into buffer if there is room.
func readAll(h handle, id identity, buffer []byte) ([]byte, error) {
	if id.length() > zones.MaxText {
		return buffer[:0], errTooLarge
	}
	// One octet more than there is shows that it is the end.
	if need := id.length() + 1; int64(cap(buffer)) < need {
		buffer = make([]byte, 0, need)
	}
	buffer = buffer[:0]
	for {
		n, err := h.read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if errors.Is(err, io.EOF) || err == nil && int64(len(buffer)) == id.length() {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
		if len(buffer) > zones.MaxText {
			return buffer, errTooLarge
		}
		if len(buffer) == cap(buffer) {
			buffer = slices.Grow(buffer, cap(buffer))
		}
	}
}
