package main

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// upstream is a server that queries are forwarded to, as the API tells of it.
type upstream struct {
	Address   string   `json:"address"`
	Transport string   `json:"transport"`
	State     string   `json:"state"`
	RTT       *float64 `json:"rtt_ms"`
	Failures  uint64   `json:"failures"`
	Queries   uint64   `json:"queries"`
}

// forwarders are the DNS forwarders, as the API tells of them.
type forwarders struct {
	Source     string     `json:"source"`
	Lasts      bool       `json:"lasts"`
	Forwarders []upstream `json:"forwarders"`
}

// addressList is the body of a request that sets upstreams.
type addressList struct {
	Addresses []string `json:"addresses"`
}

// sourceRuntime is the source of what was set while the server runs.
const sourceRuntime = "runtime"

func (c *command) forwarder() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forwarder",
		Short: "show or set the DNS forwarders of a running server",
		Long: `Show or set the DNS forwarders of a running server: where it sends the names
that neither its zones nor a conditional forwarder (custom-dns) have. A change
takes effect at once.`,
		Example: `  stampdns forwarder get
  stampdns forwarder set 192.0.2.53 192.0.2.54
  stampdns forwarder reset`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.forwarderGet(), c.forwarderSet(), c.forwarderReset())
	return cmd
}

func (c *command) forwarderGet() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "get",
		Short: "show the DNS forwarders",
		Long: `Show the DNS forwarders, the state of each and who set them: the Corefile, or
somebody while the server runs.`,
		Example: `  stampdns forwarder get
  stampdns forwarder get -o json
  stampdns forwarder get --api https://192.0.2.11:8053 --api-ca ca.pem --api-token-file token`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return flags.forwarders(http.MethodGet, nil) },
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

func (c *command) forwarderSet() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "set ADDR…",
		Short: "replace the DNS forwarders",
		Long: `Replace the list of DNS forwarders. ADDR is an IP address, with a port if it is
not 53, or tls://ADDR%NAME for DNS over TLS to the server called NAME. The order
matters where the server asks them in turn.`,
		Example: `  stampdns forwarder set 192.0.2.53 192.0.2.54:5353
  stampdns forwarder set tls://192.0.2.55%dns.example.net`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(separate(args)) == 0 {
				return usagef("name an address or more: %s ADDR…; to go back to those of the Corefile: stampdns forwarder reset", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			return flags.forwarders(http.MethodPut, addressList{separate(args)})
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

func (c *command) forwarderReset() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:     "reset",
		Short:   "go back to the DNS forwarders of the Corefile",
		Long:    `Forget the DNS forwarders that were set while the server runs, and use those of its Corefile.`,
		Example: `  stampdns forwarder reset`,
		Args:    noArguments,
		RunE:    func(*cobra.Command, []string) error { return flags.forwarders(http.MethodDelete, nil) },
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

// forwarders does one thing to the DNS forwarders and writes those there are
// then.
func (a *apiFlags) forwarders(method string, body any) error {
	var list forwarders
	raw, err := a.call(method, "/forwarders", body, &list)
	if err != nil {
		return err
	}
	if method == http.MethodPut && !list.Lasts {
		a.noteFleeting()
	}
	return a.write(raw, func() error {
		if len(list.Forwarders) == 0 {
			a.command.note("there is no DNS forwarder: stampdns forwarder set ADDR…")
		}
		rows := make([][]string, len(list.Forwarders))
		for i, u := range list.Forwarders {
			rows[i] = []string{u.Address, u.Transport, u.State, u.roundTrip(),
				strconv.FormatUint(u.Failures, 10), strconv.FormatUint(u.Queries, 10), sourceText(list.Source, list.Lasts)}
		}
		return writeTable(a.command.stdout, []string{"address", "transport", "state", "rtt", "failures", "queries", "source"}, rows)
	})
}

// noteFleeting says that what was set is gone with the server.
func (a *apiFlags) noteFleeting() {
	a.command.note("this lasts until the server ends: to keep it, give the server a state file (directive state)")
}

// sourceText says who set something, and for how long where that matters.
func sourceText(source string, lasts bool) string {
	if source == sourceRuntime && !lasts {
		return "runtime (until exit)"
	}
	return source
}

// roundTrip is the upstream's round trip time, nothing where none was measured.
func (u *upstream) roundTrip() string {
	if u.RTT == nil || *u.RTT == 0 {
		return ""
	}
	return strconv.FormatFloat(*u.RTT, 'f', 2, 64) + "ms"
}

// separate takes apart lists that are written with commas.
func separate(args []string) []string {
	return strings.FieldsFunc(strings.Join(args, ","), func(r rune) bool { return r == ',' || r == ' ' })
}
