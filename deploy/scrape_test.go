package deploy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// series is one of a scrape, without its value.
type series struct {
	name   string
	labels map[string]string
}

var (
	seriesLine  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	seriesLabel = regexp.MustCompile(`([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")`)
)

// readSeries reads a page of metrics, and adds the labels that Prometheus does.
func readSeries(t testing.TB, page string) (all []series) {
	t.Helper()
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := seriesLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no series: %s", line)
		}
		s := series{m[1], map[string]string{"job": "stamp", "instance": "192.0.2.11:9153"}}
		for _, l := range seriesLabel.FindAllStringSubmatch(m[2], -1) {
			value, err := strconv.Unquote(l[2])
			if err != nil {
				t.Fatalf("label %s of %s: %v", l[0], line, err)
			}
			s.labels[l[1]] = value
		}
		all = append(all, s)
	}
	return all
}

// ofPrometheus are the series that it makes itself.
func ofPrometheus() []series {
	return []series{
		{"up", map[string]string{"job": "stamp", "instance": "192.0.2.11:9153"}},
		{"ALERTS", map[string]string{"alertname": "StampdnsDown", "alertstate": "firing"}},
	}
}

// TestScrape compares the dashboard and the alerts with what a server shows that has
// had one of everything: each selector selects something, and each label that an
// expression groups by, or a legend shows, is there.
func TestScrape(t *testing.T) {
	t.Parallel() // it waits most of its time
	all := append(startBusy(t).scrape(), ofPrometheus()...)
	shown := make(map[string]bool)
	for _, u := range expressions(t) {
		labels := make(map[string]bool)
		for _, s := range u.selectors {
			shown[s.metric] = true
			found := false
			for _, m := range all {
				if !s.matches(m) {
					continue
				}
				found = true
				for label := range m.labels {
					labels[label] = true
				}
			}
			if !found {
				t.Errorf("%s: no server shows %s", u.where, expression{selectors: []selector{s}})
				continue
			}
			for _, m := range s.matchers {
				if !labels[m.label] {
					t.Errorf("%s: %s has no label %s", u.where, s.metric, m.label)
				}
			}
		}
		for _, label := range u.grouped {
			if !labels[label] {
				t.Errorf("%s groups by the label %s, which is not there: %s", u.where, label, u.expr)
			}
		}
		for _, label := range u.shown {
			if len(u.by) > 0 && !slices.Contains(u.by, label) || !labels[label] {
				t.Errorf("%s shows the label %s, which is not there: %s", u.where, label, u.expr)
			}
		}
	}
	unseen(t, all, shown)
}

// unseen says which metrics of ours are in no picture and no alert. Those that are
// left out on purpose are listed.
func unseen(t *testing.T, all []series, shown map[string]bool) {
	t.Helper()
	leftOut := regexp.MustCompile(`^stampdns_(?:` + strings.Join([]string{
		"dns_(request|response)_size_bytes", "dns_do_requests_total", // the EDNS options have DO
		"acl_allowed_requests_total", "cache_misses_total", "journal_entries", "plugin_enabled",
		"reload_version_info", "dnstap_(frames_total|connected)",
		"delegation_refetch_skipped_total",
	}, "|") + `)$`)
	for _, m := range all {
		base := m.name
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, end)
		}
		ours := strings.HasPrefix(base, "stampdns_") && !leftOut.MatchString(base)
		if ours && !shown[base] && !shown[base+"_bucket"] && !shown[base+"_count"] {
			t.Errorf("%s is in no picture and no alert", base)
			shown[base] = true
		}
	}
}

// TestReadSeries reads the lines of a page.
func TestReadSeries(t *testing.T) {
	got := readSeries(t, "# HELP a b\na 1\nb_total{x=\"1,\\\"}\",y=\"\"} 2e+09\n")
	if len(got) != 2 || got[0].name != "a" || got[1].labels["x"] != `1,"}` || got[1].labels["job"] != "stamp" {
		t.Errorf("%v", got)
	}
}
