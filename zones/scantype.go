package zones

import "github.com/miekg/dns"

// The types that miekg/dns has no name for.
const (
	typeWKS    = 11
	typeNSAP   = 22
	typeA6     = 38
	typeSINK   = 40
	typeDSYNC  = 66
	typeHHIT   = 67
	typeBRID   = 68
	typeDOA    = 259
	typeWALLET = 262
)

// isMeta says whether a type is one of queries and messages only.
func isMeta(t uint16) bool { return t == 0 || t == dns.TypeOPT || t >= 128 && t < 256 }

// parseType reads a type's mnemonic, or TYPEn (RFC 3597 section 5).
func parseType(tok []byte) (uint16, bool) {
	var space [16]byte
	if len(tok) == 0 || len(tok) > len(space) {
		return 0, false
	}
	up := space[:len(tok)]
	for i, c := range tok {
		if c-'a' < 26 {
			c -= 0x20
		}
		up[i] = c
	}
	switch string(up) {
	case "A":
		return dns.TypeA, true
	case "AAAA":
		return dns.TypeAAAA, true
	case "CNAME":
		return dns.TypeCNAME, true
	case "NS":
		return dns.TypeNS, true
	}
	if t, ok := dns.StringToType[string(up)]; ok {
		return t, true
	}
	if len(up) > 4 && string(up[:4]) == "TYPE" {
		n, ok := parseUint(up[4:], 1<<16-1)
		return uint16(n), ok
	}
	switch string(up) {
	case "WKS":
		return typeWKS, true
	case "NSAP":
		return typeNSAP, true
	case "A6":
		return typeA6, true
	case "SINK":
		return typeSINK, true
	case "DSYNC":
		return typeDSYNC, true
	case "HHIT":
		return typeHHIT, true
	case "BRID":
		return typeBRID, true
	case "DOA":
		return typeDOA, true
	case "WALLET":
		return typeWALLET, true
	}
	return 0, false
}

// typeName is a type's mnemonic, or TYPEn.
func typeName(t uint16) string {
	switch t {
	case typeWKS:
		return "WKS"
	case typeNSAP:
		return "NSAP"
	case typeA6:
		return "A6"
	case typeSINK:
		return "SINK"
	case typeDSYNC:
		return "DSYNC"
	case typeHHIT:
		return "HHIT"
	case typeBRID:
		return "BRID"
	case typeDOA:
		return "DOA"
	case typeWALLET:
		return "WALLET"
	}
	return dns.Type(t).String()
}
