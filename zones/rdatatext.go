package zones

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// rdata reads the data of a record into s.data.
func (s *scanner) rdata(rrtype uint16) error {
	s.data = s.data[:0]
	layout := layoutOf(rrtype)
	if !s.next() {
		return s.lacking(layout, "the data of the "+typeName(rrtype)+" record")
	}
	if !s.quoted && string(s.tok) == `\#` {
		return s.genericData(rrtype)
	}
	if layout == nil {
		return s.errorf(`%s data is written \# length hexadecimal (RFC 3597)`, typeName(rrtype))
	}
	for i, f := range layout {
		if i > 0 && !s.next() {
			return s.lacking(layout[i:], "more of the "+typeName(rrtype)+" data")
		}
		if err := s.field(f); err != nil {
			return err
		}
	}
	if len(s.data) > math.MaxUint16 {
		return s.errorf("data longer than %d octets", math.MaxUint16)
	}
	if layout[len(layout)-1] == fieldHex {
		if err := checkDigest(rrtype, s.data); err != nil {
			return s.errorf("%s: %w", typeName(rrtype), err)
		}
	}
	return nil
}

// lacking judges data that ends before the fields in rest.
func (s *scanner) lacking(rest []field, what string) error {
	if s.err == nil && len(rest) > 0 && rest[0].mayLack() {
		return nil
	}
	return s.missing(what)
}

// field appends the field that the token in hand begins. Those that go to the end
// of the data read the tokens behind it.
func (s *scanner) field(f field) (err error) {
	switch f {
	case fieldName:
		s.data, err = s.appendName(s.data)
		return err
	case fieldString, fieldMore:
		return s.characterString()
	case fieldStrings:
		return s.characterStrings()
	case fieldRest:
		return s.restString()
	}
	if s.quoted && f != fieldTag {
		return s.errorf("%s in quotes: only text is quoted", s.show())
	}
	switch f {
	case fieldIPv4:
		var a [4]byte
		if !parseIPv4(a[:], s.tok) {
			return s.errorf("%s is no IPv4 address", s.show())
		}
		s.data = append(s.data, a[:]...)
	case fieldIPv6:
		var a [16]byte
		if !parseIPv6(&a, s.tok) {
			return s.errorf("%s is no IPv6 address", s.show())
		}
		s.data = append(s.data, a[:]...)
	case field8:
		return s.number(1)
	case field16:
		return s.number(2)
	case field32:
		return s.number(4)
	default:
		return s.rareField(f)
	}
	return nil
}

func (s *scanner) rareField(f field) error {
	switch f {
	case fieldPeriod:
		v, ok := parsePeriod(s.tok)
		if !ok {
			return s.errorf("%s is no time: want seconds, or numbers with units as in 1h30m", s.show())
		}
		s.data = binary.BigEndian.AppendUint32(s.data, v)
	case fieldTime:
		return s.time()
	case fieldLocator:
		return s.locator()
	case fieldType:
		t, ok := parseType(s.tok)
		if !ok {
			return s.errorf("unknown type %s", s.show())
		}
		s.data = binary.BigEndian.AppendUint16(s.data, t)
	case fieldAlg:
		if s.tok[0]-'0' < 10 {
			return s.number(1)
		}
		alg, ok := dns.StringToAlgorithm[strings.ToUpper(string(s.tok))]
		if !ok {
			return s.errorf("unknown algorithm %s", s.show())
		}
		s.data = append(s.data, alg)
	case fieldCert:
		if s.tok[0]-'0' < 10 {
			return s.number(2)
		}
		t, ok := certType(strings.ToUpper(string(s.tok)))
		if !ok {
			return s.errorf("unknown certificate type %s", s.show())
		}
		s.data = binary.BigEndian.AppendUint16(s.data, t)
	case fieldScheme:
		if foldEqual(s.tok, "NOTIFY") {
			s.tok = []byte{'1'} // RFC 9859 section 6.2
		}
		return s.number(1)
	case fieldHex:
		return s.hexData()
	case fieldBase64:
		return s.base64Data()
	case fieldSalt:
		return s.salt()
	case fieldHash:
		return s.hash()
	case fieldTypes:
		return s.typeBitmap()
	case fieldTag:
		return s.tag()
	case fieldParams:
		return s.params()
	default:
		return s.wholeField(f)
	}
	return nil
}

// wholeField reads the fields of one or two types each.
func (s *scanner) wholeField(f field) error {
	switch f {
	case fieldOldTypes:
		return s.oldTypes()
	case fieldEUI48, fieldEUI64:
		return s.eui(f.width())
	case fieldDigital:
		if string(s.tok) == "-" {
			return nil
		}
		return s.base64Data()
	case fieldNSAP:
		return s.nsap()
	case fieldATM:
		return s.atm()
	case fieldA6:
		return s.a6()
	case fieldServices:
		return s.services()
	case fieldPrefixes:
		return s.prefixes()
	case fieldLocation:
		return s.location()
	case fieldIPSec:
		return s.ipsec()
	case fieldRelay:
		return s.relay()
	case fieldHIP:
		return s.hip()
	}
	return nil
}

// certType reads the mnemonic of a certificate type (RFC 4398 section 2.1).
func certType(name string) (uint16, bool) {
	names := [...]string{1: "PKIX", 2: "SPKI", 3: "PGP", 4: "IPKIX", 5: "ISPKI", 6: "IPGP", 7: "ACPKIX", 8: "IACPKIX"}
	for t, n := range names {
		if n == name && n != "" {
			return uint16(t), true
		}
	}
	switch name {
	case "URI":
		return 253, true
	case "OID":
		return 254, true
	}
	return 0, false
}

func (s *scanner) number(octets int) error {
	limit := uint64(1)<<(8*octets) - 1
	n, ok := parseUint(s.tok, limit)
	if !ok {
		return s.errorf("%s is no number from 0 to %d", s.show(), limit)
	}
	for octets--; octets >= 0; octets-- {
		s.data = append(s.data, byte(n>>(8*octets)))
	}
	return nil
}

// locator reads four groups of hexadecimal digits (RFC 6742 section 2.1.1).
func (s *scanner) locator() error {
	rest := s.tok
	for i := range 4 {
		group, after, more := bytes.Cut(rest, []byte{':'})
		v := 0
		for _, c := range group {
			h, ok := hexDigit(c)
			if !ok {
				return s.errorf("%s is no locator: want four groups as in 2001:db8:0:1", s.show())
			}
			v = v<<4 | h
		}
		if len(group) == 0 || len(group) > 4 || more != (i < 3) {
			return s.errorf("%s is no locator: want four groups as in 2001:db8:0:1", s.show())
		}
		s.data = binary.BigEndian.AppendUint16(s.data, uint16(v))
		rest = after
	}
	return nil
}

// time reads a time of RRSIG (RFC 4034 section 3.2).
func (s *scanner) time() error {
	if len(s.tok) != len("YYYYMMDDHHmmSS") {
		return s.number(4)
	}
	var part [6]int
	rest, valid := s.tok, true
	for i, width := range []int{4, 2, 2, 2, 2, 2} {
		n, ok := parseUint(rest[:width], 9999)
		part[i], rest, valid = int(n), rest[width:], valid && ok
	}
	t := time.Date(part[0], time.Month(part[1]), part[2], part[3], part[4], part[5], 0, time.UTC)
	day := time.Date(part[0], time.Month(part[1]), part[2], 0, 0, 0, 0, time.UTC)
	// There are leap seconds.
	if !valid || int(day.Month()) != part[1] || day.Day() != part[2] || part[3] > 23 || part[4] > 59 || part[5] > 60 {
		return s.errorf("%s is no time: want YYYYMMDDHHmmSS", s.show())
	}
	s.data = binary.BigEndian.AppendUint32(s.data, uint32(t.Unix()))
	return nil
}

// tag reads the tag of CAA, in quotes or without.
func (s *scanner) tag() error {
	if !isTag(s.tok) || len(s.tok) > 255 {
		return s.errorf("%s: %w", s.show(), errDataTag)
	}
	s.data = append(append(s.data, byte(len(s.tok))), s.tok...)
	return nil
}

// characterString appends the token with its length before it.
func (s *scanner) characterString() error {
	mark := len(s.data)
	var ok bool
	if s.data, ok = unescapeText(append(s.data, 0), s.tok); !ok {
		return s.errorf(`bad escape in %s: want \DDD up to 255, or \ and a character`, s.show())
	}
	n := len(s.data) - mark - 1
	if n > 255 {
		return s.errorf("string of %d octets: the longest has 255, write several strings", n)
	}
	s.data[mark] = byte(n)
	return nil
}

func (s *scanner) characterStrings() error {
	for {
		if err := s.characterString(); err != nil {
			return err
		}
		if len(s.data) > math.MaxUint16 {
			return s.errorf("data longer than %d octets", math.MaxUint16)
		}
		if !s.next() {
			return s.err
		}
	}
}

func (s *scanner) restString() error {
	var ok bool
	if s.data, ok = unescapeText(s.data, s.tok); !ok {
		return s.errorf(`bad escape in %s: want \DDD up to 255, or \ and a character`, s.show())
	}
	return nil
}

// unescapeText appends text with \DDD and \X replaced (RFC 1035 section 5.1).
func unescapeText(dst, tok []byte) ([]byte, bool) {
	for i := 0; i < len(tok); i++ {
		c := tok[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		if i++; i == len(tok) {
			return dst, false
		}
		if c = tok[i]; c-'0' < 10 {
			if i+3 > len(tok) {
				return dst, false
			}
			n, ok := parseUint(tok[i:i+3], 255)
			if !ok {
				return dst, false
			}
			c = byte(n)
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, true
}

// join gathers the token in hand and all behind it in s.joined.
func (s *scanner) join() error {
	s.joined = append(s.joined[:0], s.tok...)
	for s.next() {
		if s.quoted {
			return s.errorf("%s in quotes: only text is quoted", s.show())
		}
		s.joined = append(s.joined, s.tok...)
	}
	return s.err
}

func (s *scanner) hexData() error {
	if err := s.join(); err != nil {
		return err
	}
	return s.appendHex(s.joined)
}

func (s *scanner) base64Data() error {
	if err := s.join(); err != nil {
		return err
	}
	return s.appendBase64(s.joined)
}

func (s *scanner) salt() error {
	if string(s.tok) == "-" {
		s.data = append(s.data, 0)
		return nil
	}
	if len(s.tok) > 2*255 {
		return s.errorf("salt longer than 255 octets")
	}
	s.data = append(s.data, byte(len(s.tok)/2))
	return s.appendHex(s.tok)
}

func (s *scanner) hash() error {
	var err error
	mark := len(s.data)
	s.data = append(s.data, 0)
	s.joined = append(s.joined[:0], s.tok...)
	for i, c := range s.joined {
		if c-'a' < 26 {
			s.joined[i] = c - 0x20
		}
	}
	s.data, err = base32.HexEncoding.WithPadding(base32.NoPadding).AppendDecode(s.data, s.joined)
	n := len(s.data) - mark - 1
	if err != nil || n == 0 || n > 255 {
		return s.errorf("%s is no hash in base32hex", s.show())
	}
	s.data[mark] = byte(n)
	return nil
}

// typeBitmap reads type mnemonics to the end of the data.
func (s *scanner) typeBitmap() error {
	var types []uint16
	for {
		t, ok := parseType(s.tok)
		if !ok || s.quoted {
			return s.errorf("unknown type %s", s.show())
		}
		types = append(types, t)
		if !s.next() {
			break
		}
	}
	if s.err != nil {
		return s.err
	}
	slices.Sort(types)
	window, at := -1, 0
	for _, t := range types {
		if w := int(t >> 8); w != window {
			window, at = w, len(s.data)
			s.data = append(s.data, byte(w), 0)
		}
		octet := int(t&0xFF) / 8
		for len(s.data)-at-2 <= octet {
			s.data = append(s.data, 0)
		}
		s.data[at+2+octet] |= 0x80 >> (t & 7)
		s.data[at+1] = byte(len(s.data) - at - 2)
	}
	return nil
}
