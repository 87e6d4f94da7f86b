package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/zones/stamp"
)

// stampFlags are the options that describe a stamp, the same for each verb that
// is about one: a stamp file and the options of the stamp directive.
type stampFlags struct {
	command *command
	cmd     *cobra.Command
	file    string
	// piped says, after describe, that file can be read only once.
	piped   bool
	options []*stampFlag
}

// stampFlag is one option of the stamp directive as a flag.
type stampFlag struct {
	name   string // of the flag; the option's has _ for -
	pairs  bool   // each of values is NAME=ADDRESS
	value  string // of a flag that has one
	values []string
}

// add gives cmd the flags.
func (s *stampFlags) add(c *command, cmd *cobra.Command) {
	s.command, s.cmd = c, cmd
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&s.file, "stamp", "", "read the stamp from its own `FILE` (AzureStackStampInformation.json)")
	usual := stamp.Default()
	providers := strings.Fields((^stamp.Providers(0)).String())
	some := strings.Join(providers, ", ")
	s.single("prefix", fmt.Sprintf("naming prefix, a `NAME` (default %s)", usual.Prefix))
	s.single("region", fmt.Sprintf("region, a `NAME` (default %s)", usual.Region))
	s.single("domain", fmt.Sprintf("external domain, an `FQDN` without the region (default %s)", usual.Domain))
	s.flag("ns01", fmt.Sprintf("published `ADDRESS` of name server 1 (default %s)", addresses(usual.NS01)))
	s.flag("ns02", fmt.Sprintf("published `ADDRESS` of name server 2 (default %s)", addresses(usual.NS02)))
	s.flag("vips", fmt.Sprintf("`CIDR` that the endpoints' addresses come from (default %s)", usual.VIPs[0]))
	s.single("identity", fmt.Sprintf("identity `SYSTEM`, adfs or entra (default %s)", usual.Identity))
	s.flag("with", "resource `PROVIDER` to add: "+some)
	s.flag("without", "resource `PROVIDER` to leave out: "+some)
	s.flag("endpoint", "pin an endpoint to an address, `NAME=ADDRESS`").pairs = true
	s.flag("label", "add a public-IP label to the cloudapp zone, `NAME=ADDRESS`").pairs = true
	s.flag("apex-wildcard", "publish *.REGION.DOMAIN with this `ADDRESS`, which no stamp does")
	s.single("ttl", fmt.Sprintf("`SECONDS` that records may be cached (default %d)", usual.TTL))
	s.flag("soa", "SOA timers in seconds, `REFRESH,RETRY,EXPIRE,MINIMUM`")
	s.single("serial", "fixed serial `NUMBER` of the stamp's zones")
	complete(cmd, "identity", stamp.ADFS.String(), stamp.Entra.String())
	complete(cmd, "with", providers...)
	complete(cmd, "without", providers...)
	complete(cmd, "endpoint", endpointNames()...)
}

// flag adds an option with any number of values.
func (s *stampFlags) flag(name, usage string) *stampFlag {
	f := &stampFlag{name: name}
	s.options = append(s.options, f)
	s.cmd.Flags().StringSliceVar(&f.values, name, nil, usage)
	return f
}

// single adds an option with one value.
func (s *stampFlags) single(name, usage string) {
	f := &stampFlag{name: name}
	s.options = append(s.options, f)
	s.cmd.Flags().StringVar(&f.value, name, "", usage)
}

// endpointNames are what --endpoint takes before its "=".
func endpointNames() []string {
	all := stamp.Default()
	all.Providers = ^stamp.Providers(0)
	// The default pool is large enough for every endpoint.
	rows, _ := all.Endpoints()
	var names []string
	for _, r := range rows {
		if r.Host != "" && r.Endpoint != "DNS" {
			names = append(names, r.Host+"=")
		}
	}
	return names
}

// lines are the options that were given, as the stamp directive has them: the
// option's name first.
func (s *stampFlags) lines() ([][]string, error) {
	var lines [][]string
	for _, f := range s.options {
		name := strings.ReplaceAll(f.name, "-", "_")
		switch {
		case f.value != "":
			lines = append(lines, []string{name, f.value})
		case len(f.values) == 0:
		case !f.pairs:
			lines = append(lines, append([]string{name}, f.values...))
		default:
			hosts, err := f.hosts()
			if err != nil {
				return nil, usagef("%s: %w", s.origin(f.name), err)
			}
			for _, host := range hosts {
				lines = append(lines, append([]string{name}, host...))
			}
		}
	}
	return lines, nil
}

// origin says where the user wrote an option: the flag or the variable.
func (s *stampFlags) origin(option string) string {
	return s.command.origin(s.cmd, strings.ReplaceAll(option, "_", "-"))
}

// given says whether the user wrote an option.
func (s *stampFlags) given(option string) bool {
	f := s.cmd.Flags().Lookup(strings.ReplaceAll(option, "_", "-"))
	return f != nil && (f.Changed || s.command.fromEnvironment(f))
}

// hosts collects the addresses of each name, in the order they were given.
func (f *stampFlag) hosts() ([][]string, error) {
	var hosts [][]string
	for _, pair := range f.values {
		name, address, ok := strings.Cut(pair, "=")
		if !ok || name == "" || address == "" {
			return nil, fmt.Errorf("%q is not NAME=ADDRESS", pair)
		}
		i := slices.IndexFunc(hosts, func(h []string) bool { return strings.EqualFold(h[0], name) })
		if i < 0 {
			hosts = append(hosts, []string{name, address})
		} else {
			hosts[i] = append(hosts[i], address)
		}
	}
	return hosts, nil
}

// stamp is the stamp that the flags describe. What looks wrong with it is told
// to the user.
func (s *stampFlags) stamp() (*stamp.Stamp, error) {
	described, warnings, err := s.describe(nil)
	s.warn(warnings)
	return described, err
}

// warn tells the user what looks wrong with the stamp.
func (s *stampFlags) warn(warnings []string) {
	for _, w := range warnings {
		if s.file != "" {
			w = s.file + ": " + w
		}
		s.command.note("warning: %s", w)
	}
}

// describe makes the stamp; warnings are about it and its file. Listen, which
// may be empty, are the addresses of its name servers where neither flag nor
// file says others.
func (s *stampFlags) describe(listen []netip.Addr) (described *stamp.Stamp, warnings []string, err error) {
	made := stamp.Default()
	if s.file != "" {
		info, missing := os.Stat(s.file)
		s.piped = missing == nil && !info.Mode().IsRegular()
		if made, warnings, err = stamp.ReadFile(s.file); err != nil {
			return nil, warnings, err
		}
	} else if len(listen) > 0 {
		made.NS01, made.NS02 = listen[:1], listen[len(listen)-1:]
	}
	lines, err := s.lines()
	if err != nil {
		return nil, warnings, err
	}
	change := stamp.Change(&made)
	for _, line := range lines {
		if err := change.Set(line[0], line[1:]...); err != nil {
			return nil, warnings, usagef("%s: %s", s.origin(line[0]), strings.TrimPrefix(err.Error(), line[0]+": "))
		}
	}
	if err := made.Validate(); err != nil {
		return nil, warnings, s.invalid(err)
	}
	for _, w := range made.Warnings() {
		if !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	return &made, warnings, nil
}

// invalid says of a fault of the whole stamp which option it is about.
func (s *stampFlags) invalid(err error) error {
	var fault *stamp.OptionError
	switch {
	case errors.As(err, &fault) && s.given(fault.Option):
		return usagef("%s: %w", s.origin(fault.Option), fault.Err)
	case s.file != "":
		return fmt.Errorf("%s: %w", s.file, err)
	}
	return usagef("stamp: %w", err)
}
