package stamp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestLayout(t *testing.T) {
	got, err := Layout([]byte(`{"IPAddress":["192.0.2.53","192.0.2.54"],"Empty":{},"Source":"runtime"}`))
	want := `{
    "IPAddress":  [
                      "192.0.2.53",
                      "192.0.2.54"
                  ],
    "Empty":  {
              },
    "Source":  "runtime"
}
`
	if err != nil || string(got) != want {
		t.Errorf("got\n%s, %v\nwant\n%s", got, err, want)
	}
	for _, wrong := range []string{"", "{", "[1,2", `{"a":1} {"b":2}`, strings.Repeat("[", 1<<20)} {
		if _, err := Layout([]byte(wrong)); err == nil {
			t.Errorf("no error for %.20q", wrong)
		}
	}
}

// TestLayoutOfInfo: a stamp information file that was squeezed comes out as it
// was.
func TestLayoutOfInfo(t *testing.T) {
	usual := Default()
	info, err := usual.Info()
	if err != nil {
		t.Fatal(err)
	}
	var squeezed bytes.Buffer
	if err := json.Compact(&squeezed, info); err != nil {
		t.Fatal(err)
	}
	got, err := Layout(squeezed.Bytes())
	if err != nil || !bytes.Equal(got, info) {
		t.Errorf("got\n%s, %v\nwant\n%s", got, err, info)
	}
}
