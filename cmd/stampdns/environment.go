package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stampdns/stampdns/server"
)

// envPrefix starts the name of each environment variable that is an option.
const envPrefix = "STAMPDNS_"

// environment is the variables that start with envPrefix and are not empty:
// container tools pass empty ones for what was left out.
type environment map[string]string

// newEnvironment reads os.Environ's form.
func newEnvironment(vars []string) environment {
	env := environment{}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" && !serviceLink(name, value) {
			env[name] = value
		}
	}
	return env
}

// serviceLink says whether Kubernetes made the variable: for a Service called
// stampdns or stampdns-x it gives each container STAMPDNS_SERVICE_HOST,
// STAMPDNS_X_PORT_53_UDP_ADDR and so on, and STAMPDNS_PORT with a URL in it,
// which looks like our --port.
func serviceLink(name, value string) bool {
	made := regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	url := regexp.MustCompile(`^(tcp|udp|sctp)://`)
	return made.MatchString(name) || strings.HasSuffix(name, "_PORT") && url.MatchString(value)
}

// envName is the environment variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// isOption says whether the flag is one of ours: all but those that every command of
// the library has.
func isOption(f *pflag.Flag) bool { return f.Name != "help" && f.Name != "version" }

// asksOnce is the annotation of flags that say what one call asks for.
const asksOnce = "stampdns_asks_once"

// asks marks flags of cmd that say what one call asks for, such as filters and whom
// to probe. They are no environment variables: what was set for serve, or for another
// verb, must not change a question without a word.
func asks(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		// The one error is that the flag does not exist.
		if err := cmd.Flags().SetAnnotation(name, asksOnce, nil); err != nil {
			panic(err)
		}
	}
}

// isVariable says whether the flag can be set by the environment.
func isVariable(f *pflag.Flag) bool {
	_, once := f.Annotations[asksOnce]
	return isOption(f) && !once
}

// readEnvironment sets the flags of cmd that the command line left alone from
// the environment.
func (c *command) readEnvironment(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := c.env[envName(f.Name)]
		if !ok || f.Changed || !isVariable(f) || err != nil {
			return
		}
		if wrong := f.Value.Set(value); wrong != nil {
			err = usagef("environment variable %s %q: %s", envName(f.Name), value, wanted(f, wrong))
		}
	})
	return err
}

// fromEnvironment says whether the flag has its value from the environment.
func (c *command) fromEnvironment(f *pflag.Flag) bool {
	_, ok := c.env[envName(f.Name)]
	return ok && !f.Changed && isVariable(f)
}

// origin says where the user wrote an option of cmd, or could have: the flag, or
// the variable.
func (c *command) origin(cmd *cobra.Command, flag string) string {
	if f := cmd.Flags().Lookup(flag); f != nil && c.fromEnvironment(f) {
		return envName(flag)
	}
	return "--" + flag
}

// noEmpty is an error where a flag is given and says nothing: what a script has
// left of an unset variable must not turn into the default. An empty environment
// variable counts as not set.
func noEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if err == nil && (value == "" || f.Value.Type() == "stringSlice" && value == "[]") {
			err = usagef("--%s is empty: give it a value, or leave it out", f.Name)
		}
	})
	return err
}

// warnUnknown names the variables that look like options and are none. One that
// the Corefile speaks of is its own affair.
func (c *command) warnUnknown(root *cobra.Command, corefile string) {
	var known []string
	for _, verb := range commands(root) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if isVariable(f) {
				known = append(known, envName(f.Name))
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		if !slices.Contains(known, name) && !strings.Contains(corefile, name) {
			c.note("environment variable %s is no option and is ignored%s", name, server.Suggest(name, known))
		}
	}
}

// commands are cmd and all below it.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}
