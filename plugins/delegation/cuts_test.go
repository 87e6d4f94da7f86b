package delegation

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/zones"
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

// TestCutsFollowZones says that zones which come later count, too.
func TestCutsFollowZones(t *testing.T) {
	store := zones.NewStore()
	c := &config{observer: newObserver(1), stores: []*zones.Store{store}, log: slog.New(slog.DiscardHandler)}
	c.cuts.Store(new(cuts))
	outside := func(s string) int {
		kind, ok := c.cuts.Load().outside(name(t, s))
		if !ok {
			return -1
		}
		return int(kind)
	}
	want := func(s string, want int) {
		t.Helper()
		if got := outside(s); got != want {
			t.Errorf("%s is %d, want %d", s, got, want)
		}
	}
	want("www.example.org", outsideOther)
	if err := store.Declare(name(t, "a.b.example.org"), "test"); err != nil {
		t.Fatal(err)
	}
	store.Fail(name(t, "a.b.example.org"), errTest, time.Now())
	c.tick(time.Now())
	want("x.a.b.example.org", -1)
	want("a.b.example.org", -1)
	want("c.b.example.org", outsideSibling)
	want("b.example.org", outsideParent)
	want("org", outsideParent)
	want("www.example.org", outsideOther)
	want(".", outsideRoot)
	if err := store.Declare(name(t, "."), "test"); err != nil {
		t.Fatal(err)
	}
	store.Fail(name(t, "."), errTest, time.Now())
	c.tick(time.Now())
	want("www.example.org", -1)
	want(".", -1)
	k := c.cuts.Load()
	if k.kind(name(t, "a.b.example.org")) != nameApex || !k.below(name(t, "a.b.example.org")) || k.below(name(t, ".")) {
		t.Error("a zone below another one, or the root, is taken for what it is not")
	}
}

type testError struct{}

func (testError) Error() string { return "not there" }

var errTest = testError{}

// TestWatchFirst says which zones are counted for each resolver.
func TestWatchFirst(t *testing.T) {
	all := []string{"a.example.", "b.example.", "c.example.", "d.example.", "e.example.", "f.example.", "g.example.",
		"h.example.", "i.example.", "east.cloudapp.example.", "east.example.", "west.cloudapp.example."}
	want := "east.example. east.cloudapp.example. a.example. b.example. c.example. d.example. e.example. f.example."
	if got := strings.Join(watchFirst(all), " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := watchFirst(nil); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
