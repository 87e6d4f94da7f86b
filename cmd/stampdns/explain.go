package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// explanation is what the API says of a question.
type explanation struct {
	Name    string        `json:"name"`
	Type    string        `json:"type"`
	From    string        `json:"from"`
	To      string        `json:"to"`
	Block   string        `json:"block"`
	Verdict string        `json:"verdict"`
	Steps   []explainStep `json:"steps"`
	Text    string        `json:"text"`
}

// explainStep is what one plugin has to say.
type explainStep struct {
	Plugin  string            `json:"plugin"`
	Decides bool              `json:"decides"`
	Text    string            `json:"text"`
	Facts   map[string]string `json:"facts"`
}

// explainTypes are the types that the shell offers; the server knows more.
var explainTypes = [...]string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}

func (c *command) explain() *cobra.Command {
	var flags apiFlags
	var from, to string
	cmd := &cobra.Command{
		Use:   "explain NAME [TYPE]",
		Short: "tell what would decide a question",
		Long: `Ask a running server what it would do with a question, without asking it: which
server block, access rule, zone, delegation, wildcard, forwarder or cache entry
would decide, and how the upstream is. The first line says it in a sentence,
what follows is the way there. Nothing changes at the server.`,
		Example: `  stampdns explain www.contoso.com
  stampdns explain portal.east.cloud.fabrikam.com AAAA --from 192.0.2.77
  stampdns explain contoso.com MX --to 127.0.0.2 -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("name one name, and a type if it is not A: %s NAME [TYPE]", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return explainTypes[:], cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			question := url.Values{"name": {args[0]}}
			if len(args) == 2 {
				question.Set("type", strings.ToUpper(args[1]))
			}
			if from != "" {
				if _, err := netip.ParseAddr(from); err != nil {
					return usagef("--from %q is no IP address", from)
				}
				question.Set("from", from)
			}
			if to != "" {
				if !isAddress(to) {
					return usagef("--to %q is no IP address, with or without a port", to)
				}
				question.Set("to", to)
			}
			var e explanation
			raw, err := flags.call(http.MethodGet, "/explain?"+question.Encode(), nil, &e)
			if err != nil {
				return err
			}
			return flags.write(raw, func() error { return writeExplanation(c.stdout, &e) })
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	cmd.Flags().StringVar(&from, "from", "", "`ADDRESS` of the client that would ask (default this machine)")
	cmd.Flags().StringVar(&to, "to", "", "`ADDRESS` of the server that it would ask, with or without a port (default the first)")
	asks(cmd, "from", "to")
	return cmd
}

// isAddress says whether text is an IP address, with a port or without.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	if err != nil {
		_, err = netip.ParseAddrPort(text)
	}
	return err == nil
}

// writeExplanation writes what decides, then the question, then each step; the
// one that decides has an arrow before it.
func writeExplanation(w io.Writer, e *explanation) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n%s %s, from %s to %s, block %s: %s\n", e.Text, e.Name, e.Type, e.From, e.To, e.Block, e.Verdict)
	width := 0
	for _, s := range e.Steps {
		width = max(width, len(s.Plugin))
	}
	for _, s := range e.Steps {
		arrow := " "
		if s.Decides {
			arrow = ">"
		}
		fmt.Fprintf(&text, "%s %-*s  %s\n", arrow, width, s.Plugin, s.Text)
		for _, fact := range slices.Sorted(maps.Keys(s.Facts)) {
			fmt.Fprintf(&text, "  %-*s    %s: %s\n", width, "", fact, s.Facts[fact])
		}
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
