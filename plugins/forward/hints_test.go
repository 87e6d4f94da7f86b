package forward

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/zones/wire"
)

// hintsFile is root hints in a file.
func hintsFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.hints")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadHints(t *testing.T) {
	h, err := readHints(hintsFile(t, `; as they are published, and a second server without an address
.                        3600000      NS    A.ROOT-SERVERS.EXAMPLE.
A.root-servers.example.  3600000      A     198.51.100.4
.                        3600000      NS    B.ROOT-SERVERS.EXAMPLE.
.                        3600000      NS    a.root-servers.example.
A.ROOT-SERVERS.EXAMPLE.  3600000      AAAA  2001:db8:ba3e::2:30
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(h.servers[0].name, h.servers[0].addrs), "a.root-servers.example. [198.51.100.4 2001:db8:ba3e::2:30]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(h.servers) != 2 || len(h.servers[1].addrs) != 0 || h.port != 53 {
		t.Errorf("got %+v", h)
	}
	if root := h.root(); string(root.zone) != string(wire.Root()) || len(root.addrs()) != 2 {
		t.Errorf("root %+v", root)
	}
}

func TestReadHintsErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "root.hints: holds no record: root hints have NS records of the root"},
		{"; nothing\n", "holds no record"},
		{". 60 NS a.root.\n", "root.hints: no name server of the root has an address: add an A or AAAA record"},
		{"\ncom. 60 NS a.root.\n", "root.hints:2: NS of com.: only those of the root belong into root hints"},
		{". 60 NS a.root.\nb.root. 60 A 192.0.2.1\n", "root.hints:2: address of b.root., which no NS record of the root names"},
		{". 60 NS a.root.\n. 60 TXT x\n", "root.hints:2: TXT: only NS, A and AAAA belong into root hints"},
		{". 60 NS a.root.\na.root. 60 A 0.0.0.0\n", "root.hints:2: 0.0.0.0 is no address of a name server"},
		{". 60 NS a.root.\na.root. 60 AAAA ff02::1\n", "root.hints:2: ff02::1 is no address"},
		{". 60 NS a.root.\na.root. 60 A 192.0.2\n", "root.hints:2: "},
		{". 60 NS\n", "root.hints:1: "},
	} {
		h, err := readHints(hintsFile(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || h != nil {
			t.Errorf("%q: %v, %v; want %s", c.text, h, err, c.want)
		}
	}
	if _, err := readHints(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}
