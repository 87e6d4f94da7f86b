package zones

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

func name(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func zoneOf(t testing.TB, origin string, serial int) *Zone {
	t.Helper()
	z, _, err := Load(oracleSource{name(t, origin), fmt.Sprintf("@ SOA ns h %d 1 2 3 4\n@ NS ns\nns A 192.0.2.1\n", serial)})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestStoreDeclare(t *testing.T) {
	s := NewStore()
	if err := s.Declare(name(t, "example.org"), "file a"); err != nil {
		t.Fatal(err)
	}
	err := s.Declare(name(t, "EXAMPLE.org."), "file b")
	var dup *DuplicateError
	if !errors.As(err, &dup) || dup.First != "file a" || dup.Second != "file b" {
		t.Fatalf("second Declare: %v", err)
	}
	s.Release(name(t, "example.org"))
	if err := s.Declare(name(t, "example.org"), "file b"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeclareLate(name(t, "example.org"), "file c"); !errors.As(err, &dup) || dup.First != "file b" {
		t.Errorf("DeclareLate of a declared zone: %v", err)
	}
	if err := s.DeclareLate(name(t, "late.example.org"), "file c"); err != nil {
		t.Fatal(err)
	}
	if all := s.Status(); len(all) != 2 || all[0].Late || !all[1].Late || all[1].Source != "file c" {
		t.Errorf("status %+v", all)
	}
}

func TestStoreServesTheLastGoodZone(t *testing.T) {
	s, n := NewStore(), name(t, "example.org")
	s.Put(zoneOf(t, "example.org", 1), 7, testTime)
	if z, _ := s.Set().Find(n); z != nil {
		t.Error("a zone that was not declared is served")
	}
	if err := s.Declare(n, "test"); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	s.Fail(n, broken, testTime)
	if got := s.Status()[0]; got.Loaded || got.Err != broken || got.Failures != 1 {
		t.Errorf("status %+v", got)
	}
	buf, q := question(t, "www.example.org.", dns.TypeA)
	if _, r := s.Set().Answer(buf, q, 512); r.Zone != nil || !r.NotLoaded {
		t.Errorf("a zone that was never loaded gives %+v", r)
	}
	s.Put(zoneOf(t, "example.org", 1), 7, testTime)
	s.Fail(n, broken, testTime.Add(time.Hour))
	z, label := s.Set().Find(name(t, "www.example.org"))
	if z == nil || z.Serial() != 1 || label != 7 {
		t.Fatalf("found %v with label %d", z, label)
	}
	if got := s.Status()[0]; !got.Loaded || got.Serial != 1 || got.Err != broken || got.Failures != 2 || !got.LoadedAt.Equal(testTime) {
		t.Errorf("status %+v", got)
	}
	s.Put(zoneOf(t, "example.org", 2), 7, testTime)
	if got := s.Status()[0]; got.Err != nil || got.Serial != 2 || got.Records != 3 {
		t.Errorf("status %+v", got)
	}
	s.Release(n)
	if z, _ := s.Set().Find(n); z != nil || s.Set().Len() != 0 {
		t.Error("a released zone is served")
	}
}

func TestStoreBatchPublishesOnce(t *testing.T) {
	s := NewStore()
	before := s.Set()
	s.Batch(func() {
		for i := range 10 {
			origin := fmt.Sprintf("z%d.example", i)
			if err := s.Declare(name(t, origin), "test"); err != nil {
				t.Fatal(err)
			}
			s.Put(zoneOf(t, origin, i), 0, testTime)
			if s.Set() != before {
				t.Fatal("published inside the batch")
			}
		}
	})
	if n := s.Set().Len(); n != 10 {
		t.Errorf("%d zones, want 10", n)
	}
}

func TestFindTakesTheLongestZone(t *testing.T) {
	s := NewStore()
	for i, origin := range []string{".", "org", "example.org", "a.b.c.example.org"} {
		if err := s.Declare(name(t, origin), "test"); err != nil {
			t.Fatal(err)
		}
		s.Put(zoneOf(t, origin, i), uint32(i), testTime)
	}
	for query, want := range map[string]uint32{
		".": 0, "com.": 0, "org.": 1, "x.org.": 1, "example.org.": 2, "c.example.org.": 2,
		"b.c.example.org.": 2, "a.b.c.example.org.": 3, "x.a.b.c.example.org.": 3, "xa.b.c.example.org.": 2,
		strings.Repeat("x.", 100) + "a.b.c.example.org.": 3,
	} {
		if z, got := s.Set().Find(name(t, query)); z == nil || got != want {
			t.Errorf("%s is in zone %d, want %d", query, got, want)
		}
	}
}

// Readers see one whole set or the next while zones come, change and go.
func TestStoreConcurrent(t *testing.T) {
	s := NewStore()
	fixed := name(t, "fixed.example")
	if err := s.Declare(fixed, "test"); err != nil {
		t.Fatal(err)
	}
	s.Put(zoneOf(t, "fixed.example", 1), 1, testTime)
	versions := [2]*Zone{zoneOf(t, "moving.example", 1), zoneOf(t, "moving.example", 2)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				buf, q := question(t, "ns.fixed.example.", dns.TypeA)
				if reply, r := s.Set().Answer(buf, q, 512); r.Zone == nil || wire.Count(reply, wire.CountAN) != 1 {
					t.Error("the zone that stays was not served")
					return
				}
			}
		})
	}
	for i := range 2000 {
		if err := s.Declare(versions[0].Origin(), "test"); err != nil {
			t.Fatal(err)
		}
		s.Put(versions[i%2], 2, testTime)
		s.Release(versions[0].Origin())
	}
	close(stop)
	wg.Wait()
}

// TestStoreChanges compares the Sets that many changes make, one by one and in
// batches, with what there should be.
func TestStoreChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := NewStore()
	const names = 40
	versions := make([][2]*Zone, names)
	want := make([]*Zone, names) // as declared: nil, failed, or served
	failed := new(Zone)
	for i := range versions {
		origin := fmt.Sprintf("z%d.%sexample", i, strings.Repeat("deep.", i%5))
		versions[i] = [2]*Zone{zoneOf(t, origin, 1), zoneOf(t, origin, 2)}
	}
	change := func() {
		i := r.IntN(names)
		origin := versions[i][0].Origin()
		switch kind := r.IntN(10); {
		case want[i] == nil && kind < 8:
			if err := s.Declare(origin, "test"); err != nil {
				t.Fatal(err)
			}
			if kind < 2 {
				want[i] = failed
				s.Fail(origin, errors.New("broken"), testTime)
				return
			}
			fallthrough
		case want[i] != nil && kind < 7:
			want[i] = versions[i][r.IntN(2)]
			s.Put(want[i], uint32(i), testTime)
		case want[i] != nil && kind < 9:
			s.Release(origin)
			want[i] = nil
		}
	}
	for range 1000 {
		if r.IntN(3) == 0 {
			s.Batch(func() {
				for range r.IntN(20) {
					change()
				}
			})
		} else {
			change()
		}
		n := 0
		for i, z := range want {
			got, label := s.Set().Find(versions[i][0].Origin())
			switch z {
			case nil, failed:
				z = nil
			default:
				if label != uint32(i) {
					t.Fatalf("label %d of zone %d", label, i)
				}
			}
			if got != z {
				t.Fatalf("zone %d is %v, want %v", i, got, z)
			}
			if want[i] != nil {
				n++
			}
		}
		if got := s.Set().Len(); got != n {
			t.Fatalf("%d zones, want %d", got, n)
		}
	}
}

// TestStoreChangesOneCheaply says that a new version of one zone among many has
// no other one looked up.
func TestStoreChangesOneCheaply(t *testing.T) {
	s := NewStore()
	s.Batch(func() {
		for i := range 1000 {
			origin := fmt.Sprintf("z%d.example", i)
			if err := s.Declare(name(t, origin), "test"); err != nil {
				t.Fatal(err)
			}
			s.Put(zoneOf(t, origin, i), 0, testTime)
		}
	})
	index := &s.Set().index.slots[0]
	s.Put(zoneOf(t, "z500.example", 7), 0, testTime)
	if &s.Set().index.slots[0] != index {
		t.Error("the index was made anew")
	}
	if z, _ := s.Set().Find(name(t, "z500.example")); z.Serial() != 7 {
		t.Errorf("serial %d", z.Serial())
	}
}

// TestCede: below a ceded name others answer, also for aliases that lead there; a
// zone of that very name goes before, for as long as it is declared.
func TestCede(t *testing.T) {
	s := NewStore()
	serve := func(origin string) {
		t.Helper()
		if err := s.Declare(name(t, origin), "test"); err != nil {
			t.Fatal(err)
		}
		s.Put(zoneOf(t, origin, 1), 0, testTime)
	}
	answered := func(qname string, qtype uint16) string {
		t.Helper()
		buf, q := question(t, qname, qtype)
		_, r := s.Set().Answer(buf, q, 512)
		switch {
		case r.NotLoaded:
			return "not loaded"
		case r.Zone == nil:
			return ""
		}
		return r.Zone.Origin().String()
	}
	serve("example.org")
	s.Cede([]wire.Name{name(t, "corp.example.org"), name(t, "example.com")})
	for qname, want := range map[string]string{
		"corp.example.org.": "", "www.corp.example.org.": "", "a.b.corp.example.org.": "",
		"www.example.org.": "example.org.", "xcorp.example.org.": "example.org.", "www.example.com.": "",
	} {
		if got := answered(qname, dns.TypeA); got != want {
			t.Errorf("%s is answered from %q, want %q", qname, got, want)
		}
	}
	if got := answered("corp.example.org.", dns.TypeDS); got != "example.org." {
		t.Errorf("the parent's side of the cut is answered from %q", got)
	}
	if n := s.Set().Len(); n != 1 {
		t.Errorf("%d zones", n)
	}
	serve("corp.example.org")
	if got := answered("www.corp.example.org.", dns.TypeA); got != "corp.example.org." {
		t.Errorf("with a zone of the ceded name: %q", got)
	}
	if source, ok := s.Declared(name(t, "corp.example.org")); !ok || source != "test" {
		t.Errorf("declared: %q %v", source, ok)
	}
	s.Release(name(t, "corp.example.org"))
	if got := answered("www.corp.example.org.", dns.TypeA); got != "" {
		t.Errorf("without it: %q", got)
	}
	s.Cede(nil)
	if got := answered("www.corp.example.org.", dns.TypeA); got != "example.org." {
		t.Errorf("ceded no more: %q", got)
	}
}
