package file

import (
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// defaultReload is how often files are looked at unless the directive says
// otherwise.
const defaultReload = 2 * time.Second

type options struct {
	path   string
	zones  []wire.Name
	reload time.Duration
	line   int
}

// parse reads one occurrence of the directive.
func parse(d *server.Directive) (options, error) {
	o := options{reload: defaultReload, line: d.Line()}
	args, err := d.Arguments(1, -1)
	if err != nil {
		return o, err
	}
	o.path = d.Path(args[0])
	if o.zones, err = d.Names(args[1:]); err != nil {
		return o, err
	}
	for _, z := range o.zones {
		if !reachable(z, d.Block.Zones) {
			return o, d.Errf("no query for zone %s comes here: the block serves %s", z, names(d.Block.Zones))
		}
	}
	for d.NextBlock() {
		switch d.Val() {
		case "reload":
			if o.reload, err = d.DurationArgument(0); err != nil {
				return o, err
			}
		case "transfer", "fallthrough", "upstream":
			return o, d.Errf("%s is not supported: CoreDNS has it, stampdns does not: remove the line", d.Val())
		default:
			return o, d.UnknownProperty("reload")
		}
	}
	return o, nil
}

// reachable says whether a block of the given zones gets queries for z: it is in
// one of them, or one of them is a part of it.
func reachable(z wire.Name, block []wire.Name) bool {
	for _, b := range block {
		if z.Within(b) || b.Within(z) {
			return true
		}
	}
	return false
}

func names(zones []wire.Name) string {
	text := ""
	for i, z := range zones {
		if i > 0 {
			text += ", "
		}
		text += z.String()
	}
	return text
}
