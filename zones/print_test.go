package zones

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/zones/wire"
)

const printHead = "$TTL 60\n@ SOA ns hostmaster 1 4h 1h 2w 5m\n@ NS ns\n@ NS ns.example.org.\nns A 192.0.2.1\n"

func load(t *testing.T, text string) *Zone {
	t.Helper()
	z, _, err := Load(TextSource("z", []byte(text), testOrigin()))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func printed(t *testing.T, z *Zone) string {
	t.Helper()
	var b bytes.Buffer
	if err := Print(&b, z); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPrint is the look of a printed zone.
func TestPrint(t *testing.T) {
	got := printed(t, load(t, printHead+`Www CNAME ns
b.a 300 A 192.0.2.2
b A 192.0.2.3
* MX 10 Mail.example.org.
a TXT "x y" z
@ MX 0 .
u TYPE65280 \# 3 abcdef
m MB host
a\[b\.c\032d TXT "\[" \"\\
s SVCB 1 . mandatory=port port=53 no-default-alpn alpn=dot
_this-owner-is-wider.than-the-column-for-owners TXT ""
`))
	want := `$ORIGIN example.
@                                        60     IN SOA    ns.example. hostmaster.example. 1 14400 3600 1209600 300
@                                        60     IN NS     ns.example.
@                                        60     IN NS     ns.example.org.
@                                        60     IN MX     0 .
*                                        60     IN MX     10 Mail.example.org.
a                                        60     IN TXT    "x y" "z"
b.a                                      300    IN A      192.0.2.2
a\091b\046c\032d                         60     IN TXT    "[" "\"\\"
b                                        60     IN A      192.0.2.3
m                                        60     IN TYPE7  \# 14 04686f7374076578616d706c6500
ns                                       60     IN A      192.0.2.1
s                                        60     IN SVCB   1 . mandatory="port" alpn="dot" no-default-alpn port="53"
_this-owner-is-wider.than-the-column-for-owners 60     IN TXT    ""
u                                        60     IN TYPE65280 \# 3 abcdef
www                                      60     IN CNAME  ns.example.
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestPrintOctets reads back names and texts with every octet.
func TestPrintOctets(t *testing.T) {
	var text strings.Builder
	text.WriteString(printHead)
	for c := range 256 {
		fmt.Fprintf(&text, "\\%03d TXT \\%03d \"x\\%03d\"\nx\\%03dx.y CNAME a\\%03d.b\n", c, c, c, c, c)
	}
	z := load(t, text.String())
	compareZones(t, z, load(t, printed(t, z)))
}

// TestPrintTypes reads back the records of all types that the scanner is tested
// with.
func TestPrintTypes(t *testing.T) {
	for _, name := range []string{"types", "types-other", "text", "generic"} {
		text, err := os.ReadFile(filepath.Join("testdata", "scan", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(text), "-- zone --\n")
		body, _, _ := strings.Cut(after, "-- want --\n")
		z := load(t, printHead+body)
		if z.Len() < 10 {
			t.Fatalf("%s: %d records", name, z.Len())
		}
		compareZones(t, z, load(t, printed(t, z)))
	}
}

// TestPrintRoot prints the root zone, in which no owner is relative.
func TestPrintRoot(t *testing.T) {
	text := "$ORIGIN .\n@    5      IN SOA    a. b. 1 2 1 4 5\n@    5      IN NS     a.\n@    5      IN NS     b.\na.   5      IN A      192.0.2.1\nb.c. 5      IN A      192.0.2.2\n"
	z, _, err := Load(TextSource("z", []byte(text), wire.Root()))
	if err != nil {
		t.Fatal(err)
	}
	if got := printed(t, z); got != text {
		t.Errorf("got:\n%s\nwant:\n%s", got, text)
	}
}

// TestPrintMalformed has data that no layout fits, as a Source in the program
// could give it: it must be visible, and must not panic.
func TestPrintMalformed(t *testing.T) {
	for rrtype := range uint16(300) {
		for _, data := range []string{"", "\x00", "\xff", "\x01\x02\x03", "\xc0\x00", "\x3fabc", strings.Repeat("\xff", 40)} {
			got := string(appendDataText(nil, rrtype, []byte(data)))
			if err := checkData(rrtype, []byte(data)); err != nil && !strings.HasPrefix(got, `\# `) {
				t.Errorf("%s %q: printed %q, but %v", typeName(rrtype), data, got, err)
			}
		}
	}
}

type failingWriter struct{}

var errDiskFull = errors.New("disk full")

func (failingWriter) Write([]byte) (int, error) { return 0, errDiskFull }

func TestPrintError(t *testing.T) {
	if err := Print(failingWriter{}, load(t, printHead)); !errors.Is(err, errDiskFull) {
		t.Errorf("error %v, want %v", err, errDiskFull)
	}
}
