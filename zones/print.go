package zones

import (
	"bufio"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// maxOwnerColumn is how wide the column of the owners grows.
const maxOwnerColumn = 40

// Print writes the zone as a master file: $ORIGIN, then a record a line, the SOA
// first and the others in canonical order, with owners relative to the zone and
// names in the data absolute. The text is the same for the same records, and
// FileSource reads it back to the same zone; BIND, NSD and Knot read it too. Types
// that one of them may not know are written as RFC 3597 section 5 says.
func Print(w io.Writer, z *Zone) error {
	out := bufio.NewWriter(w)
	width := 1
	for i := range z.nodes {
		width = max(width, len(appendOwner(nil, z.name(uint32(i)), z.origin)))
	}
	width = min(width, maxOwnerColumn)
	line := append(appendNameText([]byte("$ORIGIN "), z.origin), '\n')
	if _, err := out.Write(line); err != nil {
		return err
	}
	for r := range z.Records() {
		line = appendOwner(line[:0], r.Owner, z.origin)
		line = pad(line, width)
		line = appendRecord(append(line, ' '), &r)
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}

// appendRecord appends TTL, class, type and data.
func appendRecord(dst []byte, r *Record) []byte {
	mark := len(dst)
	dst = pad(strconv.AppendUint(dst, uint64(r.TTL), 10), mark+6)
	dst = append(dst, " IN "...)
	mark = len(dst)
	dst = pad(append(dst, portableType(r.Type)...), mark+6)
	return appendDataText(append(dst, ' '), r.Type, r.Data)
}

// pad appends blanks up to length n.
func pad(dst []byte, n int) []byte {
	for len(dst) < n {
		dst = append(dst, ' ')
	}
	return dst
}

// appendOwner appends a name in the zone, relative to it.
func appendOwner(dst []byte, name, origin wire.Name) []byte {
	switch n := len(name) - len(origin); {
	case n == 0:
		return append(dst, '@')
	case len(origin) == 1:
		return appendNameText(dst, name)
	default:
		dst = appendNameText(dst, append(name[:n:n], 0))
		return dst[:len(dst)-1]
	}
}

// appendNameText is wire.AppendText with \DDD for all but a few octets: Knot takes
// no others as they are, and BIND and NSD read \[ as a bit label (RFC 2673).
func appendNameText(dst, name []byte) []byte {
	if len(name) == 1 {
		return append(dst, '.')
	}
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		for _, c := range name[i+1 : i+1+int(name[i])] {
			switch {
			case (c|0x20)-'a' < 26 || c-'0' < 10 || c == '-' || c == '_' || c == '*' || c == '/':
				dst = append(dst, c)
			default:
				dst = appendDecimalEscape(dst, c)
			}
		}
		dst = append(dst, '.')
	}
	return dst
}

func appendDecimalEscape(dst []byte, c byte) []byte {
	return append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
}

// portable says whether BIND 9.18, NSD 4.6 and Knot 3.2 all know a type by name.
func portable(t uint16) bool {
	switch t {
	case dns.TypeMD, dns.TypeMF, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypeX25, dns.TypeISDN, dns.TypePX, dns.TypeGPOS,
		typeWKS, typeNSAP, dns.TypeNSAPPTR, dns.TypeSIG, dns.TypeNXT, dns.TypeEID, dns.TypeNIMLOC, dns.TypeATMA, typeA6,
		typeSINK, dns.TypeHIP, dns.TypeNINFO, dns.TypeRKEY, dns.TypeTALINK, typeDSYNC, typeHHIT, typeBRID, dns.TypeAVC,
		typeDOA, dns.TypeAMTRELAY, dns.TypeRESINFO, typeWALLET, dns.TypeTA, dns.TypeDLV:
		return false
	}
	return layoutOf(t) != nil
}

// portableOther are the types that are written as miekg/dns writes them.
func portableOther(t uint16) bool {
	switch t {
	case dns.TypeLOC, dns.TypeAPL, dns.TypeIPSECKEY,
		dns.TypeEUI48, dns.TypeEUI64:
		return true
	}
	return false
}

// portableType is the mnemonic of a portable type, TYPEn for the others.
func portableType(t uint16) string {
	if portable(t) {
		return typeName(t)
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// appendDataText appends data in presentation form, and as \# where that is not
// portable.
func appendDataText(dst []byte, rrtype uint16, data []byte) []byte {
	if portableOther(rrtype) {
		if text, ok := otherText(rrtype, data); ok {
			return append(dst, text...)
		}
	} else if portable(rrtype) {
		if out, ok := appendFields(dst, rrtype, data); ok {
			return out
		}
	}
	dst = strconv.AppendInt(append(dst, `\# `...), int64(len(data)), 10)
	if len(data) == 0 {
		return dst
	}
	return hex.AppendEncode(append(dst, ' '), data)
}

// appendFields appends the fields of a type that has a layout.
func appendFields(dst []byte, rrtype uint16, data []byte) (out []byte, ok bool) {
	if checkData(rrtype, data) != nil {
		return dst, false
	}
	for i, f := range layoutOf(rrtype) {
		n, _ := fieldLen(f, data)
		if n == 0 && (f == fieldMore || f == fieldParams) {
			break
		}
		if f == fieldTypes {
			if n == 0 && rrtype == dns.TypeNSEC {
				return dst, false
			}
			dst = appendTypes(dst, data)
		} else {
			if i > 0 && f != fieldParams {
				dst = append(dst, ' ')
			}
			dst = appendField(dst, f, data[:n])
		}
		data = data[n:]
	}
	return dst, true
}

func appendField(dst []byte, f field, data []byte) []byte {
	switch f {
	case fieldName:
		return appendNameText(dst, data)
	case fieldIPv4, fieldIPv6:
		a, _ := netip.AddrFromSlice(data)
		return a.AppendTo(dst)
	case field8, fieldAlg:
		return strconv.AppendUint(dst, uint64(data[0]), 10)
	case field16, fieldCert:
		return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint16(data)), 10)
	case field32, fieldPeriod:
		return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(data)), 10)
	case fieldTime:
		return time.Unix(int64(binary.BigEndian.Uint32(data)), 0).UTC().AppendFormat(dst, "20060102150405")
	case fieldLocator:
		for i := 0; i < 8; i += 2 {
			dst = fmt.Appendf(dst, "%04x:", binary.BigEndian.Uint16(data[i:]))
		}
		return dst[:len(dst)-1]
	case fieldType:
		return append(dst, portableType(binary.BigEndian.Uint16(data))...)
	case fieldString, fieldMore:
		return appendQuoted(dst, data[1:])
	case fieldStrings:
		for i := 0; i < len(data); i += 1 + int(data[i]) {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = appendQuoted(dst, data[i+1:i+1+int(data[i])])
		}
		return dst
	case fieldTag:
		return append(dst, data[1:]...)
	case fieldRest:
		return appendQuoted(dst, data)
	case fieldHex:
		return hex.AppendEncode(dst, data)
	case fieldBase64:
		return base64.StdEncoding.AppendEncode(dst, data)
	case fieldSalt:
		if len(data) == 1 {
			return append(dst, '-')
		}
		return hex.AppendEncode(dst, data[1:])
	case fieldParams:
		return appendParams(dst, data)
	case fieldHash:
		return base32.HexEncoding.WithPadding(base32.NoPadding).AppendEncode(dst, data[1:])
	}
	return dst
}

func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c >= 0x7F:
			dst = appendDecimalEscape(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendTypes appends the types of a valid bitmap, a blank before each.
func appendTypes(dst, bitmap []byte) []byte {
	for len(bitmap) > 0 {
		n := 2 + int(bitmap[1])
		for i, octet := range bitmap[2:n] {
			for bit := range 8 {
				if octet&(0x80>>bit) != 0 {
					t := uint16(bitmap[0])<<8 | uint16(i*8+bit)
					dst = append(append(dst, ' '), portableType(t)...)
				}
			}
		}
		bitmap = bitmap[n:]
	}
	return dst
}
