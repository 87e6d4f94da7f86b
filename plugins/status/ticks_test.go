package status

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// TestFind says which endpoint a name is a query for.
func TestFind(t *testing.T) {
	names := []string{"portal.r.example", "*.blob.r.example", "*.appservice.r.example", "*.scm.appservice.r.example",

		"api.appservice.r.example", "a.b.c.d.e.f.g.h.i.r.example", "elsewhere.example", "sso.appservice.r.example", "*.sso.appservice.r.example", "not..a.name"}
	tk := newTicks(names, "r.example", 1, 1)
	for text, want := range map[string]string{
		"portal.r.example.":                 "portal.r.example",
		"a.portal.r.example.":               "", // does not exist
		"blob.r.example.":                   "", // exists, without records
		"a.blob.r.example.":                 "*.blob.r.example",
		"b.a.blob.r.example.":               "*.blob.r.example",
		"*.blob.r.example.":                 "*.blob.r.example",
		"a.appservice.r.example.":           "*.appservice.r.example",
		"scm.appservice.r.example.":         "",
		"a.scm.appservice.r.example.":       "*.scm.appservice.r.example",
		"api.appservice.r.example.":         "api.appservice.r.example",
		"a.api.appservice.r.example.":       "", // api is the closest encloser
		"sso.appservice.r.example.":         "sso.appservice.r.example",
		"a.sso.appservice.r.example.":       "*.sso.appservice.r.example",
		"r.example.":                        "",
		"xblob.r.example.":                  "",
		"a.a.a.a.a.a.a.a.a.blob.r.example.": "*.blob.r.example",
		"a.b.c.d.e.f.g.h.i.r.example.":      "", // is too deep
	} {
		name, err := wire.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if e := tk.find(name); e >= 0 {
			got = names[e]
		}
		if got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// query is one that is over.
func query(t testing.TB, name string, r *server.Resolver, at time.Time) *server.Query {
	t.Helper()
	n, err := wire.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return &server.Query{Name: n, Zone: 1, Resolver: r, Received: at, Remote: source()}
}

// seen is when the endpoint was last asked for, as seconds after noon; -1 for never.
func (o *observer) seen(e int, name string) int64 {
	c := slices.Index(o.columns.list(), name)
	if c < 0 || o.ticks.Load().last(e, c) == 0 {
		return -1
	}
	return o.ticks.Load().last(e, c) - noon().Unix()
}

// TestTicks has two resolvers ask at two workers.
func TestTicks(t *testing.T) {
	o := observed(t, "portal.r.example", "*.blob.r.example")
	corp, branch := &server.Resolver{Name: "corp"}, &server.Resolver{Name: "branch"}
	tick := func(worker int, name string, r *server.Resolver, after time.Duration) {
		q := query(t, name, r, noon().Add(after))
		q.Worker = worker
		o.ticks.Load().tick(o, q)
	}
	tick(0, "portal.r.example.", corp, 5*time.Second)
	tick(1, "portal.r.example.", corp, 3*time.Second)
	tick(0, "x.blob.r.example.", branch, time.Second)
	tick(1, "y.blob.r.example.", branch, 2*time.Second)
	tick(1, "y.blob.r.example.", nil, 4*time.Second)
	other := query(t, "portal.r.example.", branch, noon())
	other.Zone = 2
	o.ticks.Load().tick(o, other)
	want := func(want map[string][2]int64) {
		t.Helper()
		for name, at := range want {
			for e, want := range at {
				if got := o.seen(e, name); got != want {
					t.Errorf("%s, endpoint %d: %d, want %d", name, e, got, want)
				}
			}
		}
	}
	want(map[string][2]int64{"corp": {5, -1}, "branch": {-1, 2}, "other": {-1, 4}})
	// Endpoints may change with a reload: what is known of one that stays is kept.
	o.watch([]string{"*.blob.r.example", "management.r.example"}, "r.example", 1)
	want(map[string][2]int64{"corp": {-1, -1}, "branch": {2, -1}, "other": {4, -1}})
	// The next configuration has resolvers of its own, which are called the same.
	tick(0, "x.blob.r.example.", &server.Resolver{Name: "corp"}, 7*time.Second)
	want(map[string][2]int64{"corp": {7, -1}})
	if got := o.columns.list(); !slices.Equal(got, []string{"other", "corp", "branch"}) {
		t.Errorf("columns are %q", got)
	}
}

// TestManyResolvers: a column goes from the learned resolver that was silent for longest
// to the next one, at most once a second, and never from a named one.
func TestManyResolvers(t *testing.T) {
	o := observed(t, "portal.r.example")
	tick := func(r *server.Resolver, second int) {
		o.ticks.Load().tick(o, query(t, "portal.r.example.", r, noon().Add(time.Duration(second)*time.Second)))
	}
	tick(&server.Resolver{Name: "corp"}, 1)
	for i := range maxColumns - 2 {
		tick(&server.Resolver{Name: fmt.Sprint("learned", i), Learned: true}, 10+i)
	}
	one, two := &server.Resolver{Name: "one", Learned: true}, &server.Resolver{Name: "two", Learned: true}
	tick(one, 1000)
	tick(two, 1000)
	if o.seen(0, "one") != 1000 || o.seen(0, "two") != -1 || o.seen(0, "other") != 1000 || o.seen(0, "learned0") != -1 || o.seen(0, "learned1") != 11 || o.seen(0, "corp") != 1 {
		t.Errorf("in the second: one %d, two %d, other %d, learned0 %d", o.seen(0, "one"), o.seen(0, "two"), o.seen(0, "other"), o.seen(0, "learned0"))
	}
	o.columns.renew(noon().Unix() + 1060) // who got none tries again
	tick(two, 1060)
	if o.seen(0, "two") != 1060 || o.seen(0, "learned1") != -1 {
		t.Errorf("a minute later: two %d", o.seen(0, "two"))
	}
	for i := range 10 * maxColumns { // a flood of new ones
		tick(&server.Resolver{Name: fmt.Sprint("flood", i), Learned: true}, 2000)
	}
	if n, known := len(o.columns.list()), len(*o.columns.known.Load()); n != maxColumns || known > 2*maxColumns+1 {
		t.Errorf("%d columns, %d resolvers known", n, known)
	}
}

// TestEndpoints asks a stamp over the network, from two resolvers, and reloads.
func TestEndpoints(t *testing.T) {
	var from atomic.Pointer[server.Resolver]
	s := start(t, whole, all(&from)...)
	for name, asks := range map[string][]string{
		"corp":   {"Portal.east.cloud.fabrikam.com.", "account.blob.east.cloud.fabrikam.com."},
		"branch": {"x.y.blob.east.cloud.fabrikam.com.", "nothing.east.cloud.fabrikam.com."},
	} {
		from.Store(&server.Resolver{Name: name, Learned: name == "branch"})
		for _, ask := range asks {
			s.ask(1, ask, true)
		}
	}
	check := func() {
		t.Helper()
		var doc statusDoc
		if err := json.Unmarshal([]byte(s.api("/status")), &doc); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(doc.Resolvers, []string{"corp", "lab", "branch"}) {
			t.Errorf("resolvers are %q", doc.Resolvers)
		}
		for _, e := range doc.Endpoints {
			var got []string
			for _, name := range doc.Resolvers {
				if at, ok := e.Seen[name]; ok {
					got = append(got, name)
					if age := time.Since(at); age < 0 || age > time.Minute {
						t.Errorf("%s was seen %s ago", e.Name, age)
					}
				}
			}
			want := map[string][]string{"portal.east.cloud.fabrikam.com": {"corp"}, "*.blob.east.cloud.fabrikam.com": {"corp", "branch"}}[e.Name]
			if !slices.Equal(got, want) {
				t.Errorf("%s was seen from %q, want %q", e.Name, got, want)
			}
		}
	}
	s.Wait("the ticks", func() bool { return len(s.statusOf("portal.east.cloud.fabrikam.com").Seen) > 0 })
	check()
	before := s.status().StartedAt
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	check()
	if after := s.status().StartedAt; !after.Equal(before) {
		t.Errorf("after a reload it observes since %s, before since %s", after, before)
	}
}

func (p *page) status() (doc statusDoc) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.api("/status")), &doc); err != nil {
		p.t.Fatal(err)
	}
	return doc
}

func (p *page) statusOf(name string) endpoint {
	p.t.Helper()
	for _, e := range p.status().Endpoints {
		if e.Name == name {
			return e
		}
	}
	p.t.Fatalf("no endpoint %s", name)
	return endpoint{}
}

// FuzzFind compares the way down from the zone with the way up from the name.
func FuzzFind(f *testing.F) {
	names := []string{"portal.r.example", "*.blob.r.example", "*.appservice.r.example", "*.scm.appservice.r.example",
		"api.appservice.r.example", "*.sso.appservice.r.example", "a.b.c.d.r.example"}
	tk := newTicks(names, "r.example", 1, 1)
	for _, name := range []string{"portal", "x.blob", "a.scm.appservice", "x.api.appservice", "b.c.d", "a.a.a.a.a.a.a.a.a.a.blob", ""} {
		f.Add(name)
	}
	exists := make(map[string]bool)
	for _, name := range names {
		for n := parsed(f, strings.TrimPrefix(name, "*.")); len(n) > 1; n, _ = n.Parent() {
			exists[string(n)] = true
		}
	}
	f.Fuzz(func(t *testing.T, below string) {
		text := "r.example."
		if below != "" {
			text = below + "." + text
		}
		name, err := wire.ParseName(text)
		if err != nil || !name.Within(parsed(t, "r.example")) {
			return
		}
		want := slices.IndexFunc(names, func(n string) bool { return string(parsed(t, n)) == string(name) && !strings.HasPrefix(n, "*") })
		if encloser := name; !exists[string(name)] {
			for !exists[string(encloser)] {
				encloser, _ = encloser.Parent()
			}
			want = slices.Index(names, "*."+strings.TrimSuffix(encloser.String(), "."))
		}
		if got := tk.find(name); got != want {
			t.Errorf("%s is endpoint %d, want %d", name, got, want)
		}
	})
}

func parsed(t testing.TB, text string) wire.Name {
	t.Helper()
	name, err := wire.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestConcurrent has queries tick while endpoints, resolvers and the history change.
func TestConcurrent(t *testing.T) {
	o := observed(t, "portal.r.example")
	var all sync.WaitGroup
	for worker := range 2 {
		for range 2 {
			all.Go(func() {
				for i := range 2000 {
					q := query(t, "portal.r.example.", &server.Resolver{Name: fmt.Sprint("r", i%200), Learned: i%200 > 5}, noon().Add(time.Duration(i/10)*time.Second))
					q.Worker = worker
					o.ticks.Load().tick(o, q)
				}
			})
		}
	}
	all.Go(func() {
		for i := range 200 {
			o.watch([]string{"management.r.example", "portal.r.example"}[i%2:], "r.example", 1)
			o.tick(noon().Add(time.Duration(i) * time.Second))
			o.history.last(stepCount)
			c := &config{observer: o, endpoints: []endpoint{{Name: "portal.r.example"}}}
			c.seen(slices.Clone(c.endpoints), new(delegationDoc))
		}
	})
	all.Wait()
	for i := range 6 {
		if o.seen(len(o.ticks.Load().names)-1, fmt.Sprint("r", i)) < 0 {
			t.Errorf("r%d is forgotten", i)
		}
	}
}
