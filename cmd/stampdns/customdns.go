package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/zones/wire"
)

// customDNS is a conditional forwarder, as the API tells of it.
type customDNS struct {
	Domain     string     `json:"domain"`
	Source     string     `json:"source"`
	Lasts      bool       `json:"lasts"`
	ShadowedBy string     `json:"shadowed_by"`
	Forwarders []upstream `json:"forwarders"`
}

func (c *command) customDNS() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "custom-dns",
		Short: "list, register or remove conditional forwarders of a running server",
		Long: `List, register or remove conditional forwarders of a running server: whom it
asks for the names of one domain. A change takes effect at once. The longest
domain that a name is in decides.`,
		Example: `  stampdns custom-dns list
  stampdns custom-dns register contoso.com 192.168.1.1 192.168.1.2
  stampdns custom-dns remove contoso.com`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.customList(), c.customRegister(), c.customRemove())
	return cmd
}

func (c *command) customList() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the conditional forwarders",
		Long:  `List the conditional forwarders with the state of each upstream. A stamp has no command for this.`,
		Example: `  stampdns custom-dns list
  stampdns custom-dns list -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			var list struct {
				CustomDNS []customDNS `json:"custom_dns"`
			}
			raw, err := flags.call(http.MethodGet, "/custom-dns", nil, &list)
			if err != nil {
				return err
			}
			return flags.write(raw, func() error { return flags.customTable(list.CustomDNS) })
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

func (c *command) customRegister() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "register DOMAIN ADDR…",
		Short: "make or replace a conditional forwarder",
		Long: `Have the names in DOMAIN asked of ADDR, in place of whoever was asked for them
before. ADDR is an IP address, with a port if it is not 53, or tls://ADDR%NAME
for DNS over TLS to the server called NAME.`,
		Example: `  stampdns custom-dns register contoso.com 192.168.1.1 192.168.1.2
  stampdns custom-dns register corp.contoso.com 192.168.1.1:5353`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || len(separate(args[1:])) == 0 {
				return usagef("name a domain and an address or more: %s DOMAIN ADDR…", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			domain, err := customDomain(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			made, raw, err := flags.register(domain, separate(args[1:]))
			if err != nil {
				return err
			}
			return flags.write(raw, func() error { return flags.customTable([]customDNS{made}) })
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

func (c *command) customRemove() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "remove DOMAIN",
		Short: "remove a conditional forwarder",
		Long: `Remove a conditional forwarder that was registered while the server runs. One of
the Corefile stays: change the Corefile. A stamp has no command for this.`,
		Example: `  stampdns custom-dns remove contoso.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one domain: %s DOMAIN", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			domain, err := customDomain(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			if _, err := flags.call(http.MethodDelete, customPath(domain), nil, nil); err != nil {
				return err
			}
			removed, err := json.Marshal(map[string]string{"removed": domain})
			if err != nil {
				return err
			}
			return flags.write(removed, func() error {
				_, err := fmt.Fprintf(c.stdout, "%s: removed\n", domain)
				return err
			})
		},
	}
	flags.add(c, cmd)
	flags.addOutput()
	return cmd
}

// register makes a conditional forwarder and tells what is notable about it.
func (a *apiFlags) register(domain string, addresses []string) (made customDNS, raw json.RawMessage, err error) {
	if raw, err = a.call(http.MethodPut, customPath(domain), addressList{addresses}, &made); err != nil {
		return made, nil, err
	}
	if !made.Lasts {
		a.noteFleeting()
	}
	if made.ShadowedBy != "" {
		a.command.note("warning: %s is not forwarded while the server has %s", domain, printable(made.ShadowedBy))
	}
	return made, raw, nil
}

// customTable writes conditional forwarders.
func (a *apiFlags) customTable(list []customDNS) error {
	rows := make([][]string, len(list))
	for i, custom := range list {
		var asked []string
		for _, u := range custom.Forwarders {
			asked = append(asked, u.target()+" "+u.State)
		}
		rows[i] = []string{custom.Domain, strings.Join(asked, ", "), sourceText(custom.Source, custom.Lasts), custom.ShadowedBy}
	}
	return writeTable(a.command.stdout, []string{"domain", "forwarders", "source", "shadowed by"}, rows)
}

// target is the upstream as one writes it: without a port that is usual.
func (u *upstream) target() string {
	scheme, usual, address, name := "", ":53", u.Address, ""
	if u.Transport == "tls" {
		scheme, usual = "tls://", ":853"
		address = strings.TrimPrefix(address, scheme)
		if i := strings.IndexByte(address, '%'); i >= 0 {
			address, name = address[:i], address[i:]
		}
	}
	address = strings.TrimSuffix(address, usual)
	if bare, ok := strings.CutSuffix(address, "]"); ok {
		address = strings.TrimPrefix(bare, "[")
	}
	return scheme + address + name
}

// customDomain checks the name of a domain to forward and returns it as the API
// has it: in lower case, without the last dot.
func customDomain(text string) (string, error) {
	name, err := wire.ParseName(text)
	if err != nil {
		return "", fmt.Errorf("domain %w", err)
	}
	if name.Labels() == 0 {
		return "", fmt.Errorf("domain %q: whom to ask for all names says stampdns forwarder set", text)
	}
	return bare(name.String()), nil
}

// customPath is the path of a conditional forwarder.
func customPath(domain string) string { return "/custom-dns/" + url.PathEscape(domain) }
