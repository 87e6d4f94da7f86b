package plugins_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stampdns/stampdns"

// arrows says which of our packages a package may import. The first pattern that
// matches holds; /* is any one folder.
var arrows = []struct {
	from string
	to   []string
}{
	{"cmd/*", []string{"plugins", "server", "check", "zones", "zones/*"}},
	{"plugins", []string{"plugins/*", "server"}},
	{"plugins/*", []string{"server", "zones", "zones/*"}},
	{"server/servertest", []string{"server"}},
	{"server", []string{"zones/wire"}},
	{"check", []string{"zones/stamp", "zones", "zones/wire"}},
	{"bench", []string{"bench/process"}},
	{"bench/*", []string{"bench/process"}},
	{"zones/wire", nil},
	{"zones/*", []string{"zones", "zones/wire"}},
	{"zones", []string{"zones/wire"}},
}

// outside are the packages of others that may be imported.
var outside = []string{
	"github.com/miekg/dns",
	"github.com/coredns/caddy/caddyfile",
	"github.com/prometheus/client_golang/prometheus",
	"github.com/prometheus/client_model/go",
	"github.com/spf13/cobra",
	"github.com/cpuguy83/go-md2man/v2", // cobra's own way to man pages
	"github.com/spf13/pflag",
	"go.etcd.io/bbolt", // the server's state: one file that survives a crash
	"golang.org/x/sys",
}

// TestArrows compares the imports of all packages, tests aside, with the drawing
// of the design.
func TestArrows(t *testing.T) {
	list := exec.Command("go", "list", "-pgo=off", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := inner(words[0])
		seen++
		for _, path := range words[1:] {
			if fault := forbidden(from, path); fault != "" {
				t.Errorf("%s imports %s: %s", from, path, fault)
			}
		}
	}
	if seen < 10 {
		t.Errorf("go list shows %d packages", seen)
	}
}

// TestForbidden tries the drawing on imports that it must not allow.
func TestForbidden(t *testing.T) {
	for _, tc := range [][2]string{
		{"zones", module + "/server"}, {"server", module + "/zones"}, {"server", module + "/plugins"},
		{"zones/wire", module + "/zones"}, {"zones/wire", "github.com/miekg/dns"}, {"zones", module + "/zones/stamp"},
		{"zones/stamp", module + "/server"}, {"plugins/file", module + "/plugins/auto"}, {"plugins/file", module + "/plugins"},
		{"plugins/file", module + "/server/servertest"}, {"check", module + "/server"}, {"newcomer", module + "/server"},
		{"cmd/stampdns", module + "/plugins/file"}, {"server", "github.com/coredns/caddy"}, {"zones", "net/http"},
		{"server", "example.org/anything"},
	} {
		if forbidden(tc[0], tc[1]) == "" {
			t.Errorf("%s may import %s", tc[0], tc[1])
		}
	}
	for _, tc := range [][2]string{
		{"plugins/file", module + "/zones/watch"}, {"plugins", module + "/plugins/file"}, {"zones", "net/netip"},
		{"server", "golang.org/x/sys/unix"}, {"cmd/stampdns", module + "/plugins"},
	} {
		if fault := forbidden(tc[0], tc[1]); fault != "" {
			t.Errorf("%s may not import %s: %s", tc[0], tc[1], fault)
		}
	}
}

// inner is a path of ours without the module, "" for those of others.
func inner(path string) string {
	if path == module {
		return "."
	}
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	return rest
}

// forbidden says why the package from must not import path, "" if it may.
func forbidden(from, path string) string {
	to := inner(path)
	switch {
	case to != "":
		return forbiddenInner(from, to)
	case !strings.Contains(strings.Split(path, "/")[0], "."):
		if strings.HasPrefix(from, "zones") && slices.Contains([]string{"net", "net/http", "os/exec"}, path) {
			return "zones have no sockets"
		}
		return ""
	case from == "zones/wire":
		return "zones/wire is a leaf"
	case from == "server/servertest" && strings.HasPrefix(path, "github.com/getkin/kin-openapi/"):
		return "" // tests hold answers of the API against its description
	}
	for _, allowed := range outside {
		if path == allowed || strings.HasPrefix(path, allowed+"/") {
			return ""
		}
	}
	return "it is none of the dependencies that we have a reason for"
}

func forbiddenInner(from, to string) string {
	for _, a := range arrows {
		if !match(a.from, from) {
			continue
		}
		if slices.ContainsFunc(a.to, func(pattern string) bool { return match(pattern, to) }) {
			return ""
		}
		return "there is no such arrow in the design"
	}
	return "the design says nothing of this package: draw its arrows here"
}

func match(pattern, path string) bool {
	folder, any := strings.CutSuffix(pattern, "/*")
	if !any {
		return pattern == path
	}
	rest, under := strings.CutPrefix(path, folder+"/")
	return under && !strings.Contains(rest, "/")
}
