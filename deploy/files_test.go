package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// Where the files are.
const (
	dashboardFile = "grafana/stampdns.json"
	rulesFile     = "prometheus/stampdns.rules.yml"
	rulesTestFile = "prometheus/stampdns.rules_test.yml"
	configFile    = "prometheus/prometheus.yml"
)

// board is the dashboard, as far as the tests look at it.
type board struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Datasource             map[string]string
		}
	}
	Panels []boardPanel
}

type boardPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               map[string]string
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct {
		RefID, Expr, LegendFormat string
		Datasource                map[string]string
	}
	Transformations []struct {
		ID      string
		Options map[string]any
	}
}

// alerts are the rules.
type alerts struct {
	Groups []struct {
		Name  string
		Rules []alert
	}
}

type alert struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

func readBoard(t *testing.T) (b board) {
	t.Helper()
	if err := json.Unmarshal(read(t, dashboardFile), &b); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	return b
}

// readAlerts are the alerts by name.
func readAlerts(t *testing.T) map[string]alert {
	t.Helper()
	var doc alerts
	if err := yaml.Unmarshal(read(t, rulesFile), &doc); err != nil {
		t.Fatalf("%s: %v", rulesFile, err)
	}
	all := make(map[string]alert)
	for _, g := range doc.Groups {
		for _, r := range g.Rules {
			if _, twice := all[r.Alert]; twice || r.Alert == "" {
				t.Errorf("%s: the alert %q stands there twice, or is none", rulesFile, r.Alert)
			}
			all[r.Alert] = r
		}
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// used is an expression of one of the files, and the labels that are shown with it.
type used struct {
	where, expr string
	shown       []string
	expression
}

var (
	legendLabel = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}`)
	alertLabel  = regexp.MustCompile(`\$labels\.([a-z_]+)`)
	labelValues = regexp.MustCompile(`^label_values\((.*), ([a-z_]+)\)$`)
)

// groups are the first groups of all matches.
func groups(r *regexp.Regexp, text string) (all []string) {
	for _, m := range r.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// expressions are all of the dashboard and of the alerts.
func expressions(t *testing.T) []used {
	t.Helper()
	b := readBoard(t)
	var all []used
	for _, v := range b.Templating.List {
		if m := labelValues.FindStringSubmatch(v.Definition); m != nil {
			all = append(all, used{where: "variable " + v.Name, expr: m[1], shown: m[2:]})
		}
	}
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			u := used{where: fmt.Sprintf("panel %q", p.Title), expr: target.Expr, shown: groups(legendLabel, target.LegendFormat)}
			for _, tr := range p.Transformations {
				for _, field := range []string{"rowField", "columnField"} {
					if label, ok := tr.Options[field].(string); ok {
						u.shown = append(u.shown, label)
					}
				}
			}
			all = append(all, u)
		}
	}
	for name, a := range readAlerts(t) {
		all = append(all, used{where: "alert " + name, expr: a.Expr})
	}
	for i := range all {
		e, err := parse(all[i].expr)
		if err != nil {
			t.Fatalf("%s: %v", all[i].where, err)
		}
		all[i].expression = e
	}
	if len(all) < 100 {
		t.Errorf("there are %d expressions: the files are read wrong", len(all))
	}
	return all
}

// TestDashboard looks at the structure of the dashboard.
func TestDashboard(t *testing.T) {
	b := readBoard(t)
	names := []string{"__range", "__rate_interval"}
	for _, v := range b.Templating.List {
		names = append(names, v.Name)
		if v.Type == "query" && (!labelValues.MatchString(v.Definition) || v.Datasource["uid"] != "${DS_PROMETHEUS}") {
			t.Errorf("variable %s: %s from %v", v.Name, v.Definition, v.Datasource)
		}
	}
	for _, want := range []string{"DS_PROMETHEUS", "instance", "ns", "resolver"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no variable %s", want)
		}
	}
	ids, taken, rows := make(map[int]bool), make(map[[2]int]string), 0
	for _, p := range b.Panels {
		if p.ID < 1 || ids[p.ID] {
			t.Errorf("panel %q: the ID %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("panel %q is outside the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q are both at column %d, row %d", other, p.Title, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows++
			continue
		}
		p.check(t, names)
	}
	if rows < 6 {
		t.Errorf("there are %d rows", rows)
	}
}

// check looks at one panel.
func (p boardPanel) check(t *testing.T, variableNames []string) {
	t.Helper()
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") {
		t.Errorf("panel %q: its description %q is no sentence", p.Title, p.Description)
	}
	if p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("panel %q has no unit or no query", p.Title)
	}
	refs := make(map[string]bool)
	for _, target := range p.Targets {
		if refs[target.RefID] || target.Datasource["uid"] != "${DS_PROMETHEUS}" {
			t.Errorf("panel %q: query %s is there twice, or asks %v", p.Title, target.RefID, target.Datasource)
		}
		refs[target.RefID] = true
		for _, v := range variables.FindAllString(target.Expr, -1) {
			if !slices.Contains(variableNames, v[1:]) {
				t.Errorf("panel %q: there is no variable %s", p.Title, v)
			}
		}
		if strings.Contains(target.Expr, "@") || strings.Contains(target.Expr, "job=") {
			t.Errorf("panel %q: @ is left, or a job is named: %s", p.Title, target.Expr)
		}
	}
}
