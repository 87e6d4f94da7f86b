package cache

// at is the entry of a slot, and whatever stands behind it in its chunk.
func (s *shard) at(sl slot) entry {
	chunk := sl.ref >> placeBits & (maxChunks - 1)
	return entry(s.chunks[chunk][sl.ref&(1<<placeBits-1)*align:])
}

// memory is the octets that the shard has.
func (s *shard) memory() int { return len(s.chunks)*chunkSize + len(s.index.slots)*slotSize }

// tidies is how many chunks are written anew, at most, for one entry, while the
// shard may still have more of them.
const tidies = 4

// kept is how much of a chunk stays, at most, when room is made. It bounds the
// work that one entry causes.
const kept = chunkSize / 4 * 3

// reserve finds room for an entry, and makes it if need be.
func (s *shard) reserve(size int, now ticks) (chunk uint32, off int) {
	for range tidies {
		if s.fits(size) || !s.worn(now) {
			break
		}
		s.rotate(now, chunkSize, s.usable)
	}
	if !s.fits(size) && !s.extend() {
		s.rotate(now, min(kept, chunkSize-size), s.wanted)
	}
	chunk = s.order[len(s.order)-1]
	off = s.filled[chunk]
	s.filled[chunk] += size
	return chunk, off
}

// fits says whether the newest chunk has room.
func (s *shard) fits(size int) bool {
	return len(s.order) > 0 && s.filled[s.order[len(s.order)-1]]+size <= chunkSize
}

// extend adds a chunk, unless that would be more than the shard's share.
func (s *shard) extend() bool {
	n := len(s.chunks)
	if n > 0 && s.memory()+chunkSize > s.share || n == maxChunks {
		return false
	}
	s.chunks = append(s.chunks, make([]byte, chunkSize))
	s.filled = append(s.filled, 0)
	s.order = append(s.order, uint32(n))
	return true
}

// worn says whether it pays to write the oldest chunk anew: at least half of it,
// or of all chunks, is of no use.
func (s *shard) worn(now ticks) bool {
	if len(s.order) == 0 {
		return false
	}
	if s.live*2 <= len(s.chunks)*chunkSize {
		return true
	}
	oldest := s.order[0]
	useful := 0
	for off := 0; off < s.filled[oldest]; {
		e := entry(s.chunks[oldest][off:])
		if !e.has(bitDead) && s.usable(e, now) {
			useful += e.size()
		}
		off += e.size()
	}
	return useful*2 <= chunkSize
}

// usable says whether an entry may still answer.
func (s *shard) usable(e entry, now ticks) bool { return s.state(e, now) != none }

// wanted says whether an entry stays when there is no room for all: it was used
// since it was last asked about.
func (s *shard) wanted(e entry, now ticks) bool {
	used := e.has(bitUsed)
	e.unmark(bitUsed)
	return used && s.usable(e, now)
}

// rotate makes the oldest chunk the newest. The entries for which stays is true
// are moved to its start, as long as they take no more than limit octets; the
// others go.
func (s *shard) rotate(now ticks, limit int, stays func(entry, ticks) bool) {
	n := s.order[0]
	copy(s.order, s.order[1:])
	s.order[len(s.order)-1] = n
	chunk, to := s.chunks[n], 0
	for from := 0; from < s.filled[n]; {
		e := entry(chunk[from:])
		size := e.size()
		if !e.has(bitDead) {
			at := s.index.place(e.hash(), newRef(e.kind(), n, from))
			if stays(e, now) && to+size <= limit {
				s.index.slots[at].ref = newRef(e.kind(), n, to)
				copy(chunk[to:], chunk[from:from+size])
				to += size
			} else {
				s.expel(at, now)
			}
		}
		from += size
	}
	s.filled[n] = to
}

// expel drops the entry of a slot, and counts it if it could have answered.
func (s *shard) expel(at int, now ticks) {
	if e := s.at(s.index.slots[at]); s.usable(e, now) {
		s.evicted[e.kind().group()]++
	}
	s.drop(at)
}

// roomInIndex makes room for one more slot.
func (s *shard) roomInIndex(now ticks) {
	if !s.index.full() {
		return
	}
	if len(s.index.slots) == 0 || s.memory()+len(s.index.slots)*slotSize <= s.share {
		s.index.grow()
		return
	}
	s.evict(now, &s.index.hands[0], func(kind) bool { return true })
}

// chances is how many entries that were used evict passes over, at most.
const chances = 16

// evict drops one entry of a kind that is meant, of which there must be one: the
// next behind the hand, in the order of the index, that was not used since the hand
// came by last.
func (s *shard) evict(now ticks, hand *int, meant func(kind) bool) {
	x := &s.index
	for passed := 0; ; {
		*hand = x.after(*hand)
		sl := x.slots[*hand]
		if sl.ref == 0 || !meant(sl.kind()) {
			continue
		}
		if passed < chances && s.wanted(s.at(sl), now) {
			passed++
			continue
		}
		s.expel(*hand, now)
		return
	}
}
