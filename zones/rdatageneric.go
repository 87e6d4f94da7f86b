package zones

import "math"

// genericData reads data in the form \# length hexadecimal (RFC 3597 section 5).
// The token in hand is \#. For a known type the data must be valid.
func (s *scanner) genericData(rrtype uint16) error {
	if !s.next() {
		return s.missing(`the length of the \# data`)
	}
	n, ok := parseUint(s.tok, math.MaxUint16)
	if !ok || s.quoted {
		return s.errorf("%s is no length from 0 to %d", s.show(), math.MaxUint16)
	}
	s.tok = nil
	if err := s.hexData(); err != nil {
		return err
	}
	if len(s.data) != int(n) {
		return s.errorf(`\# says %d octets, and %d follow`, n, len(s.data))
	}
	if err := checkData(rrtype, s.data); err != nil {
		return s.errorf("%s: %w", typeName(rrtype), err)
	}
	return nil
}
