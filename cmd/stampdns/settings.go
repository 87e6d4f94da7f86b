package main

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/server"
)

// settings are the settings of a running server, as the API tells of them.
type settings struct {
	UseRootHint bool   `json:"use_root_hint"`
	RootHints   bool   `json:"root_hints"`
	Source      string `json:"source"`
}

// settingsPatch is the body of a request that changes settings.
type settingsPatch struct {
	UseRootHint bool `json:"use_root_hint"`
}

// settingNames are the settings that can be set.
var settingNames = [...]string{"use-root-hint"}

func (c *command) settings() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "show or change settings of a running server",
		Example: `  stampdns settings get
  stampdns settings set use-root-hint=false`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.settingsGet(), c.settingsSet())
	return cmd
}

func (c *command) settingsGet() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "get",
		Short: "show the settings",
		Long: `Show the settings: use-root-hint says whether the server asks from the root down
when no DNS forwarder answers; root-hints whether it has a file of root servers
to do so.`,
		Example: `  stampdns settings get
  stampdns settings get -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return flags.settings(http.MethodGet, nil) },
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

func (c *command) settingsSet() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "set use-root-hint=true|false",
		Short: "change a setting",
		Long: `Change a setting; it takes effect at once. With use-root-hint=true the server asks
from the root down when no DNS forwarder answers; it needs a file of root
servers for that.`,
		Example: `  stampdns settings set use-root-hint=false`,
		Args: func(_ *cobra.Command, args []string) error {
			_, err := settingsOf(args)
			return err
		},
		ValidArgs: []string{settingNames[0] + "=true", settingNames[0] + "=false"},
		RunE: func(_ *cobra.Command, args []string) error {
			patch, err := settingsOf(args)
			if err != nil {
				return err
			}
			return flags.settings(http.MethodPatch, patch)
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

// settingsOf reads NAME=VALUE.
func settingsOf(args []string) (settingsPatch, error) {
	if len(args) != 1 {
		return settingsPatch{}, usagef("name one setting and its value: stampdns settings set %s=true", settingNames[0])
	}
	name, value, given := strings.Cut(args[0], "=")
	if !slices.Contains(settingNames[:], name) {
		return settingsPatch{}, usagef("unknown setting %q: there is %s%s", name, strings.Join(settingNames[:], ", "), server.Suggest(name, settingNames[:]))
	}
	if !given || value != "true" && value != "false" {
		return settingsPatch{}, usagef("%s %q: write %[1]s=true or %[1]s=false", name, value)
	}
	return settingsPatch{UseRootHint: value == "true"}, nil
}

// settings does one thing to the settings and writes those there are then.
func (a *apiFlags) settings(method string, body any) error {
	var now settings
	raw, err := a.call(method, "/settings", body, &now)
	if err != nil {
		return err
	}
	return a.write(raw, func() error {
		hints, source := "none", ""
		if now.RootHints {
			hints, source = "configured", "corefile"
		}
		return writeTable(a.command.stdout, []string{"setting", "value", "source"}, [][]string{
			{settingNames[0], strconv.FormatBool(now.UseRootHint), now.Source},
			{"root-hints", hints, source},
		})
	})
}
