package zones

import (
	"bytes"
	"fmt"
	"slices"
)

// maxGenerated bounds the records that the $GENERATE directives of one zone
// make: a misplaced digit must not fill the memory.
const maxGenerated = 1 << 20

// maxWritten bounds the octets of their text.
const maxWritten = 1 << 28

// directive obeys a line that begins with $.
func (s *scanner) directive() error {
	switch name := s.tok; {
	case foldEqual(name, "$ORIGIN"):
		return s.directiveOrigin()
	case foldEqual(name, "$TTL"):
		return s.directiveTTL()
	case foldEqual(name, "$INCLUDE"):
		return s.directiveInclude()
	case foldEqual(name, "$GENERATE"):
		return s.directiveGenerate()
	}
	return s.errorf(`unknown directive %s: want $ORIGIN, $TTL, $INCLUDE or $GENERATE; an owner beginning with $ is written \$`, s.show())
}

func (s *scanner) directiveOrigin() error {
	if !s.next() {
		return s.missing("the origin")
	}
	name, err := s.appendName(s.data[:0])
	if s.data = name; err != nil {
		return err
	}
	if !bytes.Equal(name, s.origin) {
		s.origin = slices.Clone(name)
	}
	return s.endDirective("$ORIGIN")
}

func (s *scanner) directiveTTL() error {
	if !s.next() {
		return s.missing("the TTL")
	}
	ttl, err := s.ttl()
	if err != nil {
		return err
	}
	s.zone.defaultTTL = ttlMemory{ttl, true}
	return s.endDirective("$TTL")
}

func (s *scanner) endDirective(name string) error {
	if s.next() {
		return s.errorf("%s behind the end of %s", s.show(), name)
	}
	return s.err
}

// directiveInclude reads another file. What it sets by $ORIGIN ends with it, and
// so does its last owner (RFC 1035 section 5.1).
func (s *scanner) directiveInclude() error {
	if !s.next() {
		return s.missing("a file name")
	}
	if len(s.tok) == 0 {
		return s.missing("a file name")
	}
	path, origin := string(s.tok), s.origin
	if s.next() {
		var err error
		if origin, err = s.appendName(nil); err != nil {
			return err
		}
		if err = s.endDirective("$INCLUDE"); err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	return s.include(path, origin)
}

// directiveGenerate makes records as BIND does: $GENERATE start-stop[/step] owner
// [ttl] [class] type data, where $ in owner and data stands for the number.
func (s *scanner) directiveGenerate() error {
	if !s.next() {
		return s.missing("a range")
	}
	start, stop, step, ok := parseRange(s.tok)
	if !ok || s.quoted {
		return s.errorf("%s is no range: want start-stop or start-stop/step", s.show())
	}
	if !s.next() {
		return s.missing("an owner")
	}
	if s.quoted {
		return s.errorf("%s: %w", s.show(), errQuotedName)
	}
	owner := s.tok
	head, tail, err := s.generateTail()
	if err != nil {
		return err
	}
	more := (stop - start) / step // behind the first
	if more >= maxGenerated-s.zone.generated {
		return s.errorf("$GENERATE makes more than %d records in this zone: split the zone, or narrow the range", maxGenerated)
	}
	s.zone.generated += more + 1
	sub := &scanner{
		zone: s.zone, file: s.file, first: s.first, fixed: true, origin: s.origin,
	}
	var text []byte
	for k := range more + 1 {
		i := start + k*step
		if text, ok = appendGenerated(text[:0], owner, i); !ok {
			return s.errorf("bad modifier in %q: want ${offset,width,base} with base d, o, x, X, n or N", owner)
		}
		text = append(append(append(text, ' '), head...), ' ')
		if text, ok = appendGenerated(text, tail, i); !ok {
			return s.errorf("bad modifier in %q: want ${offset,width,base} with base d, o, x, X, n or N", tail)
		}
		if s.zone.written += len(text); s.zone.written > maxWritten {
			return s.errorf("$GENERATE makes more than %d octets of text in this zone: split the zone, or narrow the range", maxWritten)
		}
		if err := sub.generated(text); err != nil {
			return err
		}
	}
	return nil
}

// generateTail splits what follows the owner into TTL, class and type, which are
// taken as they are, and the data, in which $ is replaced. Data in one pair of
// quotes is taken without them, as in BIND.
func (s *scanner) generateTail() (head, tail []byte, err error) {
	for {
		if !s.next() {
			return nil, nil, s.missing("a type")
		}
		if s.quoted {
			return nil, nil, s.errorf("%s where a type should stand", s.show())
		}
		head = append(append(head, ' '), s.tok...)
		if _, ok := parseType(s.tok); ok && !s.isClass() {
			break
		}
		if _, ok := parsePeriod(s.tok); !ok && !s.isClass() {
			_, err = s.rrtype()
			return nil, nil, err
		}
	}
	tokens, end, whole := 0, -1, false
	for s.next() {
		if tokens++; tokens > 1 && s.tokenStart() != end {
			tail = append(tail, ' ')
		}
		tail = s.appendToken(tail)
		end, whole = s.off, s.quoted
	}
	if s.err != nil {
		return nil, nil, s.err
	}
	if tokens == 1 && whole {
		tail = bytes.ReplaceAll(tail[1:len(tail)-1], []byte(`\"`), []byte{'"'})
	}
	return head, tail, nil
}

// generated reads one record that $GENERATE made.
func (s *scanner) generated(text []byte) error {
	s.text, s.off, s.line, s.parens, s.err = text, 0, s.first, 0, nil
	if !s.next() {
		return s.missing("an owner")
	}
	var err error
	if s.owner, err = s.appendName(s.owner[:0]); err != nil {
		return err
	}
	if !s.next() {
		return s.missing("a type")
	}
	return s.record()
}

// parseRange reads start-stop or start-stop/step.
func parseRange(tok []byte) (start, stop, step int, ok bool) {
	const limit = 1<<31 - 1
	from, rest, ok := bytes.Cut(tok, []byte{'-'})
	if !ok {
		return 0, 0, 0, false
	}
	to, by, stepped := bytes.Cut(rest, []byte{'/'})
	a, ok1 := parseUint(from, limit)
	b, ok2 := parseUint(to, limit)
	c, ok3 := uint64(1), true
	if stepped {
		c, ok3 = parseUint(by, limit)
	}
	return int(a), int(b), int(c), ok1 && ok2 && ok3 && a <= b && c > 0
}

// appendGenerated appends the template with each $ replaced by the number n; $$
// and \$ are the character itself.
func appendGenerated(dst, template []byte, n int) ([]byte, bool) {
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\':
			dst = append(dst, c)
			if i++; i < len(template) {
				dst = append(dst, template[i])
			}
		case c != '$':
			dst = append(dst, c)
		case i+1 < len(template) && template[i+1] == '$':
			dst = append(dst, '\\', '$')
			i++
		case i+1 < len(template) && template[i+1] == '{':
			end := bytes.IndexByte(template[i:], '}')
			if end < 0 {
				return dst, false
			}
			var ok bool
			if dst, ok = appendModified(dst, template[i+2:i+end], n); !ok {
				return dst, false
			}
			i += end
		default:
			dst = fmt.Append(dst, n)
		}
	}
	return dst, true
}

// appendModified appends n as the modifier offset[,width[,base]] says.
func appendModified(dst, modifier []byte, n int) ([]byte, bool) {
	parts := bytes.Split(modifier, []byte{','})
	offset, negative := bytes.CutPrefix(parts[0], []byte{'-'})
	delta, ok := parseUint(offset, 1<<31-1)
	if !ok || len(parts) > 3 {
		return dst, false
	}
	if n += int(delta); negative {
		n -= 2 * int(delta)
	}
	width, base := uint64(0), []byte{'d'}
	if len(parts) > 1 {
		if width, ok = parseUint(parts[1], 255); !ok {
			return dst, false
		}
	}
	if len(parts) > 2 {
		base = parts[2]
	}
	switch string(base) {
	case "d":
		return fmt.Appendf(dst, "%0*d", int(width), n), true
	case "o":
		return fmt.Appendf(dst, "%0*o", int(width), uint32(n)), true
	case "x":
		return fmt.Appendf(dst, "%0*x", int(width), uint32(n)), true
	case "X":
		return fmt.Appendf(dst, "%0*X", int(width), uint32(n)), true
	case "n":
		return appendNibbles(dst, uint32(n), int(width), "0123456789abcdef"), true
	case "N":
		return appendNibbles(dst, uint32(n), int(width), "0123456789ABCDEF"), true
	}
	return dst, false
}

// appendNibbles appends the hexadecimal digits of n, last one first, with dots
// between them, for names below ip6.arpa; width counts digits and dots.
func appendNibbles(dst []byte, n uint32, width int, digits string) []byte {
	dst = slices.Grow(dst, max(width, 16))
	for {
		dst = append(dst, digits[n&0xF])
		n >>= 4
		width--
		if n == 0 && width <= 0 {
			return dst
		}
		dst = append(dst, '.')
		width--
		if n == 0 && width <= 0 {
			return dst
		}
	}
}
