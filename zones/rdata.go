package zones

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// field is one field of a type's data. One table of fields per type serves the
// reader of text (rdatatext.go), the printer (print.go) and the validator
// (rdatacheck.go). Some types are one field from their first octet, or from
// behind a number, to the end: those have files of their own.
type field uint8

const (
	fieldName     field = iota + 1 // domain name
	fieldIPv4                      // address, 4 octets
	fieldIPv6                      // address, 16 octets
	field8                         // unsigned number
	field16                        // unsigned number
	field32                        // unsigned number
	fieldPeriod                    // 32 bits: seconds, in text with units too
	fieldTime                      // 32 bits: YYYYMMDDHHmmSS, or seconds since 1970
	fieldLocator                   // 8 octets: four groups of hexadecimal digits (RFC 6742)
	fieldType                      // 16 bits: type mnemonic
	fieldAlg                       // 8 bits: DNSSEC algorithm, number or mnemonic
	fieldCert                      // 16 bits: certificate type, number or mnemonic (RFC 4398)
	fieldString                    // character-string
	fieldMore                      // character-string, or nothing at the end of the data
	fieldStrings                   // one or more character-strings, to the end
	fieldTag                       // character-string of letters and digits, without quotes
	fieldRest                      // one character-string without its length, to the end
	fieldHex                       // hexadecimal, may be split, to the end
	fieldBase64                    // base64, may be split, to the end
	fieldSalt                      // hexadecimal or "-", with a length octet
	fieldHash                      // base32hex (RFC 5155), with a length octet
	fieldTypes                     // type bitmap (RFC 4034 section 4.1.2), to the end
	fieldOldTypes                  // type bitmap of NXT, to the end
	fieldScheme                    // 8 bits: scheme of DSYNC, number or mnemonic
	fieldEUI48                     // 6 octets with hyphens between them
	fieldEUI64                     // 8 octets with hyphens between them
	fieldDigital                   // base64 or "-" for none, to the end (DOA)
	fieldNSAP                      // NSAP address, to the end
	fieldATM                       // ATM address, to the end
	fieldA6                        // prefix length, address, name, to the end
	fieldServices                  // protocol and ports of WKS, to the end
	fieldPrefixes                  // address prefixes of APL, or none, to the end
	fieldLocation                  // all of LOC
	fieldIPSec                     // IPSECKEY behind its precedence
	fieldRelay                     // AMTRELAY behind its precedence
	fieldHIP                       // all of HIP
	fieldParams                    // parameters of SVCB, or none, to the end
)

// layouts has the fields of the types whose data is known; that of all others is
// written \# length hexadecimal. It is never written to.
//
// To add a type: its line here, with a case in TestRDataText.
var layouts = [...][]field{
	dns.TypeA:          {fieldIPv4},
	dns.TypeNS:         {fieldName},
	dns.TypeMD:         {fieldName},
	dns.TypeMF:         {fieldName},
	dns.TypeCNAME:      {fieldName},
	dns.TypeSOA:        {fieldName, fieldName, field32, fieldPeriod, fieldPeriod, fieldPeriod, fieldPeriod},
	dns.TypeMB:         {fieldName},
	dns.TypeMG:         {fieldName},
	dns.TypeMR:         {fieldName},
	dns.TypePTR:        {fieldName},
	dns.TypeHINFO:      {fieldString, fieldString},
	dns.TypeMINFO:      {fieldName, fieldName},
	dns.TypeMX:         {field16, fieldName},
	dns.TypeTXT:        {fieldStrings},
	dns.TypeRP:         {fieldName, fieldName},
	dns.TypeAFSDB:      {field16, fieldName},
	dns.TypeX25:        {fieldString},
	dns.TypeISDN:       {fieldString, fieldMore},
	dns.TypeRT:         {field16, fieldName},
	dns.TypeKEY:        {field16, field8, fieldAlg, fieldBase64},
	dns.TypePX:         {field16, fieldName, fieldName},
	dns.TypeGPOS:       {fieldString, fieldString, fieldString},
	dns.TypeAAAA:       {fieldIPv6},
	dns.TypeSRV:        {field16, field16, field16, fieldName},
	dns.TypeNAPTR:      {field16, field16, fieldString, fieldString, fieldString, fieldName},
	dns.TypeKX:         {field16, fieldName},
	dns.TypeCERT:       {fieldCert, field16, fieldAlg, fieldBase64},
	dns.TypeDNAME:      {fieldName},
	dns.TypeDS:         {field16, fieldAlg, field8, fieldHex},
	dns.TypeSSHFP:      {field8, field8, fieldHex},
	dns.TypeRRSIG:      {fieldType, fieldAlg, field8, fieldPeriod, fieldTime, fieldTime, field16, fieldName, fieldBase64},
	dns.TypeNSEC:       {fieldName, fieldTypes},
	dns.TypeDNSKEY:     {field16, field8, fieldAlg, fieldBase64},
	dns.TypeDHCID:      {fieldBase64},
	dns.TypeNSEC3:      {field8, field8, field16, fieldSalt, fieldHash, fieldTypes},
	dns.TypeNSEC3PARAM: {field8, field8, field16, fieldSalt},
	dns.TypeTLSA:       {field8, field8, field8, fieldHex},
	dns.TypeSMIMEA:     {field8, field8, field8, fieldHex},
	dns.TypeCDS:        {field16, fieldAlg, field8, fieldHex},
	dns.TypeCDNSKEY:    {field16, field8, fieldAlg, fieldBase64},
	dns.TypeOPENPGPKEY: {fieldBase64},
	dns.TypeCSYNC:      {field32, field16, fieldTypes},
	dns.TypeZONEMD:     {field32, field8, field8, fieldHex},
	dns.TypeSPF:        {fieldStrings},
	dns.TypeNID:        {field16, fieldLocator},
	dns.TypeL32:        {field16, fieldIPv4},
	dns.TypeL64:        {field16, fieldLocator},
	dns.TypeLP:         {field16, fieldName},
	dns.TypeURI:        {field16, field16, fieldRest},
	dns.TypeCAA:        {field8, fieldTag, fieldRest},
	typeWKS:            {fieldIPv4, fieldServices},
	typeNSAP:           {fieldNSAP},
	dns.TypeNSAPPTR:    {fieldName},
	dns.TypeSIG:        {fieldType, fieldAlg, field8, fieldPeriod, fieldTime, fieldTime, field16, fieldName, fieldBase64},
	dns.TypeLOC:        {fieldLocation},
	dns.TypeNXT:        {fieldName, fieldOldTypes},
	dns.TypeEID:        {fieldHex},
	dns.TypeNIMLOC:     {fieldHex},
	dns.TypeATMA:       {fieldATM},
	typeA6:             {fieldA6},
	typeSINK:           {field8, field8, field8, fieldBase64},
	dns.TypeAPL:        {fieldPrefixes},
	dns.TypeIPSECKEY:   {field8, fieldIPSec},
	dns.TypeHIP:        {fieldHIP},
	dns.TypeNINFO:      {fieldStrings},
	dns.TypeRKEY:       {field16, field8, fieldAlg, fieldBase64},
	dns.TypeTALINK:     {fieldName, fieldName},
	dns.TypeSVCB:       {field16, fieldName, fieldParams},
	dns.TypeHTTPS:      {field16, fieldName, fieldParams},
	typeDSYNC:          {fieldType, fieldScheme, field16, fieldName},
	typeHHIT:           {fieldBase64},
	typeBRID:           {fieldBase64},
	dns.TypeEUI48:      {fieldEUI48},
	dns.TypeEUI64:      {fieldEUI64},
	dns.TypeAVC:        {fieldStrings},
	typeDOA:            {field32, field32, field8, fieldString, fieldDigital},
	dns.TypeAMTRELAY:   {field8, fieldRelay},
	dns.TypeRESINFO:    {fieldStrings},
	typeWALLET:         {fieldStrings},
}

// layoutOf is the fields of a type's data, nil where they are not known here.
func layoutOf(rrtype uint16) []field {
	if int(rrtype) < len(layouts) {
		return layouts[rrtype]
	}
	if rrtype == dns.TypeTA || rrtype == dns.TypeDLV {
		return layouts[dns.TypeDS]
	}
	return nil
}

// width is the octets of a field of fixed length, 0 for the others.
func (f field) width() int {
	switch f {
	case field8, fieldAlg, fieldScheme:
		return 1
	case field16, fieldType, fieldCert:
		return 2
	case field32, fieldPeriod, fieldTime, fieldIPv4:
		return 4
	case fieldEUI48:
		return 6
	case fieldLocator, fieldEUI64:
		return 8
	case fieldIPv6:
		return 16
	}
	return 0
}

// mayLack says whether the data may end before a field.
func (f field) mayLack() bool {
	switch f {
	case fieldTypes, fieldOldTypes, fieldMore, fieldPrefixes, fieldParams:
		return true // a name may have no types (RFC 5155 section 7.1), a list no item (RFC 3123 section 4)
	}
	return false
}

// digestOf says where in valid data a digest begins, behind the octet of its type,
// and how long it is; 0 where the digest type is not known.
func digestOf(rrtype uint16, data []byte) (off, length int) {
	var lengths []int
	switch rrtype {
	case dns.TypeDS, dns.TypeCDS, dns.TypeTA, dns.TypeDLV: // RFC 4034 section 5.1.4, RFC 4509, RFC 5933, RFC 6605
		off, lengths = 4, []int{1: 20, 2: 32, 3: 32, 4: 48}
	case dns.TypeSSHFP: // RFC 4255 section 3.1.2, RFC 6594
		off, lengths = 2, []int{1: 20, 2: 32}
	case dns.TypeZONEMD: // RFC 8976 section 2.2.3
		off, lengths = 6, []int{1: 48, 2: 64}
	default:
		return 0, 0
	}
	if t := int(data[off-1]); t < len(lengths) {
		length = lengths[t]
	}
	return off, length
}

// soaMinimum is the MINIMUM field of valid SOA data.
func soaMinimum(data []byte) uint32 { return binary.BigEndian.Uint32(data[len(data)-4:]) }
