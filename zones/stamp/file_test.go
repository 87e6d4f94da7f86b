package stamp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

func optionLines(s *Stamp) string {
	var b strings.Builder
	for _, o := range s.Options() {
		b.WriteString(strings.Join(o, " ") + "\n")
	}
	return b.String()
}

// TestParse reads the stamp files in testdata/files: "file" is the file; then
// "options" says what stamp it is, "warnings" and "facts" (keys) what else comes
// of it, or "error" what is wrong.
func TestParse(t *testing.T) {
	paths, err := filepath.Glob("testdata/files/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no test data", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			parts := readArchive(t, path)
			s, warnings, err := Parse([]byte(parts["file"]))
			if want := strings.TrimSpace(parts["error"]); want != "" {
				if err == nil || err.Error() != want {
					t.Errorf("error\n%v\nwant\n%s", err, want)
				}
				if fault := (*FileError)(nil); !errors.As(err, &fault) {
					t.Errorf("the error is a %T", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
			if got := optionLines(&s); got != parts["options"] {
				t.Errorf("options\n%s\nwant\n%s", got, parts["options"])
			}
			if got, want := strings.Join(warnings, "\n"), strings.TrimSpace(parts["warnings"]); got != want {
				t.Errorf("warnings\n%s\nwant\n%s", got, want)
			}
			var keys []string
			for _, f := range s.Facts {
				keys = append(keys, f.Key)
			}
			if got, want := strings.Join(keys, " "), strings.TrimSpace(parts["facts"]); got != want {
				t.Errorf("facts\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func utf16Of(order binary.AppendByteOrder, text string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// TestEncodings reads one file in all encodings that PowerShell has for it.
func TestEncodings(t *testing.T) {
	text := readArchive(t, "testdata/files/sample.txtar")["file"]
	text = strings.Replace(text, `"SomethingNew"`, `"Größe"`, 1)
	windows := strings.ReplaceAll(text, "\n", "\r\n")
	for name, data := range map[string][]byte{
		"UTF-8":                []byte(text),
		"UTF-8 with mark":      []byte("\uFEFF" + text),
		"CRLF with mark":       []byte("\uFEFF" + windows),
		"UTF-16LE with mark":   utf16Of(binary.LittleEndian, "\uFEFF"+windows),
		"UTF-16BE with mark":   utf16Of(binary.BigEndian, "\uFEFF"+windows),
		"UTF-16LE":             utf16Of(binary.LittleEndian, text),
		"UTF-16BE":             utf16Of(binary.BigEndian, text),
		"UTF-16LE, blank line": utf16Of(binary.LittleEndian, "\r\n"+text),
	} {
		s, _, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if last := s.Facts[len(s.Facts)-1].Key; s.External() != "east.cloud.fabrikam.com" || last != "Größe" {
			t.Errorf("%s: zone %s, last key %s", name, s.External(), last)
		}
	}
}

func TestParseUnreadable(t *testing.T) {
	for _, test := range []struct {
		data []byte
		want string
	}{
		{nil, "the file is empty"},
		{[]byte("\uFEFF \r\n"), "the file is empty"},
		{utf16Of(binary.LittleEndian, "\uFEFF{}")[:5], "the UTF-16 text ends within a character"},
		{utf16Of(binary.LittleEndian, "\uFEFF{\n\n\"a\" 1}"), "line 3: this is no JSON"},
		{make([]byte, MaxFile+1), "larger than 4 MiB"},
		{bytes.Repeat([]byte("["), 100_000), "exceeded max depth"},
	} {
		if _, _, err := Parse(test.data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q in it", err, test.want)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "AzureStackStampInformation.json")
	// The path stands once, and what to do is said.
	want := path + ": no such file or directory: give the path of an AzureStackStampInformation.json (stampdns stampinfo writes one)"
	if _, _, err := ReadFile(path); !errors.Is(err, os.ErrNotExist) || err.Error() != want {
		t.Errorf("no file: %v, want %s", err, want)
	}
	if _, _, err := ReadFile(dir); err == nil || !strings.HasPrefix(err.Error(), dir+": ") || strings.Count(err.Error(), dir) != 1 {
		t.Errorf("a folder: %v", err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("{\n\"RegionName\" 1}"))
	if _, _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+":2: this is no JSON") {
		t.Errorf("no JSON: %v", err)
	}
	write([]byte("{}"))
	if _, _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+": this is no stamp file") {
		t.Errorf("no key: %v", err)
	}
	write(make([]byte, MaxFile+1))
	if _, _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+": larger than") {
		t.Errorf("large: %v", err)
	}
	write([]byte(readArchive(t, "testdata/files/sample.txtar")["file"]))
	s, _, err := ReadFile(path)
	if err != nil || s.Prefix != "AzS" {
		t.Errorf("prefix %q, error %v", s.Prefix, err)
	}
}

// TestInfoRoundTrip writes stamps as files and reads them back.
func TestInfoRoundTrip(t *testing.T) {
	for _, lines := range roundTrips() {
		s := mustSet(t, lines)
		checkRoundTrip(t, &s)
	}
}

func checkRoundTrip(t *testing.T, s *Stamp) {
	t.Helper()
	data, err := s.Info()
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Parse(data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if a, b := zonesText(t, s), zonesText(t, &again); a != b {
		t.Errorf("zones were\n%s\nand are\n%s", a, b)
	}
	twice, err := again.Info()
	if err != nil || !bytes.Equal(data, twice) {
		t.Errorf("%v: the file was\n%s\nand is\n%s", err, data, twice)
	}
}

// TestInfo compares the sample's file with testdata/info.json: keys, their
// order, PowerShell's layout.
func TestInfo(t *testing.T) {
	s := mustSet(t, "with eventhub\nlabel web01 192.0.2.90\nidentity entra")
	got, err := s.Info()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/info.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestInfoKeepsFacts: a real file's other keys come out again, the identity's
// only where it still holds.
func TestInfoKeepsFacts(t *testing.T) {
	s, _, err := Parse([]byte(readArchive(t, "testdata/files/sample.txtar")["file"]))
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, &s)
	if err := Change(&s).Set("identity", "entra"); err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, &s)
	data, err := s.Info()
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	if object["StampVersion"] != "1.2301.2.58" || object["SomethingNew"] == nil {
		t.Errorf("StampVersion %v, SomethingNew %v", object["StampVersion"], object["SomethingNew"])
	}
	if tenant := object["AADTenantName"]; tenant != "fabrikam.onmicrosoft.com" {
		t.Errorf("AADTenantName %v on an Entra stamp", tenant)
	}
	nodes := object["HardwareInfo"].(map[string]any)["Nodes"].([]any)
	if memory := nodes[0].(map[string]any)["Memory"]; memory != 549755813888.0 {
		t.Errorf("memory %v", memory)
	}
}

// FuzzParse: whatever the file, there is a stamp or an error; and what is a
// valid stamp can be written and read again.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/files/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		_, file, _ := bytes.Cut(data, []byte("-- file --\n"))
		file, _, _ = bytes.Cut(file, []byte("\n-- "))
		f.Add(slices.Clone(file))
	}
	f.Add([]byte("\xff\xfe{\x00}\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _, err := Parse(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an empty error")
			}
			return
		}
		if s.Validate() != nil {
			return
		}
		checkRoundTrip(t, &s)
	})
}
