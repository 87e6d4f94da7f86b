package zones

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

var errNotCanonical = errors.New("data is malformed, or not in its one form on the wire")

// otherText is what miekg/dns writes, where we read it back to the same data.
func otherText(rrtype uint16, data []byte) (string, bool) {
	if len(data) == 0 {
		return "", false
	}
	rr, err := unpackOther(rrtype, data)
	if err != nil {
		return "", false
	}
	text := strings.TrimSpace(strings.TrimPrefix(rr.String(), rr.Header().String()))
	same := false
	err = TextSource("", []byte(". 0 IN "+typeName(rrtype)+" "+text+"\n"), wire.Root()).Records(func(r Record) error {
		same = r.Type == rrtype && bytes.Equal(r.Data, data)
		return nil
	})
	return text, err == nil && same
}

// packOther is the data of rr in wire form, without compression.
func packOther(rr dns.RR) ([]byte, error) {
	buf := make([]byte, wire.MaxName+10+math.MaxUint16)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	off, ok := wire.SkipName(buf[:end], 0)
	if !ok || off+10 > end {
		return nil, errNotCanonical
	}
	return buf[off+10 : end], nil
}

// unpackOther makes a record of uncompressed data, with the root as its owner.
func unpackOther(rrtype uint16, data []byte) (dns.RR, error) {
	h := dns.RR_Header{Name: ".", Rrtype: rrtype, Class: dns.ClassINET, Rdlength: uint16(len(data))}
	rr, end, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil {
		return nil, err
	}
	if end != len(data) {
		return nil, errNotCanonical
	}
	return rr, nil
}

// appendParams appends valid parameters of SVCB, a blank before each: by name if
// BIND, NSD and Knot all know it, and their values so that these agree on them.
func appendParams(dst, data []byte) []byte {
	for len(data) > 0 {
		key, n := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		value := data[4 : 4+n]
		data = data[4+n:]
		dst = append(dst, ' ')
		if key > keyIPv6Hint || key == keyECH && n == 0 {
			dst = strconv.AppendUint(append(dst, "key"...), uint64(key), 10)
		} else {
			dst = append(dst, paramName(key)...)
		}
		if n > 0 {
			dst = appendQuoted(append(dst, '='), paramText(key, value))
		}
	}
	return dst
}

// paramText is what paramValue reads to the same value.
func paramText(key uint16, value []byte) []byte {
	var items []string
	switch key {
	case keyMandatory:
		for ; len(value) > 0; value = value[2:] {
			items = append(items, paramName(binary.BigEndian.Uint16(value)))
		}
	case keyALPN:
		escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
		for len(value) > 0 {
			n := 1 + int(value[0])
			items = append(items, escape.Replace(string(value[1:n])))
			value = value[n:]
		}
	case keyPort:
		items = append(items, strconv.Itoa(int(binary.BigEndian.Uint16(value))))
	case keyIPv4Hint, keyIPv6Hint:
		width := 4
		if key == keyIPv6Hint {
			width = 16
		}
		for ; len(value) > 0; value = value[width:] {
			addr, _ := netip.AddrFromSlice(value[:width])
			items = append(items, addr.String())
		}
	case keyECH:
		items = append(items, base64.StdEncoding.EncodeToString(value))
	default:
		return value
	}
	return []byte(strings.Join(items, ","))
}
