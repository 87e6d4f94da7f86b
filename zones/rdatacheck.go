package zones

import (
	"errors"
	"fmt"

	"github.com/stampdns/stampdns/zones/wire"
)

var (
	errShortData  = errors.New("data ends too early")
	errLongData   = errors.New("data goes on behind its last field")
	errDataName   = errors.New("data holds a malformed or compressed name")
	errDataBitmap = errors.New("data holds a malformed type bitmap")
	errDataTag    = errors.New("a CAA tag is one or more letters and digits (RFC 8659 section 4.1)")
)

// checkData says what is wrong with uncompressed data of a type, nil for nothing.
// Types of which nothing is known may hold anything.
func checkData(rrtype uint16, data []byte) error {
	layout := layoutOf(rrtype)
	if layout == nil {
		return nil
	}
	rest := data
	for _, f := range layout {
		n, err := fieldLen(f, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return errLongData
	}
	return checkDigest(rrtype, data)
}

// checkDigest checks the length of a digest whose type is known.
func checkDigest(rrtype uint16, data []byte) error {
	off, want := digestOf(rrtype, data)
	if want > 0 && len(data)-off != want {
		return fmt.Errorf("a digest of type %d has %d octets, not %d", data[off-1], want, len(data)-off)
	}
	return nil
}

// fieldLen is the length of the field that data begins with.
func fieldLen(f field, data []byte) (int, error) {
	if n := f.width(); n > 0 {
		if len(data) < n {
			return 0, errShortData
		}
		return n, nil
	}
	switch f {
	case fieldName:
		if n := nameLen(data); n > 0 {
			return n, nil
		}
		return 0, errDataName
	case fieldString, fieldMore, fieldSalt, fieldHash, fieldTag:
		if len(data) == 0 && f == fieldMore {
			return 0, nil
		}
		if len(data) == 0 || len(data) < 1+int(data[0]) {
			return 0, errShortData
		}
		if f == fieldTag && !isTag(data[1:1+int(data[0])]) {
			return 0, errDataTag
		}
		if f == fieldHash && data[0] == 0 {
			return 0, errShortData
		}
		return 1 + int(data[0]), nil
	case fieldStrings:
		return stringsLen(data)
	case fieldHex, fieldBase64:
		if len(data) == 0 {
			return 0, errShortData
		}
	case fieldTypes:
		if !validBitmap(data) {
			return 0, errDataBitmap
		}
	default:
		return len(data), checkRare(f, data)
	}
	return len(data), nil
}

// checkRare checks a field of one or two types, that goes to the end of the data.
func checkRare(f field, data []byte) error {
	switch f {
	case fieldOldTypes:
		return checkOldTypes(data)
	case fieldNSAP:
		if len(data) == 0 {
			return errShortData
		}
	case fieldATM:
		return checkATM(data)
	case fieldA6:
		return checkA6(data)
	case fieldServices:
		return checkServices(data)
	case fieldPrefixes:
		return checkPrefixes(data)
	case fieldLocation:
		return checkLocation(data)
	case fieldIPSec:
		return checkIPSec(data)
	case fieldRelay:
		return checkRelay(data)
	case fieldHIP:
		return checkHIP(data)
	case fieldParams:
		return checkParams(data)
	}
	return nil
}

// nameLen is the length of the uncompressed name that data begins with, 0 for none.
func nameLen(data []byte) int {
	for i := 0; i < len(data) && i < wire.MaxName; {
		c := int(data[i])
		if c > wire.MaxLabel {
			return 0
		}
		if i += c + 1; c == 0 {
			return i
		}
	}
	return 0
}

func stringsLen(data []byte) (int, error) {
	n := 0
	for n < len(data) {
		n += 1 + int(data[n])
	}
	if n == 0 || n != len(data) {
		return 0, errShortData
	}
	return n, nil
}

func isTag(tag []byte) bool {
	for _, c := range tag {
		if c-'0' >= 10 && (c|0x20)-'a' >= 26 {
			return false
		}
	}
	return len(tag) > 0
}

// validBitmap checks the windows of a type bitmap (RFC 4034 section 4.1.2).
func validBitmap(b []byte) bool {
	for last := -1; len(b) > 0; {
		if len(b) < 3 || int(b[0]) <= last || b[1] == 0 || b[1] > 32 || len(b) < 2+int(b[1]) {
			return false
		}
		n := 2 + int(b[1])
		if b[n-1] == 0 {
			return false
		}
		last = int(b[0])
		b = b[n:]
	}
	return true
}
