package wire

import "encoding/binary"

// HeaderLen is the length of a message header (RFC 1035 section 4.1.1).
const HeaderLen = 12

// Header flags, as bits of the second 16-bit word of the header
// (RFC 1035 section 4.1.1, RFC 4035 section 3).
const (
	FlagQR uint16 = 1 << 15
	FlagAA uint16 = 1 << 10
	FlagTC uint16 = 1 << 9
	FlagRD uint16 = 1 << 8
	FlagRA uint16 = 1 << 7
	FlagZ  uint16 = 1 << 6
	FlagAD uint16 = 1 << 5
	FlagCD uint16 = 1 << 4
)

// Section counts a message header holds, by their offset in it.
const (
	CountQD = 4
	CountAN = 6
	CountNS = 8
	CountAR = 10
)

// ID of the message. msg must hold a header, here and below.
func ID(msg []byte) uint16 { return binary.BigEndian.Uint16(msg) }

// Flags is the second word of the header: QR, opcode, flags and RCODE.
func Flags(msg []byte) uint16 { return binary.BigEndian.Uint16(msg[2:]) }

// SetFlags writes the second word of the header.
func SetFlags(msg []byte, f uint16) { binary.BigEndian.PutUint16(msg[2:], f) }

// Opcode of the message.
func Opcode(msg []byte) uint8 { return msg[2] >> 3 & 0xF }

// RCode is the header's four bits of the response code; the upper eight are in
// the OPT record (RFC 6891 section 6.1.3).
func RCode(msg []byte) uint8 { return msg[3] & 0xF }

// SetRCode writes the header's four bits of the response code.
func SetRCode(msg []byte, rcode uint8) { msg[3] = msg[3]&0xF0 | rcode&0xF }

// Count reads one of the four section counts.
func Count(msg []byte, section int) uint16 { return binary.BigEndian.Uint16(msg[section:]) }

// SetCount writes one of the four section counts.
func SetCount(msg []byte, section int, n uint16) { binary.BigEndian.PutUint16(msg[section:], n) }

// Question is the one question of a query.
type Question struct {
	Name  Name // lower-cased, in the buffer ParseQuestion was given
	Type  uint16
	Class uint16
	End   int // offset of the octet behind the question
}

// ParseQuestion reads the first question of msg. The name is copied into buf and
// lower-cased there; a compressed name is refused, as no name stands before it
// that it could point to.
func ParseQuestion(msg []byte, buf *[MaxName]byte) (Question, bool) {
	off := HeaderLen
	for {
		if off >= len(msg) {
			return Question{}, false
		}
		c := int(msg[off])
		off += c + 1
		if c == 0 {
			break
		}
		// The root label is still to come.
		if c > MaxLabel || off-HeaderLen >= MaxName {
			return Question{}, false
		}
	}
	if off+4 > len(msg) {
		return Question{}, false
	}
	n := copy(buf[:], msg[HeaderLen:off])
	Lower(buf[:n])
	return Question{
		Name:  Name(buf[:n:n]),
		Type:  binary.BigEndian.Uint16(msg[off:]),
		Class: binary.BigEndian.Uint16(msg[off+2:]),
		End:   off + 4,
	}, true
}

// EDNS holds the facts of a query's OPT record (RFC 6891 section 6.1).
type EDNS struct {
	Present bool
	Version uint8
	DO      bool
	Size    uint16 // requestor's UDP payload size, as sent
	Flags   uint16 // all sixteen flag bits, DO among them
	Options []byte // the options as sent, in the message's own octets
}

// EDNS option codes that we read or write.
const (
	OptionNSID uint16 = 3  // RFC 5001
	OptionEDE  uint16 = 15 // RFC 8914
)

// TypeOPT is the type of the OPT pseudo record.
const TypeOPT uint16 = 41

// OPTLen is the length of an OPT record without options.
const OPTLen = 11

// ParseExtra walks the records behind the question of a query and reads its OPT
// and TSIG records. ok is false, a FORMERR, where the records are malformed, end
// early or leave octets behind them; where there is more than one OPT, or one
// whose owner is not the root (RFC 6891 section 6.1.1); and where a TSIG is not
// the last record (RFC 8945 section 5.1).
func ParseExtra(msg []byte, off int) (e EDNS, sig TSIG, ok bool) {
	answers := int(Count(msg, CountAN)) + int(Count(msg, CountNS))
	total := answers + int(Count(msg, CountAR))
	for i := range total {
		start := off
		off, ok = SkipName(msg, off)
		if !ok || off+10 > len(msg) {
			return e, sig, false
		}
		typ := binary.BigEndian.Uint16(msg[off:])
		end := off + 10 + int(binary.BigEndian.Uint16(msg[off+8:]))
		if end > len(msg) {
			return e, sig, false
		}
		switch typ {
		case TypeOPT:
			// What the data of another version looks like is not ours to know
			// (RFC 6891 section 6.1.3).
			if e.Present || i < answers || msg[start] != 0 || msg[off+5] == 0 && !validOptions(msg[off+10:end]) {
				return e, sig, false
			}
			e = readOPT(msg[off:end:end])
		case TypeTSIG:
			if sig, ok = readTSIG(msg, start, off, end); !ok || i < answers || i < total-1 {
				return e, sig, false
			}
		}
		off = end
	}
	return e, sig, off == len(msg)
}

// readOPT reads an OPT record from its type on.
func readOPT(rr []byte) EDNS {
	flags := binary.BigEndian.Uint16(rr[6:])
	return EDNS{
		Present: true,
		Size:    binary.BigEndian.Uint16(rr[2:]),
		Version: rr[5],
		Flags:   flags,
		DO:      flags&0x8000 != 0,
		Options: rr[10:],
	}
}

func validOptions(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// Option finds the first option with the given code.
func (e *EDNS) Option(code uint16) (data []byte, ok bool) {
	for b := e.Options; len(b) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return nil, false
		}
		if binary.BigEndian.Uint16(b) == code {
			return b[4:n], true
		}
		b = b[n:]
	}
	return nil, false
}

// AppendOPT appends an OPT record that carries options, which are already in
// wire form. extRCode is the upper eight bits of the response code.
func AppendOPT(dst []byte, size uint16, extRCode uint8, do bool, options []byte) []byte {
	var flags byte
	if do {
		flags = 0x80
	}
	dst = append(dst, 0, 0, byte(TypeOPT), byte(size>>8), byte(size), extRCode, 0, flags, 0,
		byte(len(options)>>8), byte(len(options)))
	return append(dst, options...)
}

// AppendOption appends one EDNS option to a list of them.
func AppendOption(dst []byte, code uint16, data ...[]byte) []byte {
	n := 0
	for _, d := range data {
		n += len(d)
	}
	dst = append(dst, byte(code>>8), byte(code), byte(n>>8), byte(n))
	for _, d := range data {
		dst = append(dst, d...)
	}
	return dst
}
