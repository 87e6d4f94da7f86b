package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// written is a call as text: the cmdlet and its values by name.
func (p *pepCall) written() string {
	text := p.cmdlet.name
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		text += " -" + name
		at := slices.IndexFunc(p.cmdlet.parameters, func(q pepParameter) bool { return q.name == name })
		switch value := p.values[name]; p.cmdlet.parameters[at].kind {
		case pepSwitch, pepBool:
			text += fmt.Sprintf(":$%t", value.truth)
		case pepAddresses:
			text += " " + strings.Join(value.list(), ",")
		case pepSeconds:
			text += fmt.Sprintf(" %d", value.seconds)
		case pepDomain:
			text += " '" + value.text + "'"
		}
	}
	return text
}

// TestBindPep has command lines as the words that a shell makes of them, with
// the shell's blanks written as |.
func TestBindPep(t *testing.T) {
	const register = "Register-CustomDnsServer -CustomDnsIPAddresses 192.168.1.1,192.168.1.2 -CustomDomainName 'contoso.com'"
	for _, tc := range []struct{ line, want string }{
		// The documentation's own lines.
		{"Register-CustomDnsServer|-CustomDomainName|contoso.com|-CustomDnsIPAddresses|192.168.1.1,192.168.1.2", register},
		{"Register-CustomDnsServer|-CustomDomainName|contoso.com|-CustomDnsIPAddresses|10.20.20.01,10.20.20.02|-TimeoutInSecs|1000",
			"Register-CustomDnsServer -CustomDnsIPAddresses 10.20.20.1,10.20.20.2 -CustomDomainName 'contoso.com' -TimeoutInSecs 1000"},
		{"Get-AzSDnsForwarder", "Get-AzSDnsForwarder"},
		{"Set-AzSDnsForwarder|-IPAddress|192.0.2.53,192.0.2.54", "Set-AzSDnsForwarder -IPAddress 192.0.2.53,192.0.2.54"},
		{"Set-AzsDnsForwarder|-IPAddress|192.0.2.53", "Set-AzSDnsForwarder -IPAddress 192.0.2.53"},
		{"Get-AzSDnsServerSettings", "Get-AzSDnsServerSettings"},
		{"Set-AzSDnsServerSettings|-UseRootHint|$false", "Set-AzSDnsServerSettings -UseRootHint:$false"},
		{"Get-AzureStackStampInformation|-AsJob", "Get-AzureStackStampInformation -AsJob:$true"},

		// Case, prefixes, colons, aliases, positions, any order.
		{"REGISTER-customdnsserver|-CUSTOMDOMAINNAME|CONTOSO.com.|-customdnsip|192.168.1.1,192.168.1.2", register},
		{"Register-CustomDnsServer|-CustomDns:192.168.1.1,192.168.1.2|-CustomDo:contoso.com", register},
		{"Register-CustomDnsServer|-CustomDns:|192.168.1.1,192.168.1.2|-CustomDo:|contoso.com", register},
		{"Register-CustomDnsServer|contoso.com|192.168.1.1,192.168.1.2", register},
		{"Register-CustomDnsServer|contoso.com|192.168.1.1,192.168.1.2|60", register + " -TimeoutInSecs 60"},
		{"Register-CustomDnsServer|-CustomDnsIPAddresses|192.168.1.1,192.168.1.2|contoso.com", register},
		{"Register-CustomDnsServer|192.168.1.1,192.168.1.2|-CustomDomainName|contoso.com", register},
		{"Register-CustomDnsServer|-t|60|contoso.com|192.168.1.1,192.168.1.2", register + " -TimeoutInSecs 60"},
		{"Set-AzSDnsForwarder|-i:2001:db8::53", "Set-AzSDnsForwarder -IPAddress 2001:db8::53"},
		{"Set-AzSDnsForwarder|::ffff:192.0.2.1", "Set-AzSDnsForwarder -IPAddress 192.0.2.1"},
		{"Get-AzSDnsForwarder|-vb|-ea|Stop|-OutVariable|x|-db", "Get-AzSDnsForwarder -Debug:$true -ErrorAction -OutVariable -Verbose:$true"},
		{"Set-AzSDnsForwarder|192.0.2.1|-Confirm:$false|-WhatIf:true", "Set-AzSDnsForwarder -Confirm:$false -IPAddress 192.0.2.1 -WhatIf:$true"},
		{"Set-AzSDnsServerSettings|1", "Set-AzSDnsServerSettings -UseRootHint:$true"},
		{"Set-AzSDnsServerSettings|-UseRootHint:|False", "Set-AzSDnsServerSettings -UseRootHint:$false"},

		// Lists, as people and shells take them apart.
		{"Register-CustomDnsServer|contoso.com|192.168.1.1,|192.168.1.2", register},
		{"Register-CustomDnsServer|contoso.com|192.168.1.1|,192.168.1.2", register},
		{"Register-CustomDnsServer|contoso.com|192.168.1.1|,|192.168.1.2", register},
		{"Register-CustomDnsServer|contoso.com|-CustomDnsIPAddresses|192.168.1.1, 192.168.1.2", register},
		{"Register-CustomDnsServer|-CustomDnsIPAddresses|192.168.1.1|192.168.1.2|contoso.com|60", register + " -TimeoutInSecs 60"},
		{"Register-CustomDnsServer|contoso.com|192.168.1.1|192.168.1.2|60", register + " -TimeoutInSecs 60"},

		// What a word processor makes of it, and a shell that leaves quotes alone.
		{"Register–CustomDnsServer|–CustomDomainName|“contoso.com”|—CustomDnsIPAddresses|“192.168.1.1”,“192.168.1.2”", register},
		{"Register-CustomDnsServer|-CustomDomainName|'contoso.com'|-CustomDnsIPAddresses|'192.168.1.1','192.168.1.2'", register},
	} {
		call, err := bindPep(pepCmdlets(), strings.Split(tc.line, "|"))
		if err != nil {
			t.Errorf("%s: %v", tc.line, err)
		} else if got := call.written(); got != tc.want {
			t.Errorf("%s\nis   %s\nwant %s", tc.line, got, tc.want)
		}
	}
}

func TestBindPepErrors(t *testing.T) {
	const line = "Register-CustomDnsServer|contoso.com|"
	for _, tc := range []struct{ line, want string }{
		{"Register-CustomDnsServer|-Custom|x", "parameter cannot be processed because the parameter name 'Custom' is ambiguous: possible matches include -CustomDomainName -CustomDnsIPAddresses"},
		{"Register-CustomDnsServer|-CustomDomainNames|x", `a parameter cannot be found that matches parameter name 'CustomDomainNames'; did you mean "-CustomDomainName"?`},
		{"Set-AzSDnsForwarder|-ipaddres", "missing an argument for parameter 'IPAddress': specify a parameter of type 'System.Net.IPAddress[]'"},
		{"Set-AzSDnsForwarder|-IPAddress|-WhatIf", "missing an argument for parameter 'IPAddress'"},
		{"Set-AzSDnsForwarder|-IPAdress|192.0.2.1", `matches parameter name 'IPAdress'; did you mean "-IPAddress"?`},
		{"Get-AzSDnsForwarder|-WhatIf", "a parameter cannot be found that matches parameter name 'WhatIf'"},
		{"Get-AzSDnsForwarder|192.0.2.1", "a positional parameter cannot be found that accepts argument '192.0.2.1'"},
		{line + "192.0.2.1|60|70", "a positional parameter cannot be found that accepts argument '70'"},
		{"Register-CustomDnsServer|192.0.2.1|-CustomDo|a.example|5|6", "accepts argument '6'"},
		{"Register-CustomDnsServer|-CustomDo|a.example|-CustomDo|b.example", "cannot bind parameter because parameter 'CustomDomainName' is specified more than once"},
		{"Register-CustomDnsServer", "one or more missing mandatory parameters: CustomDomainName CustomDnsIPAddresses"},
		{"Register-CustomDnsServer|contoso.com", "missing mandatory parameters: CustomDnsIPAddresses"},
		{line + "ns1.contoso.com", `cannot convert value "ns1.contoso.com" of parameter 'CustomDnsIPAddresses' to type 'System.Net.IPAddress': it is no IP address`},
		{line + "192.0.2.1:53", "it is no IP address"},
		{line + "fe80::1%eth0", "it is no IP address"},
		{line + "192.0.2.010", "010 is an octal number to PowerShell"},
		{line + "192.0.2.08", "08 is an octal number to PowerShell"},
		{line + "192.0.2.1,,192.0.2.2", "missing argument in parameter list '192.0.2.1,,192.0.2.2'"},
		{line + "192.0.2.1,", "missing argument in parameter list"},
		{line + "192.0.2.1,|-AsJob", "missing argument in parameter list"},
		{line + ",192.0.2.1", "takes one value, not the list contoso.com,192.0.2.1"},
		{"Set-AzSDnsForwarder|,192.0.2.1", "missing argument in parameter list"},
		{line + "192.0.2.1|-TimeoutInSecs|-5", `cannot convert value "-5" of parameter 'TimeoutInSecs' to type 'System.Int32'`},
		{line + "192.0.2.1|-TimeoutInSecs|0", "System.Int32"},
		{line + "192.0.2.1|-TimeoutInSecs|soon", "System.Int32"},
		{line + "192.0.2.1|-ErrorAction|Explode", "System.Management.Automation.ActionPreference"},
		{"Register-CustomDnsServer||192.0.2.1", "cannot bind argument to parameter 'CustomDomainName' because it is an empty string"},
		{"Register-CustomDnsServer|a.example,b.example|192.0.2.1", "takes one value, not the list a.example,b.example"},
		{"Register-CustomDnsServer|a..example|192.0.2.1", "empty label"},
		{"Register-CustomDnsServer|.|192.0.2.1", "stampdns forwarder set"},
		{"Set-AzSDnsServerSettings|maybe", `cannot convert value "maybe" of parameter 'UseRootHint' to type 'System.Boolean'`},
		{"Get-AzureStackLog", "the term 'Get-AzureStackLog' is not recognized"},
		{"Reset-DatacenterIntegrationConfiguration", "stampdns forwarder reset"},
		{"Set-CustomDnsServer", "Register-CustomDnsServer replaces"},
	} {
		_, err := bindPep(pepCmdlets(), strings.Split(tc.line, "|"))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s\nis   %v\nwant %s", tc.line, err, tc.want)
		}
		if !errors.As(err, new(*usageError)) {
			t.Errorf("%s: %v is no usage error", tc.line, err)
		}
	}
}

func TestSplitPepLine(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{`Register-CustomDnsServer -CustomDomainName "contoso.com" -CustomDnsIPAddresses "192.168.1.1","192.168.1.2" `,
			"Register-CustomDnsServer|-CustomDomainName|contoso.com|-CustomDnsIPAddresses|192.168.1.1,192.168.1.2"},
		{"  Set-AzSDnsServerSettings\t-UseRootHint $false\n", "Set-AzSDnsServerSettings|-UseRootHint|$false"},
		{"a '' “b c” 'it”s'", "a||b c|it”s"},
		{"", ""},
	} {
		words, err := splitPepLine(tc.line)
		if got := strings.Join(words, "|"); err != nil || got != tc.want {
			t.Errorf("%q is %q, %v; want %q", tc.line, got, err, tc.want)
		}
	}
	for line, want := range map[string]string{
		"Get-AzSDnsForwarder | ConvertTo-Json": "'|': leave it out; --json",
		"a; b":                                 "';'",
		`a "b`:                                 "the string is missing the terminator: \"",
	} {
		if _, err := splitPepLine(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

// FuzzPepLine: no line breaks the parser, and what it understood, written in
// full, it understands the same way.
func FuzzPepLine(f *testing.F) {
	for _, line := range []string{
		`Register-CustomDnsServer -CustomDomainName "contoso.com" -CustomDnsIPAddresses "192.168.1.1","192.168.1.2"`,
		"Set-AzSDnsForwarder 192.0.2.53 , 2001:db8::1 -WhatIf:$true -ea Stop", "Set-AzSDnsServerSettings -u:0",
		"get-azsdnsforwarder –vb", "Register-CustomDnsServer 10.20.20.01 -CustomDo:“a.example” -AsJob -t 5",
	} {
		f.Add(line, true)
		f.Add(line, false)
	}
	f.Fuzz(func(t *testing.T, line string, quoted bool) {
		words := strings.Fields(line)
		if quoted {
			var err error
			if words, err = splitPepLine(line); err != nil {
				return
			}
		}
		if len(words) == 0 {
			return
		}
		call, err := bindPep(pepCmdlets(), words)
		if err != nil {
			if !errors.As(err, new(*usageError)) {
				t.Fatalf("%q: %v is no usage error", line, err)
			}
			return
		}
		for _, p := range call.cmdlet.parameters {
			value, bound := call.values[p.name]
			if p.mandatory && !bound || bound && (p.kind == pepAddresses && len(value.addresses) == 0 ||
				p.kind == pepDomain && value.text == "" || p.kind == pepSeconds && value.seconds <= 0) {
				t.Fatalf("%q: %s has no value: %+v", line, p.name, call.values)
			}
		}
		// The values that have no effect are not kept.
		for name := range call.values {
			at := slices.IndexFunc(call.cmdlet.parameters, func(p pepParameter) bool { return p.name == name })
			if kind := call.cmdlet.parameters[at].kind; kind == pepPreference || kind == pepAnything {
				delete(call.values, name)
			}
		}
		written := call.written()
		words, err = splitPepLine(written)
		if strings.ContainsAny(written, "|;&`‘’‚‛“”„\"\\") {
			return
		}
		if err != nil {
			t.Fatalf("%q is %s, which is none: %v", line, written, err)
		}
		again, err := bindPep(pepCmdlets(), words)
		if err != nil || again.written() != written {
			t.Fatalf("%q is %s, and that is %+v, %v", line, written, again, err)
		}
	})
}
