package zones

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// scanner reads one master file (RFC 1035 section 5): entries, each an owner or
// none, then TTL and class in either order or not at all, then a type and its
// data, read token by token. docs/zonefile.md lists what it decides where the
// RFCs leave room.
//
// The whole text is in memory; tokens are slices of it and records are built in
// three buffers that each record reuses, so that a common record allocates
// nothing.
type scanner struct {
	zone  *zoneScan
	file  string
	base  string // directory that $INCLUDE is relative to; "" allows none
	depth int    // of $INCLUDE

	text   []byte
	off    int
	line   int  // of text[off]
	first  int  // line of the entry in hand
	parens int  // open parentheses
	fixed  bool // line stays first: the text is made by $GENERATE

	tok    []byte // the token read last, as written, without its quotes
	quoted bool
	err    error // what ended the tokens of this entry, where it is not the line

	origin []byte
	owner  []byte // of the entry before; empty before the first
	data   []byte
	joined []byte // scratch of rdata that may be split over tokens
}

// zoneScan is what all files of a zone share while they are read: an $INCLUDE
// has its own origin, but hands its TTLs on to what follows, as in BIND and NSD.
type zoneScan struct {
	add        func(Record) error
	empty      bool      // no record so far
	ended      error     // what add returned, where that was an error
	found      []Finding // mistakes, in the order they were met
	read       ReadFunc
	open       []string // paths of the files that are being read now
	generated  int
	written    int       // octets of these records' text
	included   int       // files
	octets     int64     // of the files, each time they are read
	defaultTTL ttlMemory // $TTL (RFC 2308 section 4)
	lastTTL    ttlMemory // the last record's own TTL (RFC 1035 section 5.1)
}

type ttlMemory struct {
	ttl   uint32
	known bool
}

// scan reads all entries of the text. A mistake in one does not keep it from the
// others; the error is what ends the reading before the end.
func (s *scanner) scan() error {
	s.text = bytes.TrimPrefix(s.text, []byte("\xEF\xBB\xBF"))
	s.line = 1
	for s.nextEntry() {
		s.first = s.line
		start := s.off
		if err := s.entry(); err != nil {
			if err = s.recover(start, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextEntry goes to the start of the next line that is not empty.
func (s *scanner) nextEntry() bool {
	for s.off < len(s.text) {
		switch s.text[s.off] {
		case '\n':
			s.off++
			s.line++
		case '\r', ';':
			if s.text[s.off] == '\r' && !s.endsLine(s.off) {
				return true
			}
			s.skipLine()
		default:
			return true
		}
	}
	return false
}

// entry reads one record or directive, and leaves off at the end of its line.
func (s *scanner) entry() error {
	c := s.text[s.off]
	if c == ' ' || c == '\t' {
		if !s.next() {
			return s.err
		}
		if len(s.owner) == 0 {
			return s.errorf("no owner: the line begins with a blank and no record stands before it")
		}
		return s.record()
	}
	if !s.next() {
		return s.err
	}
	if s.quoted {
		s.quoted = false // as an owner only
	} else if s.tok[0] == '$' {
		return s.directive()
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

// record reads TTL, class, type and data; the token in hand is the first.
func (s *scanner) record() error {
	var own ttlMemory
	class := false
	for !s.quoted && len(s.tok) > 0 {
		if c := s.tok[0]; c-'0' < 10 && !own.known {
			ttl, err := s.ttl()
			if err != nil {
				return err
			}
			own = ttlMemory{ttl, true}
		} else if !class && s.isClass() {
			class = true
			if err := s.checkClass(); err != nil {
				return err
			}
		} else {
			break
		}
		if !s.next() {
			return s.missing("a type")
		}
	}
	rrtype, err := s.rrtype()
	if err != nil {
		return err
	}
	if err := s.rdata(rrtype); err != nil {
		return err
	}
	if s.next() {
		return s.errorf("more data than a record of type %s has, from %s on", typeName(rrtype), s.show())
	}
	if s.err != nil {
		return s.err
	}
	return s.emit(rrtype, own)
}

// emit settles the TTL and hands the record on. Without a TTL of its own and
// without $TTL a record has the TTL of the record before it (RFC 1035 section
// 5.1), and a SOA that of its MINIMUM field, as in BIND.
func (s *scanner) emit(rrtype uint16, own ttlMemory) error {
	z := s.zone
	switch {
	case own.known:
		z.lastTTL = own
	case z.defaultTTL.known:
		own = z.defaultTTL
	case z.lastTTL.known:
		own = z.lastTTL
	case rrtype == dns.TypeSOA:
		own = ttlMemory{soaMinimum(s.data), true}
		z.lastTTL = own
	case len(z.found) > 0: // perhaps the mistake was in the line that had it
	default:
		return s.errorf("no TTL: write one in the record, or $TTL before it")
	}
	z.empty = false
	err := z.add(Record{
		Owner: s.owner, Type: rrtype, TTL: own.ttl, Data: s.data,
		Pos: Pos{File: s.file, Line: s.first},
	})
	if err != nil {
		z.ended = err
	}
	return err
}

// ttl reads the token as a TTL of a record or of $TTL.
func (s *scanner) ttl() (uint32, error) {
	v, ok := parsePeriod(s.tok)
	if !ok || s.quoted {
		return 0, s.errorf("%s is no TTL: want seconds, or numbers with units as in 1h30m", s.show())
	}
	return v, nil
}

// parsePeriod reads seconds, or numbers with the units s, m, h, d, w.
func parsePeriod(tok []byte) (seconds uint32, ok bool) {
	var sum, n uint64
	digits, units := false, false
	for _, c := range tok {
		if c-'0' < 10 {
			n = n*10 + uint64(c-'0')
			digits = true
			if n > 1<<32-1 {
				return 0, false
			}
			continue
		}
		scale := unitSeconds(c)
		if scale == 0 || !digits {
			return 0, false
		}
		sum += n * scale
		n, digits, units = 0, false, true
		if sum > 1<<32-1 {
			return 0, false
		}
	}
	if digits == units {
		return 0, false
	}
	return uint32(sum + n), true
}

func unitSeconds(c byte) uint64 {
	switch c | 0x20 {
	case 's':
		return 1
	case 'm':
		return 60
	case 'h':
		return 3600
	case 'd':
		return 86400
	case 'w':
		return 604800
	}
	return 0
}

func (s *scanner) isClass() bool {
	t := s.tok
	switch {
	case len(t) == 2:
		return foldEqual(t, "IN") || foldEqual(t, "CH") || foldEqual(t, "HS") || foldEqual(t, "CS")
	case len(t) == 4 && foldEqual(t, "NONE"):
		return true
	case len(t) > 5 && foldEqual(t[:5], "CLASS"):
		_, ok := parseUint(t[5:], 1<<16-1)
		return ok
	}
	return false
}

func (s *scanner) checkClass() error {
	if foldEqual(s.tok, "IN") {
		return nil
	}
	if len(s.tok) > 5 {
		if n, _ := parseUint(s.tok[5:], 1<<16-1); n == dns.ClassINET {
			return nil
		}
	}
	return s.errorf("class %s: only class IN can be served", s.tok)
}

// rrtype reads the token as a type that a zone can hold.
func (s *scanner) rrtype() (uint16, error) {
	t, ok := parseType(s.tok)
	switch {
	case !ok || s.quoted:
		return 0, s.errorf(`unknown type %s: if it is one, write TYPEn and \# data (RFC 3597)`, s.show())
	case isMeta(t):
		return 0, s.errorf("type %s belongs to messages, a zone cannot hold it (RFC 6895 section 3.1)", s.tok)
	}
	return t, nil
}

func parseUint(tok []byte, limit uint64) (uint64, bool) {
	if len(tok) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range tok {
		if c-'0' >= 10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
		if n > limit {
			return 0, false
		}
	}
	return n, true
}

// foldEqual compares a token with an upper-case word, whatever its case.
func foldEqual(tok []byte, word string) bool {
	if len(tok) != len(word) {
		return false
	}
	for i, c := range tok {
		if c-'a' < 26 {
			c -= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

var errQuotedName = errors.New("a name is written without quotes")

// appendName appends the token as a name; a relative one ends in the origin.
func (s *scanner) appendName(dst []byte) ([]byte, error) {
	if s.quoted {
		return dst, s.errorf("%s: %w", s.show(), errQuotedName)
	}
	if out, ok := appendPlainName(dst, s.tok, s.origin); ok {
		return out, nil
	}
	out, err := wire.AppendParsed(dst, string(s.tok), s.origin)
	if err != nil {
		return dst, s.errorf("name %s: %w", s.show(), err)
	}
	return out, nil
}

// appendPlainName does what wire.AppendParsed does, for a valid name without
// escapes: in wire form each dot becomes the length of the label behind it.
func appendPlainName(dst, tok, origin []byte) ([]byte, bool) {
	if len(tok) == 0 || len(tok) > wire.MaxName || len(tok) == 1 && (tok[0] == '@' || tok[0] == '.') {
		return dst, false
	}
	start := len(dst)
	out := append(append(dst, 0), tok...)
	mark := start
	for i := start + 1; i < len(out); i++ {
		switch out[i] {
		case '.':
			n := i - mark - 1
			if n == 0 || n > wire.MaxLabel {
				return dst, false
			}
			out[mark] = byte(n)
			mark = i
		case '\\':
			return dst, false
		}
	}
	if n := len(out) - mark - 1; n > 0 {
		if n > wire.MaxLabel {
			return dst, false
		}
		out[mark] = byte(n)
		out = append(out, origin...)
	} else {
		out[mark] = 0
	}
	return out, len(out)-start <= wire.MaxName
}

// errorf is an error at the line where the entry begins.
func (s *scanner) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	text := err.Error()
	if s.line != s.first && !s.fixed {
		text += fmt.Sprintf(" (in line %d)", s.line)
	}
	return &Finding{
		Pos: Pos{File: s.file, Line: s.first}, Severity: Error, Code: "syntax", Text: text,
	}
}

// missing is the error for a record that ends where something should follow.
func (s *scanner) missing(what string) error {
	if s.err != nil {
		return s.err
	}
	return s.errorf("the record ends where %s should stand", what)
}

// show is the token for a message: quoted, and cut where it is long.
func (s *scanner) show() string {
	const most = 80
	if len(s.tok) > most {
		return fmt.Sprintf("%q...", s.tok[:most])
	}
	return fmt.Sprintf("%q", s.tok)
}
