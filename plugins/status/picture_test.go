package status

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// asker is a resolver that asked each name server so often by delegation, and so often
// by forwarding.
func asker(t *testing.T, name string, asked map[string][2]uint64) resolverDoc {
	t.Helper()
	r := resolverDoc{Name: name}
	r.Queries.ByNS = make(map[string]nsDoc)
	for ns, n := range asked {
		r.Queries.Total += n[0] + n[1]
		r.Queries.ByNS[ns] = nsDoc{n[0] + n[1], map[string]uint64{"iterative": n[0], "forwarded": n[1]}}
	}
	return r
}

// TestPicture: a line for each path, as wide as its share, and one for who was not asked.
func TestPicture(t *testing.T) {
	d := &delegationDoc{
		NameServers: []string{"ns01", "ns02"},
		Findings: []findingDoc{
			{ID: "one-server", Level: "warning", Resolver: "branch"}, {ID: "tcp-blocked", Level: "warning", Resolver: "lab"},
			{ID: "path-iterative", Level: "info", Resolver: "corp"}, {ID: "cloudapp-missing", Level: "warning"},
		},
	}
	resolvers := []resolverDoc{
		asker(t, "corp", map[string][2]uint64{"ns01": {1000, 0}, "ns02": {500, 1}}),
		asker(t, "branch", map[string][2]uint64{"ns01": {0, 30}, "ns02": {}}),
		asker(t, "lab", map[string][2]uint64{"ns01": {1, 0}, "ns02": {1, 0}}),
		asker(t, "quiet", nil),
	}
	p := newPicture(nil, resolvers, d)
	want := map[string]string{
		"corp ns01 iterative": "line path-iterative", "corp ns02 iterative": "line path-iterative", "corp ns02 forwarded": "line path-forwarded",
		"branch ns01 forwarded": "line path-forwarded", "branch ns02 ": "line silent amber", "lab ns01 iterative": "line path-iterative", "lab ns02 iterative": "line path-iterative",
	}
	for _, l := range p.Lines {
		key := l.Resolver + " " + l.NS + " " + l.Path
		if want[key] != l.Class() {
			t.Errorf("%s is drawn as %q, want %q", key, l.Class(), want[key])
		}
		delete(want, key)
		if l.Width < leastLine || l.Width > mostLine || key == "corp ns01 iterative" && l.Width != mostLine || key == "corp ns02 iterative" && l.Width != 6.8 {
			t.Errorf("%s is %v wide", key, l.Width)
		}
	}
	for key := range want {
		t.Errorf("%s is not drawn", key)
	}
	for i, amber := range []bool{false, true, true, false} {
		if p.Resolvers[i].Amber != amber {
			t.Errorf("%s: amber is %v", p.Resolvers[i].Name, !amber)
		}
	}
	if p.Servers[0].Amber || !p.Servers[1].Amber {
		t.Errorf("name servers %+v", p.Servers)
	}
	if got := strings.Join(p.Sentences, "\n"); got != "corp asked ns01 1000 times by delegation, ns02 500 times by delegation and 1 times by forwarding.\n"+
		"branch asked ns01 30 times by forwarding, ns02 never.\nlab asked ns01 1 times by delegation, ns02 1 times by delegation.\nquiet has not asked yet." {
		t.Error(got)
	}
}

// TestPictureBounded: many resolvers, none, and no name servers are drawn as well.
func TestPictureBounded(t *testing.T) {
	var many []resolverDoc
	for i := range 1000 {
		many = append(many, asker(t, strings.Repeat("ä", 100)+fmt.Sprint(i), map[string][2]uint64{"ns01": {uint64(i), uint64(i)}}))
	}
	p := newPicture(nil, many, &delegationDoc{NameServers: []string{"ns01"}})
	if len(p.Resolvers) != shownSources || p.Hidden != 1000-shownSources || p.Height > 1000 || len([]rune(p.Resolvers[0].Short)) != shownNameSize {
		t.Errorf("%d resolvers, %d hidden, height %d", len(p.Resolvers), p.Hidden, p.Height)
	}
	for _, b := range append(p.Resolvers, p.Servers...) {
		if b.Y < 0 || b.Y+b.Height > p.Height || b.X < 0 || b.X+b.Width > p.Width {
			t.Errorf("%+v is outside", b)
		}
	}
	if p := newPicture(nil, nil, new(delegationDoc)); len(p.Lines) != 0 || p.Height <= 0 {
		t.Errorf("%+v", p)
	}
	p = newPicture(nil, many[1:2], new(delegationDoc))
	if len(p.Lines) != 0 || !strings.HasSuffix(p.Sentences[0], "asked 2 times.") {
		t.Errorf("without name servers: %+v", p)
	}
}

// TestCharts: what is not known is a gap, and scales end with round numbers.
func TestCharts(t *testing.T) {
	var h history
	h.begin(noon().Add(10 * time.Second))
	h.add(asked(30), noon().Add(10*time.Second))
	h.add(asked(0), noon().Add(30*time.Second))
	h.add(asked(0), noon().Add(50*time.Second))
	charts := newCharts(h.last(6))
	if len(charts) != 3 {
		t.Fatalf("%d charts", len(charts))
	}
	names := ""
	for _, c := range charts {
		for _, s := range c.Series {
			names += " " + s.Name
		}
	}
	if names != " iterative forwarded direct NOERROR p50 p99" {
		t.Errorf("series are%s", names)
	}
	paths := charts[0]
	if got := paths.Series[0].D; strings.Count(got, "M") != 1 || strings.Count(got, "L") != 3 || !strings.HasPrefix(got, "M317.6 76.4L") {
		t.Errorf("by delegation: %s", got)
	}
	if got := charts[2].Series[0].D; strings.Count(got, "M") != 1 || !strings.HasSuffix(got, "h.1") {
		t.Errorf("a single value: %s", got)
	}
	if last := paths.Marks[len(paths.Marks)-1]; last.Text != "5" || last.At != chartTop || paths.Marks[0].Text != "0" {
		t.Errorf("marks are %+v", paths.Marks)
	}
	if !strings.Contains(paths.Summary, "iterative now 0, at most 3 queries/s") {
		t.Error(paths.Summary)
	}
	empty := newCharts(new(history).last(stepCount))
	if empty[0].Summary != "No queries in the last hour." || empty[0].Series[0].D != "" || len(empty[1].Series) != 1 {
		t.Errorf("%+v", empty)
	}
}

// TestScale rounds up, and shortens numbers.
func TestScale(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, -1: 1, 0.3: .5, 1: 1, 1.1: 2, 3: 5, 7: 10, 50001: 100000} {
		if got := roundUp(v); got < want*.999 || got > want*1.001 {
			t.Errorf("%v becomes %v, want %v", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", .25: "0.25", 1.26: "1.3", 12: "12", 123.4: "123", 100000: "100000"} {
		if got := short(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}
