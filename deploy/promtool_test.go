//go:build interop

package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// command is the path of a program that the tests need.
func command(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run .ci/install alerts", name)
	}
	return path
}

// promtool runs it and fails if it does.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(command(t, "promtool"), args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestPromtool has promtool check the rules and the example of a configuration, and
// run the tests of the rules.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", rulesFile)
	promtool(t, "check", "config", configFile)
	promtool(t, "test", "rules", rulesTestFile)
}

// TestPromtoolDashboard has promtool read each expression of the dashboard, as rules
// that record it.
func TestPromtoolDashboard(t *testing.T) {
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	for i, u := range expressions(t) {
		rules = append(rules, rule{fmt.Sprintf("dashboard:%d", i), withoutVariables(u.expr)})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// withoutVariables puts values in the place of Grafana's variables.
func withoutVariables(expr string) string {
	expr = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h").Replace(expr)
	return variables.ReplaceAllString(expr, ".*")
}

// TestPrometheus has a real Prometheus scrape a server that has had one of
// everything, by the configuration and the rules as they are but for addresses and
// times: the target is up, an alert is pending, and each query of the dashboard has
// an answer.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, startBusy(t))
	p.wait("the target to be up", func() bool {
		return strings.Contains(p.get("/api/v1/targets", nil), `"health":"up"`)
	})
	p.wait("StampdnsFaultActive to be pending", func() bool {
		return strings.Contains(p.get("/api/v1/alerts", nil), `"alertname":"StampdnsFaultActive"`)
	})
	p.wait("what takes ten seconds", func() bool { return p.results("stampdns_delegation_tc_unretried_total") > 0 })
	for _, u := range expressions(t) {
		if strings.HasPrefix(u.where, "alert ") {
			continue
		}
		p.wait(fmt.Sprintf("%s: an answer to %s", u.where, u.expr), func() bool {
			return p.results(withoutVariables(u.expr)) > 0
		})
	}
}

// results is how many series an expression has now.
func (p *prometheus) results(expr string) int {
	p.t.Helper()
	var doc struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(p.get("/api/v1/query", map[string]string{"query": expr})), &doc); err != nil {
		p.t.Fatal(err)
	}
	if doc.Status != "success" {
		p.t.Fatalf("%s: %s", expr, doc.Error)
	}
	return len(doc.Data.Result)
}
