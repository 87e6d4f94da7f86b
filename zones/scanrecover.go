package zones

import (
	"errors"
	"fmt"
)

// maxMistakes is how many mistakes the reading of a zone's files finds before it
// ends: by then the text is likely no zone file.
const maxMistakes = 20

var errManyMistakes = errors.New("too many mistakes")

// recover takes down the mistake err of the entry that begins at start, and goes
// to the end of that entry. Records are no longer handed on: the zone will not be
// loaded. Any other error than a mistake comes back.
func (s *scanner) recover(start int, err error) error {
	z := s.zone
	finding, ok := err.(*Finding)
	if !ok || z.ended != nil {
		return err
	}
	z.found = append(z.found, *finding)
	if len(z.found) == maxMistakes {
		z.found = append(z.found, Finding{
			Pos: Pos{File: s.file}, Severity: Error, Code: "more",
			Text: fmt.Sprintf("reading ended after %d errors", maxMistakes),
		})
		return errManyMistakes
	}
	z.add = func(Record) error { return nil }
	if len(s.owner) == 0 {
		s.owner = append(s.owner, s.origin...)
	}
	s.skipEntry(start)
	s.err, s.parens = nil, 0
	return nil
}

// skipEntry goes to the end of the line in which the entry ends, as its
// parentheses say. Where they do not, one is missing: then to the next line after
// start that has something in column one.
func (s *scanner) skipEntry(start int) {
	for depth := max(s.parens, 1); ; {
		s.err = nil
		for s.next() && s.parens <= depth {
		}
		if s.err == nil && s.parens == 0 {
			return
		}
		if s.err == nil || s.off == len(s.text) {
			break
		}
		s.skipLine()
		if s.parens == 0 {
			return
		}
	}
	s.off, s.line = start, s.first
	for s.skipLine(); s.off < len(s.text); s.skipLine() {
		s.off++
		s.line++
		if s.off < len(s.text) && charKind[s.text[s.off]] == charPlain {
			return
		}
	}
}

// err is what was found, nil for nothing.
func (z *zoneScan) err() error {
	switch len(z.found) {
	case 0:
		return nil
	case 1:
		return &z.found[0]
	}
	return &LoadError{Findings: z.found}
}
