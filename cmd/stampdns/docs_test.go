package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// pages are the Markdown files that speak to users, but for those of the plugins,
// which are tested beside them.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*/*.md"} {
		files, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
	}
	return texts
}

// TestDocumentedCorefiles serves each corefile block of the documentation, on
// free ports, and asks what the summary says to try.
func TestDocumentedCorefiles(t *testing.T) {
	block := regexp.MustCompile("(?s)```corefile\n(.*?)```")
	ports := strings.NewReplacer(":1053", ":0", "127.0.0.1:9153", "127.0.0.1:0", "127.0.0.1:8053", "127.0.0.1:0", " :8080", " 127.0.0.1:0", " :8181", " 127.0.0.1:0")
	n := 0
	for file, text := range pages(t) {
		for _, found := range block.FindAllStringSubmatch(text, -1) {
			n++
			conf := filepath.Join(t.TempDir(), "Corefile")
			if err := os.WriteFile(conf, []byte(ports.Replace(found[1])), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s:\n%s", file, found[1])
			r := serve(t, nil, "--conf", conf)
			for _, line := range r.digLines() {
				if reply := r.dig(line); len(reply.Answer) == 0 {
					t.Errorf("%s answers\n%v", line, reply)
				}
			}
			r.stop()
		}
	}
	if n < 2 {
		t.Errorf("%d corefile blocks in the documentation", n)
	}
}

// TestDocumentedFlags finds flags in the documentation that no verb has.
func TestDocumentedFlags(t *testing.T) {
	known := map[string]bool{"--help": true}
	for _, verb := range commands(root()) {
		verb.Flags().VisitAll(func(f *pflag.Flag) { known["--"+f.Name] = true })
	}
	flag := regexp.MustCompile(`stampdns [a-z]+[^\n]*?(--[a-z0-9-]+)`)
	for file, text := range pages(t) {
		for _, found := range flag.FindAllStringSubmatch(text, -1) {
			if !known[found[1]] {
				t.Errorf("%s speaks of %s", file, found[1])
			}
		}
	}
}

// TestServePageIsComplete looks for each flag of serve in docs/serve.md.
func TestServePageIsComplete(t *testing.T) {
	page := pages(t)[filepath.Join("../..", "docs/serve.md")]
	serve, _, err := root().Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	serve.Flags().VisitAll(func(f *pflag.Flag) {
		if isOption(f) && !strings.Contains(page, "`--"+f.Name) {
			t.Errorf("docs/serve.md does not explain --%s", f.Name)
		}
	})
}

// TestLinks follows the links of the documentation that stay in the repository, to the
// heading that they name.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	texts := pages(t)
	readmes, err := filepath.Glob("../../plugins/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range readmes {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	for file, text := range texts {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			to := file
			if found[1] != "" {
				to = filepath.Join(filepath.Dir(file), found[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", file, err)
			} else if found[2] != "" && !slices.Contains(anchors(texts[to]), found[2]) {
				t.Errorf("%s: %s has no heading %s", file, to, found[2])
			}
		}
	}
}

// anchors are the names that the headings of a page have as targets of links.
func anchors(page string) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
