package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// reply is a reply in wire form with what a store needs to know of it.
type reply struct {
	key     key
	answer  answer
	message []byte
	end     int
}

// made makes a reply of the given kind for name, with extra octets of data.
func made(s *store, name string, k kind, life ticks, extra int) *reply {
	r := new(reply)
	n, err := wire.ParseName(name)
	if err != nil {
		panic(err)
	}
	r.key = key{name: n, qtype: dns.TypeA}
	r.key.hash = s.hash(&r.key)
	r.answer = answer{kind: k, life: life, records: 1}
	r.message = append(make([]byte, wire.HeaderLen), n...)
	r.message = append(r.message, 0, 1, 0, 1)
	r.end = len(r.message)
	wire.SetFlags(r.message, wire.FlagQR)
	wire.SetCount(r.message, wire.CountQD, 1)
	wire.SetCount(r.message, wire.CountAN, 1)
	r.message = append(r.message, 0xC0, wire.HeaderLen, 0, 1, 0, 1, 0, 0, 0, 60, byte((4+extra)>>8), byte(4+extra))
	r.message = append(r.message, 192, 0, 2, byte(len(name)))
	r.message = append(r.message, bytes.Repeat([]byte{byte(extra)}, extra)...)
	return r
}

func (r *reply) put(s *store, now ticks) {
	sh := s.shard(r.key.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.put(&r.key, &r.answer, r.message, r.end, now)
}

// get is the body under r's key, nil if there is none that may be used.
func (r *reply) get(s *store, now ticks, use bool) []byte {
	sh := s.shard(r.key.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(&r.key)
	if sh.state(e, now) == none {
		return nil
	}
	if use {
		e.mark(bitUsed)
	}
	_, body := e.body()
	return bytes.Clone(body)
}

// check holds what must be true of a store at any time.
func check(t *testing.T, s *store) {
	t.Helper()
	for i := range s.shards {
		sh := &s.shards[i]
		live, used := 0, 0
		var entries [2]int
		for at, sl := range sh.index.slots {
			if sl.ref == 0 {
				continue
			}
			used++
			e := sh.at(sl)
			live += e.size()
			entries[sl.kind().group()]++
			k := key{hash: uint64(sl.hash), name: e.name(), qtype: e.u16(atType), bits: e[atBits] & keyBits}
			if e.kind() != sl.kind() || e.hash() != sl.hash || e.has(bitDead) || sh.lookup(&k) != at {
				t.Fatalf("shard %d: slot %d has %v, the entry is %q", i, at, sl, e.name())
			}
		}
		if live != sh.live || used != sh.index.used || entries != sh.entries || used*4 > len(sh.index.slots)*3 {
			t.Fatalf("shard %d: %d octets of %v entries in %d slots of %d, counted %d of %v in %d",
				i, live, entries, used, len(sh.index.slots), sh.live, sh.entries, sh.index.used)
		}
		if sh.memory() > sh.share {
			t.Fatalf("shard %d has %d octets of %d", i, sh.memory(), sh.share)
		}
		for g := range entries {
			if sh.most[g] > 0 && entries[g] > sh.most[g] {
				t.Fatalf("shard %d has %v entries, at most %v", i, entries, sh.most)
			}
		}
	}
}

// TestModel does at random what a map with times does as well, with room for all.
func TestModel(t *testing.T) {
	type known struct {
		body   []byte
		stored ticks
		reply  *reply
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 20 {
		staleFor := ticks(round % 2 * 100)
		s := newStore(8<<20, [2]int{}, staleFor)
		model := make(map[string]known)
		now := ticks(0)
		for range 5000 {
			name := fmt.Sprintf("n%d.contoso.com", random.IntN(600))
			if random.IntN(5) == 0 {
				name = fmt.Sprintf("n%d.fabrikam.com", random.IntN(50))
			}
			now += ticks(random.IntN(3))
			switch p := random.IntN(100); {
			case p < 40:
				k := []kind{success, denial, failure}[random.IntN(3)]
				r := made(s, name, k, ticks(1+random.IntN(300)), random.IntN(3)*random.IntN(600))
				r.put(s, now)
				_, body := []byte(nil), r.message[r.end:]
				if k == failure {
					body = []byte{}
				}
				model[name] = known{body, now, r}
			case p < 43:
				r := made(s, name, success, 1, 0)
				sh := s.shard(r.key.hash)
				sh.remove(&r.key)
				delete(model, name)
			case p == 43 && random.IntN(10) == 0:
				zone, _ := wire.ParseName("fabrikam.com")
				s.forget(zone)
				for name := range model {
					if n, _ := wire.ParseName(name); n.Within(zone) {
						delete(model, name)
					}
				}
			default:
				r := made(s, name, success, 1, 0)
				got := r.get(s, now, random.IntN(2) == 0)
				want, ok := model[name]
				life := ticks(0)
				if ok {
					life = want.reply.answer.life
					if want.reply.answer.kind != failure {
						life += staleFor
					}
				}
				if ok = ok && now-want.stored < life; ok != (got != nil) || ok && !bytes.Equal(got, want.body) {
					t.Fatalf("%s at %d: got %x, want %x, stored at %d for %d", name, now, got, want.body, want.stored, life)
				}
			}
		}
		check(t, s)
	}
}

// TestEviction fills small stores many times over: they keep within their memory,
// what is there is right, what was used lately is there, and what is used all the
// time stays.
func TestEviction(t *testing.T) {
	for _, tc := range []struct {
		name    string
		entries [2]int
		extra   int
		used    bool // all entries, once
	}{
		{"small", [2]int{}, 0, false},
		{"large", [2]int{}, 3000, false},
		{"mixed", [2]int{}, 300, false},
		{"used", [2]int{}, 300, true},
		{"bounded", [2]int{400, 100}, 50, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 6))
			s := newStore(1<<20, tc.entries, 0)
			size := func() int { return random.IntN(tc.extra + 1) }
			var hot, once []*reply
			for i := range 40 {
				r := made(s, fmt.Sprintf("hot%d.contoso.com", i), success, 1<<30, i)
				r.put(s, 0)
				hot = append(hot, r)
			}
			var puts [2]int
			for i := range 60000 {
				now := ticks(i / 10)
				k := success
				if random.IntN(4) == 0 {
					k = denial
				}
				puts[k.group()]++
				r := made(s, fmt.Sprintf("n%d.contoso.com", i), k, 1<<30, size())
				r.put(s, now)
				if i < 100 {
					once = append(once, r)
				}
				if got := r.get(s, now, tc.used || i < 100); !bytes.Equal(got, r.message[r.end:]) {
					t.Fatalf("put %x, got %x", r.message[r.end:], got)
				}
				if tc.used {
					continue
				}
				h := hot[i%len(hot)]
				if got := h.get(s, now, true); !bytes.Equal(got, h.message[h.end:]) {
					t.Fatalf("%s, which is in use, is %x after %d", h.key.name, got, i)
				}
				if i%5000 == 0 {
					check(t, s)
				}
			}
			check(t, s)
			for _, r := range once {
				if r.get(s, 6000, false) != nil {
					t.Errorf("%s, which was used once, is there", r.key.name)
				}
			}
			sum := s.size()
			left := [2]int{puts[0] + len(hot) - int(sum.evicted[0]), puts[1] - int(sum.evicted[1])}
			if left != sum.entries {
				t.Errorf("%v entries, of %v put %v were evicted", sum.entries, puts, sum.evicted)
			}
			if tc.entries == [2]int{} && sum.memory < 1<<20/10*8 {
				t.Errorf("%d octets used of %d", sum.memory, 1<<20)
			}
			if tc.entries != [2]int{} && (sum.entries[0] < 300 || sum.entries[1] < 90 || sum.memory > 600<<10) {
				t.Errorf("%v entries in %d octets", sum.entries, sum.memory)
			}
		})
	}
}

// The oldest goes first.
func TestOldestGoes(t *testing.T) {
	s := newStore(1<<20, [2]int{}, 0)
	var all []*reply
	for i := range 30000 {
		r := made(s, fmt.Sprintf("n%d.contoso.com", i), success, 1<<30, 0)
		r.put(s, 0)
		all = append(all, r)
	}
	gone := make(map[*shard]bool) // shards in which one that is there was seen
	for i, r := range all {
		sh := s.shard(r.key.hash)
		there := r.get(s, 0, false) != nil
		if !there && gone[sh] {
			t.Fatalf("%d is gone, and an older one is there", i)
		}
		gone[sh] = there
	}
}

// What has expired makes room before more memory is taken, and is no eviction.
func TestExpiredMakesRoom(t *testing.T) {
	s := newStore(16<<20, [2]int{}, 0)
	for i := range 400000 {
		made(s, fmt.Sprintf("n%d.contoso.com", i), success, 10, 0).put(s, ticks(i/100))
	}
	check(t, s)
	if sum := s.size(); sum.memory > 1<<20 || sum.evicted != [2]uint64{} {
		t.Errorf("%d octets for %d entries, of which 1000 are alive; %d evicted", sum.memory, sum.entries[0], sum.evicted[0])
	}
}

// An answer that is longer than a chunk is not kept, and hides nothing.
func TestTooLong(t *testing.T) {
	s := newStore(1<<20, [2]int{}, 0)
	r := made(s, "www.contoso.com", success, 100, 0)
	r.put(s, 0)
	long := made(s, "www.contoso.com", success, 100, chunkSize)
	long.put(s, 0)
	if r.get(s, 0, false) != nil {
		t.Error("the old answer is there")
	}
	for i := range 20000 { // all in use
		r := made(s, fmt.Sprintf("n%d.contoso.com", i), success, 100, 0)
		r.put(s, 0)
		r.get(s, 0, true)
	}
	fits := made(s, "www.contoso.com", success, 100, chunkSize-200)
	for range 100 {
		fits.put(s, 0)
	}
	if got := fits.get(s, 0, false); !bytes.Equal(got, fits.message[fits.end:]) {
		t.Errorf("%d octets", len(got))
	}
	check(t, s)
}

// Keys with one hash are told apart.
func TestSameHash(t *testing.T) {
	s := newStore(1<<20, [2]int{}, 0)
	var all []*reply
	for i := range 100 {
		r := made(s, fmt.Sprintf("n%d.contoso.com", i/4), success, 100, i)
		r.key.hash, r.key.bits = 42, uint8(i%4)
		r.put(s, 0)
		all = append(all, r)
	}
	for i, r := range all {
		if got := r.get(s, 0, false); !bytes.Equal(got, r.message[r.end:]) {
			t.Errorf("%d: got %x", i, got)
		}
	}
}

// memoryPerEntry is what an entry of a full store takes, in octets of the heap.
func memoryPerEntry(n int) (perEntry float64, s *store) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s = newStore(128<<20, [2]int{}, 0)
	for i := range n {
		// An owner of 30 octets.
		made(s, fmt.Sprintf("host-%08d.contoso.com.au", i), success, 36000, 0).put(s, 0)
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n), s
}

func TestMemory(t *testing.T) {
	const n = 300000
	per, s := memoryPerEntry(n)
	if sum := s.size(); sum.entries[0] != n {
		t.Errorf("%d entries of %d", sum.entries[0], n)
	}
	t.Logf("%.0f octets an entry", per)
	if per > 200 {
		t.Errorf("%.0f octets an entry", per)
	}
}

func BenchmarkPut(b *testing.B) {
	s := newStore(64<<20, [2]int{}, 0)
	var all []*reply
	for i := range 1 << 16 {
		all = append(all, made(s, fmt.Sprintf("host-%08d.contoso.com.au", i), success, 36000, 0))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := all[i%len(all)]
		r.key.name[1] = byte(i >> 16)
		r.key.hash = s.hash(&r.key)
		r.put(s, 0)
	}
}
