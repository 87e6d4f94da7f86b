package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// corefile grows the text of a Corefile with one server block.
type corefile struct {
	text   strings.Builder
	indent string
	err    error
}

// open starts a block at a line of tokens.
func (c *corefile) open(tokens ...string) {
	c.write(tokens, " {")
	c.indent += "    "
}

// close ends the block opened last.
func (c *corefile) close() {
	c.indent = c.indent[4:]
	c.text.WriteString(c.indent + "}\n")
}

// line writes one line of tokens.
func (c *corefile) line(tokens ...string) { c.write(tokens, "") }

func (c *corefile) write(tokens []string, end string) {
	c.text.WriteString(c.indent)
	for i, token := range tokens {
		if i > 0 {
			c.text.WriteByte(' ')
		}
		quoted, err := quote(token)
		if err != nil && c.err == nil {
			c.err = err
		}
		c.text.WriteString(quoted)
	}
	c.text.WriteString(end + "\n")
}

// quote writes a value as one Corefile token. The grammar has no way to write
// some values: those are errors.
func quote(value string) (string, error) {
	switch {
	case !utf8.ValidString(value), strings.ContainsFunc(value, unicode.IsControl), strings.Contains(value, `\"`),
		strings.HasSuffix(value, `\`), value == "{", value == "}":
		return "", usagef("%q can't be written in a Corefile: use another name", value)
	case strings.Contains(value, "{$"), strings.Contains(value, "{%"):
		return "", usagef("%q would be read as an environment variable in a Corefile: use another name", value)
	case value == "", strings.ContainsFunc(value, unicode.IsSpace), strings.ContainsAny(value, `"#`):
		return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`, nil
	}
	return value, nil
}

// String is the text so far, or the first error.
func (c *corefile) String() (string, error) {
	if c.err != nil {
		return "", fmt.Errorf("corefile: %w", c.err)
	}
	return c.text.String(), nil
}
