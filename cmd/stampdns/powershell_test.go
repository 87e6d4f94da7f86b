package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is the folder of the PowerShell module.
const module = "../../deploy/powershell/StampDns"

// notOnStamps are the functions of the module that no stamp has.
var notOnStamps = [...]string{"Get-CustomDnsServer", "Unregister-CustomDnsServer"}

// moduleFunctions are the texts of the module's functions by name.
func moduleFunctions(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, "StampDns.psm1"))
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]string{}
	for _, found := range regexp.MustCompile(`(?ms)^function ([A-Za-z]+-[A-Za-z]+) \{\n(.*?)^\}\n`).FindAllStringSubmatch(string(text), -1) {
		functions[found[1]] = found[2]
	}
	if n := strings.Count(string(text), "\nfunction "); n != len(functions) {
		t.Fatalf("%d functions, %d of them understood", n, len(functions))
	}
	return functions
}

// quoted are the strings in single quotes of one list of a file.
func quoted(t *testing.T, file, start string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, file))
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), start)
	list, _, closed := strings.Cut(list, ")")
	if !ok || !closed {
		t.Fatalf("%s has no list %s", file, start)
	}
	var names []string
	for _, found := range regexp.MustCompile(`'([^']+)'`).FindAllStringSubmatch(list, -1) {
		names = append(names, found[1])
	}
	return names
}

// TestModuleExports: module and manifest export the cmdlets of pep and the two
// that no stamp has, each with its help.
func TestModuleExports(t *testing.T) {
	var want []string
	for _, cmdlet := range pepCmdlets() {
		want = append(want, cmdlet.name)
	}
	want = append(want, notOnStamps[:]...)
	exported := quoted(t, "StampDns.psm1", "Export-ModuleMember -Function @(")
	if !slices.Equal(exported, want) {
		t.Errorf("the module exports\n%q, want\n%q", exported, want)
	}
	if manifest := quoted(t, "StampDns.psd1", "FunctionsToExport    = @("); !slices.Equal(manifest, want) {
		t.Errorf("the manifest exports\n%q, want\n%q", manifest, want)
	}
	functions := moduleFunctions(t)
	for name, text := range functions {
		if slices.Contains(want, name) != strings.Contains(text, "[CmdletBinding(") {
			t.Errorf("%s is exported but no cmdlet, or the other way round", name)
		}
	}
	for _, name := range want {
		for _, part := range []string{".SYNOPSIS\n", ".DESCRIPTION\n", ".EXAMPLE\n    " + name} {
			if !strings.Contains(functions[name], part) {
				t.Errorf("the help of %s has no %q", name, part)
			}
		}
		if says := strings.Contains(functions[name], "A stamp has no such cmdlet."); says != slices.Contains(notOnStamps[:], name) {
			t.Errorf("the help of %s is wrong about stamps", name)
		}
	}
}

// TestModuleParameters: the parameters are those of pep, with their types,
// positions and duties, and each is explained.
func TestModuleParameters(t *testing.T) {
	parameter := regexp.MustCompile(`(?m)^((?:        \[(?:Parameter|Validate)[^\n]*\]\n)*)        \[([A-Za-z.]+(?:\[\])?)\] \$([A-Za-z]+)`)
	types := map[pepKind]string{pepSwitch: "switch", pepBool: "bool", pepDomain: "string", pepAddresses: "System.Net.IPAddress[]", pepSeconds: "int"}
	functions := moduleFunctions(t)
	for _, cmdlet := range pepCmdlets() {
		text := functions[cmdlet.name]
		var want, got []string
		for _, p := range cmdlet.parameters {
			if p.common {
				continue
			}
			description := "[" + types[p.kind] + "] " + p.name
			if p.position > 0 {
				description += " at " + string(rune('0'+p.position-1))
			}
			if p.mandatory {
				description += ", mandatory"
			}
			want = append(want, description)
		}
		want = append(want, "[string] StampDnsApi", "[string] Token")
		_, declared, _ := strings.Cut(text, "\n    param(\n")
		declared, _, _ = strings.Cut(declared, "\n    )\n")
		for _, found := range parameter.FindAllStringSubmatch(declared, -1) {
			description := "[" + found[2] + "] " + found[3]
			if _, position, ok := strings.Cut(found[1], "Position = "); ok {
				description += " at " + position[:1]
			}
			if strings.Contains(found[1], "Mandatory = $true") {
				description += ", mandatory"
			}
			got = append(got, description)
			if !strings.Contains(text, ".PARAMETER "+found[3]+"\n") {
				t.Errorf("%s does not explain -%s", cmdlet.name, found[3])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has\n%q, want\n%q", cmdlet.name, got, want)
		}
		if asks := strings.Contains(text, "SupportsShouldProcess = $true"); asks == strings.HasPrefix(cmdlet.name, "Get-") {
			t.Errorf("%s: -WhatIf is there %t", cmdlet.name, asks)
		}
	}
}

// TestModuleRequests: each function makes the one request that the verb of the
// same meaning makes.
func TestModuleRequests(t *testing.T) {
	want := map[string]string{
		"Register-CustomDnsServer":       "Put $path",
		"Get-AzSDnsForwarder":            "Get '/forwarders'",
		"Set-AzSDnsForwarder":            "Put '/forwarders'",
		"Get-AzSDnsServerSettings":       "Get '/settings'",
		"Set-AzSDnsServerSettings":       "Patch '/settings'",
		"Get-AzureStackStampInformation": "Get '/stamp'",
		"Get-CustomDnsServer":            "Get '/custom-dns'",
		"Unregister-CustomDnsServer":     "Delete $path",
	}
	functions := moduleFunctions(t)
	got := map[string]string{}
	call := regexp.MustCompile(`Invoke-StampDnsApi -Method (\S+) -Path (\S+)`)
	for name, text := range functions {
		for _, found := range call.FindAllStringSubmatch(text, -1) {
			got[name] += found[1] + " " + found[2]
		}
		if path := strings.Contains(text, "$path = Get-StampDnsCustomPath"); path != strings.Contains(got[name], "$path") {
			t.Errorf("%s uses a path that it does not make", name)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("requests are\n%q, want\n%q", got, want)
	}
	if !strings.Contains(functions["Get-StampDnsCustomPath"], "return '/custom-dns/' + [System.Uri]::EscapeDataString(") {
		t.Error("the path of a conditional forwarder is another")
	}
	if !strings.Contains(functions["Invoke-StampDnsApi"], "$base + '"+apiBase+"' + $Path") {
		t.Errorf("paths are not below %s", apiBase)
	}
	if !strings.Contains(functions["Resolve-StampDnsApi"], "'http://"+defaultAPI+"'") {
		t.Errorf("the default address is not %s", defaultAPI)
	}
}

// TestModuleText: Windows PowerShell reads a file without a byte-order mark in
// the machine's own character set, and a bracket left open breaks all of it.
func TestModuleText(t *testing.T) {
	for _, file := range []string{"StampDns.psm1", "StampDns.psd1"} {
		text, err := os.ReadFile(filepath.Join(module, file))
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimRight(line, " ") != line {
				t.Errorf("%s:%d: more than printable ASCII, or a blank at the end", file, n+1)
			}
		}
		code := regexp.MustCompile(`(?s)<#.*?#>|(?m:^\s*#.*$)|'[^'\n]*'`).ReplaceAllString(string(text), "")
		var open []rune
		for _, r := range code {
			switch at := strings.IndexRune("([{)]}", r); {
			case at < 0:
			case at < 3:
				open = append(open, rune(")]}"[at]))
			case len(open) == 0 || open[len(open)-1] != r:
				t.Fatalf("%s: a %c closes nothing", file, r)
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: %d brackets are open at the end", file, len(open))
		}
	}
}
