package dnstap

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/server/servertest"
)

func TestWrongConfiguration(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	collect(t, "unix", socket)
	for _, tc := range []struct{ text, want string }{
		{"dnstap", "dnstap takes 1 to 2 arguments"},
		{"dnstap a.tap whole", "only full may follow"},
		{"dnstap tls://127.0.0.1:6000", "tls:// is not supported"},
		{"dnstap tcp://127.0.0.1", "no address of a collector"},
		{"dnstap tcp://:6000", "no address of a collector"},
		{"dnstap unix://", "has no path"},
		{"dnstap " + socket, "is a socket: write unix://" + socket},
		{"dnstap /", "is no file"},
		{"dnstap a.tap\n dnstap a.tap", "stands twice"},
		{"dnstap a.tap {\n identity\n}", "identity takes at least one argument"},
		{"dnstap a.tap {\n version " + strings.Repeat("x", 256) + "\n}", "256 octets long"},
		{"dnstap a.tap {\n message_types AUTH\n}", `unknown message type "AUTH"`},
		{"dnstap a.tap {\n extra x\n}", `unknown property "extra"`},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", Plugin(""))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "Corefile:") {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}

// FuzzReadControl: whatever a collector says, it costs little.
func FuzzReadControl(f *testing.F) {
	for kind := uint32(1); kind < 6; kind++ {
		f.Add(control(kind, kind < 5))
	}
	f.Add(binary.BigEndian.AppendUint32(make([]byte, 4), 1<<31))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, err := readControl(bytes.NewReader(b), controlAccept)
		if ours && (err != nil || len(b) > 12 && !bytes.Contains(b, []byte(contentType)) && binary.BigEndian.Uint32(b[4:]) != 4) {
			t.Errorf("% x: ours, %v", b, err)
		}
	})
}
