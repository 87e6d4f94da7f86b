package deploy

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// story is one test of the alerts.
type story struct {
	Name   string
	Values []struct {
		EvalTime string `yaml:"eval_time"`
		Samples  []struct {
			Labels string
			Value  float64
		} `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

// TestAlerts says that each alert tells people what is wrong and what to do, has a
// severity that there is, and is tested both ways: a story in which it fires at one
// time and not at another. That the labels in its texts are there is seen in the
// series that promtool compares.
func TestAlerts(t *testing.T) {
	var doc struct{ Tests []story }
	if err := yaml.Unmarshal(read(t, rulesTestFile), &doc); err != nil {
		t.Fatalf("%s: %v", rulesTestFile, err)
	}
	fired := make(map[string][]map[string]string)
	quiet := make(map[string]bool)
	for _, s := range doc.Tests {
		times := make(map[string]int)
		for _, v := range s.Values {
			names := make(map[string]bool)
			for _, sample := range v.Samples {
				e, err := parse(sample.Labels)
				if err != nil {
					t.Fatal(err)
				}
				labels := make(map[string]string)
				for _, m := range e.selectors[0].matchers {
					labels[m.label] = m.value
				}
				name := labels["alertname"]
				names[name], fired[name] = true, append(fired[name], labels)
			}
			for name := range names {
				times[name]++
			}
		}
		for name, n := range times {
			quiet[name] = quiet[name] || n < len(s.Values)
		}
	}
	all := readAlerts(t)
	page := string(read(t, "prometheus/README.md"))
	for name, a := range all {
		if !strings.Contains(page, "| `"+name+"` | "+a.Labels["severity"]+" |") {
			t.Errorf("%s is not in the table of README.md with its severity", name)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) || !strings.HasPrefix(name, "Stampdns") {
			t.Errorf("%s has the severity %q", name, a.Labels["severity"])
		}
		for _, kind := range []string{"summary", "description"} {
			text := a.Annotations[kind]
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: the %s %q is no sentence", name, kind, text)
			}
			for _, label := range groups(alertLabel, text) {
				for _, labels := range fired[name] {
					if labels[label] == "" {
						t.Errorf("%s: there is no label %s for its %s", name, label, kind)
					}
				}
			}
		}
		if len(fired[name]) == 0 || !quiet[name] {
			t.Errorf("%s is not tested firing and not firing in one story", name)
		}
	}
	for name := range fired {
		if _, ok := all[name]; !ok {
			t.Errorf("%s is tested and no alert", name)
		}
	}
}
