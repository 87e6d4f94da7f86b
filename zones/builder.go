package zones

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stampdns/stampdns/zones/wire"
)

// Builder gathers the records of one zone before they are checked and compiled.
// It keeps the place of each record for messages; a Zone does not. It is used by
// one goroutine.
type Builder struct {
	origin wire.Name
	arena  []byte // lower-cased owners and rdata
	nodes  []buildNode
	recs   []buildRec
	files  []string
	// numbers is by file, where there are more than fewFiles.
	numbers map[string]uint16
	index   index
	// owner is the owner of the record in hand or of the one before, and at its
	// node, -1 for none.
	owner suffixes
	at    int32
	// outside holds what does not lie in the zone: kept for Check alone.
	outside []Record
	// longTTL holds owner and place of records whose TTL is above maxTTL, for Check.
	longTTL []Record
}

// maxTTL is the largest TTL in seconds (RFC 2181 section 8).
const maxTTL = 1<<31 - 1

// buildNode is an owner, or an empty non-terminal. Nodes stand behind their
// parents, the apex first.
type buildNode struct {
	name        uint32 // offset in arena
	nameLen     uint8
	first, last int32 // records, by number; -1 for none
	parent      int32
}

type buildRec struct {
	next     int32
	ttl      uint32
	data     uint32 // offset in arena
	line     uint32
	dataLen  uint16
	rrtype   uint16
	fileName uint16
}

var errTooLarge = errors.New("more than 4 GiB of names and data in one zone")

// Collect reads all records of src into a Builder. An error of src ends it;
// records outside the zone do not, Check reports them.
func Collect(src Source) (*Builder, error) {
	b := &Builder{}
	if err := b.collect(src); err != nil {
		return nil, err
	}
	return b, nil
}

// collect is Collect, into the memory of the zone before.
func (b *Builder) collect(src Source) error {
	slots := b.index.slots
	if half := len(slots) / 2; half >= minSlots && b.index.used*4 < half {
		slots = slots[:half:half] // one zone of many names must not slow all others
	}
	clear(slots)
	*b = Builder{
		origin: append(b.origin[:0], src.Origin()...),
		arena:  b.arena[:0], nodes: b.nodes[:0], recs: b.recs[:0], files: b.files[:0],
		index: index{slots: slots},
	}
	b.owner.set(b.origin)
	b.at = b.addNode(&b.owner, b.owner.n, -1)
	return src.Records(b.add)
}

// add takes the record r.
func (b *Builder) add(r Record) error {
	s := &b.owner
	if b.at < 0 || !bytes.Equal(r.Owner, s.whole()) {
		s.set(r.Owner)
		b.at = -1
		if !s.whole().Within(b.origin) {
			r.Owner, r.Data = slices.Clone(s.whole()), slices.Clone(r.Data)
			b.outside = append(b.outside, r)
			return nil
		}
	}
	// A Zone's arena has some octets a record that this one has not.
	if uint64(len(b.arena)+rrHeader*len(b.recs)+len(r.Data)+wire.MaxLabels*wire.MaxName) > math.MaxUint32 || len(b.recs) >= math.MaxInt32 {
		return fmt.Errorf("%s: %w", r.Pos, errTooLarge)
	}
	file, ok := b.file(r.Pos.File)
	if !ok {
		return fmt.Errorf("%s: more than 65536 files in one zone", r.Pos)
	}
	if len(r.Data) > math.MaxUint16 {
		return fmt.Errorf("%s: record data longer than 65535 octets", r.Pos)
	}
	if r.TTL > maxTTL {
		if len(b.longTTL) < maxGathered {
			b.longTTL = append(b.longTTL, Record{Owner: slices.Clone(s.whole()), Type: r.Type, TTL: r.TTL, Pos: r.Pos})
		}
		r.TTL = 0
	}
	if b.at < 0 {
		b.at = b.node(s)
	}
	rec := int32(len(b.recs))
	b.recs = append(b.recs, buildRec{
		next: -1, rrtype: r.Type, ttl: r.TTL,
		data: uint32(len(b.arena)), dataLen: uint16(len(r.Data)),
		line: uint32(r.Pos.Line), fileName: file,
	})
	b.arena = append(b.arena, r.Data...)
	if n := &b.nodes[b.at]; n.first < 0 {
		n.first, n.last = rec, rec
	} else {
		b.recs[n.last].next = rec
		n.last = rec
	}
	return nil
}

// fewFiles are looked through, more of them looked up.
const fewFiles = 16

// file numbers the files of a zone: few, and nearly always the last one.
func (b *Builder) file(name string) (number uint16, ok bool) {
	n := len(b.files)
	if n > 0 && b.files[n-1] == name {
		return uint16(n - 1), true
	}
	if n <= fewFiles {
		if i := slices.Index(b.files, name); i >= 0 {
			return uint16(i), true
		}
	} else if number, ok = b.numbers[name]; ok {
		return number, true
	}
	if n > math.MaxUint16 {
		return 0, false
	}
	b.files = append(b.files, name)
	switch {
	case n == fewFiles:
		b.numbers = make(map[string]uint16)
		for i, name := range b.files {
			b.numbers[name] = uint16(i)
		}
	case n > fewFiles:
		b.numbers[name] = uint16(n)
	}
	return uint16(n), true
}

// node finds or makes the node of the name in s, and every node between it and
// the apex: the empty non-terminals (RFC 4592 section 2.2.2).
func (b *Builder) node(s *suffixes) int32 {
	if i := b.find(s, s.n); i >= 0 {
		return i
	}
	k := s.n - 1
	parent := b.find(s, k)
	for parent < 0 {
		k--
		parent = b.find(s, k)
	}
	for k++; k <= s.n; k++ {
		parent = b.addNode(s, k, parent)
	}
	return parent
}

// takeIndex is the index as the Zone is to have it: a large one itself, which the
// Builder has no more then, of a small one a copy that fits.
func (b *Builder) takeIndex() index {
	if !b.large() {
		return b.index.withRoom(0)
	}
	x := b.index
	b.index = index{}
	return x
}

func (b *Builder) addNode(s *suffixes, k int, parent int32) int32 {
	name := s.suffix(k)
	b.index.add(s.hash[k], uint32(len(b.nodes)))
	b.nodes = append(b.nodes, buildNode{
		name: uint32(len(b.arena)), nameLen: uint8(len(name)), first: -1, last: -1, parent: parent,
	})
	b.arena = append(b.arena, name...)
	return int32(len(b.nodes) - 1)
}

// find returns the node of suffix k, or -1.
func (b *Builder) find(s *suffixes, k int) int32 {
	hash, mask := s.hash[k], uint32(len(b.index.slots)-1)
	for i := hash & mask; b.index.slots[i].ref != 0; i = (i + 1) & mask {
		if e := b.index.slots[i]; e.hash == hash && bytes.Equal(b.name(int32(e.ref-1)), s.suffix(k)) {
			return int32(e.ref - 1)
		}
	}
	return -1
}

func (b *Builder) name(i int32) wire.Name {
	n := &b.nodes[i]
	return wire.Name(b.arena[n.name : n.name+uint32(n.nameLen)])
}

// records appends the records of node i to dst, in the order they came.
func (b *Builder) records(dst []Record, i int32) []Record {
	for r := b.nodes[i].first; r >= 0; r = b.recs[r].next {
		dst = append(dst, b.record(i, r))
	}
	return dst
}

// record is record r, of node i.
func (b *Builder) record(i, r int32) Record {
	rec := &b.recs[r]
	return Record{
		Owner: b.name(i), Type: rec.rrtype, TTL: rec.ttl,
		Data: b.data(rec),
		Pos:  Pos{File: b.files[rec.fileName], Line: int(rec.line)},
	}
}

func (b *Builder) data(r *buildRec) []byte {
	return b.arena[r.data : r.data+uint32(r.dataLen) : r.data+uint32(r.dataLen)]
}

// Origin is the name of the zone.
func (b *Builder) Origin() wire.Name { return b.origin }

// Len is the number of records in the zone, duplicates included.
func (b *Builder) Len() int { return len(b.recs) }

// LoadError says why a zone was not loaded.
type LoadError struct {
	// Findings are those of severity Error, the first one first.
	Findings []Finding
}

// Error is the first finding, and how many more there are.
func (e *LoadError) Error() string {
	s := e.Findings[0].Error()
	if n := len(e.Findings) - 1; n > 0 {
		s = fmt.Sprintf("%s (and %d more)", s, n)
	}
	return s
}

// Unwrap gives the findings to errors.As, the first one first.
func (e *LoadError) Unwrap() []error {
	errs := make([]error, len(e.Findings))
	for i := range e.Findings {
		errs[i] = &e.Findings[i]
	}
	return errs
}
