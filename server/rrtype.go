package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ParseType reads a query type by its name, in any case, or as TYPE65280 (RFC 3597
// section 5).
func ParseType(text string) (uint16, error) {
	upper := strings.ToUpper(text)
	if t, ok := dns.StringToType[upper]; ok && t != dns.TypeNone {
		return t, nil
	}
	if number, ok := strings.CutPrefix(upper, "TYPE"); ok {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			return uint16(n), nil
		}
	}
	known := slices.Sorted(maps.Keys(dns.StringToType))
	return 0, fmt.Errorf("unknown query type %q%s: write one such as A, or TYPE65280", text, Suggest(upper, known))
}
