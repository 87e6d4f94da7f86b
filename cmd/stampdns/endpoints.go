package main

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/zones/stamp"
)

// tableFormats are the ways that endpoints writes its table.
var tableFormats = [...]string{"table", "csv", "json", "markdown"}

func (c *command) endpoints() *cobra.Command {
	var flags stampFlags
	var output string
	cmd := &cobra.Command{
		Use:   "endpoints",
		Short: "print the firewall table of a stamp",
		Long: `Print what must be let in to the stamp: each endpoint of the network-integration
page's inbound table with this stamp's name, address, protocol and ports.`,
		Example: `  stampdns endpoints
  stampdns endpoints --stamp AzureStackStampInformation.json -o csv > firewall.csv
  stampdns endpoints --region north --domain cloud.contoso.com -o json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, tableFormats[:]); err != nil {
				return err
			}
			s, err := flags.stamp()
			if err != nil {
				return err
			}
			rows, err := s.Endpoints()
			if err != nil {
				return err
			}
			return writeEndpoints(c.stdout, output, rows)
		},
	}
	flags.add(c, cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: "+strings.Join(tableFormats[:], ", "))
	complete(cmd, "output", tableFormats[:]...)
	return cmd
}

// writeEndpoints writes the table. The JSON form is an array with a member for
// each column and more; its field names stay as they are.
func writeEndpoints(w io.Writer, format string, rows []stamp.Row) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(rows)
	}
	header := []string{"endpoint", "fqdn", "vip", "protocol", "ports"}
	table := make([][]string, len(rows))
	for i, r := range rows {
		table[i] = []string{r.Endpoint, r.FQDN, addresses(r.VIPs), r.Protocol, r.Ports}
	}
	switch format {
	case "csv":
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		return out.WriteAll(table)
	case "markdown":
		return writeMarkdown(w, header, table)
	}
	return writeTable(w, header, table)
}

// writeMarkdown writes a table in which no cell is read as mark-up.
func writeMarkdown(w io.Writer, header []string, table [][]string) error {
	var text strings.Builder
	row := func(cells []string) {
		text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	row(header)
	text.WriteString(strings.Repeat("|---", len(header)) + "|\n")
	escape := strings.NewReplacer("*", `\*`, "|", `\|`, "_", `\_`, "<", `\<`)
	for _, cells := range table {
		for i := range cells {
			cells[i] = escape.Replace(cells[i])
		}
		row(cells)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// addresses lists addresses, separated by commas.
func addresses(addrs []netip.Addr) string {
	var list []string
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return strings.Join(list, ", ")
}
