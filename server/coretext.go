package server

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coredns/caddy/caddyfile"
)

// MaxCorefile is the longest Corefile that is read, in octets, and the longest
// file that one imports.
const MaxCorefile = 1 << 20

// ReadCorefile reads the file at path. What is no regular file, a pipe for one,
// is read this once: its Corefile has no Path, only a Name.
func ReadCorefile(path string) (Corefile, error) {
	text, mode, err := readBounded(path)
	if err != nil {
		return Corefile{}, fmt.Errorf("Corefile %s: %w", path, err)
	}
	cf := Corefile{Name: path, Text: text}
	if mode.IsRegular() {
		cf.Path = path
	}
	return cf, nil
}

// Again reads the file anew. A Corefile without a Path comes back as it is. The
// file must be a regular one still: anything else could block.
func (c Corefile) Again() (Corefile, error) {
	if c.Path == "" {
		return c, nil
	}
	if info, err := os.Stat(c.Path); err == nil && !info.Mode().IsRegular() {
		return Corefile{}, fmt.Errorf("Corefile %s: no regular file any more", c.Path)
	}
	return ReadCorefile(c.Path)
}

// Files are the files that the Corefile comes from, as far as they are known: its
// own and those that it imports, there or not. folders are those that a pattern
// looks for such files in. Without a Path there are none.
func (c Corefile) Files() (files, folders []string) {
	if c.Path == "" {
		return nil, nil
	}
	w := importWalk{read: make(map[string]bool), snippets: make(map[string]bool), folders: make(map[string]bool)}
	// What is wrong with it, a reload says.
	_ = w.walk(c.file(), c.Text)
	files = append([]string{c.Path}, slices.Sorted(maps.Keys(w.read))...)
	return files, slices.Sorted(maps.Keys(w.folders))
}

// readBounded reads a file of at most MaxCorefile octets. An error does not
// repeat the path.
func readBounded(path string) (text []byte, mode fs.FileMode, err error) {
	defer func() {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, errors.New("a directory: name the file in it")
	}
	text, err = io.ReadAll(io.LimitReader(f, MaxCorefile+1))
	if err == nil && len(text) > MaxCorefile {
		err = fmt.Errorf("longer than %d KiB: this is no Corefile, or import parts of it", MaxCorefile>>10)
	}
	return text, info.Mode(), err
}

// Digest is the SHA-512 of what the Corefile says, imported files and environment
// variables filled in; comments and spaces do not count.
func (c Corefile) Digest() [sha512.Size]byte {
	ready, _, err := c.prepare()
	if err != nil {
		return sha512.Sum512(fmt.Appendf(nil, "%s\n%s", err, c.Text))
	}
	blocks, err := caddyfile.Parse(c.file(), bytes.NewReader(ready.Text), nil)
	if err != nil {
		return sha512.Sum512(fmt.Appendf(nil, "%s\n%s", err, c.Text))
	}
	h := sha512.New()
	for _, b := range blocks {
		fmt.Fprintf(h, "block %q\n", b.Keys)
		for _, name := range slices.Sorted(maps.Keys(b.Tokens)) {
			line := 0
			for _, t := range b.Tokens[name] {
				if t.Line != line {
					fmt.Fprintln(h)
				}
				line = t.Line
				fmt.Fprintf(h, "%q ", t.Text)
			}
		}
	}
	return [sha512.Size]byte(h.Sum(nil))
}

// idleImport is an import whose pattern matches no file: that is allowed.
type idleImport struct {
	place
	pattern string
}

// prepare checks what caddyfile.Parse does not: that the Corefile and all that it
// imports is text of bounded length, and that the environment variables in it are
// set. It takes the Corefile's own idle imports out of the text, as
// caddyfile.Parse would write about them to the log of the program.
func (c Corefile) prepare() (ready Corefile, idle []idleImport, err error) {
	w := importWalk{read: make(map[string]bool), snippets: make(map[string]bool)}
	if err := w.walk(c.file(), c.Text); err != nil {
		return c, nil, err
	}
	if len(w.idle) == 0 {
		return c, nil, nil
	}
	lines := bytes.SplitAfter(c.Text, []byte("\n"))
	for _, i := range w.idle {
		if f := bytes.Fields(lines[i.line-1]); len(f) > 0 && string(f[0]) == "import" {
			lines[i.line-1] = []byte("\n")
		}
	}
	c.Text = bytes.Join(lines, nil)
	return c, w.idle, nil
}

// importWalk goes over a Corefile and what it imports.
type importWalk struct {
	open     []string // the imported files around the one in hand
	read     map[string]bool
	snippets map[string]bool
	idle     []idleImport    // those of the Corefile itself
	folders  map[string]bool // that patterns look in
}

func (w *importWalk) walk(file string, text []byte) error {
	if err := checkText(file, text); err != nil {
		return err
	}
	end := 0 // line where the last token ends
	for d := caddyfile.NewDispenser(file, bytes.NewReader(text)); d.Next(); {
		at, val := place{file, d.Line()}, d.Val()
		first := at.line > end
		end = at.line + strings.Count(val, "\n")
		val, err := expandEnv(at, val)
		if err != nil {
			return err
		}
		if !first {
			continue
		}
		if name, ok := strings.CutPrefix(val, "("); ok {
			w.snippets[strings.TrimSuffix(name, ")")] = true
		}
		if val != "import" || !d.NextArg() {
			continue
		}
		pattern, err := expandEnv(at, d.Val())
		if err == nil && !w.snippets[pattern] {
			err = w.files(at, pattern)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// files walks the files that a pattern stands for. What is wrong with the pattern
// itself is left to caddyfile.Parse.
func (w *importWalk) files(at place, pattern string) error {
	full := pattern
	if !filepath.IsAbs(full) {
		abs, err := filepath.Abs(at.file)
		if err != nil {
			return at.errorf("import %s: %w", pattern, err)
		}
		full = filepath.Join(filepath.Dir(abs), full)
	}
	if pattern == "" || strings.Count(full, "*") > 1 || strings.Count(full, "?") > 1 || strings.Contains(full, "[") {
		return nil
	}
	matches, _ := filepath.Glob(full)
	if w.folders != nil && strings.ContainsAny(full, "*?") {
		w.folders[filepath.Dir(full)] = true
	} else if w.folders != nil && len(matches) == 0 {
		w.read[full] = true
	}
	if len(matches) == 0 && strings.ContainsAny(full, "*?") && len(w.open) == 0 {
		w.idle = append(w.idle, idleImport{at, pattern})
	}
	for _, path := range matches {
		if err := w.file(at, path); err != nil {
			return err
		}
	}
	return nil
}

func (w *importWalk) file(at place, path string) error {
	if slices.Contains(w.open, path) {
		return at.errorf("import %s: the file imports itself", path)
	}
	if w.read[path] {
		return nil
	}
	w.read[path] = true
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return at.errorf("import %s: no regular file", path)
	}
	text, _, err := readBounded(path)
	if err != nil {
		return at.errorf("import %s: %w", path, err)
	}
	w.open = append(w.open, path)
	err = w.walk(path, text)
	w.open = w.open[:len(w.open)-1]
	return err
}

// checkText reports the first octet that no text has.
func checkText(file string, text []byte) error {
	at := place{file, 1}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == 0 || r == utf8.RuneError && n == 1:
			return at.errorf("octet 0x%02X: this is no text in UTF-8", text[i])
		case r == '\n':
			at.line++
		}
		i += n
	}
	return nil
}

// expandEnv fills in environment variables, {$NAME} or {%NAME%}. One that is not
// set is an error; one that is set to nothing is not.
func expandEnv(at place, token string) (string, error) {
	if !strings.Contains(token, "{$") && !strings.Contains(token, "{%") {
		return token, nil
	}
	reference := regexp.MustCompile(`\{\$([^}]+)\}|\{%([^%]+)%\}`)
	var err error
	token = reference.ReplaceAllStringFunc(token, func(ref string) string {
		name := strings.Trim(ref, "{}$%")
		value, set := os.LookupEnv(name)
		if !set && err == nil {
			err = at.errorf("environment variable %s is not set: set it, or take %s out", name, ref)
		}
		return value
	})
	return token, err
}

// legible is the text of an error with what a broken file brings into it made fit
// to be read: control characters are escaped, and what is too long is cut.
func legible(text string) string {
	const quotedLen, wordLen, textLen = 64, 1024, 4096
	cut := func(s string, most int) string {
		if r := []rune(s); len(r) > most {
			return string(r[:most]) + "…"
		}
		return s
	}
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	text = quoted.ReplaceAllStringFunc(text, func(q string) string {
		if inner := q[1 : len(q)-1]; len(inner) > quotedLen {
			return `"` + cut(inner, quotedLen) + `"`
		}
		return q
	})
	if len(text) > wordLen {
		text = regexp.MustCompile(`\S+`).ReplaceAllStringFunc(text, func(s string) string { return cut(s, wordLen) })
	}
	var b strings.Builder
	for _, r := range cut(text, textLen) {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
