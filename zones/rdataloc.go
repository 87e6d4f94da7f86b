package zones

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"
)

var errLocation = errors.New("data holds a size, precision or angle out of range")

// location reads the data of a LOC record (RFC 1876 section 3), to the hundredth
// of a meter and the thousandth of a second that it has room for. miekg/dns takes
// more digits than that, and loses some of those on the way through a float. The
// token in hand is the first one.
func (s *scanner) location() error {
	latitude, err := s.angle(90, 'n', 's')
	if err != nil {
		return err
	}
	longitude, err := s.angle(180, 'e', 'w')
	if err != nil {
		return err
	}
	tok, below := bytes.CutPrefix(s.tok, []byte{'-'})
	if !below {
		tok = bytes.TrimPrefix(tok, []byte{'+'})
	}
	cm, ok := parseMeters(tok)
	altitude := int64(cm)
	if below {
		altitude = -altitude
	}
	altitude += 100_000_00 // counted from 100 km below the reference spheroid
	if !ok || s.quoted || altitude < 0 || altitude > 1<<32-1 {
		return s.errorf("LOC: %s is no altitude: want meters from -100000.00 to 42849672.95", s.show())
	}
	// Size 1 m, horizontal precision 10000 m and vertical precision 10 m, unless told.
	s.data = append(s.data, 0, 0x12, 0x16, 0x13)
	s.data = binary.BigEndian.AppendUint32(s.data, latitude)
	s.data = binary.BigEndian.AppendUint32(s.data, longitude)
	s.data = binary.BigEndian.AppendUint32(s.data, uint32(altitude))
	for i := 1; i <= 3 && s.next(); i++ {
		cm, ok := parseMeters(s.tok)
		if !ok || s.quoted || cm > 90_000_000_00 {
			return s.errorf("LOC: %s is no size or precision: want meters from 0 to 90000000.00", s.show())
		}
		var power byte
		for ; cm > 9; cm /= 10 {
			power++
		}
		s.data[i] = byte(cm)<<4 | power
	}
	return s.err
}

// checkLocation checks LOC data: of another version than 0, anything may stand
// behind the version (RFC 1876 section 2).
func checkLocation(data []byte) error {
	switch {
	case len(data) == 0:
		return errShortData
	case data[0] != 0:
		return nil
	case len(data) < 16:
		return errShortData
	case len(data) > 16:
		return errLongData
	}
	for _, size := range data[1:4] {
		if size>>4 > 9 || size&0xF > 9 {
			return errLocation
		}
	}
	for i, degrees := range []uint32{90, 180} {
		const equator = 1 << 31
		angle := binary.BigEndian.Uint32(data[4+4*i:])
		if angle < equator-degrees*3_600_000 || angle > equator+degrees*3_600_000 {
			return errLocation
		}
	}
	return nil
}

// angle reads degrees, minutes and seconds, the latter two if they are there, and
// the direction; it leaves off at the token behind it.
func (s *scanner) angle(degrees uint64, positive, negative byte) (uint32, error) {
	const equator = 1 << 31
	var sum uint64 // thousandths of a second
	for _, part := range []struct {
		scale, limit uint64
		decimals     int
	}{{3_600_000, degrees, 0}, {60_000, 59, 0}, {1, 59_999, 3}} {
		v, ok := parseDecimal(s.tok, part.decimals)
		if !ok || s.quoted || v > part.limit {
			return 0, s.errorf("LOC: %s: want degrees up to %d, minutes, seconds with three decimals at most, and %c or %c",
				s.show(), degrees, positive-0x20, negative-0x20)
		}
		sum += v * part.scale
		if !s.next() {
			return 0, s.missing("more of the " + typeName(dns.TypeLOC) + " data")
		}
		if len(s.tok) != 1 || s.quoted {
			continue
		}
		direction := s.tok[0] | 0x20
		if direction != positive && direction != negative {
			continue
		}
		if sum > degrees*3_600_000 {
			return 0, s.errorf("LOC: an angle of more than %d degrees", degrees)
		}
		if !s.next() {
			return 0, s.missing("more of the " + typeName(dns.TypeLOC) + " data")
		}
		if direction == negative {
			return equator - uint32(sum), nil
		}
		return equator + uint32(sum), nil
	}
	return 0, s.errorf("LOC: %s: want %c or %c", s.show(), positive-0x20, negative-0x20)
}

// parseMeters reads meters, with two decimals at most and a unit or none, as
// centimeters.
func parseMeters(tok []byte) (uint64, bool) {
	return parseDecimal(bytes.TrimSuffix(tok, []byte{'m'}), 2)
}

// parseDecimal reads a number with so many decimals at most, scaled so that it is
// a whole one.
func parseDecimal(tok []byte, decimals int) (uint64, bool) {
	whole, fraction, dot := bytes.Cut(tok, []byte{'.'})
	if len(whole)+len(fraction) == 0 || len(whole) > 12 || dot && decimals == 0 || len(fraction) > decimals {
		return 0, false
	}
	var n uint64
	for _, digits := range [][]byte{whole, fraction} {
		for _, c := range digits {
			if c-'0' > 9 {
				return 0, false
			}
			n = n*10 + uint64(c-'0')
		}
	}
	for range decimals - len(fraction) {
		n *= 10
	}
	return n, true
}
