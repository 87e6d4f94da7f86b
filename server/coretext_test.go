//go:build unix

package server

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadCorefile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "Corefile")
	full := strings.Repeat("#", MaxCorefile)
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{full, ""},
		{full + "#", "Corefile " + path + ": longer than 1024 KiB"},
	} {
		write(t, path, tc.text)
		cf, err := ReadCorefile(path)
		if tc.want == "" && (err != nil || cf.Path != path || string(cf.Text) != tc.text) ||
			tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
			t.Errorf("%d octets: %v", len(tc.text), err)
		}
	}
	_, err := ReadCorefile(path + ".none")
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "Corefile "+path+".none: no such file or directory" {
		t.Error(err)
	}
	if _, err := ReadCorefile(dir); err == nil || !strings.Contains(err.Error(), "a directory: name the file in it") {
		t.Error(err)
	}
	if _, err := ReadCorefile("/dev/zero"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
}

// TestReadCorefilePipe says that what can be read once is read once.
func TestReadCorefilePipe(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	const config = ".:0 {\n bind 127.0.0.1\n say piped\n}\n"
	go func() { _ = os.WriteFile(pipe, []byte(config), 0) }()
	cf, err := ReadCorefile(pipe)
	if err != nil || cf.Path != "" || cf.Name != pipe || string(cf.Text) != config {
		t.Fatalf("%+v %v", cf, err)
	}
	s := newLab().newServer(t)
	if err := s.Start(cf); err != nil {
		t.Fatal(err)
	}
	// Nobody writes any more: it would hang.
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != "piped" {
		t.Error(got)
	}
	cf.Path = pipe
	if _, err := cf.Again(); err == nil || !strings.Contains(err.Error(), "no regular file any more") {
		t.Errorf("a pipe where a file was: %v", err)
	}
}

func TestNoText(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"# a comment\x00\n.:0 {\n}\n", "Corefile:1: octet 0x00: this is no text in UTF-8"},
		{".:0 {\n say a\n say \xff\n}\n", "Corefile:3: octet 0xFF: this is no text in UTF-8"},
		{strings.Repeat("\x00", MaxCorefile), "Corefile:1: octet 0x00: this is no text in UTF-8"},
		{"\xef\xbb\xbfa.:0 {\n say \ufffdü\n}\n", ""},
		{".:0 {\n \x1b[31mred\n}\n", `Corefile:2: unknown directive "\x1b[31mred"`},
		{"a., \"{\x1b\n{\n}", `Corefile:1: key "{\x1b\n{\n}": a brace in a key: { and } are words of their own`},
	} {
		err := newLab().newServer(t).Validate(Corefile{Text: []byte(tc.text)})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
			t.Errorf("%.40q: %v, want %s", tc.text, err, tc.want)
		}
	}
}

func TestLegible(t *testing.T) {
	path := "/srv/" + strings.Repeat("long/", 100) + "file"
	for text, want := range map[string]string{
		"plain ü":                   "plain ü",
		"a\tb\x00c\u009b\nd":        `a\x09b\x00c\x9b\nd`,
		path:                        path,
		strings.Repeat("x", 2000):   strings.Repeat("x", 1024) + "…",
		strings.Repeat("x ", 3000):  strings.Repeat("x ", 2048) + "…",
		`a "` + path + `": x`:       `a "` + path[:64] + `…": x`,
		`a "` + path[:64] + `": x`:  `a "` + path[:64] + `": x`,
		`"\"` + path + `" "b" is c`: `"\"` + path[:62] + `…" "b" is c`,
	} {
		if got := legible(text); got != want {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
}

// captureLog has what goes to the log of the program collected.
func captureLog(t *testing.T) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	log.SetOutput(&b)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return &b
}

// TestIdleImport says that a pattern without files is told in the server's log,
// and nowhere else, and that the lines behind it keep their numbers.
func TestIdleImport(t *testing.T) {
	stray := captureLog(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "Corefile")
	write(t, path, ".:0 {\n bind 127.0.0.1\n\timport \"more/*.conf\" # to come\n say hello\n}\nimport *.server\n")
	cf, err := ReadCorefile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab()
	s := l.newServer(t)
	if err := s.Start(cf); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pattern=more/*.conf at=" + path + ":3", "pattern=*.server at=" + path + ":6"} {
		if !strings.Contains(l.log(), want) {
			t.Errorf("want %s in the log:\n%s", want, l.log())
		}
	}
	before := cf.Digest()
	write(t, path, ".:0 {\n bind 127.0.0.1\n\timport more/*.conf\n nonsense\n}\n")
	if err := s.Reload(); err == nil || !strings.HasPrefix(err.Error(), path+":4: ") {
		t.Errorf("a fault behind the import: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "more", "a.conf"), "watch\n")
	if cf.Digest() == before {
		t.Error("the digest does not see the file that came")
	}
	if stray.Len() > 0 {
		t.Errorf("in the log of the program: %s", stray)
	}
}

// TestImports has imported files that are no files to import.
func TestImports(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("long"), strings.Repeat("#", MaxCorefile+1))
	write(t, at("noise"), "say a\n\x00")
	write(t, at("self"), "import self\n")
	write(t, at("one"), "import two\n")
	write(t, at("two"), "say b\nimport one\n")
	write(t, at("unset"), "\nsay {$LAB_IS_NOT_SET}\n")
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAB_FILE", "long")
	for _, tc := range []struct{ name, want string }{
		{"long", at("Corefile") + ":2: import " + at("long") + ": longer than 1024 KiB"},
		{"{$LAB_FILE}", at("Corefile") + ":2: import " + at("long") + ": longer than 1024 KiB"},
		{"/dev/zero", at("Corefile") + ":2: import /dev/zero: no regular file"},
		{"pipe", at("Corefile") + ":2: import " + at("pipe") + ": no regular file"},
		{"noise", at("noise") + ":2: octet 0x00"},
		{"self", at("self") + ":1: import " + at("self") + ": the file imports itself"},
		{"one", at("two") + ":2: import " + at("one") + ": the file imports itself"},
		{"unset", at("unset") + ":2: environment variable LAB_IS_NOT_SET is not set"},
		{"no*e", at("noise") + ":2: octet 0x00"},
		{"snip", ""},
	} {
		text := fmt.Sprintf(".:0 {\n import %s\n say a\n}\n", tc.name)
		if tc.name == "snip" {
			// A snippet goes before a file of the name.
			write(t, at("snip"), "\x00")
			text = "(snip) {\n say a\n}\n" + text
		}
		err := newLab().newServer(t).Validate(Corefile{Path: at("Corefile"), Text: []byte(text)})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
			t.Errorf("import %s: %v, want %s…", tc.name, err, tc.want)
		}
	}
}
