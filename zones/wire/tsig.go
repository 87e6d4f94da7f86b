package wire

import "encoding/binary"

// TypeTSIG is the type of the TSIG pseudo record (RFC 8945).
const TypeTSIG uint16 = 250

// TSIGBadKey is the error in the TSIG record of a reply whose query was signed
// with a key that the server does not know (RFC 8945 section 3).
const TSIGBadKey uint16 = 17

const classANY = 255

// TSIG is the TSIG record of a signed query, as much of it as a reply repeats
// that says that it could not be verified.
type TSIG struct {
	Present bool
	owner   int    // offset of the key's name in the message
	keyLen  int    // octets of the key's name without compression
	data    []byte // the record's data, in the message's own octets
	algLen  int    // octets of the algorithm's name, which data begins with
}

// What stands in the data behind the algorithm's name (RFC 8945 section 4.2).
const (
	tsigTimes   = 8 // time signed and fudge
	tsigMAC     = tsigTimes + 2
	tsigTrailer = 6 // behind the MAC: original ID, error, length of other data
)

// readTSIG reads the TSIG record whose owner is at start, whose type is at off and
// which ends at end.
func readTSIG(msg []byte, start, off, end int) (sig TSIG, ok bool) {
	var buf [MaxName]byte
	key, _, ok := ExpandName(&buf, msg, start)
	if !ok || binary.BigEndian.Uint16(msg[off+2:]) != classANY {
		return sig, false
	}
	sig = TSIG{Present: true, owner: start, keyLen: len(key), data: msg[off+10 : end : end]}
	// A name that the data begins with has nothing before it to point to: it is not
	// compressed.
	_, algLen, ok := ExpandName(&buf, sig.data, 0)
	if !ok || len(sig.data) < algLen+tsigMAC {
		return sig, false
	}
	sig.algLen = algLen
	trailer := algLen + tsigMAC + int(binary.BigEndian.Uint16(sig.data[algLen+tsigTimes:]))
	if len(sig.data) < trailer+tsigTrailer {
		return sig, false
	}
	return sig, len(sig.data) == trailer+tsigTrailer+int(binary.BigEndian.Uint16(sig.data[trailer+4:]))
}

// ErrorLen is the length of what AppendError appends.
func (s *TSIG) ErrorLen() int { return s.keyLen + 10 + s.algLen + tsigMAC + tsigTrailer }

// AppendError appends the unsigned TSIG record of a reply (RFC 8945 section
// 5.3.2): key, algorithm, times and original ID as in query, the message that s
// was read from, no MAC, and the error.
func (s *TSIG) AppendError(dst, query []byte, code uint16) []byte {
	var buf [MaxName]byte
	key, _, _ := ExpandName(&buf, query, s.owner)
	data := s.data
	macLen := int(binary.BigEndian.Uint16(data[s.algLen+tsigTimes:]))
	id := data[s.algLen+tsigMAC+macLen:]

	dst = append(dst, key...)
	dst = append(dst, 0, byte(TypeTSIG), 0, classANY, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(s.algLen+tsigMAC+tsigTrailer))
	dst = append(dst, data[:s.algLen+tsigTimes]...)
	return append(dst, 0, 0, id[0], id[1], byte(code>>8), byte(code), 0, 0)
}
