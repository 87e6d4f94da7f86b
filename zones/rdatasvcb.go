package zones

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// The keys of SVCB and HTTPS that are known by name (RFC 9460 section 14.3.2,
// RFC 9461, RFC 9540).
const (
	keyMandatory = iota
	keyALPN
	keyNoDefaultALPN
	keyPort
	keyIPv4Hint
	keyECH
	keyIPv6Hint
	keyDoHPath
	keyOHTTP
	namedKeys
)

// paramName is a key as it is written.
func paramName(key uint16) string {
	names := [namedKeys]string{
		"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp",
	}
	if key < namedKeys {
		return names[key]
	}
	return "key" + strconv.Itoa(int(key))
}

// parseKey reads a key by name or as keyN; numbered says that it was the latter.
func parseKey(tok []byte) (key uint16, numbered, ok bool) {
	for key := range uint16(namedKeys) {
		if string(tok) == paramName(key) {
			return key, false, true
		}
	}
	digits, ok := bytes.CutPrefix(tok, []byte("key"))
	n, isNumber := parseUint(digits, 1<<16-1)
	return uint16(n), true, ok && isNumber && (digits[0] != '0' || len(digits) == 1)
}

// param is a parameter of SVCB or HTTPS in wire form.
type param struct {
	key   uint16
	value []byte
}

// params reads parameters to the end of the data, and puts them in the order of
// their keys (RFC 9460 section 2).
func (s *scanner) params() error {
	var all []param
	for ok := true; ok; ok = s.next() {
		p, err := s.param()
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	if s.err != nil {
		return s.err
	}
	slices.SortStableFunc(all, func(x, y param) int { return cmp.Compare(x.key, y.key) })
	mark := len(s.data)
	for _, p := range all {
		s.data = binary.BigEndian.AppendUint16(s.data, p.key)
		s.data = binary.BigEndian.AppendUint16(s.data, uint16(len(p.value)))
		s.data = append(s.data, p.value...)
	}
	if err := checkParams(s.data[mark:]); err != nil {
		return s.errorf("%w", err)
	}
	return nil
}

// param reads one parameter: a key, or key=value, where quotes may stand around
// the value.
func (s *scanner) param() (param, error) {
	if s.quoted {
		return param{}, s.errorf(`%s in quotes: want key or key="value"`, s.show())
	}
	name, value, _ := bytes.Cut(s.tok, []byte{'='})
	if len(s.tok) == len(name)+1 && s.off < len(s.text) && s.text[s.off] == '"' {
		if !s.next() {
			return param{}, s.err
		}
		value = s.tok
	}
	key, numbered, ok := parseKey(name)
	if !ok {
		return param{}, s.errorf("unknown parameter %q: if it is one, write keyN=value (RFC 9460 section 2.1)", name)
	}
	text, ok := unescapeText(nil, value)
	if !ok {
		return param{}, s.errorf(`bad escape in %s: want \DDD up to 255, or \ and a character`, s.show())
	}
	if !numbered {
		var err error
		if text, err = paramValue(key, text); err != nil {
			return param{}, s.errorf("%s: %w", name, err)
		}
	}
	if len(text) >= 1<<16 {
		return param{}, s.errorf("%s: value longer than 65535 octets", name)
	}
	return param{key, text}, nil
}

// paramValue is a value in wire form, of its text without escapes.
func paramValue(key uint16, text []byte) (value []byte, err error) {
	ok := true
	switch key {
	case keyMandatory:
		return mandatoryValue(text)
	case keyALPN:
		return alpnValue(text)
	case keyPort:
		var n uint64
		if n, ok = parseUint(text, 1<<16-1); ok {
			value = binary.BigEndian.AppendUint16(nil, uint16(n))
		}
	case keyIPv4Hint:
		for item := range bytes.SplitSeq(text, []byte{','}) {
			var a [4]byte
			ok = ok && parseIPv4(a[:], item)
			value = append(value, a[:]...)
		}
	case keyIPv6Hint:
		for item := range bytes.SplitSeq(text, []byte{','}) {
			var a [16]byte
			ok = ok && parseIPv6(&a, item)
			value = append(value, a[:]...)
		}
	case keyECH:
		value, err = base64.StdEncoding.Strict().AppendDecode(nil, text)
		ok = err == nil
	default:
		return text, nil
	}
	if !ok {
		return nil, fmt.Errorf("bad value %q", text)
	}
	return value, nil
}

// mandatoryValue reads the names of keys (RFC 9460 section 8), in any order.
func mandatoryValue(text []byte) ([]byte, error) {
	var keys []uint16
	for item := range bytes.SplitSeq(text, []byte{','}) {
		key, _, ok := parseKey(item)
		if !ok {
			return nil, fmt.Errorf("unknown parameter %q", item)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var value []byte
	for _, key := range keys {
		value = binary.BigEndian.AppendUint16(value, key)
	}
	return value, nil
}

var errALPN = errors.New("alpn is empty, or has an empty or too long name in it: leave it out, or name protocols")

// alpnValue reads protocol names with commas between them; \, and \\ stand for
// those characters in a name (RFC 9460 appendix A.1).
func alpnValue(text []byte) ([]byte, error) {
	var value []byte
	for i := 0; i <= len(text); i++ {
		mark := len(value)
		value = append(value, 0)
		for ; i < len(text) && text[i] != ','; i++ {
			if text[i] == '\\' && i+1 < len(text) {
				i++
			}
			value = append(value, text[i])
		}
		n := len(value) - mark - 1
		if n == 0 || n > 255 {
			return nil, errALPN
		}
		value[mark] = byte(n)
	}
	return value, nil
}

// checkParams checks parameters in wire form: their order, the form of those
// that are known, and that each mandatory one is there (RFC 9460 sections 2.2, 7
// and 8).
func checkParams(data []byte) error {
	var keys []uint16
	var mandatory []byte
	for len(data) > 0 {
		if len(data) < 4 || len(data) < 4+int(binary.BigEndian.Uint16(data[2:])) {
			return errShortData
		}
		key := binary.BigEndian.Uint16(data)
		value := data[4 : 4+int(binary.BigEndian.Uint16(data[2:]))]
		data = data[4+len(value):]
		if n := len(keys); n > 0 && key == keys[n-1] {
			return fmt.Errorf("%s stands there twice", paramName(key))
		} else if n > 0 && key < keys[n-1] {
			return errors.New("parameters are not in the order of their keys")
		}
		keys = append(keys, key)
		if key == keyALPN && !validParam(key, value) {
			return errALPN
		} else if !validParam(key, value) {
			return fmt.Errorf("bad value of %s", paramName(key))
		}
		if key == keyMandatory {
			mandatory = value
		}
	}
	for i := 0; i < len(mandatory); i += 2 {
		key := binary.BigEndian.Uint16(mandatory[i:])
		switch {
		case key == keyMandatory:
			return errors.New("mandatory names itself")
		case i > 0 && key == binary.BigEndian.Uint16(mandatory[i-2:]):
			return fmt.Errorf("mandatory names %s twice", paramName(key))
		case i > 0 && key < binary.BigEndian.Uint16(mandatory[i-2:]):
			return errors.New("mandatory does not name parameters in the order of their keys")
		case !slices.Contains(keys, key):
			return fmt.Errorf("mandatory names %s, which is not there: add it, or leave it out of mandatory", paramName(key))
		}
	}
	return nil
}

// validParam says whether a value has the form of its key.
func validParam(key uint16, value []byte) bool {
	n := len(value)
	switch key {
	case keyMandatory:
		return n > 0 && n%2 == 0
	case keyALPN:
		for len(value) > 0 {
			if value[0] == 0 || len(value) < 1+int(value[0]) {
				return false
			}
			value = value[1+int(value[0]):]
		}
		return n > 0
	case keyNoDefaultALPN, keyOHTTP:
		return n == 0
	case keyPort:
		return n == 2
	case keyIPv4Hint:
		return n > 0 && n%4 == 0
	case keyIPv6Hint:
		return n > 0 && n%16 == 0
	case keyDoHPath:
		return n > 0
	}
	return true
}
