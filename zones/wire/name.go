// Package wire reads and writes the octets of DNS messages: names, the header,
// the question and the OPT record.
//
// It is a leaf: it imports nothing of ours, allocates nothing on the way of a
// query, and is total: whatever the octets are, a reader returns false rather
// than panic. Names travel in wire form, lower-cased once; text belongs to logs
// and zone files.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of RFC 1035 section 2.3.4.
const (
	MaxName  = 255 // octets of a name, the root octet included
	MaxLabel = 63  // octets of a label
)

// MaxLabels is the most labels a name can have: 127 of one octet, and the root.
const MaxLabels = 128

// Name is a domain name in uncompressed wire form, ending in the root octet,
// with ASCII letters in lower case. The zero value is not a name; Root is.
//
// A Name is read-only for all who hold it. Two names are the same name when
// their octets are equal (RFC 4343 section 3).
type Name []byte

// Root is the name of the root zone.
func Root() Name { return Name{0} }

var (
	errEmptyName  = errors.New("empty name")
	errEmptyLabel = errors.New("empty label: two dots in a row, or a dot at the start")
	errLongLabel  = errors.New("label longer than 63 octets")
	errLongName   = errors.New("name longer than 255 octets")
	errEscape     = errors.New(`bad escape: want \DDD up to 255, or \ and a character`)
)

// ParseName turns presentation form (RFC 1035 section 5.1, with \X and \DDD
// escapes) into a lower-cased Name. The name is taken as absolute, with or
// without its last dot.
func ParseName(s string) (Name, error) {
	n, err := AppendParsed(make([]byte, 0, len(s)+2), s, nil)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", s, err)
	}
	Lower(n)
	return n, nil
}

// AppendParsed appends the wire form of s to dst, keeping the case of s. Where
// s does not end in a dot, origin (wire form) is put behind it; a nil origin is
// the root. "@" alone is the origin.
func AppendParsed(dst []byte, s string, origin []byte) ([]byte, error) {
	if len(origin) == 0 {
		origin = []byte{0}
	}
	start := len(dst)
	switch s {
	case "":
		return dst, errEmptyName
	case "@":
		return append(dst, origin...), nil
	case ".":
		return append(dst, 0), nil
	}
	mark := len(dst)
	dst = append(dst, 0)
	absolute := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		absolute = false
		switch c {
		case '.':
			n := len(dst) - mark - 1
			if n == 0 {
				return dst[:start], errEmptyLabel
			}
			dst[mark] = byte(n)
			mark = len(dst)
			dst = append(dst, 0)
			absolute = true
			continue
		case '\\':
			v, used, ok := unescape(s[i+1:])
			if !ok {
				return dst[:start], errEscape
			}
			c = v
			i += used
		}
		if len(dst)-mark > MaxLabel {
			return dst[:start], errLongLabel
		}
		dst = append(dst, c)
	}
	if !absolute {
		dst[mark] = byte(len(dst) - mark - 1)
		dst = append(dst, origin...)
	}
	if len(dst)-start > MaxName {
		return dst[:start], errLongName
	}
	return dst, nil
}

// unescape reads what follows a backslash: three digits, or one character.
func unescape(s string) (c byte, used int, ok bool) {
	if s == "" {
		return 0, 0, false
	}
	if s[0] < '0' || s[0] > '9' {
		return s[0], 1, true
	}
	if len(s) < 3 {
		return 0, 0, false
	}
	v := 0
	for _, d := range []byte(s[:3]) {
		if d < '0' || d > '9' {
			return 0, 0, false
		}
		v = v*10 + int(d-'0')
	}
	return byte(v), 3, v <= 255
}

// String is the presentation form, with the last dot.
func (n Name) String() string { return string(AppendText(nil, n)) }

// AppendText appends the presentation form of the wire-form name to dst:
// special characters get a backslash, octets outside printable ASCII \DDD.
func AppendText(dst, name []byte) []byte {
	if len(name) <= 1 {
		return append(dst, '.')
	}
	for i := 0; i < len(name) && name[i] != 0; {
		end := min(i+1+int(name[i]), len(name))
		for _, c := range name[i+1 : end] {
			switch {
			case c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' || c == '@' || c == '$':
				dst = append(dst, '\\', c)
			case c <= ' ' || c >= 0x7f:
				dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			default:
				dst = append(dst, c)
			}
		}
		dst = append(dst, '.')
		i = end
	}
	return dst
}

// Lower lower-cases the ASCII letters of b in place. Length octets are below
// 64 and so are left alone: no letter has such a code.
func Lower(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, lower8(binary.LittleEndian.Uint64(b)))
	}
	for i, c := range b {
		if c-'A' < 26 {
			b[i] = c | 0x20
		}
	}
}

// lower8 lower-cases the ASCII letters among eight octets at once: adding what is
// missing to 128 sets the top bit of each octet that is at least 'A', or beyond
// 'Z', without a carry into the next one.
func lower8(x uint64) uint64 {
	const each = 0x0101010101010101
	low := x &^ (each * 0x80)
	fromA := low + each*(0x80-'A')
	pastZ := low + each*(0x80-'Z'-1)
	upper := fromA &^ pastZ &^ x & (each * 0x80)
	return x | upper>>2
}

// Labels counts the labels of n; the root has none.
func (n Name) Labels() int {
	c := 0
	for i := 0; i < len(n) && n[i] != 0; i += int(n[i]) + 1 {
		c++
	}
	return c
}

// Parent is n without its first label; ok is false at the root.
func (n Name) Parent() (parent Name, ok bool) {
	if len(n) <= 1 || n[0] == 0 {
		return nil, false
	}
	return n[int(n[0])+1:], true
}

// Within says whether n is at or below zone.
func (n Name) Within(zone Name) bool {
	want := len(n) - len(zone)
	if want < 0 {
		return false
	}
	i := 0
	for i < want {
		i += int(n[i]) + 1
	}
	return i == want && string(n[i:]) == string(zone)
}

// Compare orders names canonically (RFC 4034 section 6.1): label by label from
// the right, octet by octet. It returns -1, 0 or 1.
func Compare(a, b Name) int {
	var la, lb [MaxLabels]uint8
	i, j := labelOffsets(a, &la), labelOffsets(b, &lb)
	for i > 0 && j > 0 {
		i--
		j--
		x, y := label(a, la[i]), label(b, lb[j])
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return min(1, max(-1, i-j))
}

func labelOffsets(n Name, off *[MaxLabels]uint8) int {
	c := 0
	for i := 0; i < len(n) && n[i] != 0 && c < MaxLabels; i += int(n[i]) + 1 {
		off[c] = uint8(i)
		c++
	}
	return c
}

func label(n Name, off uint8) string {
	start := int(off) + 1
	return string(n[start : start+int(n[off])])
}

// SkipName returns the offset behind the name at off in msg, a compression
// pointer ending it; it follows no pointer.
func SkipName(msg []byte, off int) (int, bool) {
	for off < len(msg) {
		c := int(msg[off])
		switch {
		case c == 0:
			return off + 1, true
		case c >= 0xC0:
			return off + 2, off+2 <= len(msg)
		case c > MaxLabel:
			return 0, false
		}
		off += c + 1
	}
	return 0, false
}

// ExpandName reads the name at off in msg into buf, in the case as sent, and
// follows its compression pointers (RFC 1035 section 4.1.4), each of which must
// point before the labels it ends, and not into the header. end is the offset
// behind the name.
func ExpandName(buf *[MaxName]byte, msg []byte, off int) (name Name, end int, ok bool) {
	n, run := 0, off
	for off < len(msg) {
		c := int(msg[off])
		switch {
		case c >= 0xC0:
			if off+2 > len(msg) {
				return nil, 0, false
			}
			if end == 0 {
				end = off + 2
			}
			off = c&0x3F<<8 | int(msg[off+1])
			if off >= run || off < HeaderLen {
				return nil, 0, false
			}
			run = off
			continue
		case c > MaxLabel || off+1+c > len(msg) || n+1+c > MaxName:
			return nil, 0, false
		}
		n += copy(buf[n:], msg[off:off+1+c])
		off += 1 + c
		if c == 0 {
			if end == 0 {
				end = off
			}
			return Name(buf[:n:n]), end, true
		}
	}
	return nil, 0, false
}
