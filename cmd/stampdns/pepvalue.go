package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// pepKind is what a parameter of a cmdlet takes.
type pepKind uint8

const (
	pepSwitch     pepKind = iota // nothing, or :$true or :$false
	pepBool                      // $true, $false, or one of their forms
	pepDomain                    // a domain name
	pepAddresses                 // IP addresses
	pepSeconds                   // a number of seconds above 0
	pepPreference                // what to do about a message
	pepAnything                  // a value that has no effect here
)

// typeName is what PowerShell calls the kind.
func (k pepKind) typeName() string {
	switch k {
	case pepSwitch:
		return "System.Management.Automation.SwitchParameter"
	case pepBool:
		return "System.Boolean"
	case pepAddresses:
		return "System.Net.IPAddress[]"
	case pepSeconds:
		return "System.Int32"
	case pepPreference:
		return "System.Management.Automation.ActionPreference"
	}
	return "System.String"
}

// pepValue is a value after conversion; the kind of its parameter says which
// field has it.
type pepValue struct {
	truth     bool
	text      string
	addresses []netip.Addr
	seconds   int
}

// convert makes of a list of words what the parameter takes.
func (p *pepParameter) convert(list []string) (value pepValue, err error) {
	if p.kind == pepAddresses {
		value.addresses, err = p.addresses(list)
		return value, err
	}
	if len(list) != 1 {
		return value, fmt.Errorf("cannot process argument transformation on parameter '%s': it takes one value, not the list %s", p.name, strings.Join(list, ","))
	}
	text := list[0]
	fits := true
	switch p.kind {
	case pepSwitch, pepBool:
		if value.truth, fits = truth(text); !fits && text == "" {
			return value, fmt.Errorf("cannot convert value \"\" of parameter '%s' to type '%s'%s", p.name, p.kind.typeName(), p.eaten())
		}
	case pepDomain:
		if text == "" {
			return value, fmt.Errorf("cannot bind argument to parameter '%s' because it is an empty string", p.name)
		}
		if value.text, err = customDomain(text); err != nil {
			return value, fmt.Errorf("cannot process argument of parameter '%s': %w", p.name, err)
		}
	case pepSeconds:
		value.seconds, err = strconv.Atoi(text)
		fits = err == nil && value.seconds > 0 && value.seconds <= 1<<31-1
	case pepPreference:
		fits = slices.ContainsFunc([]string{"SilentlyContinue", "Stop", "Continue", "Inquire", "Ignore", "Suspend", "Break"},
			func(known string) bool { return strings.EqualFold(known, text) })
	}
	if !fits {
		return value, fmt.Errorf("cannot convert value \"%s\" of parameter '%s' to type '%s'", text, p.name, p.kind.typeName())
	}
	return value, nil
}

// addresses converts each word.
func (p *pepParameter) addresses(list []string) ([]netip.Addr, error) {
	addrs := make([]netip.Addr, len(list))
	for i, text := range list {
		addr, err := pepAddress(text)
		if err != nil {
			return nil, fmt.Errorf("cannot convert value \"%s\" of parameter '%s' to type 'System.Net.IPAddress': %w", text, p.name, err)
		}
		addrs[i] = addr
	}
	return addrs, nil
}

// pepAddress reads an IP address. Microsoft's example has "10.20.20.01", which
// PowerShell takes for octal: an octet with zeros before it is read where that
// makes no difference.
func pepAddress(text string) (netip.Addr, error) {
	octets := strings.Split(text, ".")
	for i, octet := range octets {
		if len(octets) != 4 || len(octet) < 2 || len(octet) > 3 || octet[0] != '0' || strings.Trim(octet, "0123456789") != "" {
			continue
		}
		digit := strings.TrimLeft(octet, "0")
		if len(digit) > 1 || digit > "7" {
			return netip.Addr{}, fmt.Errorf("%s is an octal number to PowerShell: leave out the zeros before it", octet)
		}
		octets[i] = "0"[len(digit):] + digit
	}
	addr, err := netip.ParseAddr(strings.Join(octets, "."))
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, errors.New("it is no IP address")
	}
	return addr.Unmap(), nil
}

func allAddresses(list []string) bool {
	return !slices.ContainsFunc(list, func(text string) bool { _, err := pepAddress(text); return err != nil })
}

// truth reads a Boolean: PowerShell's own, as it hands it to programs, as a
// number.
func truth(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "$true", "true", "1":
		return true, true
	case "$false", "false", "0":
		return false, true
	}
	return false, false
}
