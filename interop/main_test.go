//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestMain fails at once, with the remedy, where the tests cannot run, and
// removes what an earlier run that was killed has left behind.
func TestMain(m *testing.M) {
	if err := errors.Join(missing()...); err != nil {
		fmt.Fprintf(os.Stderr, "interop: cannot run:\n%v\n", err)
		os.Exit(1)
	}
	if err := removeStale(); err != nil {
		fmt.Fprintf(os.Stderr, "interop: %v\n", err)
		os.Exit(1)
	}
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// missing lists what the tests need and do not find.
func missing() []error {
	var errs []error
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		errs = append(errs, errors.New("network namespaces need Linux and root: run make interop as root or with sudo installed"))
	}
	commands := []string{
		"ip", "named", "named-checkzone", "unbound", "nsd", "nsd-checkzone",
		"knotd", "kzonecheck", "kdig", "dig", "kresd", "pdns_recursor", "dnsmasq", "nft",
		"dnsdist", "fstrm_capture", "dnstap-read",
	}
	for _, command := range commands {
		if _, err := exec.LookPath(command); err != nil {
			errs = append(errs, fmt.Errorf("%s is not installed: run .ci/install interop", command))
		}
	}
	return errs
}

// built is the stampdns that the tests run, made once.
var built struct {
	sync.Once
	path, dir string
	err       error
}

// stampdns is the path of the program under test: the environment variable
// STAMPDNS, or built from this tree.
func stampdns(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.path = os.Getenv("STAMPDNS"); built.path != "" {
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "stampdns-interop-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "stampdns")
		out, err := exec.Command("go", "build", "-o", built.path, "github.com/stampdns/stampdns/cmd/stampdns").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build stampdns: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// output runs a command to its end and returns its stdout; the test fails when
// the command does, with all it said.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}
