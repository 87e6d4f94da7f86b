package zones

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// writer appends records to a reply: it compresses names, keeps the counts and
// can go back to a mark. It lives on the stack of the query it serves.
type writer struct {
	buf   []byte
	limit int
	count [3]uint16 // answer, authority, additional
	// moving, where a template is made, collects the offsets of the pointers that
	// depend on how long the question is.
	moving *[]uint16
	// known are the names written so far that a pointer can reach, each suffix
	// by itself, in the order of their offsets: going back drops the last ones.
	known    [64]knownName
	numKnown int
}

type knownName struct {
	hash uint32
	off  uint16
}

// section is an index into writer.count.
type section uint8

const (
	answer section = iota
	authority
	additional
)

// maxPointer is the last offset that a compression pointer can name (RFC 1035
// section 4.1.4).
const maxPointer = 0x3FFF

// mark is a state to go back to.
type mark struct {
	len      int
	count    [3]uint16
	numKnown int
}

func (w *writer) mark() mark { return mark{len(w.buf), w.count, w.numKnown} }

func (w *writer) back(m mark) {
	w.buf, w.count, w.numKnown = w.buf[:m.len], m.count, m.numKnown
	if w.moving == nil {
		return
	}
	for n := len(*w.moving); n > 0 && int((*w.moving)[n-1]) >= m.len; n-- {
		*w.moving = (*w.moving)[:n-1]
	}
}

// learnQuestion makes the last labels of the question known, as names of their
// own. It is called first, by whoever is going to write a name: an answer without
// one has no use for it.
func (w *writer) learnQuestion(s *suffixes, labels int) {
	for k := labels; k > 0; k-- {
		w.learn(s.hash[k], wire.HeaderLen+int(s.off[k]))
	}
}

func (w *writer) learn(hash uint32, off int) {
	if w.numKnown < len(w.known) && off <= maxPointer {
		w.known[w.numKnown] = knownName{hash, uint16(off)}
		w.numKnown++
	}
}

// lookup finds where suffix k of s was written before.
func (w *writer) lookup(s *suffixes, k int) (off int, ok bool) {
	for i := range w.known[:w.numKnown] {
		if e := &w.known[i]; e.hash == s.hash[k] && w.equalAt(int(e.off), s.suffix(k)) {
			return int(e.off), true
		}
	}
	return 0, false
}

// equalAt compares the name written at off, which may end in a pointer, with a
// lower-cased one.
func (w *writer) equalAt(off int, name wire.Name) bool {
	for {
		for w.buf[off] >= 0xC0 {
			off = int(binary.BigEndian.Uint16(w.buf[off:]) & maxPointer)
		}
		n := int(w.buf[off])
		if n != int(name[0]) {
			return false
		}
		if n == 0 {
			return true
		}
		for i, c := range w.buf[off+1 : off+1+n] {
			if c-'A' < 26 {
				c |= 0x20
			}
			if c != name[1+i] {
				return false
			}
		}
		off += 1 + n
		name = name[1+n:]
	}
}

// name appends suffix k of s, compressed, and returns where it can be pointed
// to. written is the same name as it is to look.
func (w *writer) name(written []byte, s *suffixes, k int) (off int) {
	start, first := len(w.buf), int(s.off[k])
	for j := k; j > 0; j-- {
		off, ok := w.lookup(s, j)
		if !ok {
			continue
		}
		w.buf = append(w.buf, written[:int(s.off[j])-first]...)
		w.pointer(off, true)
		w.learnNew(s, k, j, start)
		if j == k {
			return off
		}
		return start
	}
	w.buf = append(w.buf, written...)
	w.learnNew(s, k, 0, start)
	return start
}

// learnNew makes suffixes from..to of the name written at start known.
func (w *writer) learnNew(s *suffixes, from, to, start int) {
	for k := from; k > to; k-- {
		w.learn(s.hash[k], start+int(s.off[k])-int(s.off[from]))
	}
}

// pointer appends a pointer to off (RFC 1035 section 4.1.4). moves says that the
// place it points to moves as the question gets longer.
func (w *writer) pointer(off int, moves bool) {
	if moves && w.moving != nil {
		*w.moving = append(*w.moving, uint16(len(w.buf)))
	}
	w.buf = binary.BigEndian.AppendUint16(w.buf, 0xC000|uint16(off))
}

// owner is the owner name of records to write: suffix k of a name, and the
// offset where it was written, 0 if that is not known. It moves unless it is the
// name asked for.
type owner struct {
	name  *suffixes
	k     int
	off   int
	moves bool
}

func (w *writer) owner(o owner) {
	if o.off > 0 && o.off <= maxPointer {
		w.pointer(o.off, o.moves)
		return
	}
	w.name(o.name.suffix(o.k), o.name, o.k)
}

// set appends an RRset, whole or not at all; it returns false if it does not fit.
func (w *writer) set(sec section, o owner, z *Zone, set *rrset, ttl uint32) bool {
	m := w.mark()
	rest := z.arena[set.data:]
	for range set.count {
		var data []byte
		data, rest = nextRData(rest)
		if _, ok := w.record(sec, o, set.rrtype, ttl, data); !ok {
			w.back(m)
			return false
		}
	}
	return true
}

// record appends one record and returns where the first name of its rdata can
// be pointed to, or 0. It returns false, with a part of the record written, if
// the record does not fit: the caller goes back to its mark.
func (w *writer) record(sec section, o owner, rrtype uint16, ttl uint32, data []byte) (target int, ok bool) {
	before, names := compressible(rrtype)
	if names == 0 && len(w.buf)+12+len(data) > w.limit {
		return 0, false
	}
	w.owner(o)
	w.buf = append(w.buf, byte(rrtype>>8), byte(rrtype), 0, byte(dns.ClassINET),
		byte(ttl>>24), byte(ttl>>16), byte(ttl>>8), byte(ttl), 0, 0)
	start := len(w.buf)
	w.buf = append(w.buf, data[:before]...)
	data = data[before:]
	for i := range names {
		var s suffixes
		s.set(data)
		off := w.name(data[:s.len], &s, s.n)
		if i == 0 {
			target = off
		}
		data = data[s.len:]
	}
	w.buf = append(w.buf, data...)
	binary.BigEndian.PutUint16(w.buf[start-2:], uint16(len(w.buf)-start))
	w.count[sec]++
	return target, len(w.buf) <= w.limit
}

// compressible says how the rdata of a type that may be compressed begins: so
// many octets, then so many names. Only the types of RFC 1035 are (RFC 3597
// section 4).
func compressible(rrtype uint16) (before, names int) {
	switch rrtype {
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMB, dns.TypeMD, dns.TypeMF, dns.TypeMG, dns.TypeMR:
		return 0, 1
	case dns.TypeMX:
		return 2, 1
	case dns.TypeSOA, dns.TypeMINFO:
		return 0, 2
	}
	return 0, 0
}

// flat says whether the records of a type stand in a reply as they stand in the
// zone: no name in them is compressed, and none is looked up.
func flat(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeTXT:
		return true
	}
	_, names := compressible(rrtype)
	return names == 0 && !hasTarget(rrtype)
}

// finish writes the counts and flags into the header.
func (w *writer) finish(flags uint16) []byte {
	wire.SetFlags(w.buf, wire.Flags(w.buf)|flags)
	wire.SetCount(w.buf, wire.CountAN, w.count[answer])
	wire.SetCount(w.buf, wire.CountNS, w.count[authority])
	wire.SetCount(w.buf, wire.CountAR, w.count[additional])
	return w.buf
}
