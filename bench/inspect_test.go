//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// TestWithoutFolders takes the folders out of a profile of this process, which
// remains a profile.
func TestWithoutFolders(t *testing.T) {
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	for n, end := 0, time.Now().Add(100*time.Millisecond); time.Now().Before(end); n++ {
	}
	pprof.StopCPUProfile()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(unpacked(t, profile.Bytes()), self) {
		t.Fatalf("the profile does not name %s to begin with", self)
	}
	clean, err := withoutFolders(profile.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if text := unpacked(t, clean); strings.Contains(text, filepath.Dir(self)) || !strings.Contains(text, filepath.Base(self)) {
		t.Errorf("the profile names the folder of %s, or not the program", self)
	}
	path := filepath.Join(t.TempDir(), "profile")
	if err := os.WriteFile(path, clean, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "pprof", "-symbolize=none", "-raw", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cpu/nanoseconds") {
		t.Errorf("go tool pprof: %v: %s", err, out)
	}
	packed := new(bytes.Buffer)
	w := gzip.NewWriter(packed)
	w.Write([]byte("no profile at all"))
	w.Close()
	for _, bad := range [][]byte{nil, []byte("text"), packed.Bytes(), clean[:len(clean)/2]} {
		if got, err := withoutFolders(bad); err == nil {
			t.Errorf("%.20q becomes %d octets", bad, len(got))
		}
	}
}

func unpacked(t *testing.T, profile []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
