package cache

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// store keeps answers, one a key, in a given amount of memory.
//
// It is shards by hash. Each has an index from hashes to places, and chunks that
// answers are written into one behind the other. In both there is no pointer, so
// that a collection of garbage has nothing to look at however many answers there
// are. See shard for what happens when there is no more room.
type store struct {
	seed   maphash.Seed
	epoch  time.Time
	now    func() time.Time
	shift  int // hash >> shift is the shard
	shards []shard
	parked atomic.Int64 // queries in the flights of all shards
}

// Shards are about this large, and this many.
const (
	shardSize = 2 << 20
	minShards = 4
	maxShards = 1024
)

// newStore makes a store of at most capacity octets, and at most entries of each
// group, where that is not 0. Memory is taken as it is needed.
// Answers that have expired are kept for staleFor.
func newStore(capacity int64, entries [2]int, staleFor ticks) *store {
	n := min(maxShards, max(minShards, 1<<(bits.Len64(uint64(capacity/shardSize)|1)-1)))
	s := &store{seed: maphash.MakeSeed(), epoch: time.Now(), now: time.Now, shards: make([]shard, n)}
	s.shift = 64 - bits.Len(uint(n-1))
	for i := range s.shards {
		sh := &s.shards[i]
		sh.share, sh.stale = int(capacity/int64(n)), staleFor
		for g, most := range entries {
			sh.most[g] = (most + n - 1) / n
		}
		sh.flights = make(map[uint64]*flight)
	}
	return s
}

// ticks is when t is.
func (s *store) ticks(t time.Time) ticks {
	return ticks(max(0, t.Sub(s.epoch)) / (time.Second / perSecond))
}

// key is what an answer is found by. Its name is the query's own.
type key struct {
	hash  uint64
	name  wire.Name
	qtype uint16
	bits  uint8 // bitDO, bitCD
}

// key of a query. The hash is seeded, so that nobody can choose names that meet.
func (s *store) key(q *server.Query) key {
	k := key{name: q.Name, qtype: q.Type, bits: bitsOf(q)}
	k.hash = s.hash(&k)
	return k
}

// bitsOf are the bits of a query's key.
func bitsOf(q *server.Query) (bits uint8) {
	if q.EDNS.DO {
		bits |= bitDO
	}
	if wire.Flags(q.Packet)&wire.FlagCD != 0 {
		bits |= bitCD
	}
	return bits
}

func (s *store) hash(k *key) uint64 {
	const odd = 0xD6E8FEB86659FD93
	hi, lo := bits.Mul64(maphash.Bytes(s.seed, k.name)^(uint64(k.qtype)<<8|uint64(k.bits)), odd)
	return hi ^ lo
}

// shard is the shard of a hash.
func (s *store) shard(hash uint64) *shard { return &s.shards[hash>>s.shift] }

// forget removes what is known of zone and the names below it. What is being asked
// meanwhile is not kept, whatever its name.
func (s *store) forget(zone wire.Name) {
	now := s.now()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.forget(zone)
		sh.forgot = now
		sh.mu.Unlock()
	}
}

// size is what a store holds.
type size struct {
	entries [2]int    // by group
	evicted [2]uint64 // by group, ever
	memory  int       // octets
}

func (s *store) size() (sum size) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for g := range sum.entries {
			sum.entries[g] += sh.entries[g]
			sum.evicted[g] += sh.evicted[g]
		}
		sum.memory += sh.memory()
		sh.mu.Unlock()
	}
	return sum
}

// shard is a part of the store. Its lock is held for each of the methods.
//
// Answers are written behind one another in the newest chunk. When it is full the
// oldest becomes the newest, once the shard has all the chunks that it may have:
// of its answers those stay that were asked for since the last time, and the
// others go. Chunks that hold mostly what is replaced or expired are written anew
// sooner.
type shard struct {
	mu      sync.Mutex
	share   int    // octets
	most    [2]int // entries by group; 0 is no bound
	entries [2]int
	evicted [2]uint64
	stale   ticks // how long answers are kept when they have expired

	index  index
	chunks [][]byte
	filled []int    // octets, by chunk
	order  []uint32 // chunks, the oldest first
	live   int      // octets of the entries that are in the index

	flights map[uint64]*flight // by hash of the key
	spare   []*flight
	_       [64]byte
	forgot  time.Time // what was asked before is not kept
}

// find is the answer under k, nil if there is none.
func (s *shard) find(k *key) entry {
	if at := s.lookup(k); at >= 0 {
		return s.at(s.index.slots[at])
	}
	return nil
}

// lookup is the slot of the answer under k, -1 if there is none.
func (s *shard) lookup(k *key) int {
	hash := uint32(k.hash)
	if len(s.index.slots) == 0 {
		return -1
	}
	for i := s.index.first(hash); ; i = s.index.after(i) {
		sl := s.index.slots[i]
		if sl.ref == 0 {
			return -1
		}
		if sl.hash == hash && s.at(sl).is(k) {
			return i
		}
	}
}

// state is whether an answer may be used.
type state uint8

const (
	none  state = iota
	fresh       // within its TTL
	stale       // expired, but kept (RFC 8767)
)

// state of an entry, which may be nil.
func (s *shard) state(e entry, now ticks) state {
	if e == nil {
		return none
	}
	switch age := e.age(now); {
	case age < e.life():
		return fresh
	case e.kind() != failure && age-e.life() < s.stale:
		return stale
	}
	return none
}

// put enters an answer under k in place of what is there. message is the reply
// that it is in, whose question ends at end.
func (s *shard) put(k *key, a *answer, message []byte, end int, now ticks) {
	var hits uint16
	var asked uint32
	if at := s.lookup(k); at >= 0 {
		old := s.at(s.index.slots[at])
		hits, asked = old.u16(atHits), old.u32(atAsked)
		s.drop(at)
	}
	size := entrySize(len(k.name), a.records, len(message)-end)
	if a.kind == failure {
		size = entrySize(len(k.name), 0, 0)
	}
	if size > chunkSize {
		return
	}
	group := a.kind.group()
	if s.most[group] > 0 && s.entries[group] >= s.most[group] {
		s.evict(now, &s.index.hands[group], func(k kind) bool { return k.group() == group })
	}
	chunk, off := s.reserve(size, now)
	s.roomInIndex(now)
	e := entry(s.chunks[chunk][off : off+size])
	e.write(k, a, message, end, now)
	if hits > 0 {
		e.inherit(hits, asked)
	}
	s.live += size
	s.entries[group]++
	s.index.add(slot{uint32(k.hash), newRef(a.kind, chunk, off)})
}

// remove forgets what is under k.
func (s *shard) remove(k *key) {
	if at := s.lookup(k); at >= 0 {
		s.drop(at)
	}
}

// drop takes the entry of a slot out of the index.
func (s *shard) drop(at int) {
	e := s.at(s.index.slots[at])
	e.mark(bitDead)
	s.live -= e.size()
	s.entries[e.kind().group()]--
	s.index.remove(at)
}

// forget removes what is known of zone and the names below it.
func (s *shard) forget(zone wire.Name) {
	for i := 0; i < len(s.index.slots); {
		// What is dropped may have another entry take its slot.
		if sl := s.index.slots[i]; sl.ref != 0 && s.at(sl).name().Within(zone) {
			s.drop(i)
			continue
		}
		i++
	}
}
