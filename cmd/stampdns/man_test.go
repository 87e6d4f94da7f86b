package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// readmes is the folder of the plugins' READMEs.
const readmes = "../../plugins"

// TestManTablesFit: a cell that tbl cannot break must be short, or the table is
// wider than the screen.
func TestManTablesFit(t *testing.T) {
	all, err := manPages(root(), readmes)
	if err != nil {
		t.Fatal(err)
	}
	tables, blocks := 0, 0
	for name, markdown := range all {
		table, block := false, false
		for line := range strings.Lines(string(roff(markdown))) {
			switch {
			case strings.HasPrefix(line, ".TS"):
				table = true
				tables++
				continue
			case strings.HasPrefix(line, ".TE"):
				table = false
			}
			if !table {
				continue
			}
			for i, cell := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
				if i == 0 && strings.HasPrefix(cell, "T}") {
					block = false
				}
				if cell == "T{" {
					block = true
					blocks++
				} else if n := utf8.RuneCountInString(cell); !block && n > longCell {
					t.Errorf("%s: cell of %d characters: %s", name, n, cell)
				}
			}
		}
		if block {
			t.Errorf("%s: a text block is not closed", name)
		}
	}
	if tables == 0 || blocks == 0 {
		t.Errorf("%d tables and %d text blocks", tables, blocks)
	}
}

// TestManSeeAlso: each plugin's page is named where Corefiles are spoken of, and
// every page that is named exists.
func TestManSeeAlso(t *testing.T) {
	all, err := manPages(root(), readmes)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(readmes, "*", "README.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d READMEs, %v", len(files), err)
	}
	for _, page := range []string{"stampdns.1", "stampdns-serve.1"} {
		_, also, _ := strings.Cut(all[page], "# SEE ALSO")
		for _, readme := range files {
			if want := "**stampdns-" + filepath.Base(filepath.Dir(readme)) + "**(7)"; !strings.Contains(also, want) {
				t.Errorf("%s does not name %s", page, want)
			}
		}
		for name := range strings.SplitSeq(strings.TrimSpace(also), ", ") {
			if file := strings.NewReplacer("**", "", "(", ".", ")", "").Replace(name); all[file] == "" {
				t.Errorf("%s names %s, which does not exist", page, file)
			}
		}
	}
	if strings.Contains(all["stampdns-zone-check.1"], "(7)") {
		t.Error("stampdns-zone-check.1 names pages of plugins")
	}
}

// TestHelpNamesValues: the names of values are in upper case, and each flag that
// takes a value has one.
func TestHelpNamesValues(t *testing.T) {
	for _, verb := range commands(root()) {
		for line := range strings.Lines(verb.Flags().FlagUsages()) {
			fields := strings.Fields(strings.TrimSpace(line))
			if len(fields) < 2 || !strings.HasPrefix(fields[0], "-") {
				continue
			}
			if fields[0][1] != '-' {
				fields = fields[1:]
			}
			flag := verb.Flags().Lookup(strings.Trim(fields[0], "-"))
			if flag == nil || flag.Value.Type() == "bool" {
				continue
			}
			if fields[1] != strings.ToUpper(fields[1]) {
				t.Errorf("%s %s: the value is called %q", verb.CommandPath(), fields[0], fields[1])
			}
		}
	}
}

// TestManWritesPages writes the pages and looks at them as man would find them.
func TestManWritesPages(t *testing.T) {
	dir := t.TempDir()
	r := root()
	r.SetArgs([]string{"man", "--plugins", readmes, dir})
	if err := r.Execute(); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "stampdns-stamp.7"))
	if err != nil || !strings.Contains(string(page), "T{\n.ad l\n.nh\nadminportal, ") {
		t.Errorf("stampdns-stamp.7 has no text block: %v", err)
	}
}
