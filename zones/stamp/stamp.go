// Package stamp says what an Azure Stack Hub stamp is as seen by DNS: its two
// name servers, its endpoints and their addresses, and the two zones that these
// make. It reads and writes the stamp's own description of itself,
// AzureStackStampInformation.json.
//
//	options or stamp file ──► Stamp ──► Zones      the records
//	                                ├─► Endpoints  the firewall table
//	                                └─► Info       a stamp file again
//
// It knows no network and no clock, and reads a file in ReadFile alone.
package stamp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/stampdns/stampdns/zones/wire"
)

// Stamp is the description of one stamp, complete: what was not said has its
// default. Start from Default or Parse, change it by Options or by hand, and
// call Validate before anything else; the other methods count on it.
//
// Names are in presentation form without the last dot. Region, Domain and the
// names of Endpoints and Labels are in lower case.
type Stamp struct {
	// Prefix is the naming prefix: the name servers are <Prefix>-ns01 and
	// <Prefix>-ns02. Its case is kept, since stamps write "AzS-ns01"; names
	// compare without regard to case all the same.
	Prefix string
	// Region is one label, Domain the external domain without the region.
	Region, Domain string
	// NS01 and NS02 are the addresses of the name servers, at least one each.
	NS01, NS02 []netip.Addr
	// VIPs are the pools that the endpoints' addresses come from: one of a
	// family at most. With two, each endpoint has an address from both.
	VIPs []netip.Prefix
	// Identity decides whether the stamp has the endpoints adfs and graph.
	Identity Identity
	// Providers are the resource providers that the stamp has.
	Providers Providers
	// Pins give endpoints addresses of their own instead of those from VIPs.
	// A name is that of the table: "portal", "*.blob".
	Pins []Host
	// Labels are the public-IP DNS labels of the cloudapp zone.
	Labels []Host
	// ApexWildcard publishes "*" at the apex of the external zone; empty, as on
	// a stamp, means that unknown names do not exist.
	ApexWildcard []netip.Addr
	// TTL is that of every record, in seconds.
	TTL uint32
	SOA SOA
	// Serial is the zones' serial. At 0 the zones have 1, and a server may count
	// on from there when their content changes.
	Serial uint32
	// Facts are the keys of the stamp file that say nothing about DNS.
	Facts []Fact
}

// SOA holds the timers of both zones' SOA records, in seconds.
type SOA struct{ Refresh, Retry, Expire, Minimum uint32 }

// Host is a name and its addresses.
type Host struct {
	Name  string
	Addrs []netip.Addr
}

// Identity is the identity system that a stamp was deployed with.
type Identity uint8

// The identity systems.
const (
	ADFS Identity = iota
	Entra
)

// String is the identity as options spell it.
func (i Identity) String() string {
	if i == Entra {
		return "entra"
	}
	return "adfs"
}

// maxTTL is the largest TTL (RFC 2181 section 8).
const maxTTL = 1<<31 - 1

// Default is the sample stamp of the network-integration page: prefix azs,
// region east, external domain cloud.fabrikam.com. The addresses are for
// documentation (RFC 5737); the SOA timers are those Azure gives its zones.
func Default() Stamp {
	return Stamp{
		Prefix:    "azs",
		Region:    "east",
		Domain:    "cloud.fabrikam.com",
		NS01:      []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 11})},
		NS02:      []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 12})},
		VIPs:      []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 32}), 27)},
		Identity:  ADFS,
		Providers: AppService | SQL | MySQL,
		TTL:       3600,
		SOA:       SOA{Refresh: 3600, Retry: 300, Expire: 2419200, Minimum: 300},
	}
}

// External is the name of the zone that holds the endpoints: <region>.<domain>.
func (s *Stamp) External() string { return s.Region + "." + s.Domain }

// Cloudapp is the name of the zone that holds the public-IP labels:
// <region>.cloudapp.<domain>.
func (s *Stamp) Cloudapp() string { return s.Region + ".cloudapp." + s.Domain }

// NameServer is one of the two name servers.
type NameServer struct {
	Label string // ns01 or ns02
	Host
}

// NameServers are ns01 and ns02, with their full names.
func (s *Stamp) NameServers() [2]NameServer {
	at := func(label string, addrs []netip.Addr) NameServer {
		return NameServer{label, Host{s.Prefix + "-" + label + "." + s.External(), addrs}}
	}
	return [2]NameServer{at("ns01", s.NS01), at("ns02", s.NS02)}
}

// OptionError is a fault in what one option says.
type OptionError struct {
	Option string // its name, as Options.Set takes it
	Err    error  // starts with the value
}

// Error is the option, its value, and what is wrong with it.
func (e *OptionError) Error() string { return e.Option + " " + e.Err.Error() }

// Unwrap gives the fault without the option.
func (e *OptionError) Unwrap() error { return e.Err }

func optionf(option, format string, args ...any) error {
	return &OptionError{option, fmt.Errorf(format, args...)}
}

// Warnings are what looks wrong with the stamp and does no harm.
func (s *Stamp) Warnings() []string {
	var out []string
	if strings.HasPrefix(s.Domain+".", s.Region+".") {
		out = append(out, fmt.Sprintf("%s has the region twice: the external domain goes without the region; is it really %s?", s.External(), s.Domain))
	}
	if strings.HasSuffix("."+s.Domain, ".local") {
		out = append(out, fmt.Sprintf("%s lies below .local: clients may ask multicast DNS for it (RFC 6762), not a server", s.Domain))
	}
	return out
}

// Validate says what is wrong with the stamp, and what to do about it. What is
// the fault of one option is an *OptionError.
func (s *Stamp) Validate() error {
	if err := s.validateNames(); err != nil {
		return err
	}
	if err := s.validateAddresses(); err != nil {
		return err
	}
	timers := []uint32{s.TTL, s.SOA.Refresh, s.SOA.Retry, s.SOA.Expire, s.SOA.Minimum}
	for _, t := range timers {
		if t > maxTTL {
			return fmt.Errorf("%d seconds are too many: the most is %d", t, maxTTL)
		}
	}
	if s.Providers&SSO != 0 && s.Providers&AppService == 0 {
		return errors.New("sso is a part of appservice: add with appservice")
	}
	for _, p := range s.Pins {
		e, err := findEntry(p.Name)
		if err != nil {
			return err
		}
		if has, hint := s.has(&catalogue[e]); !has {
			return optionf("endpoint", "%s is not on this stamp: add %q, or take the endpoint line away", p.Name, hint)
		}
	}
	_, err := s.assign()
	return err
}

func (s *Stamp) validateNames() error {
	for _, n := range []struct{ option, value string }{{"prefix", s.Prefix}, {"region", s.Region}} {
		if err := checkLabel(n.value); err != nil {
			return optionf(n.option, "%q: %w", n.value, err)
		}
	}
	if s.Region == "cloudapp" {
		return optionf("region", "cloudapp: its two zones would lie in one another: choose another region name")
	}
	if err := checkDomain(s.Domain); err != nil {
		return optionf("domain", "%q: %w", s.Domain, err)
	}
	seen := make(map[string]bool, len(s.Labels))
	longest := s.NameServers()[0].Name
	for _, l := range s.Labels {
		if err := checkLabel(l.Name); err != nil {
			return optionf("label", "%q: %w", l.Name, err)
		}
		if name := strings.ToLower(l.Name); seen[name] {
			return optionf("label", "%s is given twice: labels are unique in a region; give all addresses at once", l.Name)
		} else {
			seen[name] = true
		}
		longest = longer(longest, l.Name+"."+s.Cloudapp())
	}
	for i := range catalogue {
		longest = longer(longest, catalogue[i].host+"."+s.External())
	}
	if _, err := wire.ParseName(longest); err != nil {
		return fmt.Errorf("%w: choose a shorter prefix, region, domain or label", err)
	}
	return nil
}

func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

func (s *Stamp) validateAddresses() error {
	hosts := []Host{{"ns01", s.NS01}, {"ns02", s.NS02}}
	for _, h := range append(append(hosts, s.Pins...), s.Labels...) {
		if len(h.Addrs) == 0 {
			return fmt.Errorf("%s has no address", h.Name)
		}
		if err := checkAddrs(h.Addrs); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	if err := checkAddrs(s.ApexWildcard); err != nil {
		return fmt.Errorf("apex_wildcard: %w", err)
	}
	if err := checkPools(s.VIPs); err != nil {
		return optionf("vips", "%w", err)
	}
	return nil
}

func checkAddrs(addrs []netip.Addr) error {
	seen := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		switch {
		case !a.IsValid() || a.Is4In6() || a.Zone() != "":
			return fmt.Errorf("%s is no plain IPv4 or IPv6 address", a)
		case a.IsUnspecified() || a.IsMulticast():
			return fmt.Errorf("%s is not the address of a host", a)
		case seen[a]:
			return fmt.Errorf("%s is given twice", a)
		}
		seen[a] = true
	}
	return nil
}

var (
	errNotLDH    = errors.New("want letters, digits and inner hyphens only (names of other alphabets in their xn-- form)")
	errLabelSize = errors.New("want 1 to 63 characters")
)

// checkLabel accepts a host name's label (RFC 1123 section 2.1).
func checkLabel(l string) error {
	if len(l) == 0 || len(l) > wire.MaxLabel {
		return errLabelSize
	}
	for i := 0; i < len(l); i++ {
		c := l[i]
		alnum := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !alnum && (c != '-' || i == 0 || i == len(l)-1) {
			return errNotLDH
		}
	}
	return nil
}

func checkDomain(d string) error {
	for l := range strings.SplitSeq(d, ".") {
		if err := checkLabel(l); err != nil {
			return fmt.Errorf("label %q: %w", l, err)
		}
	}
	return nil
}
