package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// updateScreens has TestTopScreens write what it should compare with.
var updateScreens = flag.Bool("update-screens", false, "write testdata/screens")

// counted is an observation with these numbers of queries: of corp to ns01 and ns02, and of
// all others to ns01.
func counted(t *testing.T, at time.Time, corp01, corp02, others int) *topSample {
	t.Helper()
	resolver := func(name string, ns01, ns02 int) string {
		return fmt.Sprintf(`{"name":%q,"last_seen":"2026-01-02T15:04:04Z","queries":{"total":%d,"by_path":{"iterative":%d,"forwarded":%d,"direct":0},
"by_ns":{"ns01":{"queries":%d},"ns02":{"queries":%d}}},"capabilities":{"edns":true,"tcp":true}}`, name, ns01+ns02, ns01, ns02, ns01, ns02)
	}
	s := &topSample{at: at}
	text := `{"observed_since":"2026-01-02T15:00:00Z","name_servers":["ns01","ns02"],"resolvers":[` + resolver("corp", corp01, corp02) +
		`],"others":` + resolver("other", others, 0) + `,"findings":[]}`
	if err := json.Unmarshal([]byte(text), &s.counts); err != nil {
		t.Fatal(err)
	}
	return s
}

// topTime is when the tests look.
var topTime = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func TestTopRates(t *testing.T) {
	before, now := counted(t, topTime, 10, 20, 5), counted(t, topTime.Add(2*time.Second), 30, 20, 8)
	v := newTopView(before, now)
	corp := v.Resolvers[0]
	if v.Total != 11.5 || v.ByPath["iterative"] != 11.5 || v.ByPath["forwarded"] != 0 || v.Seconds != 2 ||
		corp.Rate != 10 || corp.ByNS["ns01"] != 10 || corp.ByNS["ns02"] != 0 || v.NameServers[0].Rate != 11.5 || strings.Join(corp.Paths, " ") != "iterative forwarded" {
		t.Errorf("rates are wrong: %+v", v)
	}
	// Nothing is known of the first time, of another process, and of counters that went back.
	another := counted(t, topTime, 0, 0, 0)
	another.counts.Since = another.counts.Since.Add(time.Second)
	for what, before := range map[string]*topSample{"first": nil, "another process": another, "counters went back": counted(t, topTime, 31, 20, 9)} {
		v := newTopView(before, now)
		if v.Resolvers[0].Rate >= 0 || v.Total >= 0 || v.Total.String() != "-" {
			t.Errorf("%s: total %s, %s of corp", what, v.Total, v.Resolvers[0].Rate)
		}
		if text, err := json.Marshal(v); err != nil || !strings.Contains(string(text), `"queries_per_second":null`) {
			t.Errorf("%s: %s, %v", what, text, err)
		}
	}
	// One that was learned in between has taken its queries out of the others'.
	before = counted(t, topTime, 0, 0, 30)
	before.counts.Resolvers = nil
	now = counted(t, topTime.Add(time.Second), 28, 0, 5)
	if v := newTopView(before, now); v.Total != 3 || v.Resolvers[0].Rate >= 0 || v.Resolvers[1].Rate >= 0 {
		t.Errorf("a resolver that was learned: %+v", v)
	}
	// Without delegation, the journal counts.
	with := func(at time.Time, seen uint64) *topSample {
		return &topSample{at: at, journal: &journalListing{Seen: seen}}
	}
	if v := newTopView(with(topTime, 4), with(topTime.Add(2*time.Second), 9)); v.Total != 2.5 || len(v.Missing) != 1 {
		t.Errorf("a journal alone: %+v", v)
	}
}

// shownView is a view with something of everything, of which some is hostile.
func shownView(t *testing.T) *topView {
	before, now := counted(t, topTime.Add(-time.Second), 10, 20, 5), counted(t, topTime, 95, 32, 5)
	left := uint64(3)
	now.counts.Findings = []observedFinding{
		{"refetch", "info", "corp", "corp asks again for what it could know."},
		{"one-server", "warning", "corp", "corp has sent 42 queries to ns01 and none to ns02. The parent may list only ns01, or the way to ns02 may be shut: look at the delegation.\x1b[2J\u202e"},
	}
	now.faults = &topFaults{[]faultRule{{ID: "f1", Rule: "servfail ns ns01 name *.blob.* for 5m", Enabled: true, Remaining: 250, Hits: 12}, {ID: "shut", Rule: "tcp-refuse", Remaining: 9, Left: &left}}}
	rtt := 1.25
	now.forwarders = &forwarders{Forwarders: []upstream{{Address: "192.0.2.53:53", State: "up", RTT: &rtt, Queries: 123}}}
	now.custom = &topCustom{[]customDNS{{Domain: "contoso.com", Forwarders: []upstream{{Address: "[2001:db8::53]:53", State: "down", Failures: 7}}}}}
	if err := json.Unmarshal([]byte(`{"version":"1.2.3","ready":true,"stamp":{"external_zone":"east.cloud.fabrikam.com"},"zones":[{"name":"a.example","loaded":true}]}`), &now.status); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"rcodes":{"NOERROR":[90.5,null],"SERVFAIL":[6.5]},"latency_us":{"p50":[12.5],"p99":[1200]}}`), &now.history); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"portal.east.cloud.fabrikam.com.", `x\027[2J.blob.east.cloud.fabrikam.com.`, "y\x1b]0;title\a\u009b2J\r\n.example.", "資料.東京.example."} {
		e := journalEntry{ID: uint64(i), Time: topTime.Add(time.Duration(i) * 10 * time.Millisecond), NS: "ns01", Source: "192.0.2.53:4242", Resolver: "corp",
			Name: name, Type: "AAAA", Transport: "udp", RCode: "NOERROR", Path: "iterative", Took: 12.53}
		if i == 1 {
			e.RCode = "SERVFAIL"
			if err := json.Unmarshal([]byte(`{"rule":"f1","kind":"servfail"}`), &e.Fault); err != nil {
				t.Fatal(err)
			}
		}
		now.queries = append(now.queries, e)
	}
	now.journal = &journalListing{Sampled: true, SampledTo: topTime}
	v := newTopView(before, now)
	wide := v.Resolvers[0]
	wide.Name, wide.Level, wide.Rate = "名古屋 resolver e\u0301\u0301\u0301\u0301", "", 0.2
	v.Resolvers = append(v.Resolvers[:1], wide, v.Resolvers[1])
	return v
}

// TestTopScreens compares screens with testdata/screens. Every line fits, and none
// holds what a terminal could take for an order.
func TestTopScreens(t *testing.T) {
	gone := fmt.Errorf("no stampdns answers at http://127.0.0.1:8053 (connection refused): is it running, with its api on? give --api URL\x1b[2J")
	for _, tc := range []struct {
		name          string
		width, height int
		change        func(*topScreen)
	}{
		{"80x24", 80, 24, nil}, {"120x40", 120, 40, nil}, {"40x12", 40, 12, nil}, {"plain", noWidth, 0, nil},
		{"gone", 80, 24, func(s *topScreen) { s.fault, s.since, s.paused = gone, topTime, true }},
		{"filter", 100, 30, func(s *topScreen) { s.filter = "other" }},
		{"little", 80, 24, func(s *topScreen) { s.view, s.keys = newTopView(nil, &topSample{at: topTime}), false }},
	} {
		s := &topScreen{view: shownView(t), width: tc.width, height: tc.height, api: "http://127.0.0.1:8053", keys: true}
		if tc.change != nil {
			tc.change(s)
		}
		var text strings.Builder
		for _, line := range s.lines() {
			if line.width() > tc.width {
				t.Errorf("%s: %d columns: %s", tc.name, line.width(), line)
			}
			text.WriteString(line.String() + "\n")
		}
		if n := strings.Count(text.String(), "\n"); tc.height > 0 && n != tc.height {
			t.Errorf("%s: %d lines", tc.name, n)
		}
		if strings.ContainsFunc(text.String(), func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' }) {
			t.Errorf("%s: control characters: %q", tc.name, text.String())
		}
		file := "testdata/screens/" + tc.name
		if *updateScreens {
			if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != text.String() {
			t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", tc.name, err, text.String(), want)
		}
	}
}

// TestTopScreensOfAnySize draws the smallest screens and odd ones.
func TestTopScreensOfAnySize(t *testing.T) {
	view := shownView(t)
	for width := 1; width < 200; width += 1 + width/9 {
		for height := 1; height < 60; height += 1 + height/9 {
			s := &topScreen{view: view, width: width, height: height, api: "http://127.0.0.1:8053", fault: os.ErrNotExist, paused: true, keys: height%2 == 0}
			lines := s.lines()
			if len(lines) != height {
				t.Fatalf("%d×%d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if line.width() > width {
					t.Fatalf("%d×%d: %d columns: %s", width, height, line.width(), line)
				}
			}
		}
	}
}

func TestTopText(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "東京": 4, "🙂": 2, "한": 2, "ｱ": 1, "ﾃ": 1, "Ａ": 2, "\u3000": 2, "…": 1} {
		if got := textWidth(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
	for _, tc := range []struct {
		text  string
		width int
		want  string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 4, "abc…"}, {"東京都", 5, "東京…"}, {"東京都", 4, "東…"}, {"abc", 1, "…"}, {"abc", 0, ""}} {
		if got := cutText(tc.text, tc.width); got != tc.want {
			t.Errorf("%q in %d columns: %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
	if got := strings.Join(wrapText("a bc  def 東京東京東京 gh", 5), "|"); got != "a bc|def|東京|東京|東京|gh" {
		t.Errorf("wrapped: %s", got)
	}
	if got := span(styleNone, "a\u0301\u0301\u0301\u0301b\x1b\x9b\u202e").text; got != "a\u0301\u0301b???" && got != "a\u0301\u0301b?\ufffd?" {
		t.Errorf("%q is left", got)
	}
	for us, want := range map[float64]string{0: "0s", 12.53: "12.5µs", 1234.5: "1.23ms", 2.5e6: "2.5s"} {
		if got := micros(&us); got != want {
			t.Errorf("%v µs: %s, want %s", us, got, want)
		}
	}
}

// TestTopGoesOn: a server that is away between two snapshots is told of, and one that
// stays away ends the command.
func TestTopGoesOn(t *testing.T) {
	api := newFakeAPI(t, "")
	var polls, from, to atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/delegation" {
			polls.Add(1)
		}
		if n := polls.Load(); n >= from.Load() && n < to.Load() && r.URL.Path == "/api/v1/delegation" {
			writeJSON(w, 503, apiError("busy\x1b[2J"))
			return
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	for _, tc := range []struct {
		from, to int32
		code     int
		stdout   int
		stderr   string
	}{
		{2, 3, exitOK, 2, "stampdns: busy?[2J; trying again\n"},
		{3, 9, exitFailed, 1, "stampdns: busy?[2J; trying again\nstampdns: busy?[2J\n"},
		{1, 9, exitFailed, 0, "stampdns: busy?[2J\n"},
	} {
		polls.Store(0)
		from.Store(tc.from)
		to.Store(tc.to)
		code, stdout, stderr := runAgainst([]string{"STAMPDNS_API=" + server.URL}, "top", "--count", "3", "--interval", "100ms")
		if code != tc.code || stderr != tc.stderr || strings.Count(stdout, "RESOLVER  ")/2 != tc.stdout {
			t.Errorf("away from poll %d to %d: exit code %d\n%s%s", tc.from, tc.to, code, stdout, stderr)
		}
	}
}

// TestTopAsksForWhatIsNew: the journal is asked for what came since, and for the
// resolver that is shown alone; what the server does not have is left alone.
func TestTopAsksForWhatIsNew(t *testing.T) {
	api := newFakeAPI(t, "")
	client, _ := clientFor(t, []string{"STAMPDNS_API=" + api.serve()})
	p := newTopPoller(client, patience)
	filter := "corp"
	for range 2 {
		if s, err := p.poll(t.Context()); err != nil || len(s.queries) != 2 || s.status != nil {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	p.filter.Store(&filter)
	if _, err := p.poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := "\n" + strings.Join(api.asked(), "\n") + "\n"
	for line, want := range map[string]int{
		"/api/v1/journal?limit=100&order=newest": 1, "/api/v1/journal?after=x-8&limit=100&order=newest": 1,
		"/api/v1/journal?limit=100&order=newest&resolver=corp": 1, "/api/v1/delegation": 3, "/api/v1/status": 1, "/api/v1/stamp": 1, "/api/v1/history?minutes=1": 1,
	} {
		if got := strings.Count(asked, "\nGET "+line+"\n"); got != want {
			t.Errorf("%s is asked for %d times, want %d%s", line, got, want, asked)
		}
	}
}

// FuzzTopText: whatever comes from outside fits its place, and orders nothing.
func FuzzTopText(f *testing.F) {
	f.Add("a\x1b[2Jb\u0301\u0301\u0301", uint8(3))
	f.Add("東京 \u202e🙂\xff", uint8(1))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		clean, width := span(styleNone, text).text, int(n)
		if strings.ContainsFunc(clean, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e }) {
			t.Errorf("%q has control characters", clean)
		}
		if cut := cutText(clean, width); textWidth(cut) > width {
			t.Errorf("%q in %d columns: %q", clean, width, cut)
		}
		kept := ""
		for _, line := range wrapText(clean, width) {
			if kept += line; textWidth(line) > max(2, width) {
				t.Errorf("%q in %d columns: line %q", clean, width, line)
			}
		}
		if want := strings.Join(strings.Fields(clean), ""); strings.Join(strings.Fields(kept), "") != want {
			t.Errorf("%q wrapped is %q", want, kept)
		}
	})
}
