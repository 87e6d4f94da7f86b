package stamp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Options sets the options of a Stamp one by one, as a Corefile, flags or a
// stamp file give them: each replaces what the Stamp had, and saying the same
// thing twice is an error.
type Options struct {
	stamp         *Stamp
	seen          map[string]bool
	with, without Providers
}

// Change returns Options that change s.
func Change(s *Stamp) *Options { return &Options{stamp: s, seen: make(map[string]bool)} }

// option is one option: its name, what it takes, and how it is set.
type option struct {
	name, usage string
	set         func(o *Options, args []string) error
}

// options is the table of all options.
func options() []option {
	return []option{
		{"prefix", "NAME", one(func(o *Options, v string) error { o.stamp.Prefix = v; return checkLabel(v) })},
		{"region", "NAME", one(func(o *Options, v string) error { o.stamp.Region = strings.ToLower(v); return checkLabel(v) })},
		{"domain", "FQDN", one((*Options).setDomain)},
		{"ns01", "ADDRESS...", some(func(o *Options, a []netip.Addr) { o.stamp.NS01 = a })},
		{"ns02", "ADDRESS...", some(func(o *Options, a []netip.Addr) { o.stamp.NS02 = a })},
		{"vips", "CIDR [CIDR]", (*Options).setVIPs},
		{"identity", "adfs|entra", one((*Options).setIdentity)},
		{"endpoint", "NAME ADDRESS...", (*Options).setEndpoint},
		{"label", "NAME ADDRESS...", (*Options).setLabel},
		{"with", "PROVIDER...", (*Options).setWith},
		{"without", "PROVIDER...", (*Options).setWithout},
		{"apex_wildcard", "ADDRESS...", some(func(o *Options, a []netip.Addr) { o.stamp.ApexWildcard = a })},
		{"ttl", "SECONDS", one((*Options).setTTL)},
		{"soa", "REFRESH RETRY EXPIRE MINIMUM", (*Options).setSOA},
		{"serial", "NUMBER", one((*Options).setSerial)},
	}
}

// OptionNames are the options that Set knows.
func OptionNames() []string {
	var names []string
	for _, o := range options() {
		names = append(names, o.name)
	}
	return names
}

// Set sets the option called name. It reads only what stands in args; whether
// the options go together is for Stamp.Validate to say.
func (o *Options) Set(name string, args ...string) error {
	all := options()
	i := slices.IndexFunc(all, func(p option) bool { return p.name == name })
	if i < 0 {
		return &UnknownError{What: "option", Name: name, Known: OptionNames()}
	}
	if len(args) == 0 {
		return fmt.Errorf("%s: want %[1]s %s", name, all[i].usage)
	}
	switch name {
	case "endpoint", "label", "with", "without":
	default:
		if err := o.once(name); err != nil {
			return err
		}
	}
	if err := all[i].set(o, args); err != nil {
		if errors.Is(err, errArgs) {
			return fmt.Errorf("%s: %w: want %s %s", name, err, name, all[i].usage)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

var errArgs = errors.New("wrong number of arguments")

// once fails the second time that it is asked for what.
func (o *Options) once(what string) error {
	if o.seen[what] {
		return fmt.Errorf("%s is given twice: keep one, with all that belongs to it", what)
	}
	o.seen[what] = true
	return nil
}

// one is for options with one argument.
func one(set func(o *Options, v string) error) func(*Options, []string) error {
	return func(o *Options, args []string) error {
		if len(args) != 1 {
			return errArgs
		}
		if err := set(o, args[0]); err != nil {
			return fmt.Errorf("%q: %w", args[0], err)
		}
		return nil
	}
}

// some is for options with addresses.
func some(set func(o *Options, a []netip.Addr)) func(*Options, []string) error {
	return func(o *Options, args []string) error {
		addrs, err := parseAddrs(args)
		if err == nil {
			set(o, addrs)
		}
		return err
	}
}

func parseAddrs(args []string) ([]netip.Addr, error) {
	if len(args) == 0 {
		return nil, errArgs
	}
	addrs := make([]netip.Addr, len(args))
	for i, v := range args {
		a, err := netip.ParseAddr(v)
		if err != nil {
			return nil, fmt.Errorf("%q is no IP address: write one such as 192.0.2.11 or 2001:db8::11", v)
		}
		addrs[i] = a.Unmap()
	}
	return addrs, checkAddrs(addrs)
}

func (o *Options) setDomain(v string) error {
	o.stamp.Domain = strings.ToLower(strings.TrimSuffix(v, "."))
	return checkDomain(o.stamp.Domain)
}

func (o *Options) setVIPs(args []string) error {
	var pools []netip.Prefix
	for _, v := range args {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return fmt.Errorf("%q is no network: write one such as 192.0.2.32/27", v)
		}
		pools = append(pools, p)
	}
	o.stamp.VIPs = pools
	return checkPools(pools)
}

func (o *Options) setIdentity(v string) error {
	for _, i := range []Identity{ADFS, Entra} {
		if strings.EqualFold(v, i.String()) {
			o.stamp.Identity = i
			return nil
		}
	}
	return errors.New("want adfs or entra")
}

func (o *Options) setEndpoint(args []string) error {
	i, err := findEntry(args[0])
	if err != nil {
		return err
	}
	name := catalogue[i].host
	if err := o.once("endpoint " + name); err != nil {
		return err
	}
	addrs, err := parseAddrs(args[1:])
	o.stamp.Pins = put(o.stamp.Pins, Host{name, addrs})
	return err
}

func (o *Options) setLabel(args []string) error {
	name := strings.ToLower(args[0])
	if err := checkLabel(name); err != nil {
		return fmt.Errorf("%q: %w", args[0], err)
	}
	if err := o.once("label " + name); err != nil {
		return err
	}
	addrs, err := parseAddrs(args[1:])
	o.stamp.Labels = put(o.stamp.Labels, Host{name, addrs})
	return err
}

// put replaces the host of h's name in hosts, or adds h. It leaves hosts alone:
// copies of a Stamp share it.
func put(hosts []Host, h Host) []Host {
	hosts = slices.Clone(hosts)
	if i := slices.IndexFunc(hosts, func(x Host) bool { return x.Name == h.Name }); i >= 0 {
		hosts[i] = h
		return hosts
	}
	return append(hosts, h)
}

func (o *Options) setWith(args []string) error {
	for _, v := range args {
		p, err := parseProvider(v)
		if err != nil {
			return err
		}
		if p&SSO != 0 {
			p |= AppService
		}
		o.with |= p
		o.stamp.Providers |= p
	}
	return o.checkProviders()
}

func (o *Options) setWithout(args []string) error {
	for _, v := range args {
		p, err := parseProvider(v)
		if err != nil {
			return err
		}
		if p&AppService != 0 {
			p |= SSO
		}
		o.without |= p
		o.stamp.Providers &^= p
	}
	return o.checkProviders()
}

func (o *Options) checkProviders() error {
	if both := o.with & o.without; both != 0 {
		return fmt.Errorf("with and without both name %s (sso is a part of appservice): keep one of the two", both)
	}
	return nil
}

func (o *Options) setTTL(v string) error { return parseNumber(v, maxTTL, &o.stamp.TTL) }

func (o *Options) setSOA(args []string) error {
	t := &o.stamp.SOA
	fields := []*uint32{&t.Refresh, &t.Retry, &t.Expire, &t.Minimum}
	if len(args) != len(fields) {
		return errArgs
	}
	for i, f := range fields {
		if err := parseNumber(args[i], maxTTL, f); err != nil {
			return fmt.Errorf("%q: %w", args[i], err)
		}
	}
	return nil
}

func (o *Options) setSerial(v string) error {
	const most = 1<<32 - 1
	if err := parseNumber(v, most, &o.stamp.Serial); err != nil {
		return err
	}
	if o.stamp.Serial == 0 {
		return fmt.Errorf("want a number from 1 to %d", uint32(most))
	}
	return nil
}

func parseNumber(v string, most uint32, to *uint32) error {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n > uint64(most) {
		return fmt.Errorf("want a number from 0 to %d", most)
	}
	*to = uint32(n)
	return nil
}

// Options are the stamp's options as Change(Default()) takes them to make it
// again: one option each, its name first. Facts are not among them.
func (s *Stamp) Options() [][]string {
	out := [][]string{{"prefix", s.Prefix}, {"region", s.Region}, {"domain", s.Domain}}
	out = append(out, withAddrs("ns01", s.NS01), withAddrs("ns02", s.NS02))
	return append(out, s.beyondFile()...)
}

// beyondFile are the options that the stamp file has no keys for.
func (s *Stamp) beyondFile() [][]string {
	var out [][]string
	vips := []string{"vips"}
	for _, p := range s.VIPs {
		vips = append(vips, p.String())
	}
	if len(vips) > 1 {
		out = append(out, vips)
	}
	out = append(out, []string{"identity", s.Identity.String()})
	for _, p := range s.Pins {
		out = append(out, withAddrs("endpoint", p.Addrs, p.Name))
	}
	for _, l := range s.Labels {
		out = append(out, withAddrs("label", l.Addrs, l.Name))
	}
	usual := Default().Providers
	if with := s.Providers &^ usual; with != 0 {
		out = append(out, append([]string{"with"}, with.names()...))
	}
	if without := usual &^ s.Providers; without != 0 {
		out = append(out, append([]string{"without"}, without.names()...))
	}
	if len(s.ApexWildcard) > 0 {
		out = append(out, withAddrs("apex_wildcard", s.ApexWildcard))
	}
	out = append(out, []string{"ttl", strconv.FormatUint(uint64(s.TTL), 10)})
	if s.SOA != Default().SOA {
		out = append(out, strings.Fields(fmt.Sprintf("soa %d %d %d %d", s.SOA.Refresh, s.SOA.Retry, s.SOA.Expire, s.SOA.Minimum)))
	}
	if s.Serial != 0 {
		out = append(out, []string{"serial", strconv.FormatUint(uint64(s.Serial), 10)})
	}
	return out
}

func withAddrs(name string, addrs []netip.Addr, args ...string) []string {
	out := append([]string{name}, args...)
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}
