package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// faultRule is a fault, as the API tells of it.
type faultRule struct {
	ID        string  `json:"id"`
	Rule      string  `json:"rule"`
	Source    string  `json:"source"`
	Lasts     bool    `json:"lasts"`
	Enabled   bool    `json:"enabled"`
	Remaining float64 `json:"remaining_seconds"`
	Left      *uint64 `json:"remaining_count"`
	Hits      uint64  `json:"hits"`
}

func (c *command) fault() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "break replies of a running server on purpose",
		Long: `Break replies of a running server on purpose, to see what resolvers make of it:
delays, errors, replies that are cut, too long, late or wrong, TCP that is
refused. Each fault ends by itself, after ten minutes unless it says otherwise.`,
		Example: `  stampdns fault add servfail ns ns01 name '*.blob.*' for 5m
  stampdns fault list
  stampdns fault clear --all`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.faultAdd(), c.faultList(), c.faultClear())
	return cmd
}

func (c *command) faultAdd() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "add KIND [WORD…]",
		Short: "put a fault into use",
		Long: `Put a fault into use. The words are those of a rule in the Corefile:

  KIND [ARGUMENT…] [delay D [jitter D]]
  [ns NS…] [name NAME…] [type TYPE…] [transport udp|tcp]
  [client NETWORK…] [resolver NAME…]
  [probability P | every N] [seed N] [count N]
  [for DURATION | until TIME] [as RULE]

In names * is any run of characters: quote it. The kinds are
  late or never    delay D, drop
  errors           servfail, refused, nxdomain, notimp, formerr
  wrong replies    truncate, empty, lame, wrong-id, wrong-case
  EDNS             no-edns, formerr-edns, oversize [SIZE]
  TCP              tcp-refuse, tcp-reset
  zone data        stale-serial [BEHIND], no-glue, wrong-ns [NAME…]`,
		Example: `  stampdns fault add servfail ns ns01 name '*.blob.*' for 5m
  stampdns fault add delay 800ms jitter 200ms ns ns02 probability 0.5
  stampdns fault add tcp-refuse ns ns01 as shut`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name a kind of fault: %s KIND [WORD…], see %[1]s --help", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeFault,
		RunE: func(_ *cobra.Command, args []string) error {
			var rule faultRule
			raw, err := flags.call(http.MethodPost, "/faults", map[string]string{"rule": strings.Join(args, " ")}, &rule)
			if err != nil {
				return err
			}
			return flags.write(raw, func() error { return flags.faultTable([]faultRule{rule}) })
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

// completeFault proposes kinds, and then what may follow one.
func completeFault(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	words := []string{"ns", "name", "type", "transport", "client", "resolver", "probability", "every", "seed", "count",
		"delay", "jitter", "for", "until", "as"}
	if len(args) == 0 {
		words = []string{"delay", "drop", "servfail", "refused", "nxdomain", "notimp", "formerr", "truncate", "empty", "lame",
			"wrong-id", "wrong-case", "no-edns", "formerr-edns", "tcp-refuse", "tcp-reset", "oversize", "stale-serial",
			"no-glue", "wrong-ns"}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func (c *command) faultList() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the faults in use",
		Long: `List the faults in use, in the order that they are tried in: the first that is
about a query decides. With -o json also those that ended not long ago.`,
		Example: `  stampdns fault list
  stampdns fault list -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			var list struct {
				Faults []faultRule `json:"faults"`
			}
			raw, err := flags.call(http.MethodGet, "/faults", nil, &list)
			if err != nil {
				return err
			}
			return flags.write(raw, func() error {
				if len(list.Faults) == 0 {
					c.note("there is no fault: stampdns fault add KIND [WORD…]")
				}
				return flags.faultTable(list.Faults)
			})
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

func (c *command) faultClear() *cobra.Command {
	var flags apiFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "clear NAME…|--all",
		Short: "end faults",
		Long:  `End faults by their names, or all of them. Those of the Corefile are off until its next reload.`,
		Example: `  stampdns fault clear f1 shut
  stampdns fault clear --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if all != (len(args) == 0) {
				return usagef("name faults, or give --all: %s NAME…|--all", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			if !all {
				return flags.clearFaults(args)
			}
			var done struct {
				Cleared []string `json:"cleared"`
			}
			if _, err := flags.call(http.MethodDelete, "/faults", nil, &done); err != nil {
				return err
			}
			for _, name := range done.Cleared {
				fmt.Fprintf(c.stdout, "%s: cleared\n", printable(name))
			}
			if len(done.Cleared) == 0 {
				c.note("there was no fault")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "end all faults")
	asks(cmd, "all")
	flags.add(c, cmd)
	return cmd
}

// clearFaults ends faults by their names, one after the other.
func (a *apiFlags) clearFaults(names []string) error {
	for _, name := range names {
		if name == "" || name == "." || name == ".." {
			return usagef("%q is no name of a fault: stampdns fault list shows them", name)
		}
		if _, err := a.call(http.MethodDelete, "/faults/"+url.PathEscape(name), nil, nil); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.command.stdout, "%s: cleared\n", printable(name)); err != nil {
			return err
		}
	}
	return nil
}

func (a *apiFlags) faultTable(list []faultRule) error {
	rows := make([][]string, len(list))
	for i, f := range list {
		state := "on"
		if !f.Enabled {
			state = "off"
		}
		left := ""
		if f.Left != nil {
			left = strconv.FormatUint(*f.Left, 10)
		}
		remaining := time.Duration(f.Remaining * float64(time.Second)).Round(time.Second).String()
		rows[i] = []string{f.ID, state, strconv.FormatUint(f.Hits, 10), left, remaining, sourceText(f.Source, f.Lasts), f.Rule}
	}
	return writeTable(a.command.stdout, []string{"name", "state", "hits", "left", "ends in", "source", "rule"}, rows)
}
