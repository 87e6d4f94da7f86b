package server

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/tools/txtar"
)

func TestCorefileErrors(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/corefile.txtar")
	if err != nil {
		t.Fatal(err)
	}
	s := newLab().newServer(t)
	for i := 0; i < len(archive.Files); i += 2 {
		file, want := archive.Files[i], archive.Files[i+1]
		t.Run(file.Name, func(t *testing.T) {
			if want.Name != file.Name+".error" {
				t.Fatalf("%s has no error beside it", file.Name)
			}
			err := s.Validate(Corefile{Name: "Corefile", Text: file.Data})
			if err == nil || err.Error() != string(bytes.TrimSpace(want.Data)) {
				t.Errorf("got  %v\nwant %s", err, want.Data)
			}
			var config *ConfigError
			if !errors.As(err, &config) {
				t.Errorf("%T is no ConfigError", err)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]string{
		".":                                ". 53",
		".:1053":                           ". 1053",
		":1053":                            ". 1053",
		"example.org":                      "example.org. 53",
		"Example.ORG.:0":                   "example.org. 0",
		"dns://example.org:5353":           "example.org. 5353",
		"DNS://example.org":                "example.org. 53",
		"10.0.0.0/24":                      "0.0.10.in-addr.arpa. 53",
		"10.0.0.0/24:1053":                 "0.0.10.in-addr.arpa. 1053",
		"10.1.2.3/8":                       "10.in-addr.arpa. 53",
		"10.0.0.0/23":                      "0.0.10.in-addr.arpa. 1.0.10.in-addr.arpa. 53",
		"192.0.2.252/30":                   "252.2.0.192.in-addr.arpa. 253.2.0.192.in-addr.arpa. 254.2.0.192.in-addr.arpa. 255.2.0.192.in-addr.arpa. 53",
		"0.0.0.0/0":                        "in-addr.arpa. 53",
		"2001:db8::/32":                    "8.b.d.0.1.0.0.2.ip6.arpa. 53",
		"2001:db8::/32:1053":               "8.b.d.0.1.0.0.2.ip6.arpa. 1053",
		"2001:db8:8000::/35":               "8.8.b.d.0.1.0.0.2.ip6.arpa. 9.8.b.d.0.1.0.0.2.ip6.arpa. 53",
		`a\.b.example.org`:                 `a\.b.example.org. 53`,
		"_dns.example.org":                 "_dns.example.org. 53",
		strings.Repeat("a", 63) + ".org:1": strings.Repeat("a", 63) + ".org. 1",
	} {
		k, err := parseKey(text, place{"Corefile", 1}, 53)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got strings.Builder
		for _, z := range k.zones {
			fmt.Fprintf(&got, "%s ", z)
		}
		fmt.Fprint(&got, k.port)
		if got.String() != want {
			t.Errorf("%s: got %s, want %s", text, &got, want)
		}
	}
}

// Keys of two ports, snippets, imported files and environment variables.
func TestCorefileGrammar(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LAB_ZONE", "env.example")
	t.Setenv("LAB_TEXT", "from environment")
	write(t, filepath.Join(dir, "said.conf"), "say imported\n")
	write(t, filepath.Join(dir, "block.conf"), "block.:0 {\n\tbind 127.0.0.1\n\tsay block\n}\n")
	path := filepath.Join(dir, "Corefile")
	write(t, path, `(common) {
	bind 127.0.0.1
	watch
}
import block.conf
{$LAB_ZONE}:0 {
	import common
	say "{%LAB_TEXT%}"
}
a.:0, b.:0 {
	import common
	import said.conf
}
`)
	cf, err := ReadCorefile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newLab().newServer(t)
	if err := s.Start(cf); err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string]string{
		"block.": "block", "x.env.example.": "from environment", "a.": "imported", "b.": "imported",
	} {
		if got := text(t, ask(t, "udp", s.Addrs()[0], question(zone))); got != want {
			t.Errorf("%s: %s", zone, got)
		}
	}
	blocks := s.Blocks()
	if len(blocks) != 3 || blocks[1].Place != path+":6" || blocks[2].Place != path+":10" ||
		blocks[0].Place != filepath.Join(dir, "block.conf")+":2" {
		t.Errorf("places: %+v", blocks)
	}
	if b := blocks[2]; !slices.Equal(b.Zones, []string{"a.", "b."}) || !slices.Equal(b.Addrs, s.Addrs()) ||
		!slices.Equal(b.Directives, []string{"watch", "bind", "say"}) {
		t.Errorf("got %+v", b)
	}
	// A fault in an imported file is told at its place there.
	write(t, filepath.Join(dir, "said.conf"), "\nbad errf\n")
	want := filepath.Join(dir, "said.conf") + ":2: bad: wrong: do it right"
	if err := s.Validate(cf); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestKeysOfTwoPorts(t *testing.T) {
	one, two := freePort(t), freePort(t)
	s := newLab().start(t, fmt.Sprintf("a.:%d b.:%d c.:%[1]d {\n bind 127.0.0.1\n say hello\n}\n", one, two))
	blocks := s.Blocks()
	if len(blocks) != 2 || !slices.Equal(blocks[0].Zones, []string{"a.", "c."}) || !slices.Equal(blocks[1].Zones, []string{"b."}) {
		t.Fatalf("got %+v", blocks)
	}
	if got := text(t, ask(t, "udp", loopback(1, two), question("b."))); got != "hello" {
		t.Error(got)
	}
}

func TestDefaultPort(t *testing.T) {
	port := freePort(t)
	s := newLab().start(t, "a. {\n bind 127.0.0.1\n say hello\n}\n", func(o *Options) { o.DefaultPort = port })
	if got := s.Addrs()[0]; got != loopback(1, port) {
		t.Error(got)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"prometheus", "bind", "log", "file", "errors", "ready", "reload", "acl", "on", "--soa", "--y", "LAB_SOA", "LAB_MINIMUM"}
	for val, want := range map[string]string{
		"promethues": "prometheus", "bnid": "bind", "lgo": "log", "fil": "file", "error": "errors",
		"relaod": "reload", "kubernetes": "", "x": "", "": "", "forward": "", "any": "", "no": "", "bing": "bind", "fixed": "",
		"--fo": "", "--soaa": "--soa", "--x": "", "LAB_FO": "", "LAB_MIMINUM": "LAB_MINIMUM",
	} {
		if want != "" {
			want = fmt.Sprintf("; did you mean %q?", want)
		}
		if got := Suggest(val, known); got != want {
			t.Errorf("%q: got %s, want %s", val, got, want)
		}
	}
}

func FuzzCorefile(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/corefile.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if !bytes.Contains(file.Data, []byte("import")) {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("import")) {
			return
		}
		ready, _, err := Corefile{Name: "Corefile", Text: text}.prepare()
		if err == nil {
			_, err = parseCorefile(ready, []string{"say"}, 53)
		}
		var config *ConfigError
		if err != nil && (!errors.As(err, &config) || config.Line < 1) {
			t.Errorf("%v has no place", err)
		}
		if err != nil && (len(err.Error()) > 1<<15 || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
			t.Errorf("not fit to be read: %q", err.Error())
		}
	})
}
