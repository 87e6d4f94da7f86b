//go:build interop

package interop

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// signedText is the zone that each kind of signed zone is made of: wildcards at
// two depths, empty non-terminals, delegations with and without DS, aliases by
// every kind of way, and names for each proof of absence.
const signedText = `$TTL 300
@ SOA ns hostmaster 1 3600 300 2419200 60
@ NS ns
@ NS ns.elsewhere.test.
@ MX 10 mail
ns A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
host A 192.0.2.3
host TXT "text"
*.wild A 192.0.2.4
a.b.ent A 192.0.2.5
*.sub.wild A 192.0.2.6
there.wild TXT "beside the wildcard"
secure NS ns.secure
ns.secure A 192.0.2.7
secure DS 12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
plain NS ns.plain
ns.plain A 192.0.2.8
deep.er.plain2 NS ns.elsewhere.test.
alias CNAME host
gone CNAME nowhere
tocut CNAME www.plain
*.alias2 CNAME host
old DNAME wild
chain CNAME x.old
srv SRV 0 0 443 mail
`

// denials are the kinds of proof of absence, with the flags that dnssec-signzone
// makes them by.
var denials = map[string][]string{
	"nsec":   nil,
	"nsec3":  {"-3", "-", "-H", "0"},
	"salted": {"-3", "AABBCCDD", "-H", "5"},
	"optout": {"-3", "-", "-H", "0", "-A"},
}

// signedZones makes a zone of each kind of denial.
func signedZones(t *testing.T) []zone {
	t.Helper()
	dir := t.TempDir()
	var zones []zone
	for _, denial := range slices.Sorted(maps.Keys(denials)) {
		origin := denial + ".example."
		zones = append(zones, sign(t, dir, origin, denial, "$ORIGIN "+origin, signedText))
	}
	return zones
}

// sign signs the zone that lines are with BIND's tools, and writes it to dir.
func sign(t *testing.T, dir, origin, denial string, lines ...string) zone {
	t.Helper()
	text := write(t, dir, origin+"text", lines...)
	keys := filepath.Join(dir, origin+"keys")
	if err := os.Mkdir(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, use := range [][]string{{}, {"-f", "KSK"}} {
		output(t, "dnssec-keygen", append(use, "-q", "-a", "ECDSAP256SHA256", "-K", keys, origin)...)
	}
	signed := filepath.Join(dir, origin+"signed")
	args := append([]string{"-q", "-S", "-K", keys, "-d", dir, "-o", origin, "-f", signed}, denials[denial]...)
	output(t, "dnssec-signzone", append(args, text)...)
	plain := output(t, "named-compilezone", "-q", "-j", "-i", "none", "-k", "ignore", "-o", "-", origin, signed)
	if !strings.Contains(plain, "RRSIG") {
		t.Fatalf("%s is not signed", origin)
	}
	return zone{origin, write(t, dir, origin+"signed.zone", plain)}
}
