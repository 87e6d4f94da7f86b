package acl

import (
	"fmt"
	"strings"

	"github.com/stampdns/stampdns/server"
)

// parse reads one occurrence of the directive.
func parse(d *server.Directive) (list, error) {
	var l list
	args, err := d.Arguments(0, -1)
	if err != nil {
		return l, err
	}
	if l.zones, err = d.Names(args); err != nil {
		return l, err
	}
	for d.NextBlock() {
		p, err := parsePolicy(d)
		if err != nil {
			return l, err
		}
		l.policies = append(l.policies, p)
	}
	if len(l.policies) == 0 {
		return l, d.UsageErr("has no policy: write at least one line such as: block net 192.0.2.0/24")
	}
	return l, nil
}

// parsePolicy reads one line of the block.
func parsePolicy(d *server.Directive) (policy, error) {
	var p policy
	switch d.Val() {
	case "allow":
		p.action = allow
	case "block":
		p.action = block
	case "filter":
		p.action = filter
	case "drop":
		p.action = drop
	default:
		return p, d.UsageErr("unknown action %q%s", d.Val(),
			server.Suggest(d.Val(), []string{"allow", "block", "filter", "drop"}))
	}
	p.place = fmt.Sprintf("%s:%d", d.File(), d.Line())
	p.text = d.Val()
	args, err := d.Arguments(0, -1)
	if err != nil {
		return p, err
	}
	p.text = strings.Join(append([]string{p.text}, args...), " ")
	types, nets, err := sections(d, args)
	if err != nil {
		return p, err
	}
	if p.types, err = parseTypes(d, types); err != nil {
		return p, err
	}
	p.nets, err = d.Networks(nets)
	return p, err
}

// sections splits a policy's arguments into what follows "type" and "net".
func sections(d *server.Directive, args []string) (types, nets []string, err error) {
	var to *[]string
	word := ""
	for _, a := range args {
		switch a {
		case "type", "net":
			if to != nil && len(*to) == 0 {
				return nil, nil, d.UsageErr("nothing follows %s", word)
			}
			word, to = a, &types
			if a == "net" {
				to = &nets
			}
			continue
		}
		if to == nil {
			return nil, nil, d.UsageErr("%q stands before type and net%s", a, server.Suggest(a, []string{"type", "net"}))
		}
		*to = append(*to, a)
	}
	if to != nil && len(*to) == 0 {
		return nil, nil, d.UsageErr("nothing follows %s", word)
	}
	return types, nets, nil
}

// parseTypes reads query types; nil is all of them.
func parseTypes(d *server.Directive, names []string) ([]uint16, error) {
	var types []uint16
	for _, name := range names {
		if name == "*" {
			return nil, nil
		}
		t, err := server.ParseType(name)
		if err != nil {
			return nil, d.UsageErr("%w", err)
		}
		types = append(types, t)
	}
	return types, nil
}
