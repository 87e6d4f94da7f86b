package zones

import "bytes"

// charPlain and its fellows sort the octets of a master file.
const (
	charPlain = iota
	charBlank
	charReturn
	charNewline
	charOpen
	charClose
	charComment
	charQuote
	charEscape
	charNUL
)

// charKind is never written to.
var charKind = [256]uint8{
	' ': charBlank, '\t': charBlank, '\r': charReturn, '\n': charNewline, '(': charOpen, ')': charClose,
	';': charComment, '"': charQuote, '\\': charEscape, 0: charNUL,
}

// next reads the next token of the entry into tok and quoted. It is false at the
// end of the line outside parentheses, where it leaves off at the line's end, at
// the end of the text, and at an error, which err then holds.
func (s *scanner) next() bool {
	for s.off < len(s.text) {
		switch charKind[s.text[s.off]] {
		case charBlank:
			s.off++
		case charReturn:
			if !s.endsLine(s.off) {
				return s.fail("carriage return inside a line: lines end in LF or CR LF")
			}
			s.off++
		case charNewline:
			if s.parens == 0 {
				return false
			}
			s.off++
			s.line++
		case charOpen:
			s.parens++
			s.off++
		case charClose:
			if s.parens == 0 {
				return s.fail("closing parenthesis without an opening one")
			}
			s.parens--
			s.off++
		case charComment:
			s.skipLine()
		case charQuote:
			return s.quotedToken()
		case charNUL:
			return s.fail("NUL octet: this is no text file")
		default:
			return s.word()
		}
	}
	if s.parens > 0 {
		return s.fail("parenthesis is not closed before the end of the text")
	}
	return false
}

// word reads a token without quotes: it ends before a blank, a parenthesis, a
// comment, a quote or the end of the line.
func (s *scanner) word() bool {
	text, i := s.text, s.off
	for i < len(text) {
		kind := charKind[text[i]]
		if kind == charEscape {
			if i+1 >= len(text) || text[i+1] == '\n' || text[i+1] == '\r' {
				return s.fail("backslash at the end of a line")
			}
			i += 2
			continue
		}
		if kind != charPlain {
			break
		}
		i++
	}
	s.tok, s.quoted = text[s.off:i], false
	s.off = i
	return true
}

// quotedToken reads a character-string in quotes, which ends in its own line.
func (s *scanner) quotedToken() bool {
	text := s.text
	for i := s.off + 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			s.tok, s.quoted = text[s.off+1:i], true
			s.off = i + 1
			return true
		case '\n', '\r':
			return s.fail("quote is not closed before the end of the line")
		case 0:
			return s.fail("NUL octet: this is no text file")
		case '\\':
			if i+1 >= len(text) || text[i+1] == '\n' || text[i+1] == '\r' {
				return s.fail("backslash at the end of a line")
			}
			i++
		}
	}
	return s.fail("quote is not closed before the end of the file")
}

// tokenStart is where the token in hand begins.
func (s *scanner) tokenStart() int {
	if s.quoted {
		return s.off - len(s.tok) - 2
	}
	return s.off - len(s.tok)
}

// appendToken appends the token as it was written.
func (s *scanner) appendToken(dst []byte) []byte {
	if s.quoted {
		return append(append(append(dst, '"'), s.tok...), '"')
	}
	return append(dst, s.tok...)
}

// endsLine says whether the carriage return at off belongs to the end of a line.
func (s *scanner) endsLine(off int) bool {
	return off+1 == len(s.text) || s.text[off+1] == '\n'
}

// skipLine goes to the end of the line, before its LF.
func (s *scanner) skipLine() {
	n := bytes.IndexByte(s.text[s.off:], '\n')
	if n < 0 {
		n = len(s.text) - s.off
	}
	s.off += n
}

func (s *scanner) fail(text string) bool {
	s.err = s.errorf("%s", text)
	return false
}
