package zones

import (
	"bytes"
	"fmt"
)

// oneToALine writes a text that is a valid master file in the plainest form: an
// entry a line, without parentheses and comments, a blank between tokens, and
// \DDD for all that could mean something else. It is a reader of its own, so that
// it speaks against the scanner where that goes wrong.
func oneToALine(text []byte) []byte {
	l := plainLine{text: bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))}
	for depth := 0; len(l.text) > 0; {
		switch c := l.take(); c {
		case '\n':
			if depth == 0 {
				l.end()
			}
		case ' ', '\t', '\r':
			l.started = true
		case ';':
			for len(l.text) > 0 && l.text[0] != '\n' {
				l.take()
			}
		case '(':
			depth++
			l.column1()
		case ')':
			depth--
			l.column1()
		case '"':
			l.column1()
			l.quoted()
		default:
			l.column1()
			l.word(c)
		}
	}
	l.end()
	return l.out
}

// plainLine writes the entries that oneToALine takes apart.
type plainLine struct {
	text    []byte // what is left
	out     []byte
	line    []byte // of the entry in hand
	started bool   // the entry's first octet was read
	owner   bool   // and it was no blank
}

func (l *plainLine) take() byte {
	c := l.text[0]
	l.text = l.text[1:]
	return c
}

// column1 notes that the entry does not begin with a blank.
func (l *plainLine) column1() {
	l.owner = l.owner || !l.started
	l.started = true
}

func (l *plainLine) end() {
	if len(l.line) > 0 {
		if l.owner {
			l.line = l.line[1:]
		}
		l.out = append(append(l.out, l.line...), '\n')
	}
	l.line, l.started, l.owner = l.line[:0], false, false
}

func (l *plainLine) quoted() {
	first := len(l.line) == 0 && l.owner // an owner needs no quotes
	l.line = append(l.line, ' ')
	if !first {
		l.line = append(l.line, '"')
	}
	for {
		c := l.take()
		if c == '"' {
			break
		}
		l.octet(c)
	}
	if !first {
		l.line = append(l.line, '"')
	}
}

func (l *plainLine) word(c byte) {
	l.line = append(l.line, ' ')
	if c == '\\' && l.text[0] == '#' && (len(l.text) == 1 || bytes.IndexByte([]byte(" \t\r\n();\""), l.text[1]) >= 0) {
		l.take()
		l.line = append(l.line, '\\', '#') // RFC 3597
		return
	}
	l.octet(c)
	for len(l.text) > 0 && bytes.IndexByte([]byte(" \t\r\n();\""), l.text[0]) < 0 {
		l.octet(l.take())
	}
}

// octet writes c, or what a backslash makes of the octets behind it.
func (l *plainLine) octet(c byte) {
	switch {
	case c == '\\' && l.text[0] >= '0' && l.text[0] <= '9':
		l.line = append(l.line, '\\')
	case c == '\\':
		l.line = fmt.Appendf(l.line, "\\%03d", l.take())
	case c <= ' ' || c >= 0x7F || bytes.IndexByte([]byte("();\""), c) >= 0:
		l.line = fmt.Appendf(l.line, "\\%03d", c)
	default:
		l.line = append(l.line, c)
	}
}
