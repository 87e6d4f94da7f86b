package zones

// parseIPv4 reads four decimal numbers without leading zeros, into 4 octets.
func parseIPv4(dst, tok []byte) bool {
	part, digits, n := 0, 0, 0
	for i := 0; ; i++ {
		if i == len(tok) || tok[i] == '.' {
			if digits == 0 || part == 4 {
				return false
			}
			dst[part] = byte(n)
			part, digits, n = part+1, 0, 0
			if i == len(tok) {
				return part == 4
			}
			continue
		}
		d := int(tok[i]) - '0'
		if d < 0 || d > 9 || digits > 0 && n == 0 {
			return false
		}
		if n = n*10 + d; n > 255 {
			return false
		}
		digits++
	}
}

// parseIPv6 reads an address in the forms of RFC 4291 section 2.2, without zone.
func parseIPv6(dst *[16]byte, tok []byte) bool {
	n, gap := 0, -1
	if len(tok) >= 2 && tok[0] == ':' && tok[1] == ':' {
		gap = 0
		tok = tok[2:]
	}
	for len(tok) > 0 {
		digits, v := 0, 0
		for digits < len(tok) && digits < 5 {
			h, ok := hexDigit(tok[digits])
			if !ok {
				break
			}
			v = v<<4 | h
			digits++
		}
		if digits < len(tok) && tok[digits] == '.' {
			if n > 12 || !parseIPv4(dst[n:n+4], tok) {
				return false
			}
			n += 4
			break
		}
		if digits == 0 || digits > 4 || n == 16 {
			return false
		}
		dst[n], dst[n+1] = byte(v>>8), byte(v)
		n += 2
		if tok = tok[digits:]; len(tok) == 0 {
			break
		}
		if tok[0] != ':' || len(tok) == 1 {
			return false
		}
		if tok = tok[1:]; tok[0] == ':' {
			if gap >= 0 {
				return false
			}
			gap = n
			tok = tok[1:]
		}
	}
	if gap < 0 {
		return n == 16
	}
	if n == 16 {
		return false
	}
	moved := 16 - n
	copy(dst[gap+moved:], dst[gap:n])
	clear(dst[gap : gap+moved])
	return true
}

func hexDigit(c byte) (int, bool) {
	switch {
	case c-'0' < 10:
		return int(c - '0'), true
	case (c|0x20)-'a' < 6:
		return int((c|0x20)-'a') + 10, true
	}
	return 0, false
}
