package zones

import (
	"encoding/binary"
	"math/bits"

	"github.com/stampdns/stampdns/zones/wire"
)

// A name's hash is made label by label from the root down, so that one pass
// over a question gives the hash of each of its suffixes: the zone, every
// possible closest encloser, and the name itself.

const (
	hashRoot = 0x9E3779B97F4A7C15
	hashMul  = 0xD6E8FEB86659FD93
)

// hashLabel mixes one label, without its length octet, into the hash of the
// name above it.
func hashLabel(h uint64, label []byte) uint64 {
	h ^= uint64(len(label))
	for len(label) >= 8 {
		h = mix(h ^ binary.LittleEndian.Uint64(label))
		label = label[8:]
	}
	var last uint64
	switch n := len(label); {
	case n >= 4: // two halves, which may overlap
		last = uint64(binary.LittleEndian.Uint32(label)) | uint64(binary.LittleEndian.Uint32(label[n-4:]))<<32
	case n > 0:
		last = uint64(label[0]) | uint64(label[n/2])<<8 | uint64(label[n-1])<<16
	}
	return mix(h ^ last)
}

func mix(h uint64) uint64 {
	hi, lo := bits.Mul64(h, hashMul)
	return hi ^ lo
}

// path is a name with the offsets and hashes of its suffixes: suffix k is the
// last k labels of the name, suffix 0 the root. All three are somebody else's
// memory, and read-only.
type path struct {
	name wire.Name // lower-cased
	off  []uint8   // by k
	hash []uint32  // by k
}

// labels is the number of labels of the name.
func (p *path) labels() int { return len(p.off) - 1 }

// suffix is the name of the last k labels.
func (p *path) suffix(k int) wire.Name { return p.name[p.off[k]:] }

// hashSuffixes fills off and hash, both as long, for the suffixes of the name at
// the start of b, and returns the number of its labels. It returns false if that
// is more than there is room for.
func hashSuffixes(b []byte, off []uint8, hash []uint32) (labels int, ok bool) {
	n, i := 0, 0
	for b[i] != 0 {
		if n+1 >= len(off) {
			return 0, false
		}
		off[n] = uint8(i)
		n++
		i += int(b[i]) + 1
	}
	off[n] = uint8(i)
	off = off[:n+1]
	for i, j := 0, n; i < j; i, j = i+1, j-1 {
		off[i], off[j] = off[j], off[i]
	}
	hash = hash[:n+1]
	h := uint64(hashRoot)
	hash[0] = fold(h)
	for k := 1; k <= n; k++ {
		o := int(off[k])
		h = hashLabel(h, b[o+1:off[k-1]])
		hash[k] = fold(h)
	}
	return n, true
}

// shortLabels is the most labels of a name whose suffixes fit a shortPath.
const shortLabels = 15

// shortPath is the memory of the path of a name of few labels: nearly all are.
type shortPath struct {
	off  [shortLabels + 1]uint8
	hash [shortLabels + 1]uint32
}

// set returns the path of a lower-cased name, which lives as long as both do. It
// returns false if the name has too many labels.
func (s *shortPath) set(name wire.Name) (p path, ok bool) {
	n, ok := hashSuffixes(name, s.off[:], s.hash[:])
	return path{name, s.off[:n+1], s.hash[:n+1]}, ok
}

// suffixes holds a name with the offsets and hashes of its suffixes. It holds no
// pointer, so that it stays on the stack of whoever looks a name up.
type suffixes struct {
	n    int // labels
	len  int // octets
	off  [wire.MaxLabels]uint8
	hash [wire.MaxLabels]uint32
	name [wire.MaxName]byte // lower-cased
}

// set fills s with the name at the start of b, lower-cased. b must hold a whole
// name.
func (s *suffixes) set(b []byte) {
	n := 0
	for b[n] != 0 {
		n += int(b[n]) + 1
	}
	s.len = n + 1
	copy(s.name[:], b[:s.len])
	wire.Lower(s.name[:n])
	s.n, _ = hashSuffixes(s.name[:], s.off[:], s.hash[:])
}

// path is s as those want it who look names up.
func (s *suffixes) path() path { return path{s.whole(), s.off[:s.n+1], s.hash[:s.n+1]} }

// suffix is the name of the last k labels, in s's own octets.
func (s *suffixes) suffix(k int) wire.Name { return wire.Name(s.name[s.off[k]:s.len]) }

// whole is the whole name, in s's own octets.
func (s *suffixes) whole() wire.Name { return wire.Name(s.name[:s.len]) }

func fold(h uint64) uint32 { return uint32(h>>32) ^ uint32(h) }

// index finds a number below 2^32-1 by a name's hash: open addressing, linear
// probing, at most three quarters full. Who asks compares the names.
type index struct {
	slots []slot
	used  int
}

type slot struct {
	hash uint32
	ref  uint32 // number + 1; 0 is an empty slot
}

// minSlots is the least size of an index, a power of two.
const minSlots = 8

// newIndex makes an index with room for n entries.
func newIndex(n int) index {
	size := minSlots
	for size*3 < n*4 {
		size *= 2
	}
	return index{slots: make([]slot, size)}
}

// withRoom is a copy of the index with room for n more entries.
func (x *index) withRoom(n int) index {
	next := newIndex(x.used + n)
	for _, s := range x.slots {
		if s.ref != 0 {
			next.put(s)
		}
	}
	next.used = x.used
	return next
}

// add enters ref, which must not be there yet.
func (x *index) add(hash, ref uint32) {
	if len(x.slots) == 0 || (x.used+1)*4 > len(x.slots)*3 {
		x.grow()
	}
	x.put(slot{hash, ref + 1})
	x.used++
}

func (x *index) put(s slot) {
	mask := uint32(len(x.slots) - 1)
	i := s.hash & mask
	for x.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = s
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]slot, max(minSlots, 2*len(old)))
	for _, s := range old {
		if s.ref != 0 {
			x.put(s)
		}
	}
}
