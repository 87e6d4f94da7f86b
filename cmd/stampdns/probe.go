package main

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/zones/stamp"
	"github.com/stampdns/stampdns/zones/wire"
)

// Bounds of a probe.
const (
	probeTries    = 4
	mostProbes    = 64              // of a zone
	probePatience = 2 * time.Second // for the API, which need not be there
	// bothFactor is how many times as many probes are sent where both name servers
	// have to answer and only one has.
	bothFactor = 4
)

// probeFlags are the options of probe.
type probeFlags struct {
	apiFlags
	resolver  string
	zones     []string
	tcp, both bool
	timeout   time.Duration
	tries     uint16
}

func (c *command) probe() *cobra.Command {
	var flags probeFlags
	cmd := &cobra.Command{
		Use:   "probe --resolver ADDRESS",
		Short: "prove that a resolver reaches the stamp, and by which way",
		Long: `Ask a resolver for names that no cache can know, below probe.ZONE in each zone of
the stamp. The stamp answers with what it saw: which of its name servers was
asked, from which address, and whether the resolver follows a delegation or
forwards. Where the stamp's API can be reached, both sides are joined, so that
the stamp's metrics tell the same.

Exit code 0 means that all zones were reached, 1 that one was not.`,
		Example: `  stampdns probe --resolver 192.0.2.53
  stampdns probe --resolver 192.0.2.53 --zone east.cloud.fabrikam.com --both
  stampdns probe --resolver 127.0.0.1:1053 -o json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd.Context()) },
	}
	flags.add(c, cmd)
	flags.addOutput()
	f := cmd.Flags()
	f.StringVar(&flags.resolver, "resolver", "", "`ADDRESS` of the resolver to ask, with or without a port")
	f.StringSliceVar(&flags.zones, "zone", nil, "`ZONE` to ask for (default those of the stamp that the API tells of, else of the sample stamp)")
	f.BoolVar(&flags.tcp, "tcp", false, "ask over TCP")
	f.BoolVar(&flags.both, "both", false, "fail unless both name servers were seen, in each zone")
	f.DurationVar(&flags.timeout, "timeout", 3*time.Second, "how long to wait for an answer, a `DURATION`")
	f.Uint16Var(&flags.tries, "tries", probeTries, "`NUMBER` of probes in each zone")
	asks(cmd, "resolver", "zone", "tcp", "both", "timeout", "tries")
	return cmd
}

// run sends the probes and writes what came of them.
func (p *probeFlags) run(ctx context.Context) error {
	to, err := p.target()
	if err != nil {
		return err
	}
	side, err := p.serverSide()
	if err != nil {
		return err
	}
	report := &probeReport{Resolver: to.String(), ZonesFrom: "flag", Reached: true}
	names := p.zones
	if len(names) == 0 {
		names, report.ZonesFrom = p.usualZones(ctx, side)
	}
	asker := &probeAsker{to: to, tcp: p.tcp, timeout: p.timeout}
	for _, name := range names {
		z, err := parseProbeZone(name)
		if err != nil {
			return usagef("--zone %q: %w", name, err)
		}
		result := p.probeZone(ctx, asker, side, z)
		report.Zones = append(report.Zones, result)
		report.Reached = report.Reached && result.Reached && (!p.both || result.both())
	}
	report.API, report.Joined, report.NotJoined = side.base(), side.joined(), side.why
	if p.given("api") && side.client != nil && side.why != "" {
		p.command.note("warning: not joined with the server's side: %s", side.why)
	}
	if err := p.writeReport(report); err != nil {
		return err
	}
	if !report.Reached {
		return silentError{}
	}
	return nil
}

// target checks the options, and is whom to ask.
func (p *probeFlags) target() (netip.AddrPort, error) {
	if err := oneOf("output", p.output, apiFormats[:]); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case p.resolver == "":
		return netip.AddrPort{}, usagef("whom to ask is missing: give --resolver ADDRESS")
	case p.tries < 1 || p.tries > mostProbes:
		return netip.AddrPort{}, usagef("--tries %d: want a number from 1 to %d", p.tries, mostProbes)
	case p.timeout <= 0:
		return netip.AddrPort{}, usagef("--timeout %s: want a duration such as 2s", p.timeout)
	}
	if to, err := netip.ParseAddrPort(p.resolver); err == nil && to.Port() != 0 {
		return to, nil
	}
	addr, err := netip.ParseAddr(strings.Trim(p.resolver, "[]"))
	if err != nil {
		return netip.AddrPort{}, usagef("--resolver %q is no IP address, with or without a port", p.resolver)
	}
	return netip.AddrPortFrom(addr, 53), nil
}

// usualZones are those of the stamp that the API tells of, else of the sample stamp.
func (p *probeFlags) usualZones(ctx context.Context, side *serverSide) (names []string, from string) {
	s, from := side.stamp(ctx), "api"
	if s == nil {
		usual := stamp.Default()
		s, from = &usual, "sample"
	}
	return []string{s.External(), s.Cloudapp()}, from
}

// parseProbeZone reads a zone that has room for a probe.
func parseProbeZone(text string) (wire.Name, error) {
	z, err := wire.ParseName(text)
	if err != nil {
		return nil, err
	}
	if _, err := wire.ParseName(probeName(strings.Repeat("x", nonceLen), z)); err != nil {
		return nil, err
	}
	return z, nil
}

// probeZone sends the probes for one zone. It gives up on a zone that is clearly not
// reached.
func (p *probeFlags) probeZone(ctx context.Context, asker *probeAsker, side *serverSide, z wire.Name) *zoneReport {
	report := &zoneReport{Zone: z.String()}
	tries := int(p.tries)
	for i := 0; ; i++ {
		if i >= tries && (!p.both || report.both() || i >= tries*bothFactor) {
			break
		}
		try := asker.ask(ctx, z)
		side.join(ctx, try, asker.to)
		report.Tries = append(report.Tries, try)
		if report.Reached = report.Reached || try.Reached; !report.Reached && (try.answered || i > 0) {
			break
		}
	}
	report.sumUp()
	return report
}
