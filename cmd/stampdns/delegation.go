package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// observed is what the API says of how queries reach the name servers.
type observed struct {
	Since       time.Time          `json:"observed_since"`
	NameServers []string           `json:"name_servers"`
	Resolvers   []observedResolver `json:"resolvers"`
	Others      observedResolver   `json:"others"`
	Findings    []observedFinding  `json:"findings"`
}

// observedResolver is one resolver, or all others together.
type observedResolver struct {
	Name     string     `json:"name"`
	LastSeen *time.Time `json:"last_seen"`
	Queries  struct {
		Total  uint64            `json:"total"`
		ByPath map[string]uint64 `json:"by_path"`
		ByNS   map[string]struct {
			Queries uint64 `json:"queries"`
		} `json:"by_ns"`
	} `json:"queries"`
	Capabilities map[string]bool `json:"capabilities"`
}

// observedFinding is what the counts say about the integration.
type observedFinding struct {
	ID       string `json:"id"`
	Level    string `json:"level"`
	Resolver string `json:"resolver,omitempty"`
	Text     string `json:"text"`
}

// The values of --fail-on, the mildest first.
var failLevels = [...]string{"none", "info", "warning"}

// capabilityOrder is the order in which capabilities are shown.
var capabilityOrder = [...]string{"edns", "do", "tcp", "cookie", "case_random", "qmin", "ipv6"}

func (c *command) delegation() *cobra.Command {
	var flags apiFlags
	var failOn string
	cmd := &cobra.Command{
		Use:   "delegation",
		Short: "tell how queries reach the name servers",
		Long: `Ask a running server which resolvers it sees, and what their queries prove: whether
they come by delegation or by forwarding, whether they use both name servers, and
what seems to be wrong with the integration.

A query without RD is iterative: its sender follows a delegation, or has the zone
as a stub zone. One with RD is forwarded if it comes from a resolver, one that has
a name in the Corefile or that was learned by its traffic; else it is direct.`,
		Example: `  stampdns delegation
  stampdns delegation --fail-on warning
  stampdns delegation -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("fail-on", failOn, failLevels[:]); err != nil {
				return err
			}
			var o observed
			raw, err := flags.call(http.MethodGet, "/delegation", nil, &o)
			if err != nil {
				return err
			}
			if err := flags.write(raw, func() error { return o.write(c.stdout) }); err != nil {
				return err
			}
			if o.fails(failOn) {
				return silentError{}
			}
			return nil
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	cmd.Flags().StringVar(&failOn, "fail-on", failLevels[0], "exit with 1 if there are findings of this `LEVEL` or above: "+strings.Join(failLevels[:], ", "))
	complete(cmd, "fail-on", failLevels[:]...)
	asks(cmd, "fail-on")
	return cmd
}

// fails says whether a finding is of the level or above.
func (o *observed) fails(level string) bool {
	for _, f := range o.Findings {
		if level == "info" || level == "warning" && f.Level == "warning" {
			return true
		}
	}
	return false
}

// write writes a table of the resolvers, and the findings.
func (o *observed) write(w io.Writer) error {
	header := append([]string{"resolver", "iterative", "forwarded", "direct"}, o.NameServers...)
	header = append(header, "last seen", "proven")
	var rows [][]string
	for _, r := range append(o.Resolvers, o.Others) {
		row := []string{r.Name}
		for _, path := range header[1:4] {
			row = append(row, strconv.FormatUint(r.Queries.ByPath[path], 10))
		}
		for _, ns := range o.NameServers {
			row = append(row, strconv.FormatUint(r.Queries.ByNS[ns].Queries, 10))
		}
		rows = append(rows, append(row, r.seen(), r.proven()))
	}
	if err := writeTable(w, header, rows); err != nil {
		return err
	}
	for i, f := range o.Findings {
		gap := ""
		if i == 0 {
			gap = "\n"
		}
		if _, err := fmt.Fprintf(w, "%s%s %s: %s\n", gap, printable(f.Level), printable(f.ID), printable(f.Text)); err != nil {
			return err
		}
	}
	return nil
}

// seen is when the resolver last asked, nothing if it has not.
func (r *observedResolver) seen() string {
	if r.LastSeen == nil {
		return ""
	}
	return r.LastSeen.UTC().Format("2006-01-02 15:04:05Z")
}

// proven are the capabilities that the resolver's queries prove.
func (r *observedResolver) proven() string {
	var all []string
	for _, name := range capabilityOrder {
		if r.Capabilities[name] {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}
