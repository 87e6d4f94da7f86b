package cache

// ref says where an entry is: its kind in 2 bits, which makes it other than 0, its
// chunk in placeBits less than the rest, and its offset in multiples of align.
type ref = uint32

const (
	chunkSize = 32 << 10
	placeBits = 12 // of an offset in a chunk
	chunkBits = 18
	maxChunks = 1 << chunkBits
)

func newRef(k kind, chunk uint32, off int) ref {
	return ref(k)<<(placeBits+chunkBits) | chunk<<placeBits | uint32(off/align)
}

// slot is a place of the index; a ref of 0 says that it is empty.
type slot struct {
	hash uint32
	ref  ref
}

func (s slot) kind() kind { return kind(s.ref >> (placeBits + chunkBits)) }

// slotSize is the memory that a slot takes.
const slotSize = 8

// index finds entries by hash: open addressing, linear probing, at most three
// quarters full. Who asks compares the keys. Slots are a power of two.
type index struct {
	slots []slot
	used  int
	hands [2]int // where evict went last, by group
}

// minSlots is the least size of an index that is not empty.
const minSlots = 64

func (x *index) first(hash uint32) int { return int(hash) & (len(x.slots) - 1) }
func (x *index) after(i int) int       { return (i + 1) & (len(x.slots) - 1) }

// full says whether one more entry needs more slots.
func (x *index) full() bool { return (x.used+1)*4 > len(x.slots)*3 }

// add enters a slot, for which there must be room.
func (x *index) add(s slot) {
	i := x.first(s.hash)
	for x.slots[i].ref != 0 {
		i = x.after(i)
	}
	x.slots[i] = s
	x.used++
}

// remove empties slot i, and closes the gap.
func (x *index) remove(i int) {
	mask := len(x.slots) - 1
	for j := x.after(i); x.slots[j].ref != 0; j = x.after(j) {
		// The entry at j may move to i unless its first slot lies behind i.
		if first := x.first(x.slots[j].hash); (j-first)&mask >= (j-i)&mask {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = slot{}
	x.used--
}

// place is the slot with the given hash and ref, which must be there.
func (x *index) place(hash uint32, r ref) int {
	i := x.first(hash)
	for x.slots[i].ref != r {
		i = x.after(i)
	}
	return i
}

// grow doubles the slots.
func (x *index) grow() {
	old := x.slots
	x.slots, x.used = make([]slot, max(minSlots, 2*len(old))), 0
	for _, s := range old {
		if s.ref != 0 {
			x.add(s)
		}
	}
}
