package delegation

import (
	"net/netip"
	"regexp"
	"strconv"
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
)

// What may be learned.
const (
	defaultLearn = 64
	mostLearn    = 1000
)

// otherName is the name of all sources that are neither named nor learned.
const otherName = "other"

// config is what the blocks of one configuration say together: a resolver is the
// same whichever block it asks.
type config struct {
	observer *observer
	zoneName func(uint32) string
	label    func(string) uint32
	log      logger

	names   []string // in order of first mention
	named   map[string][]netip.Prefix
	owner   map[netip.Prefix]string
	learn   int // -1: not said
	opened  bool
	blocks  int // that are set up and not started
	stores  []*zones.Store
	servers []string // labels of the name servers, in order

	cuts atomic.Pointer[cuts]
}

// logger is the part of slog.Logger that is used.
type logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

func newConfig(o *observer, d *server.Directive) *config {
	c := &config{
		observer: o, zoneName: d.ZoneLabels(), label: d.ZoneLabel, log: d.Logger(),
		named: make(map[string][]netip.Prefix), owner: make(map[netip.Prefix]string), learn: -1,
	}
	c.cuts.Store(new(cuts))
	return c
}

// parse reads the directive of one block.
func (c *config) parse(d *server.Directive) error {
	d.Next()
	if _, err := d.Arguments(0, 0); err != nil {
		return err
	}
	for d.NextBlock() {
		var err error
		switch d.Val() {
		case "resolver":
			err = c.parseResolver(d)
		case "learn":
			err = c.parseLearn(d)
		default:
			err = d.UnknownProperty("resolver", "learn")
		}
		if err != nil {
			return err
		}
	}
	return d.End()
}

func (c *config) parseResolver(d *server.Directive) error {
	args, err := d.Arguments(2, -1)
	if err != nil {
		return err
	}
	name := args[0]
	if !regexp.MustCompile(`^[a-z0-9.-]{1,63}$`).MatchString(name) || name == otherName {
		return d.UsageErr("resolver %q: a name has up to 63 small letters, digits, dots and hyphens, and is not %q", name, otherName)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return d.UsageErr("resolver %q: an address is no name: a learned resolver could have it", name)
	}
	networks, err := d.Networks(args[1:])
	if err != nil {
		return err
	}
	if networks == nil {
		networks = server.Networks{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	for _, p := range networks {
		switch other, taken := c.owner[p]; {
		case taken && other == name:
			continue
		case taken:
			return d.UsageErr("network %s is resolver %s already: give it one name", p, other)
		}
		c.owner[p] = name
		if c.named[name] == nil {
			c.names = append(c.names, name)
		}
		c.named[name] = append(c.named[name], p)
	}
	return nil
}

// parseLearn reads how many resolvers to learn. Of several blocks the largest
// number holds.
func (c *config) parseLearn(d *server.Directive) error {
	args, err := d.Arguments(1, 1)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > mostLearn {
		return d.UsageErr("learn %q: want a number from 0 to %d", args[0], mostLearn)
	}
	c.learn = max(c.learn, n)
	return nil
}

// learns is how many resolvers are learned at most.
func (c *config) learns() int {
	if c.learn < 0 {
		return defaultLearn
	}
	return c.learn
}

func (c *config) addNameServer(label string) {
	for _, s := range c.servers {
		if s == label {
			return
		}
	}
	c.servers = append(c.servers, label)
}
