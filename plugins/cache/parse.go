package cache

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// options are what a directive says.
type options struct {
	zones      []wire.Name
	all        bool      // the root is one of zones
	bounds     [2]bounds // by group
	servfail   ticks
	prefetch   int // queries; 0 is never
	gap        ticks
	percentage int
	staleFor   ticks // 0 is never
	verify     bool
	keepTTL    bool
	capacity   int64
	disable    [2][]wire.Name // by group
}

// bounds are those of one group: its entries, where that is not 0, and TTLs.
type bounds struct {
	entries     int
	least, most uint32
}

func (b *bounds) clamp(ttl uint32) uint32 { return min(b.most, max(b.least, ttl)) }

// Defaults, as CoreDNS has them but for capacity, which it does not have.
const (
	successTTL      = 3600
	denialTTL       = 1800
	minTTL          = 5
	servfailTime    = 5 * time.Second
	prefetchGap     = time.Minute
	prefetchPercent = 10
	staleTime       = time.Hour
	defaultCapacity = 64 << 20
)

// Limits of what can be configured.
const (
	maxTTL      = 365 * 24 * 3600 // seconds
	maxServfail = 5 * time.Minute // RFC 9520 section 3.2
	minCapacity = 1 << 20
	maxCapacity = 1 << 40
)

// covers says whether the names of zones are cached.
func (o *options) covers(name wire.Name) bool { return o.all || within(name, o.zones) }

func within(name wire.Name, zones []wire.Name) bool {
	for _, z := range zones {
		if name.Within(z) {
			return true
		}
	}
	return false
}

// disabled says whether answers of a kind are not kept for name.
func (o *options) disabled(k kind, name wire.Name) bool { return within(name, o.disable[k.group()]) }

// name tells the store of a block with these options from those of others. With
// the same name it outlives a reload.
func (o *options) name(b *server.Block) string {
	return fmt.Sprintf("%d %v %v %+v", b.Port, b.Binds, b.Zones, *o)
}

// inTicks is a duration that is no longer than maxTTL.
func inTicks(d time.Duration) ticks {
	return ticks(min(d, maxTTL*time.Second) / (time.Second / perSecond))
}

// parse reads the directive, which stands once.
func parse(d *server.Directive) (*options, error) {
	o := &options{
		bounds:   [2]bounds{{0, minTTL, successTTL}, {0, minTTL, denialTTL}},
		servfail: inTicks(servfailTime), gap: inTicks(prefetchGap), percentage: prefetchPercent,
		capacity: defaultCapacity,
	}
	d.Next()
	args, err := d.Arguments(0, -1)
	if err != nil {
		return nil, err
	}
	if len(args) > 0 {
		if _, err := strconv.ParseInt(args[0], 10, 64); err == nil {
			ttl, err := number(d, "TTL", args[0], 1, maxTTL)
			if err != nil {
				return nil, err
			}
			o.bounds[0].most, o.bounds[1].most = uint32(ttl), uint32(ttl)
			args = args[1:]
		}
	}
	if o.zones, err = d.Names(args); err != nil {
		return nil, err
	}
	for d.NextBlock() {
		if err := o.property(d); err != nil {
			return nil, err
		}
	}
	o.all = within(wire.Root(), o.zones)
	return o, d.End()
}

// property reads one line of the block.
func (o *options) property(d *server.Directive) (err error) {
	switch d.Val() {
	case "success":
		return o.bounds[success.group()].parse(d)
	case "denial":
		return o.bounds[denial.group()].parse(d)
	case "servfail":
		return o.parseServfail(d)
	case "prefetch":
		return o.parsePrefetch(d)
	case "serve_stale":
		return o.parseStale(d)
	case "disable":
		return o.parseDisable(d)
	case "keepttl":
		o.keepTTL = true
		_, err := d.Arguments(0, 0)
		return err
	case "capacity":
		args, err := d.Arguments(1, 1)
		if err == nil {
			o.capacity, err = parseSize(d, args[0])
		}
		return err
	}
	return d.UnknownProperty("success", "denial", "servfail", "prefetch", "serve_stale", "disable", "keepttl", "capacity")
}

// number reads text as a number between least and most; what names it in errors.
func number(d *server.Directive, what, text string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, d.UsageErr("%s: %q is not a number from %d to %d", what, text, least, most)
	}
	return n, nil
}

// parse reads CAPACITY [TTL] [MINTTL].
func (b *bounds) parse(d *server.Directive) error {
	what := d.Val()
	args, err := d.Arguments(1, 3)
	if err != nil {
		return err
	}
	n, err := number(d, what+": CAPACITY", args[0], 1, math.MaxInt32)
	if err != nil {
		return err
	}
	b.entries = int(n)
	if len(args) > 1 {
		if n, err = number(d, what+": TTL", args[1], 1, maxTTL); err != nil {
			return err
		}
		b.most = uint32(n)
	}
	if len(args) > 2 {
		if n, err = number(d, what+": MINTTL", args[2], 0, maxTTL); err != nil {
			return err
		}
		b.least = uint32(n)
	}
	return nil
}

func (o *options) parseServfail(d *server.Directive) error {
	args, err := d.Arguments(1, 1)
	if err != nil {
		return err
	}
	t, err := d.Duration("servfail", args[0], 0)
	if err != nil {
		return err
	}
	if t > maxServfail {
		return d.UsageErr("servfail: %s is too long: at most %s", t, maxServfail)
	}
	o.servfail = inTicks(t)
	return nil
}

// parsePrefetch reads AMOUNT [DURATION] [PERCENTAGE%].
func (o *options) parsePrefetch(d *server.Directive) error {
	args, err := d.Arguments(1, 3)
	if err != nil {
		return err
	}
	n, err := number(d, "prefetch: AMOUNT", args[0], 0, math.MaxUint16)
	if err != nil {
		return err
	}
	o.prefetch = int(n)
	if len(args) > 1 {
		t, err := d.Duration("prefetch", args[1], time.Second/perSecond)
		if err != nil {
			return err
		}
		o.gap = inTicks(t)
	}
	if len(args) > 2 {
		text, ok := strings.CutSuffix(args[2], "%")
		if !ok {
			return d.UsageErr("prefetch: %q is no percentage: write a number and %%", args[2])
		}
		if n, err = number(d, "prefetch: PERCENTAGE", text, 10, 90); err != nil {
			return err
		}
		o.percentage = int(n)
	}
	return nil
}

// parseStale reads [DURATION] [immediate|verify].
func (o *options) parseStale(d *server.Directive) error {
	args, err := d.Arguments(0, 2)
	if err != nil {
		return err
	}
	o.staleFor = inTicks(staleTime)
	if len(args) > 0 {
		t, err := d.Duration("serve_stale", args[0], time.Second)
		if err != nil {
			return err
		}
		o.staleFor = inTicks(t)
	}
	if len(args) > 1 {
		switch args[1] {
		case "immediate":
		case "verify":
			o.verify = true
		default:
			return d.UsageErr("serve_stale: unknown mode %q%s", args[1], server.Suggest(args[1], []string{"immediate", "verify"}))
		}
	}
	return nil
}

// parseDisable reads success|denial [ZONES...]; without zones it is for all names.
func (o *options) parseDisable(d *server.Directive) error {
	args, err := d.Arguments(1, -1)
	if err != nil {
		return err
	}
	groups := groupNames()
	for g, name := range groups {
		if args[0] != name {
			continue
		}
		zones := []wire.Name{wire.Root()}
		if len(args) > 1 {
			if zones, err = d.Names(args[1:]); err != nil {
				return err
			}
		}
		o.disable[g] = append(o.disable[g], zones...)
		return nil
	}
	return d.UsageErr("disable: unknown kind %q%s", args[0], server.Suggest(args[0], groups[:]))
}

// parseSize reads a number of octets, with a unit or without.
func parseSize(d *server.Directive, text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGiB")
	shift, ok := map[string]int{"": 0, "B": 0, "K": 10, "KB": 10, "KiB": 10, "M": 20, "MB": 20, "MiB": 20,
		"G": 30, "GB": 30, "GiB": 30}[text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n > maxCapacity>>shift || n<<shift < minCapacity {
		return 0, d.UsageErr("capacity: %q is no size from 1MB to 1024GB: write a number and its unit, such as 64MB", text)
	}
	return n << shift, nil
}
