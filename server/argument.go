package server

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stampdns/stampdns/zones/wire"
)

// Arguments reads the rest of the line: at least least arguments and at most
// most, or any number where most is negative.
func (d *Directive) Arguments(least, most int) ([]string, error) {
	what := d.Val()
	args := d.RemainingArgs()
	for _, a := range args {
		if a == "}" {
			return nil, d.Errf("%s: the closing brace of a block stands on a line of its own", what)
		}
	}
	if len(args) < least || most >= 0 && len(args) > most {
		return nil, d.UsageErr("%s takes %s, not %d", what, countText(least, most), len(args))
	}
	return args, nil
}

// countText spells a number of arguments.
func countText(least, most int) string {
	arguments := func(n int) string {
		switch n {
		case 0:
			return "no arguments"
		case 1:
			return "one argument"
		}
		return fmt.Sprintf("%d arguments", n)
	}
	switch {
	case least == most:
		return arguments(least)
	case most < 0:
		return "at least " + arguments(least)
	case least == 0:
		return "at most " + arguments(most)
	}
	return fmt.Sprintf("%d to %s", least, arguments(most))
}

// End says that the directive ends here and stands once in its block.
func (d *Directive) End() error {
	if err := d.NoBlock(); err != nil {
		return err
	}
	if d.Next() {
		return d.Errf("stands twice in one server block")
	}
	return nil
}

// NoBlock says that no block of properties follows.
func (d *Directive) NoBlock() error {
	if d.NextBlock() {
		return d.UsageErr("has no property %q", d.Val())
	}
	return nil
}

// DurationArgument reads the one argument of a property as a duration of at
// least least.
func (d *Directive) DurationArgument(least time.Duration) (time.Duration, error) {
	what := d.Val()
	args, err := d.Arguments(1, 1)
	if err != nil {
		return 0, err
	}
	return d.Duration(what, args[0], least)
}

// Duration reads text as a duration of at least least; what names it in errors.
func (d *Directive) Duration(what, text string, least time.Duration) (time.Duration, error) {
	v, err := time.ParseDuration(text)
	if err != nil {
		return 0, d.UsageErr("%s: %q is no duration: write a number and its unit, such as 30s or 5m", what, text)
	}
	if v < least {
		return 0, d.UsageErr("%s: %s is too short: at least %s", what, v, least)
	}
	return v, nil
}

// Address reads text as the host:port of an HTTP listener; the host may be
// empty for all addresses.
func (d *Directive) Address(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", d.UsageErr("%q is no address to listen on: write HOST:PORT or :PORT", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", d.UsageErr("%q is no address to listen on: the port is a number up to 65535", text)
	}
	return text, nil
}

// Path is a file's path; a relative one starts at the folder of the Corefile, or
// at the working directory where the configuration is no file.
func (d *Directive) Path(text string) string {
	corefile := d.gen.corefile.Path
	if corefile == "" || filepath.IsAbs(text) {
		return text
	}
	return filepath.Join(filepath.Dir(corefile), text)
}

// Names reads zone names; none given, it is the zones of the block.
func (d *Directive) Names(args []string) ([]wire.Name, error) {
	if len(args) == 0 {
		return d.Block.Zones, nil
	}
	names := make([]wire.Name, 0, len(args))
	for _, a := range args {
		n, err := wire.ParseName(a)
		if err != nil {
			return nil, d.UsageErr("zone %w", err)
		}
		names = append(names, n)
	}
	return names, nil
}
