package zones

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

var (
	errNXT      = errors.New("data holds a malformed type bitmap (RFC 2535 section 5.2)")
	errServices = errors.New("the bitmap of services ends in a zero octet, or is too long")
	errATM      = errors.New("an ATM address has a format octet, and behind format 1 only digits")
	errA6       = errors.New("data is no prefix length, address suffix and prefix name (RFC 2874 section 3.1)")
	errPrefix   = errors.New("data holds a malformed address prefix (RFC 3123 section 4)")
)

// services reads a protocol and ports of WKS (RFC 1035 section 3.4.2), both by
// number, or by a name that was in use when WKS was.
func (s *scanner) services() error {
	protocol, ok := parseUint(s.tok, 255)
	if !ok {
		if protocol, ok = protocolNumber(strings.ToLower(string(s.tok))); !ok {
			return s.errorf("unknown protocol %s: write its number", s.show())
		}
	}
	s.data = append(s.data, byte(protocol))
	mark := len(s.data)
	for s.next() {
		port, ok := parseUint(s.tok, 1<<16-1)
		if !ok {
			port, ok = serviceNumber(strings.ToLower(string(s.tok)))
		}
		if !ok || s.quoted {
			return s.errorf("unknown service %s: write its port", s.show())
		}
		s.data = setBit(s.data, mark, int(port))
	}
	return s.err
}

// setBit sets a bit of the bitmap at the end of data, which begins at mark.
func setBit(data []byte, mark, bit int) []byte {
	for len(data)-mark <= bit/8 {
		data = append(data, 0)
	}
	data[mark+bit/8] |= 0x80 >> (bit & 7)
	return data
}

func protocolNumber(name string) (uint64, bool) {
	switch name {
	case "icmp":
		return 1, true
	case "igmp":
		return 2, true
	case "ggp":
		return 3, true
	case "tcp":
		return 6, true
	case "egp":
		return 8, true
	case "pup":
		return 12, true
	case "udp":
		return 17, true
	case "hmp":
		return 20, true
	case "xns-idp":
		return 22, true
	case "rdp":
		return 27, true
	}
	return 0, false
}

// serviceNumber knows the ports below 256 that RFC 1010 lists and hosts still have.
func serviceNumber(name string) (uint64, bool) {
	for _, service := range []struct {
		names string
		port  uint64
	}{
		{"echo", 7}, {"discard", 9}, {"systat", 11}, {"daytime", 13}, {"netstat", 15}, {"qotd", 17}, {"chargen", 19},
		{"ftp-data", 20}, {"ftp", 21}, {"ssh", 22}, {"telnet", 23}, {"smtp mail", 25}, {"time", 37}, {"whois nicname", 43},
		{"tacacs", 49}, {"domain", 53}, {"bootps", 67}, {"bootpc", 68}, {"tftp", 69}, {"gopher", 70}, {"finger", 79},
		{"http www", 80}, {"kerberos", 88}, {"iso-tsap", 102}, {"acr-nema", 104}, {"pop3", 110}, {"sunrpc portmapper", 111},
		{"auth", 113}, {"nntp", 119}, {"ntp", 123}, {"netbios-ns", 137}, {"netbios-dgm", 138}, {"netbios-ssn", 139},
		{"imap2 imap", 143}, {"snmp", 161}, {"snmp-trap", 162}, {"bgp", 179}, {"irc", 194},
	} {
		if slices.Contains(strings.Fields(service.names), name) {
			return service.port, true
		}
	}
	return 0, false
}

func checkServices(data []byte) error {
	switch {
	case len(data) < 1:
		return errShortData
	case len(data) > 1+8192, len(data) > 1 && data[len(data)-1] == 0:
		return errServices
	}
	return nil
}

// nsap reads 0x and hexadecimal digits, among which dots may stand (RFC 1706
// section 7).
func (s *scanner) nsap() error {
	digits, ok := bytes.CutPrefix(bytes.ToLower(s.tok), []byte("0x"))
	digits = bytes.ReplaceAll(digits, []byte{'.'}, nil)
	if !ok || len(digits) == 0 {
		return s.errorf("%s is no NSAP address: want 0x and hexadecimal digits", s.show())
	}
	return s.appendHex(digits)
}

// atm reads + and digits, or the hexadecimal digits of an ATM end system address
// with dots among them (the ATM Forum's ATM Name System, section 5.2).
func (s *scanner) atm() error {
	if digits, ok := bytes.CutPrefix(s.tok, []byte{'+'}); ok {
		s.data = append(append(s.data, 1), digits...)
	} else {
		s.data = append(s.data, 0)
		if err := s.appendHex(bytes.ReplaceAll(s.tok, []byte{'.'}, nil)); err != nil {
			return err
		}
	}
	if err := checkATM(s.data); err != nil {
		return s.errorf("%s: %w", s.show(), err)
	}
	return nil
}

func checkATM(data []byte) error {
	if len(data) < 2 {
		return errShortData
	}
	if data[0] == 1 && bytes.ContainsFunc(data[1:], func(r rune) bool { return r < '0' || r > '9' }) {
		return errATM
	}
	return nil
}

// a6 reads a prefix length, the bits of an address behind that prefix, and the
// name that has the prefix (RFC 2874 section 3.2).
func (s *scanner) a6() error {
	prefix, ok := parseUint(s.tok, 128)
	if !ok {
		return s.errorf("%s is no prefix length from 0 to 128", s.show())
	}
	s.data = append(s.data, byte(prefix))
	if prefix < 128 {
		if err := s.nextWord(); err != nil {
			return err
		}
		var a [16]byte
		if !parseIPv6(&a, s.tok) {
			return s.errorf("%s is no IPv6 address", s.show())
		}
		a[prefix/8] &= 0xFF >> (prefix % 8)
		s.data = append(s.data, a[prefix/8:]...)
	}
	if prefix == 0 {
		return nil
	}
	if err := s.nextWord(); err != nil {
		return err
	}
	return s.field(fieldName)
}

func checkA6(data []byte) error {
	if len(data) < 1 || data[0] > 128 {
		return errA6
	}
	prefix := int(data[0])
	suffix := 16 - prefix/8
	if len(data) < 1+suffix || suffix > 0 && data[1]&^(0xFF>>(prefix%8)) != 0 {
		return errA6
	}
	rest := data[1+suffix:]
	if prefix == 0 && len(rest) != 0 || prefix > 0 && (len(rest) == 0 || nameLen(rest) != len(rest)) {
		return errA6
	}
	return nil
}

// oldTypes reads the bitmap of NXT, which has a bit for each type below 128
// (RFC 2535 section 5.2).
func (s *scanner) oldTypes() error {
	mark := len(s.data)
	for ok := true; ok; ok = s.next() {
		t, ok := parseType(s.tok)
		if !ok || s.quoted {
			return s.errorf("unknown type %s", s.show())
		}
		if t == 0 || t > 127 {
			return s.errorf("NXT: %s: only types from 1 to 127 have a bit", s.tok)
		}
		s.data = setBit(s.data, mark, int(t))
	}
	return s.err
}

func checkOldTypes(data []byte) error {
	if len(data) > 0 && data[0]&0x80 == 0 && (len(data) > 16 || data[len(data)-1] == 0) {
		return errNXT
	}
	return nil
}

// prefixes reads the items of APL, [!]family:address/prefix (RFC 3123 section 5).
// Bits behind the prefix are kept, zero octets at the end of an address are not.
func (s *scanner) prefixes() error {
	for ok := true; ok; ok = s.next() {
		tok, negative := bytes.CutPrefix(s.tok, []byte{'!'})
		family, rest, ok1 := bytes.Cut(tok, []byte{':'})
		addr, bits, ok2 := bytes.Cut(rest, []byte{'/'})
		var a [16]byte
		octets, ok3 := 4, false
		switch string(family) {
		case "1":
			ok3 = parseIPv4(a[:4], addr)
		case "2":
			octets = 16
			ok3 = parseIPv6(&a, addr)
		}
		prefix, ok4 := parseUint(bits, uint64(8*octets))
		if !ok1 || !ok2 || !ok3 || !ok4 || s.quoted {
			return s.errorf("APL: %s: want [!]1:IPv4/prefix or [!]2:IPv6/prefix", s.show())
		}
		afd := bytes.TrimRight(a[:octets], "\x00")
		flags := byte(len(afd))
		if negative {
			flags |= 0x80
		}
		s.data = append(s.data, 0, family[0]-'0', byte(prefix), flags)
		s.data = append(s.data, afd...)
	}
	return s.err
}

func checkPrefixes(data []byte) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return errShortData
		}
		bits, n := int(data[2]), int(data[3]&0x7F)
		switch binary.BigEndian.Uint16(data) {
		case 1:
			if bits > 32 || n > 4 {
				return errPrefix
			}
		case 2:
			if bits > 128 || n > 16 {
				return errPrefix
			}
		}
		if len(data) < 4+n {
			return errShortData
		}
		data = data[4+n:]
	}
	return nil
}
