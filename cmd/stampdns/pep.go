package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stampdns/stampdns/zones/stamp"
)

func (c *command) pep() *cobra.Command {
	var line pepLine
	cmd := &cobra.Command{
		Use:   "pep CMDLET [-PARAMETER VALUE]…",
		Short: "run a cmdlet of a stamp's privileged endpoint, as its documentation prints it",
		Long: `Run a cmdlet of a stamp's privileged endpoint on a running server, word for word
as Microsoft's documentation prints it. Cmdlets and parameters are read as
PowerShell does: in any case, parameters by any prefix that only one has,
-Name:Value, by position, lists with commas. What comes out is PowerShell's
list format, or with --json what ConvertTo-Json prints.

The cmdlets:

    Register-CustomDnsServer [-CustomDomainName] DOMAIN
      [-CustomDnsIPAddresses] ADDR,… [[-TimeoutInSecs] SECONDS] [-AsJob]
    Get-AzSDnsForwarder
    Set-AzSDnsForwarder [-IPAddress] ADDR,…
    Get-AzSDnsServerSettings
    Set-AzSDnsServerSettings [-UseRootHint] $true|$false
    Get-AzureStackStampInformation [-AsJob]

A shell puts its own variable in place of $true: write '$true' in single quotes,
or true. Or quote the whole line, which is one argument then.`,
		Example: `  stampdns pep Register-CustomDnsServer -CustomDomainName "contoso.com" -CustomDnsIPAddresses "192.168.1.1","192.168.1.2"
  stampdns pep Set-AzSDnsForwarder -IPAddress "192.0.2.53","192.0.2.54"
  stampdns pep Get-AzSDnsForwarder --json
  stampdns pep 'Set-AzSDnsServerSettings -UseRootHint $false'`,
		// The parameters of cmdlets have one dash, which the parser of flags would
		// take for short ones.
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     completePep,
	}
	// Arguments are checked before the environment is read, so that flags win.
	cmd.Args = line.read
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return line.run() }
	line.api.add(c, cmd)
	cmd.Flags().BoolVar(&line.json, "json", false, "print JSON, as ConvertTo-Json does")
	return cmd
}

// pepLine is one command line of pep.
type pepLine struct {
	api   apiFlags
	json  bool
	words []string // the cmdlet and its arguments
}

// read tells our own flags, which have two dashes, from the cmdlet's words.
func (l *pepLine) read(cmd *cobra.Command, args []string) error {
	var flags []string
	l.words = nil
	for i := 0; i < len(args); i++ {
		switch word := args[i]; {
		case word == "-h" || word == "-?":
			flags = append(flags, "--help")
		case !strings.HasPrefix(word, "--"):
			l.words = append(l.words, word)
		default:
			flags = append(flags, word)
			if takesNext(cmd.Flags(), word) && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
		}
	}
	if err := cmd.Flags().Parse(flags); err != nil {
		return flagError(cmd, err)
	}
	if len(l.words) == 1 {
		words, err := splitPepLine(l.words[0])
		if err != nil {
			return err
		}
		l.words = words
	}
	return nil
}

// takesNext says whether a flag as it is written has its value in the next word.
func takesNext(flags *pflag.FlagSet, word string) bool {
	f := flags.Lookup(strings.TrimPrefix(word, "--"))
	return f != nil && f.NoOptDefVal == ""
}

func (l *pepLine) run() error {
	cmd := l.api.cmd
	if help, err := cmd.Flags().GetBool("help"); err == nil && help {
		return cmd.Help()
	}
	if len(l.words) == 0 {
		return usagef("name a cmdlet: %s Get-AzSDnsForwarder; see %[1]s --help", cmd.CommandPath())
	}
	call, err := bindPep(pepCmdlets(), l.words)
	if err != nil {
		return err
	}
	note := l.api.command.note
	if call.values["AsJob"].truth {
		note("-AsJob has no effect here: %s has ended when this command does", call.cmdlet.name)
	}
	if call.values["Confirm"].truth {
		return usagef("%s: -Confirm would ask, and this command asks nothing: leave it out", call.cmdlet.name)
	}
	if call.values["WhatIf"].truth {
		_, err := fmt.Fprintf(l.api.command.stdout, "What if: Performing the operation \"%s\" on target \"%s\".\n", call.cmdlet.name, call.target())
		return err
	}
	if seconds := call.values["TimeoutInSecs"].seconds; seconds > 0 {
		l.api.patience = time.Duration(seconds) * time.Second
	}
	object, err := l.invoke(call)
	if err != nil || object == nil {
		return err
	}
	return l.print(object)
}

// The cmdlets of a stamp's privileged endpoint that are about its DNS.
const (
	cmdletRegister    = "Register-CustomDnsServer"
	cmdletForwarder   = "Get-AzSDnsForwarder"
	cmdletForward     = "Set-AzSDnsForwarder"
	cmdletSettings    = "Get-AzSDnsServerSettings"
	cmdletSet         = "Set-AzSDnsServerSettings"
	cmdletInformation = "Get-AzureStackStampInformation"
)

// pepCmdlets are the cmdlets with their parameters: those that Microsoft
// documents, and those that PowerShell gives to each.
func pepCmdlets() []pepCmdlet {
	asJob := pepParameter{name: "AsJob", kind: pepSwitch}
	cmdlets := []pepCmdlet{
		{cmdletRegister, []pepParameter{
			{name: "CustomDomainName", kind: pepDomain, position: 1, mandatory: true},
			{name: "CustomDnsIPAddresses", kind: pepAddresses, position: 2, mandatory: true},
			{name: "TimeoutInSecs", kind: pepSeconds, position: 3},
			asJob,
		}},
		{cmdletForwarder, nil},
		{cmdletForward, []pepParameter{{name: "IPAddress", kind: pepAddresses, position: 1, mandatory: true}}},
		{cmdletSettings, nil},
		{cmdletSet, []pepParameter{{name: "UseRootHint", kind: pepBool, position: 1, mandatory: true}}},
		{cmdletInformation, []pepParameter{asJob}},
	}
	for i, cmdlet := range cmdlets {
		if !strings.HasPrefix(cmdlet.name, "Get-") {
			cmdlet.parameters = append(cmdlet.parameters,
				pepParameter{name: "WhatIf", alias: "wi", kind: pepSwitch, common: true},
				pepParameter{name: "Confirm", alias: "cf", kind: pepSwitch, common: true})
		}
		cmdlets[i].parameters = append(cmdlet.parameters, commonParameters()...)
	}
	return cmdlets
}

// commonParameters are those of each cmdlet. They have no effect here.
func commonParameters() []pepParameter {
	return []pepParameter{
		{name: "Verbose", alias: "vb", kind: pepSwitch, common: true},
		{name: "Debug", alias: "db", kind: pepSwitch, common: true},
		{name: "ErrorAction", alias: "ea", kind: pepPreference, common: true},
		{name: "WarningAction", alias: "wa", kind: pepPreference, common: true},
		{name: "InformationAction", alias: "infa", kind: pepPreference, common: true},
		{name: "ProgressAction", alias: "proga", kind: pepPreference, common: true},
		{name: "ErrorVariable", alias: "ev", kind: pepAnything, common: true},
		{name: "WarningVariable", alias: "wv", kind: pepAnything, common: true},
		{name: "InformationVariable", alias: "iv", kind: pepAnything, common: true},
		{name: "OutVariable", alias: "ov", kind: pepAnything, common: true},
		{name: "OutBuffer", alias: "ob", kind: pepAnything, common: true},
		{name: "PipelineVariable", alias: "pv", kind: pepAnything, common: true},
	}
}

// invoke does what the cmdlet does. The object that it returns is JSON, nil for
// none: on a stamp, too, what changes something returns nothing.
func (l *pepLine) invoke(call *pepCall) (json.RawMessage, error) {
	switch call.cmdlet.name {
	case cmdletRegister:
		_, _, err := l.api.register(call.values["CustomDomainName"].text, call.values["CustomDnsIPAddresses"].list())
		return nil, err
	case cmdletForward:
		var list forwarders
		_, err := l.api.call(http.MethodPut, "/forwarders", addressList{call.values["IPAddress"].list()}, &list)
		if err == nil && !list.Lasts {
			l.api.noteFleeting()
		}
		return nil, err
	case cmdletForwarder:
		var list forwarders
		if _, err := l.api.call(http.MethodGet, "/forwarders", nil, &list); err != nil {
			return nil, err
		}
		object := struct {
			IPAddress []string
			Source    string
		}{[]string{}, list.Source}
		for _, u := range list.Forwarders {
			object.IPAddress = append(object.IPAddress, u.target())
		}
		return json.Marshal(object)
	case cmdletSet:
		_, err := l.api.call(http.MethodPatch, "/settings", settingsPatch{call.values["UseRootHint"].truth}, new(settings))
		return nil, err
	case cmdletSettings:
		var now settings
		if _, err := l.api.call(http.MethodGet, "/settings", nil, &now); err != nil {
			return nil, err
		}
		return json.Marshal(struct{ UseRootHint bool }{now.UseRootHint})
	}
	return l.api.call(http.MethodGet, "/stamp", nil, new(map[string]json.RawMessage))
}

// target is what a call would change, in words.
func (p *pepCall) target() string {
	switch p.cmdlet.name {
	case cmdletRegister:
		return p.values["CustomDomainName"].text + ": " + strings.Join(p.values["CustomDnsIPAddresses"].list(), ", ")
	case cmdletForward:
		return strings.Join(p.values["IPAddress"].list(), ", ")
	}
	return fmt.Sprintf("UseRootHint: %t", p.values["UseRootHint"].truth)
}

// list is the value of a parameter that takes addresses, as text.
func (v pepValue) list() []string {
	texts := make([]string, len(v.addresses))
	for i, addr := range v.addresses {
		texts[i] = addr.String()
	}
	return texts
}

// print writes an object as PowerShell would.
func (l *pepLine) print(object json.RawMessage) error {
	var text []byte
	var err error
	if l.json {
		text, err = stamp.Layout(object)
	} else {
		text, err = formatList(object)
	}
	if err != nil {
		return err
	}
	_, err = l.api.command.stdout.Write(text)
	return err
}

// completePep offers cmdlets, then their parameters; our own flags are offered
// without it.
func completePep(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	var offer []string
	switch cmdlets := pepCmdlets(); {
	case len(args) == 0:
		for _, cmdlet := range cmdlets {
			offer = append(offer, cmdlet.name)
		}
	default:
		at := slices.IndexFunc(cmdlets, func(c pepCmdlet) bool { return strings.EqualFold(c.name, args[0]) })
		if at < 0 {
			break
		}
		for _, p := range cmdlets[at].parameters {
			if !p.common {
				offer = append(offer, "-"+p.name)
			}
		}
	}
	offer = slices.DeleteFunc(offer, func(o string) bool {
		return len(o) < len(typed) || !strings.EqualFold(o[:len(typed)], typed)
	})
	return offer, cobra.ShellCompDirectiveNoFileComp
}
