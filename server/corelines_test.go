package server

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestArguments: imports and variables count, and nothing is written to the log
// of the program.
func TestArguments(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "part"), []byte("say c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WORD", "b")
	var out bytes.Buffer
	log.SetOutput(&out)
	defer log.SetOutput(os.Stderr)
	text := "a. {\n say a {$WORD} {\n  loud\n }\n}\nb. {\n hush\n}\nimport none/*\nc. {\n import part\n}\nd. {\n say\n say twice\n}\n"
	cf := Corefile{Path: filepath.Join(dir, "Corefile"), Text: []byte(text)}
	got, err := cf.Arguments("say", "hush", "none")
	if want := map[string][][]string{"say": {{"a", "b"}, {"c"}, {}}, "hush": {{}}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if out.Len() > 0 {
		t.Errorf("the log of the program has %s", &out)
	}
	cf.Text = []byte("a. {\n say\n")
	if _, err := cf.Arguments("say"); err == nil {
		t.Error("no error for a block that is not closed")
	}
}

// TestOccurrences finds each directive of a name, also where lines of its block begin
// with that name.
func TestOccurrences(t *testing.T) {
	cf := Corefile{Text: []byte(".:53 {\n say a b {\n  say c\n }\n say\n other x\n}\norg:53 {\n say d\n}\n")}
	got, err := cf.Occurrences("say")
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%q", got); text != `[["a" "b"] [] ["d"]]` {
		t.Error(text)
	}
}
