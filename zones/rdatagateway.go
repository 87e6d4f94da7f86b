package zones

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
)

// The kinds of gateway in IPSECKEY (RFC 4025 section 2.3) and of relay in
// AMTRELAY (RFC 8777 section 4.2.3).
const (
	gatewayNone = iota
	gatewayIPv4
	gatewayIPv6
	gatewayName
	gatewayKinds
)

var (
	errGatewayKind = errors.New("a gateway's type is 0 for none, 1 for IPv4, 2 for IPv6, or 3 for a name")
	errHIT         = errors.New("a host identity tag has 1 to 255 octets, and a public key stands with it")
)

// word reads the next token of a field of several: it must be there, unquoted.
func (s *scanner) nextWord() error {
	if !s.next() {
		return s.missing("more of the data")
	}
	if s.quoted {
		return s.errorf("%s in quotes: only text is quoted", s.show())
	}
	return nil
}

// ipsec reads type, algorithm, gateway and key, which may be missing (RFC 4025
// section 3.1).
func (s *scanner) ipsec() error {
	kind, ok := parseUint(s.tok, gatewayKinds-1)
	if !ok {
		return s.errorf("%s: %w", s.show(), errGatewayKind)
	}
	s.data = append(s.data, byte(kind))
	if err := s.nextWord(); err != nil {
		return err
	}
	if err := s.number(1); err != nil {
		return err
	}
	if err := s.gateway(kind); err != nil {
		return err
	}
	if !s.next() {
		return s.err
	}
	return s.base64Data()
}

// relay reads the discovery bit, type and relay (RFC 8777 section 4.3.1).
func (s *scanner) relay() error {
	optional, ok := parseUint(s.tok, 1)
	if !ok {
		return s.errorf("%s is no discovery bit: want 0 or 1", s.show())
	}
	if err := s.nextWord(); err != nil {
		return err
	}
	kind, ok := parseUint(s.tok, gatewayKinds-1)
	if !ok {
		return s.errorf("%s: %w", s.show(), errGatewayKind)
	}
	s.data = append(s.data, byte(optional<<7|kind))
	return s.gateway(kind)
}

// gateway reads the token behind the one in hand as a gateway of that kind; for
// none it is a dot.
func (s *scanner) gateway(kind uint64) error {
	if err := s.nextWord(); err != nil {
		return err
	}
	switch kind {
	case gatewayIPv4:
		return s.field(fieldIPv4)
	case gatewayIPv6:
		return s.field(fieldIPv6)
	case gatewayName:
		return s.field(fieldName)
	}
	if string(s.tok) != "." {
		return s.errorf("%s: a gateway of type 0 is written as a dot", s.show())
	}
	return nil
}

// gatewayLen is the length of the gateway that data begins with.
func gatewayLen(kind byte, data []byte) (int, error) {
	switch kind {
	case gatewayNone:
		return 0, nil
	case gatewayIPv4:
		return fieldLen(fieldIPv4, data)
	case gatewayIPv6:
		return fieldLen(fieldIPv6, data)
	case gatewayName:
		return fieldLen(fieldName, data)
	}
	return 0, errGatewayKind
}

// checkIPSec checks what ipsec reads; the key may have any length.
func checkIPSec(data []byte) error {
	if len(data) < 2 {
		return errShortData
	}
	_, err := gatewayLen(data[0], data[2:])
	return err
}

func checkRelay(data []byte) error {
	if len(data) < 1 {
		return errShortData
	}
	n, err := gatewayLen(data[0]&0x7F, data[1:])
	if err == nil && 1+n != len(data) {
		return errLongData
	}
	return err
}

// hip reads algorithm, host identity tag, public key and rendezvous servers, and
// puts the lengths before them (RFC 8005 sections 5 and 6).
func (s *scanner) hip() error {
	s.data = append(s.data, 0)
	if err := s.number(1); err != nil {
		return err
	}
	s.data = append(s.data, 0, 0)
	head := len(s.data)
	if err := s.nextWord(); err != nil {
		return err
	}
	if err := s.appendHex(s.tok); err != nil {
		return err
	}
	tag := len(s.data) - head
	if err := s.nextWord(); err != nil {
		return err
	}
	if err := s.appendBase64(s.tok); err != nil {
		return err
	}
	key := len(s.data) - head - tag
	if tag == 0 || tag > 255 || key == 0 || key > math.MaxUint16 {
		return s.errorf("%w", errHIT)
	}
	s.data[head-4] = byte(tag)
	binary.BigEndian.PutUint16(s.data[head-2:], uint16(key))
	for s.next() {
		if err := s.field(fieldName); err != nil {
			return err
		}
	}
	return s.err
}

func checkHIP(data []byte) error {
	if len(data) < 4 {
		return errShortData
	}
	tag, key := int(data[0]), int(binary.BigEndian.Uint16(data[2:]))
	if tag == 0 || key == 0 {
		return errHIT
	}
	if len(data) < 4+tag+key {
		return errShortData
	}
	for data = data[4+tag+key:]; len(data) > 0; {
		n := nameLen(data)
		if n == 0 {
			return errDataName
		}
		data = data[n:]
	}
	return nil
}

// eui reads groups of hexadecimal digits with hyphens between them (RFC 7043
// sections 3.2 and 4.2).
func (s *scanner) eui(octets int) error {
	rest := s.tok
	for i := range octets {
		group, after, more := bytes.Cut(rest, []byte{'-'})
		v := 0
		for _, c := range group {
			h, ok := hexDigit(c)
			if !ok {
				v = 256
				break
			}
			v = v<<4 | h
		}
		if len(group) == 0 || len(group) > 2 || v > 255 || more != (i < octets-1) {
			return s.errorf("%s: want %d groups of two hexadecimal digits with hyphens between them", s.show(), octets)
		}
		s.data = append(s.data, byte(v))
		rest = after
	}
	return nil
}

func (s *scanner) appendHex(digits []byte) error {
	var err error
	if s.data, err = hex.AppendDecode(s.data, digits); err != nil {
		return s.errorf("bad hexadecimal data: %w", err)
	}
	return nil
}

func (s *scanner) appendBase64(digits []byte) error {
	var err error
	if s.data, err = base64.StdEncoding.Strict().AppendDecode(s.data, digits); err != nil {
		return s.errorf("bad base64 data: %w", err)
	}
	return nil
}
