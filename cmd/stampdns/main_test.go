package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestTranscripts runs the command lines in testdata/*.txt. Each is a txtar
// archive: its files are put into a new folder, and its comment is run there,
// line by line:
//
//	stampdns ARG…         run the command; it must exit 0
//	exit N stampdns ARG…  the same, and it must exit N
//	env NAME=VALUE        set a variable for the commands below
//	api [sample|page]     set STAMPDNS_API to an API of the test's own
//	resolver KIND         have RESOLVER in commands below be the address of a resolver of the test's own
//	stdin FILE            give FILE to the next command
//	stdout REGEXP         the last command's stdout must match (! stdout: must not)
//	stderr REGEXP         the same for stderr
//	cmp stdout FILE       the last command's stdout must equal FILE
//	save FILE             keep the last command's stdout as FILE
//
// An empty REGEXP line ("! stdout") means that nothing was written. Arguments
// may be 'quoted' as a whole.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			for _, f := range archive.Files {
				if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s := &script{t: t}
			for n, line := range strings.Split(string(archive.Comment), "\n") {
				s.at = fmt.Sprintf("%s:%d: %s", filepath.Base(file), n+1, line)
				s.step(words(line))
			}
		})
	}
}

// script is one transcript on its way.
type script struct {
	t              *testing.T
	at             string // the line, for messages
	env            []string
	stdin          []byte
	api            *fakeAPI // the last one
	resolver       string   // the address of the last one
	stdout, stderr bytes.Buffer
}

func (s *script) step(args []string) {
	s.t.Helper()
	if len(args) == 0 {
		return
	}
	want := 0
	switch args[0] {
	case "env":
		s.set(args[1])
	case "api":
		s.api = newFakeAPI(s.t, "")
		s.api.sample, s.api.page = slices.Contains(args, "sample"), slices.Contains(args, "page")
		s.set("STAMPDNS_API=" + s.api.serve())
	case "resolver":
		s.resolver = serveResolver(s.t, args[1], s.api)
	case "stdin":
		s.stdin = s.read(args[1])
	case "exit":
		want, _ = strconv.Atoi(args[1])
		s.command(args[3:], want)
	case "stampdns":
		s.command(args[1:], want)
	case "save":
		if err := os.WriteFile(args[1], s.stdout.Bytes(), 0o644); err != nil {
			s.t.Fatal(err)
		}
	case "cmp":
		if got, want := s.output(args[1]), string(s.read(args[2])); got != want {
			s.t.Errorf("%s\ngot:\n%s\nwant:\n%s", s.at, got, want)
		}
	case "!":
		s.match(args[1], args[2:], false)
	default:
		s.match(args[0], args[1:], true)
	}
}

// set sets a variable, NAME=VALUE.
func (s *script) set(variable string) {
	name, _, _ := strings.Cut(variable, "=")
	s.env = slices.DeleteFunc(s.env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	s.env = append(s.env, variable)
}

func (s *script) command(args []string, want int) {
	s.t.Helper()
	s.stdout.Reset()
	s.stderr.Reset()
	for i, arg := range args {
		if arg == "RESOLVER" {
			args[i] = s.resolver
		}
	}
	got := run(args, bytes.NewReader(s.stdin), &s.stdout, &s.stderr, s.env)
	s.stdin = nil
	if got != want {
		s.t.Errorf("%s\nexit code %d, want %d\nstdout: %s\nstderr: %s", s.at, got, want, &s.stdout, &s.stderr)
	}
	for line := range strings.Lines(s.stderr.String()) {
		if !strings.HasPrefix(line, "stampdns: ") && args[0] != "__complete" {
			s.t.Errorf("%s\nstderr line without the command's name: %q", s.at, line)
		}
	}
}

func (s *script) match(stream string, pattern []string, want bool) {
	s.t.Helper()
	got := s.output(stream)
	if len(pattern) == 0 {
		if got != "" {
			s.t.Errorf("%s\n%s is not empty:\n%s", s.at, stream, got)
		}
		return
	}
	if regexp.MustCompile("(?m)"+strings.Join(pattern, " ")).MatchString(got) != want {
		s.t.Errorf("%s\n%s is:\n%s", s.at, stream, got)
	}
}

func (s *script) output(stream string) string {
	s.t.Helper()
	switch stream {
	case "stdout":
		return s.stdout.String()
	case "stderr":
		return s.stderr.String()
	}
	s.t.Fatalf("%s\nunknown step", s.at)
	return ""
}

func (s *script) read(file string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatalf("%s\n%v", s.at, err)
	}
	return data
}

// words splits a line at blanks outside 'quotes'; a line that starts with # is a
// comment.
func words(line string) []string {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	var all []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := " "
		if line[0] == '\'' {
			line, end = line[1:], "'"
		}
		word, rest, _ := strings.Cut(line, end)
		all = append(all, word)
		line = rest
	}
	return all
}
