package journal

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// began is when the queries of these tests begin.
var began = time.Unix(1700000000, 0)

// query is an answered query over UDP, so long after began.
func query(t testing.TB, name string, after time.Duration) *server.Query {
	t.Helper()
	packet, err := wire.AppendParsed([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	packet = binary.BigEndian.AppendUint16(packet, 1)
	packet = binary.BigEndian.AppendUint16(packet, 1)
	lower, err := wire.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	q := &server.Query{
		Packet: packet, Reply: append([]byte(nil), packet...), Name: lower, Type: 1, Class: 1, QuestionEnd: len(packet),
		Remote: netip.MustParseAddrPort("192.0.2.53:4242"), Received: began.Add(after),
	}
	q.Answer()
	return q
}

// made is a journal that samples nothing.
func made(workers, size int) *journal {
	return newJournal(workers, options{size, maxRate}, func(uint32) string { return "zone" })
}

// kept is the ids of the journal, oldest first, read in both directions.
func kept(t *testing.T, j *journal) (ids []uint64) {
	t.Helper()
	floor, top := j.span()
	j.walk().up(floor, top, func(s *slot) bool {
		ids = append(ids, s.id)
		return true
	})
	n := len(ids)
	j.walk().down(floor, top, func(s *slot) bool {
		if n--; n < 0 || ids[n] != s.id {
			t.Fatalf("downwards comes %d, upwards %v", s.id, ids)
		}
		return true
	})
	if n != 0 {
		t.Errorf("downwards %d entries fewer", n)
	}
	return ids
}

// wantLast says that the journal has just the last n of all entries.
func wantLast(t *testing.T, j *journal, n, all int) {
	t.Helper()
	ids := kept(t, j)
	if len(ids) != n {
		t.Fatalf("%d entries, want %d", len(ids), n)
	}
	for i, id := range ids {
		if id != uint64(all-n+i+1) {
			t.Fatalf("entry %d has id %d, want %d", i, id, all-n+i+1)
		}
	}
}

// TestLastQueries: however the queries are spread over the workers, the last ones are
// there, in order.
func TestLastQueries(t *testing.T) {
	const size = 100
	for name, worker := range map[string]func(i int) int{
		"one":    func(int) int { return 2 },
		"turns":  func(i int) int { return i % 4 },
		"uneven": func(i int) int { return min(3, i*i%11) },
		"blocks": func(i int) int { return i / 150 % 4 },
	} {
		t.Run(name, func(t *testing.T) {
			j := made(4, size)
			q := query(t, "a.example.org", 0)
			for i := range 1000 {
				j.rings[worker(i)].record(q, "")
				wantLast(t, j, min(i+1, size), i+1)
			}
		})
	}
}

// TestReadersMissNothing: who reads on from where it was gets every entry once, in
// order, while all workers write.
func TestReadersMissNothing(t *testing.T) {
	const workers, each = 4, 5000
	j := made(workers, workers*each)
	var writers sync.WaitGroup
	for w := range workers {
		q := query(t, "a.example.org", 0)
		writers.Go(func() {
			for range each {
				j.rings[w].record(q, "")
			}
		})
	}
	walk, last := j.walk(), uint64(0)
	for last < workers*each {
		_, top := j.span()
		walk.up(last, top, func(s *slot) bool {
			if s.id != last+1 {
				t.Fatalf("behind %d comes %d", last, s.id)
			}
			last = s.id
			return true
		})
		if last != top {
			t.Fatalf("up to %d, want %d", last, top)
		}
	}
	writers.Wait()
	wantLast(t, j, workers*each, workers*each)
}

// TestResize: another size keeps what fits, and later entries take their places as if
// it had been so from the start.
func TestResize(t *testing.T) {
	j := made(2, 100)
	q := query(t, "a.example.org", 0)
	all := 0
	write := func(n int) {
		for range n {
			j.rings[all/7%2].record(q, "")
			all++
		}
	}
	write(250)
	j.adopt(options{40, maxRate})
	wantLast(t, j, 40, all)
	write(10)
	wantLast(t, j, 40, all)
	// What was dropped does not come back with more room.
	j.adopt(options{300, maxRate})
	for range 500 {
		write(1)
		ids := kept(t, j)
		if len(ids) < 40 || ids[len(ids)-1] != uint64(all) {
			t.Fatalf("%d entries up to %d, want %d", len(ids), ids[len(ids)-1], all)
		}
		for i, id := range ids {
			if i > 0 && id <= ids[i-1] {
				t.Fatalf("entries are out of order: %v", ids)
			}
		}
	}
	wantLast(t, j, 300, all)
}

// TestResizeUnderLoad: entries that come while the size changes are there.
func TestResizeUnderLoad(t *testing.T) {
	j := made(2, 5000)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 2 {
		q := query(t, "a.example.org", 0)
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					j.rings[w].record(q, "")
				}
			}
		})
	}
	for i := range 20 {
		j.adopt(options{3000 + i%2*1000, maxRate})
	}
	close(stop)
	writers.Wait()
	j.adopt(options{16, maxRate})
	wantLast(t, j, 16, int(j.ids.Load()))
}

// TestEntrySize: the README says how much memory an entry takes.
func TestEntrySize(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n != 384 {
		t.Errorf("an entry takes %d bytes: correct the README", n)
	}
}

// TestSampling: more queries than the rate allows are sampled, which is said; what
// somebody did on purpose is recorded in any case.
func TestSampling(t *testing.T) {
	const rate, load, seconds = 1000, 50000, 3
	j := newJournal(1, options{maxSize / 4, rate}, nil)
	r := &j.rings[0]
	plain, probe, hurt := query(t, "a.example.org", 0), query(t, "x.PROBE.example.org", 0), query(t, "a.example.org", 0)
	hurt.Injected = &server.Injection{Rule: "r1", Kind: "servfail"}
	special := 0
	for i := range load * seconds {
		q := plain
		switch i % 1000 {
		case 1:
			q = probe
			special++
		case 2:
			q = hurt
			special++
		}
		q.Received = began.Add(time.Duration(i) * time.Second / load)
		r.record(q, "")
	}
	got := map[bool]int{}
	stands := 0
	floor, top := j.span()
	j.walk().up(floor, top, func(s *slot) bool {
		got[s.fault != nil || s.name[1] == 'x']++
		stands += int(s.oneIn)
		return true
	})
	if got[true] != special {
		t.Errorf("%d of %d special queries are recorded", got[true], special)
	}
	if n := got[false]; n < rate*seconds/2 || n > rate*seconds*2 {
		t.Errorf("%d of %d queries are recorded at a rate of %d a second", n, load*seconds, rate)
	}
	if all := load * seconds; stands < all*9/10 || stands > all*11/10 {
		t.Errorf("the entries stand for %d queries, want about %d", stands, all)
	}
	n := j.count(0)
	if n.seen != load*seconds || n.seen-n.skipped != top {
		t.Errorf("seen %d, skipped %d, recorded %d", n.seen, n.skipped, top)
	}
	if from, to := time.Unix(0, n.from).Sub(began), time.Unix(0, n.to).Sub(began); from > 100*time.Millisecond || to < 2990*time.Millisecond || to > seconds*time.Second {
		t.Errorf("sampled from %s to %s", from, to)
	}
	// Once it is quiet again, every query is recorded.
	before := j.ids.Load()
	for i := range 50 {
		plain.Received = began.Add(time.Minute + time.Duration(i)*10*time.Millisecond)
		r.record(plain, "")
	}
	if n := j.ids.Load() - before; n != 50 {
		t.Errorf("%d of 50 queries are recorded when it is quiet", n)
	}
}

// TestSamplingClock: a clock that is set back or forth does no harm.
func TestSamplingClock(t *testing.T) {
	j := newJournal(1, options{1000, minRate}, nil)
	q := query(t, "a.example.org", 0)
	for i, after := range []time.Duration{0, -time.Hour, time.Hour, -100 * 365 * 24 * time.Hour, 0, 100 * 365 * 24 * time.Hour, 0} {
		q.Received = began.Add(after)
		j.rings[0].record(q, "")
		if n := j.ids.Load(); n != uint64(i+1) {
			t.Fatalf("%d entries after %s", n, after)
		}
	}
}

func TestIsProbe(t *testing.T) {
	for name, want := range map[string]bool{
		"x.probe.example.org": true, "x.probe": true, "probe.example.org": false, "x.probes.example.org": false,
		"x.y.probe.example.org": false, "probe": false, ".": false, "x": false,
	} {
		n, err := wire.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		if isProbe(n) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if isProbe(nil) {
		t.Error("no name is a probe")
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, rate := range []int{maxRate, minRate} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			j := newJournal(1, options{defaultSize, rate}, nil)
			q := query(b, "somestorageaccount.blob.east.cloud.fabrikam.com", 0)
			q.Took()
			b.ReportAllocs()
			for b.Loop() {
				q.Received = q.Received.Add(time.Microsecond)
				j.rings[0].record(q, "ns01")
			}
		})
	}
}
