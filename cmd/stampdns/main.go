// Command stampdns stands in for the DNS of an Azure Stack Hub stamp.
//
// The verbs are thin: flags in, a library does the work, text out. There is one
// file a verb. What all of them keep to:
//
//   - Results go to stdout; everything else goes to stderr.
//   - An error is one line on stderr, "stampdns: what: hint", in lower case and
//     without a full stop.
//   - The exit code is 0 when it worked, 1 when it did not, 2 when the command
//     line or the environment is wrong.
//   - Each option FLAG-NAME is also the environment variable STAMPDNS_FLAG_NAME,
//     but for those that say what one call asks for; the flag wins.
//   - Nothing is asked: no verb reads a terminal, but for the keys of top.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stampdns/stampdns/server"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the whole command: args are without the program's name, env is in
// os.Environ's form. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr, env: newEnvironment(env), vars: env, loopback: loopback()}
	return c.run(args)
}

// command is what the verbs share: the surface they speak to.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            environment
	// vars are all variables, in os.Environ's form.
	vars []string
	// loopback are the addresses that serve listens on unless told otherwise.
	loopback []netip.Addr
}

// usageError is a fault of the command line or the environment, not of the work.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// silentError ends the command with exitFailed where the output has said why.
type silentError struct{}

func (silentError) Error() string { return "failed" }

func (c *command) run(args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	err := root.Execute()
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(silentError)):
		return exitFailed
	case errors.As(err, &usage):
		c.complain(err)
		return exitUsage
	}
	c.complain(err)
	return exitFailed
}

// complain writes one line to stderr, whatever the text.
func (c *command) complain(err error) {
	fmt.Fprintf(c.stderr, "stampdns: %s\n", strings.Join(strings.Fields(err.Error()), " "))
}

// note tells the user something that does not stop the command.
func (c *command) note(format string, args ...any) { c.complain(fmt.Errorf(format, args...)) }

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "stampdns",
		Short: "stand in for the DNS of an Azure Stack Hub stamp",
		Long: `stampdns is a DNS server that stands in for the DNS of an Azure Stack Hub
stamp: its two name servers, its external zones and the zones its users make.

Each option is also an environment variable: --ns01 is STAMPDNS_NS01. The flag
wins over the variable. Only options that say what one call asks for, such as the
filters of journal, are flags alone.`,
		Example: `  stampdns serve
  stampdns serve --stamp AzureStackStampInformation.json
  stampdns endpoints -o markdown
  stampdns probe --resolver 192.0.2.53
  stampdns journal --follow`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              knownVerb,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := noEmpty(cmd); err != nil {
				return err
			}
			return c.readEnvironment(cmd)
		},
		Version: thisBuild().version,
	}
	root.SetVersionTemplate(thisBuild().String())
	root.AddCommand(c.serve(), c.endpoints(), c.zone(), c.stampinfo(), c.healthcheck(),
		c.forwarder(), c.customDNS(), c.settings(), c.explain(), c.pep(),
		c.top(), c.delegation(), c.journal(), c.probe(), c.fault(),
		c.completion(), c.version(), c.man())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(c.help())
	return root
}

func (c *command) help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB…]",
		Short: "explain a verb",
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, rest, err := cmd.Root().Find(args)
			if err == nil && verb.HasSubCommands() {
				err = knownVerb(verb, rest)
			}
			if err != nil {
				return err
			}
			return verb.Help()
		},
	}
}

// knownVerb is the argument check of commands that only have verbs below them.
func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var verbs []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			verbs = append(verbs, sub.Name())
		}
	}
	return usagef("unknown verb %q: see %s --help%s", args[0], cmd.CommandPath(), server.Suggest(args[0], verbs))
}

// noArguments is the argument check of verbs that take flags alone.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q: see %[1]s --help", cmd.CommandPath(), args[0])
	}
	return nil
}

// flagError is what is wrong with a flag, with the nearest flag there is.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "":
		flag := "--" + missing.GetSpecifiedName()
		return usagef("unknown flag %s: see %s --help%s", flag, cmd.CommandPath(), server.Suggest(flag, flagNames(cmd, "--")))
	case errors.As(err, &invalid):
		return usagef("--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), wanted(invalid.GetFlag(), errors.Unwrap(invalid)))
	}
	return usagef("%w: see %s --help", err, cmd.CommandPath())
}

// wanted says what a flag takes, in place of what the parser of its value says.
func wanted(f *pflag.Flag, err error) string {
	switch f.Value.Type() {
	case "uint16":
		return "want a number from 0 to 65535"
	case "bool":
		return "want true or false"
	case "duration":
		return "want a duration such as 2s"
	}
	return err.Error()
}

// flagNames are the names of the command's flags, each behind prefix.
func flagNames(cmd *cobra.Command, prefix string) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, prefix+f.Name)
		}
	})
	return names
}

// oneOf checks an option that has a closed set of values.
func oneOf(flag, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return usagef("--%s %q is none of %s%s", flag, value, strings.Join(known, ", "), server.Suggest(value, known))
}

// loopback are two addresses for the two name servers that need no set-up on
// most systems.
func loopback() []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.AddrFrom4([4]byte{127, 0, 0, 2})}
}
