package zones

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones/wire"
)

// TestCheck reads the files below testdata/lint: a master file "zone" of example.,
// and "want", a line for each finding:
//
//	severity code FILE:LINE: text
func TestCheck(t *testing.T) {
	paths, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, archive)
			if got := checkFile(t, dir); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func checkFile(t *testing.T, dir string) string {
	t.Helper()
	b, err := Collect(FileSource(filepath.Join(dir, "zone"), testOrigin()))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range b.Check() {
		fmt.Fprintf(&out, "%s %s %s\n", f.Severity, f.Code, f.Error())
	}
	return strings.ReplaceAll(out.String(), dir+string(filepath.Separator), "")
}

// records is a Source of records that no scanner has seen.
type records []Record

func (r records) Origin() wire.Name { return testOrigin() }

func (r records) Records(add func(Record) error) error {
	for _, rec := range r {
		if err := add(rec); err != nil {
			return err
		}
	}
	return nil
}

// TestCheckData has data that only a Source other than a file can give.
func TestCheckData(t *testing.T) {
	soa := "\x00\x00" + strings.Repeat("\x00\x00\x00\x01", 5)
	for _, c := range []struct {
		name string
		rec  Record
		code string
	}{
		{"short A", Record{Type: 1, Data: []byte("\xc0\x00\x02")}, "malformed-data"},
		{"long A", Record{Type: 1, Data: []byte("\xc0\x00\x02\x01\x01")}, "malformed-data"},
		{"compressed NS", Record{Type: 2, Data: []byte("\xc0\x00")}, "malformed-data"},
		{"compressed MX", Record{Type: 15, Data: []byte("\x00\x01\xc0\x00")}, "malformed-data"},
		{"no data", Record{Type: 16}, "malformed-data"},
		{"short TXT", Record{Type: 16, Data: []byte("\x05abc")}, "malformed-data"},
		{"short SOA", Record{Type: 6, Data: []byte(soa[:21])}, "malformed-data"},
		{"short CNAME", Record{Type: 5, Data: []byte("\x03ab")}, "malformed-data"},
		{"bitmap", Record{Type: 47, Data: []byte("\x00\x00\x01\x00")}, "malformed-data"},
		{"compressed LP", Record{Type: 107, Data: []byte("\x00\x01\xc0\x00")}, "malformed-data"},
		{"OPT", Record{Type: 41}, "meta-type"},
		{"TYPE0", Record{Type: 0}, "meta-type"},
		{"ANY", Record{Type: 255}, "meta-type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rec.Owner = testOrigin()
			b, err := Collect(records{{Owner: testOrigin(), Type: 6, Data: []byte(soa)}, c.rec})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Check() {
				if f.Code == c.code && f.Severity == Error {
					return
				}
			}
			t.Errorf("no error %s in %v", c.code, b.Check())
		})
	}
}

// TestCheckSize has RRsets of just the octets that a message has for them, and of
// one more; what is there twice counts once.
func TestCheckSize(t *testing.T) {
	owner := wire.Name("\x01a\x07example\x00")
	soa := Record{Owner: testOrigin(), Type: 6, Data: []byte("\x00\x00" + strings.Repeat("\x00\x00\x00\x01", 5))}
	// What the message has for the records: less header, question and OPT record.
	room := 65535 - 12 - len(owner) - 4 - 11
	of := func(rrtype uint16, first byte, n int) Record {
		data := make([]byte, n)
		data[0] = first
		return Record{Owner: owner, Type: rrtype, Data: data}
	}
	const a, b = 65280, 65281 // types whose data can be anything
	for _, c := range []struct {
		name  string
		recs  []Record
		large bool
	}{
		{"one", []Record{of(a, 1, room-12)}, false},
		{"one too large", []Record{of(a, 1, room-11)}, true},
		{"two", []Record{of(a, 1, 40000), of(a, 2, room-24-40000)}, false},
		{"two too large", []Record{of(a, 1, 40000), of(a, 2, room-23-40000)}, true},
		{"twice the same", []Record{of(a, 1, 40000), of(a, 1, 40000)}, false},
		{"two types", []Record{of(a, 1, 40000), of(b, 1, 40000)}, false},
		{"the second type", []Record{of(a, 1, 400), of(b, 1, room-11)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			z, err := Collect(append(records{soa}, c.recs...))
			if err != nil {
				t.Fatal(err)
			}
			large := false
			for _, f := range z.Check() {
				large = large || f.Code == "rrset-too-large" && f.Severity == Error
			}
			if large != c.large {
				t.Errorf("rrset-too-large: %t, want %t", large, c.large)
			}
		})
	}
}

// TestCheckCap has a thousand findings of each severity.
func TestCheckCap(t *testing.T) {
	var text strings.Builder
	text.WriteString("$TTL 60\n@ SOA a.other. h 1 2 1 4 5\n@ NS a.other.\n@ NS b.other.\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "x%d CNAME nowhere\ny%d CNAME a.other.\ny%d TXT t\n", i, i, i)
	}
	b, err := Collect(TextSource("z", []byte(text.String()), testOrigin()))
	if err != nil {
		t.Fatal(err)
	}
	got := b.Check()
	if len(got) != 202 {
		t.Fatalf("%d findings, want 202", len(got))
	}
	if g, w := got[0].Error(), "z:5: "; !strings.HasPrefix(g, w) {
		t.Errorf("first finding %q, want %q", g, w)
	}
	for i, want := range []string{"z: and 1900 more of severity error", "z: and 1900 more of severity warning"} {
		if g := got[200+i].Error(); g != want {
			t.Errorf("got %q, want %q", g, want)
		}
	}
	for i := 1; i < 200; i++ {
		if got[i].Pos.Line < got[i-1].Pos.Line {
			t.Fatalf("findings out of order: %v after %v", got[i], got[i-1])
		}
	}
}

// TestCheckEmpty says that the error about a file with nothing in it names it.
func TestCheckEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.empty")
	for _, text := range []string{"", "; a comment\n", "$TTL 60\n\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := Load(FileSource(path, testOrigin()))
		var f *Finding
		if !errors.As(err, &f) || f.Code != "no-soa" || f.Pos.File != path || !strings.HasPrefix(err.Error(), path+": holds no record: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
