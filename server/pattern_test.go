package server

import (
	"strings"
	"testing"
)

// TestNamePattern matches names as they are asked for.
func TestNamePattern(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"*.blob.*", "x.blob.east.cloud.fabrikam.com.", true},
		{"*.BLOB.*", "x.blob.east.cloud.fabrikam.com.", true},
		{"*.blob.*", "blob.east.cloud.fabrikam.com.", false},
		{"*.blob.*", "a.b.blob.c.", true},
		{"blob.*", "blob.x.", true},
		{"blob.*", "xblob.x.", false},
		{"*.com", "a.com.", true},
		{"*.com.", "a.com.", true},
		{"*.com", "a.com.x.", false},
		{"a.com", "a.com.", true},
		{"a.com.", "a.com.", true},
		{"a.com", "b.a.com.", false},
		{"*", ".", true},
		{"*", "a.", true},
		{".", ".", true},
		{".", "a.", false},
		{"a*a", "a.", false},
		{"a*a", "aa.", true},
		{"a*b*c", "a.b.c.", true},
		{"a*b*c", "a.c.b.", false},
		{"**", "a.", true},
		{"a**b", "ab.", true},
		{"*ab*ab*", "abab.", true},
		{"*aba*ba", "ababa.", true},
		{"*aba*aba", "ababa.", false},
		{`a\.`, `a\..`, true},
		{`a\.`, `a.`, false},
		{`a\\.`, `a\\.`, true},
		{"@.example", `\@.example.`, true},
		{`a\046b\065.`, `a\.ba.`, true},
		{`*\007*`, `a\007b.x.`, true},
		{"*.x", `*.x.`, true},
		{strings.Repeat("*.a", 60) + "b", strings.Repeat("a.", 120) + "a", false},
	} {
		g, err := ParseNamePattern(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Match([]byte(tc.name)); got != tc.want {
			t.Errorf("%s and %s: %v", tc.pattern, tc.name, got)
		}
	}
	for text, want := range map[string]string{".": ".", "*.Example.ORG.": "*.example.org", `a\.`: `a\.`} {
		if p, err := ParseNamePattern(text); err != nil || p.String() != want {
			t.Errorf("%s is %s, %v, want %s", text, p, err, want)
		}
	}
	for _, pattern := range []string{"a b", "a\tb", "é", "a\x00", "a\x7f", "\xff", "a..b", "", "*..*"} {
		if _, err := ParseNamePattern(pattern); err == nil {
			t.Errorf("pattern %q is taken", pattern)
		}
	}
}

// slow is a matcher that tries everything.
func slow(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slow(pattern[1:], name) || name != "" && slow(pattern, name[1:])
	}
	return name != "" && pattern[0] == name[0] && slow(pattern[1:], name[1:])
}

// FuzzNamePattern compares the matcher with one that tries everything.
func FuzzNamePattern(f *testing.F) {
	f.Add("*.blob.*", "x.blob.y.")
	f.Add("a*b**c", "abbc")
	f.Add(`*\.`, `\.`)
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := ParseNamePattern(pattern)
		if err != nil || len(pattern) > 12 || len(name) > 20 {
			return
		}
		if got, want := g.Match([]byte(name)), slow(withoutDot(strings.ToLower(pattern)), withoutDot(name)); got != want {
			t.Errorf("%q and %q: %v, want %v", pattern, name, got, want)
		}
	})
}
