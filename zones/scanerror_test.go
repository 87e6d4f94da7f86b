package zones

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scanErrors are entries that are refused, with a part of the message each. All
// of BIND, NSD and Knot refuse them, but for those that docs/zonefile.md tells of.
var scanErrors = []struct{ text, want string }{
	{"a", "the record ends where a type should stand"},
	{"a 300", "a type should stand"},
	{"a IN", "a type should stand"},
	{"a A", "the data of the A record"},
	{"a MX 10", "more of the MX data"},
	{"a A 192.0.2.1 x", "more data than a record of type A has"},
	{"a FOO x", `unknown type "FOO"`},
	{"a IN IN A 192.0.2.1", `unknown type "IN"`},
	{"a 300 300 A 192.0.2.1", `unknown type "300"`},
	{"a 300 IN 300 A 192.0.2.1", `unknown type "300"`},
	{"a CH A 192.0.2.1", "class CH"},
	{"a CLASS3 A 192.0.2.1", "class CLASS3"},
	{"a NONE A 192.0.2.1", "class NONE"},
	{"a CLASS65536 A 192.0.2.1", `unknown type "CLASS65536"`},
	{"a 4294967296 A 192.0.2.1", "is no TTL"},
	{"a 1h30 A 192.0.2.1", "is no TTL"},
	{"a 1y A 192.0.2.1", "is no TTL"},
	{"a 7102w A 192.0.2.1", "is no TTL"},
	{"a -1 A 192.0.2.1", "unknown type"},
	{"a h A 192.0.2.1", "unknown type"},
	{`a "300" A 192.0.2.1`, "unknown type"},
	{`a "A" 192.0.2.1`, "unknown type"},
	{`a CNAME "b"`, "a name is written without quotes"},
	{`a A "192.0.2.1"`, "only text is quoted"},
	{`"" A 192.0.2.1`, "empty name"},
	{"a..b A 192.0.2.1", "empty label"},
	{".a A 192.0.2.1", "empty label"},
	{strings.Repeat("a", 64) + " A 192.0.2.1", "label longer than 63"},
	{strings.Repeat(strings.Repeat("a", 63)+".", 4) + " A 192.0.2.1", "name longer than 255"},
	{strings.Repeat("a.", 125) + "b A 192.0.2.1", "name longer than 255"},
	{`a\256 A 192.0.2.1`, "bad escape"},
	{`a\25 A 192.0.2.1`, "bad escape"},
	{`a TXT \2x`, "bad escape"},
	{`a TXT "\256"`, "bad escape"},
	{"a TXT x\\\ny", "backslash at the end of a line"},
	{"a TXT \"x\\\ny\"", "backslash at the end of a line"},
	{`a TXT x\`, "backslash at the end of a line"},
	{"a TXT", "the data of the TXT record"},
	{`a TXT "` + strings.Repeat("x", 256) + `"`, "string of 256 octets"},
	{`a TXT ` + strings.Repeat(`"`+strings.Repeat("x", 255)+`" `, 257), "data longer than 65535"},
	{"a TXT \"x\ny\"", "quote is not closed before the end of the line"},
	{`a TXT "x`, "quote is not closed before the end of the file"},
	{"a TXT x\x00y", "NUL octet"},
	{"a TXT \"x\x00y\"", "NUL octet"},
	{"a A 192.0.2.1\rb A 192.0.2.2", "carriage return inside a line"},
	{"a A ( 192.0.2.1", "parenthesis is not closed"},
	{"a A 192.0.2.1 )", "closing parenthesis without an opening one"},
	{"a A 192.0.02.1", "no IPv4 address"},
	{"a A 192.0.2", "no IPv4 address"},
	{"a A 192.0.2.1.", "no IPv4 address"},
	{"a A 192.0.2.1.1", "no IPv4 address"},
	{"a A 192.0.2.256", "no IPv4 address"},
	{"a AAAA fe80::1%eth0", "no IPv6 address"},
	{"a AAAA 192.0.2.1", "no IPv6 address"},
	{"a MX 65536 b", "no number from 0 to 65535"},
	{"a MX +1 b", "no number"},
	{"a MX 0x10 b", "no number"},
	{"a SOA ns h 1h 1 1 1 1", "no number from 0 to 4294967295"},
	{"a CAA 256 issue x", "no number from 0 to 255"},
	{"a CAA 0 iss-ue x", "letters and digits"},
	{"a DS 1 8 2 abcd", "a digest of type 2 has 32 octets, not 2"},
	{"a SSHFP 4 2 00ff", "a digest of type 2 has 32 octets, not 2"},
	{"a ZONEMD 1 1 1 00ff", "a digest of type 1 has 48 octets, not 2"},
	{`a DS \# 6 000108020000`, "a digest of type 2 has 32 octets, not 2"},
	{"a DS 1 8 2 xy", "bad hexadecimal"},
	{"a DNSKEY 256 3 8 AQPJAA", "bad base64"},
	{"a DNSKEY 256 3 FOO AQPJ", `unknown algorithm "FOO"`},
	{"a DNSKEY 256 3 " + strings.Repeat("ED25519", 9) + " AQPJ", "unknown algorithm"},
	{"a NID 10 1:2:3", "is no locator"},
	{"a NID 10 1:2:3:4:5", "is no locator"},
	{"a NID 10 1:2:3:12345", "is no locator"},
	{"a NID 10 1::3:4", "is no locator"},
	{"a NID 10 1:2:3:g", "is no locator"},
	{"a NSEC b FOO", `unknown type "FOO"`},
	{"a NSEC3 1 0 1 - !", "no hash in base32hex"},
	{"a RRSIG A 8 2 60 20301301000000 20200101000000 1 example. AQPJ", "is no time"},
	{`a TYPE65280 abc`, `\# length hexadecimal`},
	{`a TYPE65280 \# 4 abcdef`, "says 4 octets, and 3 follow"},
	{`a TYPE65280 \# 1 abc`, "bad hexadecimal"},
	{`a TYPE65280 \#`, `length of the \# data`},
	{`a TYPE65280 \# x`, "no length"},
	{`a TYPE65536 \# 0`, "unknown type"},
	{`a NULL x`, `\# length hexadecimal`},
	{`a A \# 3 c00002`, "data ends too early"},
	{`a A \# 5 c000020101`, "data goes on behind its last field"},
	{`a NS \# 2 c000`, "malformed or compressed name"},
	{`a TXT \# 0`, "data ends too early"},
	{`a TXT \# 2 0561`, "data ends too early"},
	{`a LOC \# 3 000000`, "LOC: "},
	{`a LP \# 4 0001c000`, "LP: "},
	{`a OPT \# 0`, "belongs to messages"},
	{`a TYPE0 \# 0`, "belongs to messages"},
	{`a TYPE128 \# 0`, "belongs to messages"},
	{`a ANY \# 0`, "belongs to messages"},
	{`a AXFR \# 0`, "belongs to messages"},
	{"a LOC x", "LOC: "},
	{"a LOC 1 2 3.1234 N 1 2 3 E 10m", "three decimals"},
	{"a LOC 1 2 3 N 1 2 3.1234 E 10m", "three decimals"},
	{"a LOC 1.5 N 1 2 3 E 10m", "three decimals"},
	{"a LOC 1 2. N 1 2 3 E 10m", "three decimals"},
	{"a LOC 1 2 . N 1 2 3 E 10m", "three decimals"},
	{"a LOC -1 2 3 N 1 2 3 E 10m", "three decimals"},
	{"a LOC 1 60 3 N 1 2 3 E 10m", "three decimals"},
	{"a LOC 1 2 60 N 1 2 3 E 10m", "three decimals"},
	{"a LOC 91 N 1 E 10m", "three decimals"},
	{"a LOC 90 0 0.001 N 1 E 10m", "more than 90 degrees"},
	{"a LOC 1 N 180 1 E 10m", "more than 180 degrees"},
	{"a LOC 1 2 3 E 1 2 3 E 10m", "want N or S"},
	{"a LOC 1 2 3 N 1 2 3 NE 10m", "want E or W"},
	{`a LOC 1 2 3 "N" 1 2 3 E 10m`, "want N or S"},
	{"a LOC 1 2 3 N 1 2 3 E", "more of the LOC data"},
	{"a LOC 1 2 3", "more of the LOC data"},
	{"a LOC 1 2 3 N 1 2 3 E 10.123m", "no altitude"},
	{"a LOC 1 2 3 N 1 2 3 E m", "no altitude"},
	{"a LOC 1 2 3 N 1 2 3 E 10M", "no altitude"},
	{"a LOC 1 2 3 N 1 2 3 E -100000.01m", "no altitude"},
	{"a LOC 1 2 3 N 1 2 3 E 42849672.96m", "no altitude"},
	{"a LOC 1 2 3 N 1 2 3 E --1m", "no altitude"},
	{"a LOC 1 2 3 N 1 2 3 E 10m 90000000.01m", "no size"},
	{"a LOC 1 2 3 N 1 2 3 E 10m 1m 1.001m", "no size"},
	{"a LOC 1 2 3 N 1 2 3 E 10m 1m 1m 1m 1m", "more data than a record of type LOC has"},
	{"a LOC 1 2 3 N 1 2 3 E 10m 1m \"", "quote is not closed"},
	{`a ISDN "a" "b" "c"`, "more data than a record of type ISDN has"},
	{"a ISDN", "the data of the ISDN record"},
	{`a ISDN \# 5 0161016200`, "data goes on behind its last field"},
	{`a ISDN \# 3 016101`, "data ends too early"},
	{"a CERT FOO 0 8 AQPJ", `unknown certificate type "FOO"`},
	{"a CERT 65536 0 8 AQPJ", "no number from 0 to 65535"},
	{"a SVCB 1 . foo=bar", "unknown parameter"},
	{"a SVCB 1 f mandatory=port alpn=h2", "mandatory names port, which is not there"},
	{"a SVCB 1 f mandatory=key65333 alpn=h2", "mandatory names key65333, which is not there"},
	{"a HTTPS 1 f mandatory=alpn,port alpn=h2", "mandatory names port, which is not there"},
	{"a SVCB 1 f mandatory=mandatory alpn=h2", "mandatory names itself"},
	{"a SVCB 1 f mandatory=alpn,alpn alpn=h2", "mandatory names alpn twice"},
	{"a SVCB 1 f mandatory= alpn=h2", "unknown parameter"},
	{"a SVCB 1 f alpn=", "alpn is empty"},
	{`a HTTPS 1 f alpn=""`, "alpn is empty"},
	{"a SVCB 1 f alpn=h2,,h3", "alpn is empty, or has an empty"},
	{`a SVCB \# 13 00010166000001000402683200`, "SVCB: "},
	{`a SVCB \# 18 0001016600000000020003000100030268 32`, "mandatory names port, which is not there"},
	{`a HTTPS \# 9 000101660000010000`, "alpn is empty"},
	{"a SVCB 1 f ohttp=x", "bad value of ohttp"},
	{"a SVCB 1 f dohpath=", "bad value of dohpath"},
	{"a SVCB 1 f key65536=x", "unknown parameter"},
	{"a SVCB 1 f key01=x", "unknown parameter"},
	{"a SVCB 1 f key3=53x", "bad value of port"},
	{"a SVCB 1 f key3=53 port=53", "port stands there twice"},
	{"a SVCB 1 f port=+53", "port: bad value"},
	{"a SVCB 1 f ipv4hint=192.0.2.1,", "ipv4hint: bad value"},
	{"a SVCB 1 f ipv6hint=192.0.2.1", "ipv6hint: bad value"},
	{"a SVCB 1 f ech=A", "ech: bad value"},
	{`a SVCB 1 f "alpn=h2"`, "only text is quoted"},
	{`a SVCB 1 f port=53 "alpn=h2"`, "want key or key="},
	{`a SVCB 1 f alpn="h2`, "quote is not closed"},
	{`a SVCB 1 f alpn=\256`, "bad escape"},
	{"a SVCB 1 f alpn=" + strings.Repeat("x", 256), "too long name"},
	{`a SVCB \# 17 000101660000030002003500030002 0035`, "port stands there twice"},
	{`a SVCB \# 15 000101660000030002003500020000`, "not in the order of their keys"},
	{`a SVCB \# 8 0001016600000300`, "data ends too early"},
	{"a WKS 192.0.2.1", "more of the WKS data"},
	{"a WKS 192.0.2.1 foo 25", "unknown protocol"},
	{"a WKS 192.0.2.1 256 25", "unknown protocol"},
	{"a WKS 192.0.2.1 tcp foo", "unknown service"},
	{"a WKS 192.0.2.1 tcp 65536", "unknown service"},
	{`a WKS \# 4 c0000201`, "data ends too early"},
	{`a WKS \# 6 c00002010600`, "ends in a zero octet"},
	{"a NSAP 47", "no NSAP address"},
	{"a NSAP 0x", "no NSAP address"},
	{"a NSAP 0x.", "no NSAP address"},
	{"a NSAP 0x4", "bad hexadecimal"},
	{"a NSAP 0x47 00", "more data than a record of type NSAP has"},
	{`a NSAP \# 0`, "data ends too early"},
	{"a ATMA +12x", "only digits"},
	{"a ATMA +", "data ends too early"},
	{"a ATMA 4x", "bad hexadecimal"},
	{`a ATMA \# 2 0147x`, "bad hexadecimal"},
	{`a ATMA \# 2 0141`, "only digits"},
	{"a A6 129 b", "no prefix length"},
	{"a A6 64 x b", "no IPv6 address"},
	{"a A6 64 ::1", "more of the data"},
	{"a A6 0 ::1 b", "more data than a record of type A6 has"},
	{`a A6 \# 1 81`, "no prefix length, address suffix"},
	{`a A6 \# 4 7f0200 00`, "no prefix length, address suffix"},
	{"a NXT b CAA", "only types from 1 to 127"},
	{"a NXT b FOO", "unknown type"},
	{`a NXT \# 3 000000`, "malformed type bitmap"},
	{"a APL 3:192.0.2.0/24", "APL: "},
	{"a APL 1:192.0.2.0/33", "APL: "},
	{"a APL 2:2001:db8::/129", "APL: "},
	{"a APL 1:192.0.2.0", "APL: "},
	{`a APL "1:192.0.2.0/24"`, "only text is quoted"},
	{`a APL 1:192.0.2.0/24 "1:192.0.2.0/24"`, "APL: "},
	{`a APL \# 4 00012100`, "malformed address prefix"},
	{`a APL \# 5 0001180200`, "data ends too early"},
	{"a IPSECKEY 10 4 2 x AQPJ", "a gateway's type"},
	{"a IPSECKEY 10 0 2 x AQPJ", "written as a dot"},
	{"a IPSECKEY 10 1 2 ::1 AQPJ", "no IPv4 address"},
	{"a IPSECKEY 10 2 2 192.0.2.1 AQPJ", "no IPv6 address"},
	{`a IPSECKEY 10 3 2 "g" AQPJ`, "only text is quoted"},
	{"a IPSECKEY 10 1 2", "more of the data"},
	{"a IPSECKEY 10 1 2 192.0.2.1 !", "bad base64"},
	{`a IPSECKEY \# 3 0a0402`, "a gateway's type"},
	{`a IPSECKEY \# 5 0a0302c000`, "malformed or compressed name"},
	{"a AMTRELAY 10 2 1 192.0.2.1", "no discovery bit"},
	{"a AMTRELAY 10 0 4 x", "a gateway's type"},
	{`a AMTRELAY \# 7 0a01c000020100`, "data goes on behind its last field"},
	{"a HIP 2 00", "more of the data"},
	{"a HIP 2 0 AQPJ", "bad hexadecimal"},
	{"a HIP 2 " + strings.Repeat("00", 256) + " AQPJ", "host identity tag"},
	{`a HIP \# 7 000200030103c9`, "host identity tag"},
	{`a HIP \# 8 01020004000103c9`, "data ends too early"},
	{`a HIP \# 10 01020003000103c9c000`, "malformed or compressed name"},
	{"a EUI48 00-00-5e-00-53", "want 6 groups"},
	{"a EUI48 00-00-5e-00-53-2a-00", "want 6 groups"},
	{"a EUI48 00-00-5e-00-53-2g", "want 6 groups"},
	{"a EUI48 00-00-5e-00-53-", "want 6 groups"},
	{"a EUI64 00-00-5e-00-53-2a", "want 8 groups"},
	{"a DSYNC CDS FOO 53 b", "no number from 0 to 255"},
	{"a DOA 1 2 3 x !", "bad base64"},
	{"a UINFO x", `\# length hexadecimal`},
	{"a TA 1 8 2 abcd", "a digest of type 2 has 32 octets, not 2"},
	{`a LOC \# 16 00a21613880000008000000000989680`, "out of range"},
	{`a LOC \# 16 00121613ffffffff8000000000989680`, "out of range"},
	{`a LOC \# 17 0012161388000000800000000098968000`, "data goes on"},
	{"$FOO x", `unknown directive "$FOO"`},
	{"$a A 192.0.2.1", "unknown directive"},
	{" $TTL 5", `unknown type "$TTL"`},
	{"$TTL", "the TTL"},
	{"$TTL 5 x", "behind the end of $TTL"},
	{"$TTL 4294967296", "is no TTL"},
	{"$ORIGIN", "the origin"},
	{"$ORIGIN a b", "behind the end of $ORIGIN"},
	{"$INCLUDE", "a file name"},
	{`$INCLUDE ""`, "a file name"},
	{"$INCLUDE x", "has no directory to include from"},
	{"$INCLUDE x a b", "behind the end of $INCLUDE"},
	{"$GENERATE", "a range"},
	{"$GENERATE 5-1 a$ A 192.0.2.$", "is no range"},
	{"$GENERATE 1-5/0 a$ A 192.0.2.$", "is no range"},
	{"$GENERATE 1 a$ A 192.0.2.$", "is no range"},
	{"$GENERATE 1-2147483648 a$ A 192.0.2.$", "is no range"},
	{"$GENERATE 1-2147483647 a$ A 192.0.2.$", "makes more than 1048576 records"},
	{"$GENERATE 1-2", "an owner"},
	{"$GENERATE 1-2 a$", "a type"},
	{"$GENERATE 1-2 a$ FOO x", "unknown type"},
	{"$GENERATE 1-2 a$ A", "the data of the A record"},
	{"$GENERATE 1-2 a${} A 192.0.2.1", "bad modifier"},
	{"$GENERATE 1-2 a${0,1,z} A 192.0.2.1", "bad modifier"},
	{"$GENERATE 1-2 a${0,256} A 192.0.2.1", "bad modifier"},
	{"$GENERATE 1-2 a${0 A 192.0.2.1", "bad modifier"},
	{"$GENERATE 1-2 ${0,4,n}.x A 192.0.2.1", "empty label"},
	{"$GENERATE 255-256 a$ A 192.0.2.$", "no IPv4 address"},
}

func TestScanErrors(t *testing.T) {
	for _, c := range scanErrors {
		err := TextSource("z", []byte("$TTL 60\nx A 192.0.2.1\n"+c.text), testOrigin()).Records(func(Record) error { return nil })
		if err == nil || !strings.HasPrefix(err.Error(), "z:3: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: error %v, want z:3: … %s", c.text, err, c.want)
		}
	}
}

func TestScanFirstOwner(t *testing.T) {
	err := TextSource("z", []byte("\n 60 A 192.0.2.1\n"), testOrigin()).Records(func(Record) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "z:2: no owner") {
		t.Errorf("error %v, want z:2: no owner", err)
	}
}

// TestScanEnds has texts whose last line does not end.
func TestScanEnds(t *testing.T) {
	for _, end := range []string{"", "\n", "\r", "\r\n", " ", " ;", ";\r", "\n ", "\n\t;", "\n\n\r\n"} {
		n := 0
		err := TextSource("z", []byte("a 60 A 192.0.2.1"+end), testOrigin()).Records(func(Record) error { n++; return nil })
		if n != 1 || err != nil {
			t.Errorf("end %q: %d records, %v", end, n, err)
		}
	}
}

// TestScanAddError has add end the reading, with its own error.
func TestScanAddError(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := TextSource("z", []byte("$TTL 1\na A 192.0.2.1\n$GENERATE 1-9 b A 192.0.2.2\n"), testOrigin()).
		Records(func(Record) error {
			if n++; n == 3 {
				return stop
			}
			return nil
		})
	if err != stop || n != 3 {
		t.Errorf("%d records, error %v, want 3 and %v", n, err, stop)
	}
}

func TestFileSourceErrors(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	err := FileSource(missing, testOrigin()).Records(nil)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != missing+": no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	err = FileSource(dir, testOrigin()).Records(nil)
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = TextSource("z", []byte("$INCLUDE "+socket), testOrigin()).Records(nil)
	if err == nil || !strings.Contains(err.Error(), "no directory to include from") {
		t.Errorf("include from text: %v", err)
	}
	zone := filepath.Join(dir, "zone")
	if err := os.WriteFile(zone, []byte("$INCLUDE "+socket), 0o644); err != nil {
		t.Fatal(err)
	}
	err = FileSource(zone, testOrigin()).Records(nil)
	if err == nil || !strings.HasPrefix(err.Error(), zone+":1: ") || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("socket: %v", err)
	}
}

// TestIncludeDepth has a file that includes the next, and so on.
func TestIncludeDepth(t *testing.T) {
	for _, c := range []struct {
		files int
		want  string
	}{{maxIncludeDepth, ""}, {maxIncludeDepth + 1, "more than 16 files deep"}} {
		dir := t.TempDir()
		for i := range c.files + 1 {
			text := fmt.Sprintf("$INCLUDE f%d\n", i+1)
			if i == c.files {
				text = "a 60 A 192.0.2.1\n"
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d", i)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		err := FileSource(filepath.Join(dir, "f0"), testOrigin()).Records(func(Record) error { n++; return nil })
		if c.want == "" && (err != nil || n != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d files: %d records, %v", c.files, n, err)
		}
	}
}

// TestIncludeTimes has files that include the next one several times each: few of
// them would be read for ever.
func TestIncludeTimes(t *testing.T) {
	dir := t.TempDir()
	for i := range maxIncludeDepth {
		text := strings.Repeat(fmt.Sprintf("$INCLUDE f%d\n", i+1), 10)
		if i == maxIncludeDepth-1 {
			text = "; nothing\n"
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := FileSource(filepath.Join(dir, "f0"), testOrigin()).Records(func(Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "more than 65536 in one zone") {
		t.Error(err)
	}
}

// TestHoles has a file that is larger than all memory, and takes no room on disk.
func TestHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, []byte("a A 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, MaxText+1); err != nil {
		t.Fatal(err)
	}
	err := FileSource(path, testOrigin()).Records(func(Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "octets in the files of one zone") {
		t.Error(err)
	}
}

// TestGenerateText counts the octets that $GENERATE writes.
func TestGenerateText(t *testing.T) {
	text := []byte("$TTL 1\n$GENERATE 0-65000 a$ TXT" + strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 40) + "\n")
	err := TextSource("z", text, testOrigin()).Records(func(Record) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "z:2: ") || !strings.Contains(err.Error(), "octets of text") {
		t.Error(err)
	}
}

// TestGenerateEnds has the last number there is.
func TestGenerateEnds(t *testing.T) {
	n := 0
	text := []byte("$TTL 1\n$GENERATE 2147483647-2147483647 a$ A 192.0.2.1\n")
	if err := TextSource("z", text, testOrigin()).Records(func(Record) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
	text = []byte("$TTL 1\n$GENERATE 0-2147483647 a$ A 192.0.2.1\n")
	if err := TextSource("z", text, testOrigin()).Records(func(Record) error { return nil }); err == nil {
		t.Error("2^31 records")
	}
}

// TestGenerateLimit counts what all $GENERATE of a zone make together.
func TestGenerateLimit(t *testing.T) {
	text := []byte("$TTL 1\n$GENERATE 1-1048575 a A 192.0.2.1\n$GENERATE 1-1 a A 192.0.2.1\n$GENERATE 1-1 a A 192.0.2.1\n")
	n := 0
	err := TextSource("z", text, testOrigin()).Records(func(Record) error { n++; return nil })
	if n != maxGenerated || err == nil || !strings.HasPrefix(err.Error(), "z:4: ") {
		t.Errorf("%d records, %v", n, err)
	}
}

// FuzzAddress compares the readers of addresses with net/netip.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"192.0.2.1", "0.0.0.0", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1..2.3", "", ".", "1.2.3.", "::", "::1", "1::",
		"2001:db8::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1::2::3", ":::", ":1", "1:",
		"::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1", "::192.0.2.1:1", "12345::", "g::", "FE80::A", "1:2:3:4:5:6:7:8::", "::1.2.3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, err := netip.ParseAddr(s)
		var v4 [4]byte
		if ok := parseIPv4(v4[:], []byte(s)); ok != (err == nil && addr.Is4()) || ok && addr != netip.AddrFrom4(v4) {
			t.Errorf("%q: got %v %v, want %v %v", s, ok, v4, addr, err)
		}
		var v6 [16]byte
		want := err == nil && addr.Is6() && addr.Zone() == ""
		if ok := parseIPv6(&v6, []byte(s)); ok != want || ok && addr != netip.AddrFrom16(v6) {
			t.Errorf("%q: got %v %v, want %v %v", s, ok, v6, addr, err)
		}
	})
}
