package zones

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones/wire"
)

// seeds adds the zone of each txtar file below testdata/scan and testdata/lint.
func seeds(f *testing.F) {
	for _, pattern := range []string{"testdata/scan/*.txtar", "testdata/lint/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal(pattern, err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				f.Fatal(err)
			}
			for _, file := range archive.Files {
				f.Add(file.Data)
			}
		}
	}
}

// FuzzScan compares the scanner with that of miekg/dns: where both take a text,
// they must read the same records. What that scanner is known to read otherwise
// than BIND, NSD and Knot is kept from it, by form and not case by case: it gets
// the entries as another reader of ours takes them apart (oneToALine), a $TTL goes
// before, and the data of records counts for simpleTypes alone. interop compares
// the others with BIND, NSD and Knot.
func FuzzScan(f *testing.F) {
	seeds(f)
	f.Add([]byte("0 SOA 0 0 ( 0\n0 0 0 1 )"))
	f.Add([]byte("@ SOA a b ( 1;serial\n2 3(4\n)5)"))
	f.Add([]byte("(a A 192.0.2.1)\n\"b\" TXT \\; \";\\\"(\" x\"y\"z ;)\n\tA 192.0.2.2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := scanText(t, text); err != nil && !strings.Contains(err.Error(), "no TTL") {
			return
		}
		text = append([]byte("$TTL 7\n"), text...)
		got, err := scanText(t, text)
		if err != nil || bytes.Contains(bytes.ToUpper(text), []byte("$GENERATE")) { // TTL 3600 there
			return
		}
		simple := oneToALine(text)
		want, ok := oracleText(simple)
		if !ok {
			return
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("text %q\nas %q\ngot:\n%s\nwant:\n%s", text, simple, g, w)
		}
	})
}

// simpleTypes says whether the data of a type is names, numbers, addresses and
// strings, which everybody reads alike.
func simpleTypes(t uint16) bool {
	for _, f := range layoutOf(t) {
		switch f {
		case fieldName, fieldIPv4, fieldIPv6, field16, field32, fieldPeriod, fieldString, fieldStrings:
		default:
			return false
		}
	}
	return layoutOf(t) != nil
}

// factLine is a record as it is compared.
func factLine(owner wire.Name, ttl uint32, rrtype uint16, data []byte) string {
	line := fmt.Sprintf("%s %d %s", owner, ttl, typeName(rrtype))
	if simpleTypes(rrtype) {
		line += fmt.Sprintf(" %x", data)
	}
	return line
}

// scanText is the records of a text, one a line. Each must be valid, and an error
// must tell its place.
func scanText(t *testing.T, text []byte) ([]string, error) {
	t.Helper()
	var got []string
	err := TextSource("z", text, testOrigin()).Records(func(r Record) error {
		if n := nameLen(r.Owner); n == 0 || n != len(r.Owner) {
			t.Fatalf("text %q: malformed owner %q", text, r.Owner)
		}
		if err := checkData(r.Type, r.Data); err != nil {
			t.Fatalf("text %q: %s %x: %v", text, typeName(r.Type), r.Data, err)
		}
		if isMeta(r.Type) || r.Pos.File != "z" || r.Pos.Line < 1 {
			t.Fatalf("text %q: record %+v", text, r)
		}
		owner := slices.Clone(r.Owner)
		wire.Lower(owner)
		got = append(got, factLine(owner, r.TTL, r.Type, r.Data))
		return nil
	})
	if err != nil && !strings.HasPrefix(err.Error(), "z:") {
		t.Fatalf("text %q: error without place: %v", text, err)
	}
	return got, err
}

func testOrigin() wire.Name { return wire.Name("\x07example\x00") }

// oracleText is what scanText is, from miekg/dns; false where it refuses the text.
func oracleText(text []byte) (want []string, ok bool) {
	p := dns.NewZoneParser(bytes.NewReader(text), "example.", "z")
	for rr, more := p.Next(); more; rr, more = p.Next() {
		h := rr.Header()
		data, err := packOther(rr)
		owner, nameErr := wire.ParseName(h.Name)
		if err != nil || nameErr != nil || h.Class != dns.ClassINET {
			return nil, false
		}
		want = append(want, factLine(owner, h.Ttl, h.Rrtype, data))
	}
	return want, p.Err() == nil
}

// FuzzPrint prints each zone that loads, and reads it back.
func FuzzPrint(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		z, _, err := Load(TextSource("z", text, testOrigin()))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := Print(&first, z); err != nil {
			t.Fatal(err)
		}
		again, _, err := Load(TextSource("printed", first.Bytes(), testOrigin()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, first.Bytes())
		}
		compareZones(t, z, again)
		if err := Print(&second, again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("printed:\n%s\nand again:\n%s", first.Bytes(), second.Bytes())
		}
	})
}

// FuzzData prints data that its type can have, and reads it back.
func FuzzData(f *testing.F) {
	f.Add(uint16(dns.TypeSVCB), []byte("\x00\x01\x00\x00\x00\x00\x02\x00\x03\x00\x03\x00\x02\x00\x35"))
	f.Add(uint16(dns.TypeHTTPS), []byte("\x00\x01\x00\x00\x01\x00\x05\x01,\x02\\\"\x00\x05\x00\x00"))
	f.Add(uint16(dns.TypeSVCB), []byte("\x00\x01\x00\x00\x01\x01\x00\xff"+strings.Repeat("x", 255)))
	f.Add(uint16(dns.TypeAPL), []byte("\x00\x01\x18\x83\xc0\x00\x02"))
	f.Add(uint16(dns.TypeIPSECKEY), []byte("\x0a\x03\x02\x01a\x00key"))
	f.Add(uint16(dns.TypeNAPTR), []byte("\x00\x01\x00\x02\x01s\x00\x03!x!\x00"))
	f.Add(uint16(dns.TypeLOC), []byte("\x00\x12\x16\x13\x80\x00\x00\x00\x80\x00\x00\x00\x00\x98\x96\x80"))
	f.Add(uint16(dns.TypeNSEC3), []byte("\x01\x00\x00\x01\x00\x01a\x00\x01\x40"))
	f.Add(uint16(65280), []byte("x"))
	f.Fuzz(func(t *testing.T, rrtype uint16, data []byte) {
		if isMeta(rrtype) || len(data) > 65535 || checkData(rrtype, data) != nil {
			return
		}
		text := appendRecord([]byte("a "), &Record{Type: rrtype, Data: data})
		n := 0
		err := TextSource("z", text, testOrigin()).Records(func(r Record) error {
			if n++; r.Type != rrtype || !bytes.Equal(r.Data, data) {
				t.Errorf("%s %x: printed %s, read %s %x", typeName(rrtype), data, text, typeName(r.Type), r.Data)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%s %x: printed %s: %d records, %v", typeName(rrtype), data, text, n, err)
		}
	})
}

func compareZones(t *testing.T, x, y *Zone) {
	t.Helper()
	if g, w := zoneLines(y), zoneLines(x); g != w {
		t.Fatalf("got:\n%s\nwant:\n%s", g, w)
	}
}

func zoneLines(z *Zone) string {
	var b strings.Builder
	for r := range z.Records() {
		fmt.Fprintf(&b, "%s %d %d %x\n", wire.Name(r.Owner), r.TTL, r.Type, r.Data)
	}
	return b.String()
}
