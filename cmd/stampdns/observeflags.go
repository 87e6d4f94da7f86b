package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// What serve observes unless told otherwise.
const (
	defaultLearn   = 64
	defaultJournal = "10000"
	defaultProbe   = "on"
	defaultStatus  = "on"
)

// probeChoices are what --probe takes, statusChoices what --status does.
var (
	probeChoices  = [...]string{defaultProbe, off}
	statusChoices = [...]string{defaultStatus, off}
)

// observeFlags are the options of serve about who asks, and by which way.
type observeFlags struct {
	resolvers      []string
	learn          uint16
	journal, probe string
	status         string
	dnstap         string
	proxies        []string
}

func (o *observeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&o.resolvers, "resolver", nil, "`NAME=NETWORK` of a resolver, to know its queries by; several networks of a resolver stand several times")
	flags.Uint16Var(&o.learn, "learn", defaultLearn, "`NUMBER` of resolvers to know by their addresses, learned from their queries; 0 for none")
	flags.StringVar(&o.journal, "journal", defaultJournal, "keep the last `NUMBER` of queries to look at, or off")
	flags.StringVar(&o.probe, "probe", defaultProbe, "answer probes, on or off: a `CHOICE`")
	flags.StringVar(&o.status, "status", defaultStatus, "serve the status page where the API is, on or off: a `CHOICE`")
	flags.StringVar(&o.dnstap, "dnstap", "", "`ADDRESS` or file that gets all queries and replies as dnstap frames")
	flags.StringSliceVar(&o.proxies, "proxy", nil, "`NETWORK` of proxies, whose PROXY protocol headers say who asks")
	complete(cmd, "probe", probeChoices[:]...)
	complete(cmd, "status", statusChoices[:]...)
}

// write adds the directives that the flags amount to. The page needs an API.
func (o *observeFlags) write(c *corefile, api bool) error {
	if len(o.proxies) > 0 {
		c.line(append([]string{"proxyproto"}, o.proxies...)...)
	}
	if err := o.delegation(c); err != nil {
		return err
	}
	switch o.journal {
	case off:
	case defaultJournal:
		c.line("journal")
	default:
		if _, err := strconv.ParseUint(o.journal, 10, 32); err != nil {
			return usagef("--journal %q is neither a number of queries nor off", o.journal)
		}
		c.line("journal", o.journal)
	}
	c.line("fault")
	if err := oneOf("status", o.status, statusChoices[:]); err != nil {
		return err
	}
	if o.status != off && api {
		c.line("status")
	}
	if o.dnstap != "" {
		to, err := dnstapTarget(o.dnstap)
		if err != nil {
			return err
		}
		c.line("dnstap", to)
	}
	if err := oneOf("probe", o.probe, probeChoices[:]); err != nil {
		return err
	}
	if o.probe == off {
		c.line("probe", off)
	}
	return nil
}

// delegation writes the directive that tells resolvers.
func (o *observeFlags) delegation(c *corefile) error {
	resolvers, err := o.known()
	if err != nil {
		return err
	}
	if len(resolvers) == 0 && o.learn == defaultLearn {
		c.line("delegation")
		return nil
	}
	c.open("delegation")
	for _, r := range resolvers {
		c.line(append([]string{"resolver", r.name}, r.networks...)...)
	}
	if o.learn != defaultLearn {
		c.line("learn", strconv.Itoa(int(o.learn)))
	}
	c.close()
	return nil
}

// knownResolver is a resolver with its networks.
type knownResolver struct {
	name     string
	networks []string
}

// known are the resolvers of the flags, in order.
func (o *observeFlags) known() ([]knownResolver, error) {
	var all []knownResolver
	last := -1
	for _, text := range o.resolvers {
		name, network, ok := strings.Cut(text, "=")
		switch {
		case !ok && last >= 0 && checkNetwork(text) == nil:
			// NAME=NETWORK,NETWORK: commas separate values.
			all[last].networks = append(all[last].networks, text)
			continue
		case !ok || name == "" || network == "":
			return nil, usagef("--resolver %q is not NAME=NETWORK", text)
		}
		if err := checkNetwork(network); err != nil {
			return nil, usagef("--resolver %s: %w", text, err)
		}
		last = slices.IndexFunc(all, func(r knownResolver) bool { return r.name == name })
		if last < 0 {
			last = len(all)
			all = append(all, knownResolver{name: name})
		}
		all[last].networks = append(all[last].networks, network)
	}
	return all, nil
}

// checkNetwork says of what is clearly no network that it is none.
func checkNetwork(text string) error {
	if _, err := netip.ParsePrefix(text); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	return fmt.Errorf("no network: write an address such as 192.0.2.53, or a network such as 192.0.2.0/24")
}

// dnstapTarget is where dnstap frames go, as the directive has it: a file's path is
// absolute, an address without a scheme is of TCP.
func dnstapTarget(text string) (string, error) {
	if strings.Contains(text, "://") {
		return text, nil
	}
	if _, err := netip.ParseAddrPort(text); err == nil {
		return "tcp://" + text, nil
	}
	return filepath.Abs(text)
}
