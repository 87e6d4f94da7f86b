package delegation

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// sketch estimates how often each of any number of sources was met lately, in
// memory of a fixed size: a count-min sketch whose counters are halved in turn,
// some with each source that is added. An estimate may be too high, where all
// counters of a source are others' as well; halving keeps that rare: a source
// that was met once looks like few, not like many. It is safe for concurrent use
// and never waits; what two add at once may count once.
type sketch struct {
	rows [sketchRows][sketchWidth]atomic.Uint32
	hand atomic.Uint64 // the next counter to halve
}

// The size of the sketch. While each counter is halved once, two sources a counter
// are added.
const (
	sketchRows  = 4
	sketchWidth = 1 << 14
	// sketchHalves is the number of counters that are halved for each source that
	// is added.
	sketchHalves = 2
)

func newSketch() *sketch { return new(sketch) }

// add counts the source with the given hash, and estimates how often it was
// added.
func (s *sketch) add(hash uint64) uint32 {
	least := uint32(math.MaxUint32)
	for i := range s.rows {
		least = min(least, s.at(i, hash).Load())
	}
	// To raise no counter further than the estimate keeps the others' low.
	for i := range s.rows {
		if c := s.at(i, hash); c.Load() == least {
			c.Store(least + 1)
		}
	}
	at := s.hand.Add(sketchHalves)
	for i := range uint64(sketchHalves) {
		n := (at - i) % (sketchRows * sketchWidth)
		c := &s.rows[n/sketchWidth][n%sketchWidth]
		if v := c.Load(); v > 0 {
			c.Store(v / 2)
		}
	}
	return least + 1
}

func (s *sketch) at(row int, hash uint64) *atomic.Uint32 {
	return &s.rows[row][bits.RotateLeft64(hash, 16*row)%sketchWidth]
}

// distinct estimates how many different hashes it was given: exactly while they
// are few, else from the longest run of zero bits in each of many classes of
// them (HyperLogLog; linear counting where many classes are empty).
type distinct struct {
	exact    [exactSlots]uint64 // open addressing; 0 is empty
	n        int                // in exact; beyond exactMost it is not kept any more
	register [distinctClasses]uint8
}

const (
	exactSlots      = 256
	exactMost       = 128
	distinctBits    = 12
	distinctClasses = 1 << distinctBits
)

// add takes notice of a hash.
func (d *distinct) add(hash uint64) {
	hash |= 1 // 0 stands for none
	rank := uint8(bits.LeadingZeros64(hash<<distinctBits|1) + 1)
	if class := &d.register[hash>>(64-distinctBits)]; *class < rank {
		*class = rank
	}
	if d.n > exactMost {
		return
	}
	for i := (hash >> 8) % exactSlots; ; i = (i + 1) % exactSlots {
		switch d.exact[i] {
		case hash:
			return
		case 0:
			d.exact[i] = hash
			d.n++
			return
		}
	}
}

// merge adds what o has seen.
func (d *distinct) merge(o *distinct) {
	for i, r := range o.register {
		d.register[i] = max(d.register[i], r)
	}
	if o.n > exactMost {
		d.n = exactMost + 1
		return
	}
	for _, hash := range o.exact {
		if hash != 0 && d.n <= exactMost {
			d.add(hash)
		}
	}
}

// count is how many it was given.
func (d *distinct) count() float64 {
	if d.n <= exactMost {
		return float64(d.n)
	}
	const m = float64(distinctClasses)
	sum, empty := 0.0, 0
	for _, r := range d.register {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		estimate = m * math.Log(m/float64(empty))
	}
	return math.Round(estimate)
}
