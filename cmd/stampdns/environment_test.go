package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// root is the command tree, made but not run.
func root(env ...string) *cobra.Command {
	c := &command{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer), env: newEnvironment(env), loopback: loopback()}
	return c.root()
}

// TestEveryFlagIsAVariable sets each flag of each verb by its variable and looks
// at its value; then the flag must win over the variable.
func TestEveryFlagIsAVariable(t *testing.T) {
	values := map[string][2]string{
		"uint16": {"5301", "5302"}, "bool": {"true", "false"}, "duration": {"3s", "4s"},
		"string": {"text", "other"}, "stringSlice": {"[one,two]", "[three]"},
	}
	flags := 0
	for _, verb := range commands(root()) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if !isVariable(f) {
				return
			}
			flags++
			value, ok := values[f.Value.Type()]
			if !ok {
				t.Fatalf("--%s: no test value for type %s", f.Name, f.Value.Type())
			}
			name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			env := name + "=" + strings.Trim(value[0], "[]")
			path := strings.Fields(verb.CommandPath())[1:]
			for _, test := range []struct {
				args []string
				want string
			}{{nil, value[0]}, {[]string{"--" + f.Name + "=" + strings.Trim(value[1], "[]")}, value[1]}} {
				r := root(env)
				cmd, _, err := r.Find(path)
				if err != nil {
					t.Fatal(err)
				}
				// Not ParseFlags, which does nothing for pep: that reads its words itself.
				if err := cmd.Flags().Parse(test.args); err != nil {
					t.Fatal(err)
				}
				if err := r.PersistentPreRunE(cmd, nil); err != nil {
					t.Fatal(err)
				}
				if got := cmd.Flags().Lookup(f.Name).Value.String(); got != test.want {
					t.Errorf("%s with %s and %q: --%s is %s, want %s", verb.CommandPath(), env, test.args, f.Name, got, test.want)
				}
			}
		})
	}
	if flags < 40 {
		t.Errorf("only %d flags found", flags)
	}
}

func TestKubernetesServiceLinks(t *testing.T) {
	env := []string{
		"STAMPDNS_SERVICE_HOST=10.0.0.7", "STAMPDNS_SERVICE_PORT=53", "STAMPDNS_SERVICE_PORT_DNS_TCP=53",
		"STAMPDNS_PORT=udp://10.0.0.7:53", "STAMPDNS_PORT_53_UDP=udp://10.0.0.7:53", "STAMPDNS_PORT_53_UDP_ADDR=10.0.0.7",
		"STAMPDNS_PORT_53_UDP_PORT=53", "STAMPDNS_PORT_53_UDP_PROTO=udp", "STAMPDNS_NS01_PORT=tcp://10.0.0.7:53",
		"STAMPDNS_NS01_SERVICE_HOST=10.0.0.7", "STAMPDNS_REGION=", "STAMPDNS_TTL=60",
	}
	got := newEnvironment(env)
	if len(got) != 1 || got["STAMPDNS_TTL"] != "60" {
		t.Errorf("options are %v, want STAMPDNS_TTL alone", got)
	}
	if got := newEnvironment([]string{"STAMPDNS_PORT=53"}); got["STAMPDNS_PORT"] != "53" {
		t.Error("STAMPDNS_PORT with a number is no option")
	}
}

// TestVariablesMeanOneThing: a variable is for all verbs that have the option, so that
// it has to be the same there.
func TestVariablesMeanOneThing(t *testing.T) {
	seen := map[string]string{}
	for _, verb := range commands(root()) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if !isVariable(f) {
				return
			}
			value, _ := pflag.UnquoteUsage(f)
			meaning := f.Value.Type() + " " + value
			if before, ok := seen[f.Name]; ok && before != meaning {
				t.Errorf("%s: %s is %q, and %q elsewhere", verb.CommandPath(), envName(f.Name), meaning, before)
			}
			seen[f.Name] = meaning
		})
	}
}

// TestQuestionsAreNoVariables: what a call asks for is said on its command line.
func TestQuestionsAreNoVariables(t *testing.T) {
	for path, flag := range map[string]string{
		"probe": "resolver", "journal": "resolver", "journal expect": "ns", "delegation": "fail-on", "fault clear": "all",
		"explain": "from", "zone print": "file",
	} {
		r := root(envName(flag) + "=true")
		cmd, _, err := r.Find(strings.Fields(path))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.PersistentPreRunE(cmd, nil); err != nil {
			t.Fatal(err)
		}
		if f := cmd.Flags().Lookup(flag); f.Value.String() != f.DefValue {
			t.Errorf("%s takes %s for --%s", path, envName(flag), flag)
		}
	}
}
