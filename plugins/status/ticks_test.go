package status

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"encoding/json"

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
