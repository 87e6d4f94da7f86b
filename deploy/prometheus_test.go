//go:build interop

package deploy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stampdns/stampdns/server/servertest"
)

// prometheus is a running one.
type prometheus struct {
	t       *testing.T
	address string
	log     *bytes.Buffer // to be read when the process has ended
}

// startPrometheus runs Debian's Prometheus until the test ends, on a free port of
// loopback, with the example of a configuration for the server in place of its
// targets, and seconds in place of its intervals.
func startPrometheus(t *testing.T, s *busy) *prometheus {
	t.Helper()
	dir := t.TempDir()
	rules := string(read(t, rulesFile))
	config := string(read(t, configFile))
	for old, now := range map[string]string{
		"- 192.0.2.11:9153": "- " + s.HTTPAddrs()[metricsAt].String(),
		"- 192.0.2.12:9153": "- " + s.HTTPAddrs()[metricsAt].String(),
		": 15s":             ": 500ms",
	} {
		if !strings.Contains(config, old) {
			t.Fatalf("%s has no %s", configFile, old)
		}
		config = strings.ReplaceAll(config, old, now)
	}
	for name, text := range map[string]string{"prometheus.yml": config, filepath.Base(rulesFile): rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := &prometheus{t, fmt.Sprintf("127.0.0.1:%d", servertest.FreePort(t)), new(bytes.Buffer)}
	cmd := exec.Command(command(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("Prometheus ended with %v, and said\n%s", err, p.log)
		}
	})
	p.wait("Prometheus to be ready", func() bool {
		r, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// get is the answer of the API.
func (p *prometheus) get(path string, parameters map[string]string) string {
	p.t.Helper()
	values := make(url.Values)
	for name, value := range parameters {
		values.Set(name, value)
	}
	r, err := http.Get("http://" + p.address + path + "?" + values.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// wait polls until done is true.
func (p *prometheus) wait(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(3 * servertest.Patience); !done(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}
