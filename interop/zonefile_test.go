//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/zones"
)

// TestZoneFiles has BIND, NSD, Knot and us read the entries of the files below
// testdata/zonefile, each in a zone of its own. What all of the others refuse, we
// refuse, and say in which line; what two of them read alike, we read as they do.
// What all read alike is printed, and must be read again as it was.
//
// An entry is a line: "+ " and text that we read, or "- " and text that we refuse,
// where ↵ ␍ ␀ ␉ ␌ stand for control characters and «x*3» for xxx. It stands behind
// zoneFileHead, or with a % before it, alone. Where we mean to differ, the mark is
// "+!" or "-!", and a line "doc: TEXT" before it quotes docs/zonefile.md, which
// says so. A decision that is not needed fails the test, as do marks that are not
// true.
func TestZoneFiles(t *testing.T) {
	for _, c := range []struct {
		name    string
		readers []reader
	}{
		{"all", []reader{{"bind", readBIND}, {"nsd", readNSD}, {"knot", readKnot}}},
		// NSD and Knot of Debian 12 die of some bad files.
		{"bind-nsd", []reader{{"bind", readBIND}, {"nsd", readNSD}}},
		{"bind", []reader{{"bind", readBIND}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			paths, err := filepath.Glob(filepath.Join("testdata", "zonefile", c.name, "*.txt"))
			if err != nil || len(paths) == 0 {
				t.Fatalf("no files: %v", err)
			}
			var entries []zoneEntry
			for _, path := range paths {
				entries = append(entries, readEntries(t, path)...)
			}
			compareEntries(t, c.readers, entries)
		})
	}
}

// reader is one of the other servers.
type reader struct {
	name string
	read func(t *testing.T, l *lab, dir string, origins []string) []reading
}

// zoneEntry is a line of a file below testdata/zonefile.
type zoneEntry struct {
	place   string
	text    string
	taken   bool // by us
	decided bool // that we differ
}

func readEntries(t *testing.T, path string) []zoneEntry {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := os.ReadFile(filepath.Join("..", "docs", "zonefile.md"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []zoneEntry
	documented := false
	for i, line := range strings.Split(string(text), "\n") {
		place := fmt.Sprintf("%s:%d", path, i+1)
		if quote, ok := strings.CutPrefix(line, "doc: "); ok {
			if documented = strings.Contains(string(decisions), quote); !documented {
				t.Errorf("%s: docs/zonefile.md does not say %q", place, quote)
			}
			continue
		}
		if line == "" || line[0] == '#' {
			documented = false
			continue
		}
		if len(line) < 3 || !strings.Contains("+-", line[:1]) || !strings.Contains(" !", line[1:2]) {
			t.Fatalf("%s: want a mark and text", place)
		}
		e := zoneEntry{place: place, taken: line[0] == '+', decided: line[1] == '!'}
		if e.text = line[2:]; e.decided {
			e.text = strings.TrimPrefix(e.text, " ")
		}
		if e.decided && !documented {
			t.Errorf("%s: a decision needs a line doc: before it", place)
		}
		entries = append(entries, e)
	}
	return entries
}

// zoneFileHead is what a zone begins with, and zoneFileLines its lines.
const (
	zoneFileHead  = "$TTL 60\n@ SOA ns.example. hostmaster.example. 1 3600 600 604800 300\n@ NS ns.example.\n"
	zoneFileLines = 3
)

var repeated = regexp.MustCompile(`«(.*?)\*(\d+)»`)

// zoneText is the entry's zone file, and the line before the entry.
func (e *zoneEntry) zoneText() (text string, before int) {
	head, body := zoneFileHead, e.text
	before = zoneFileLines
	if rest, alone := strings.CutPrefix(body, "%"); alone {
		head, body, before = "", rest, 0
	}
	body = strings.NewReplacer("↵", "\n", "␍", "\r", "␀", "\x00", "␉", "\t", "␌", "\f", "␠", " ").Replace(body)
	body = repeated.ReplaceAllStringFunc(body, func(m string) string {
		part := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(part[2])
		return strings.Repeat(part[1], n)
	})
	return head + body + "\n", before
}

// compareEntries writes a zone file for each entry, and one at each end that must
// be good for transferAll.
func compareEntries(t *testing.T, readers []reader, entries []zoneEntry) {
	dir := t.TempDir()
	files := map[string]string{
		"first.test.": zoneFileHead, "last.test.": zoneFileHead,
		"inc-ok": "inc A 192.0.2.77\n", "inc-bad": "inc A 192.0.2.777\n", "inc-loop": "$INCLUDE inc-loop\n",
	}
	origins := []string{"first.test."}
	for i := range entries {
		origin := fmt.Sprintf("e%04d.test.", i)
		files[origin], _ = entries[i].zoneText()
		origins = append(origins, origin)
	}
	origins = append(origins, "last.test.")
	putAll(t, dir, files)

	lab := newLab(t)
	others := make([][]reading, len(readers))
	for i, r := range readers {
		others[i] = r.read(t, lab, dir, origins)
	}
	ours := readOurs(dir, origins)
	common := strings.ReplaceAll(ours[0].records, origins[0], "@")
	read := 0
	var alike []string // origins of the zones that all read alike
	for i := range entries {
		said := make([]reading, len(readers))
		for j := range readers {
			said[j] = others[j][i+1]
		}
		if fault := entries[i].judge(ours[i+1], said); fault != "" {
			var b strings.Builder
			for j, r := range readers {
				fmt.Fprintf(&b, "\n  %s: %s", r.name, said[j].beside(common, origins[i+1]))
			}
			t.Errorf("%s: %.200q: %s%s\n  ours: %s", entries[i].place, entries[i].text, fault, b.String(), ours[i+1].beside(common, origins[i+1]))
		}
		if !ours[i+1].refused {
			read++
		}
		if !slices.ContainsFunc(said, func(r reading) bool { return r.refused || r.records != ours[i+1].records }) {
			alike = append(alike, origins[i+1])
		}
	}
	t.Logf("%d entries, of which we read %d, all of us alike %d", len(entries), read, len(alike))
	comparePrinted(t, readers, dir, alike)
}

// comparePrinted has the others read what zones.Print writes of zones that they
// read as we do: they must read the same again.
func comparePrinted(t *testing.T, readers []reader, from string, origins []string) {
	if len(origins) == 0 {
		return
	}
	dir := t.TempDir()
	for _, origin := range origins {
		z, _, err := zones.Load(source(from, origin))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := zones.Print(&text, z); err != nil {
			t.Fatal(err)
		}
		putAll(t, dir, map[string]string{origin: text.String()})
	}
	lab := newLab(t)
	ours := readOurs(from, origins)
	for _, r := range readers {
		for i, again := range r.read(t, lab, dir, origins) {
			if again.records != ours[i].records {
				text, _ := os.ReadFile(filepath.Join(dir, origins[i]))
				t.Errorf("%s reads a printed zone otherwise:\n%s\n%s\nwant:\n%s", r.name, text, again.records, ours[i].records)
			}
		}
	}
}

// judge says what is wrong with our reading, "" for nothing.
func (e *zoneEntry) judge(ours reading, others []reading) string {
	if ours.refused == e.taken {
		return "the mark is not true"
	}
	if fault := e.misplaced(ours.err); fault != "" {
		return fault
	}
	fault := ""
	refused, same := 0, map[string]int{}
	for _, r := range others {
		if r.refused {
			refused++
		} else {
			same[r.records]++
		}
	}
	if refused == len(others) && !ours.refused {
		fault = "all others refuse it"
	}
	for records, n := range same {
		if n >= min(2, len(others)) && (ours.refused || ours.records != records) {
			fault = "others agree on other records"
		}
	}
	switch {
	case fault == "" && e.decided:
		return "the decision is not needed: take the exclamation mark away"
	case e.decided:
		return ""
	}
	return fault
}

// misplaced says what is wrong with the place that an error tells.
func (e *zoneEntry) misplaced(err error) string {
	var at *zones.Finding
	if err == nil || errors.As(err, &at) && (at.Code == "no-soa" || at.Code == "no-ns") {
		return ""
	}
	text, before := e.zoneText()
	switch {
	case at == nil:
		return fmt.Sprintf("the error %q has no place", err)
	case strings.HasPrefix(filepath.Base(at.Pos.File), "inc-"):
		return ""
	case at.Pos.Line <= before || at.Pos.Line > strings.Count(text, "\n"):
		return fmt.Sprintf("the error %q tells a wrong line", err)
	}
	return ""
}

// beside is the reading without the records that all zones have.
func (r reading) beside(common, origin string) string {
	if r.err != nil {
		return "refused: " + r.err.Error()
	}
	if r.refused {
		return "refused"
	}
	var own []string
	for _, line := range strings.Split(strings.ReplaceAll(r.records, origin, "@"), "\n") {
		if !strings.Contains("\n"+common+"\n", "\n"+line+"\n") {
			own = append(own, line)
		}
	}
	return fmt.Sprintf("%.300q", own)
}
