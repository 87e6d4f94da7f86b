package log

import (
	"slices"
	"strings"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// parse reads all occurrences of the directive.
func parse(d *server.Directive) ([]rule, error) {
	var rules []rule
	for d.Next() {
		some, err := parseOne(d)
		if err != nil {
			return nil, err
		}
		rules = append(rules, some...)
	}
	return rules, nil
}

func parseOne(d *server.Directive) ([]rule, error) {
	args, err := d.Arguments(0, -1)
	if err != nil {
		return nil, err
	}
	layout := common
	if n := len(args); n > 0 && strings.Contains(args[n-1], "{") {
		layout, args = args[n-1], args[:n-1]
	}
	var r rule
	if r.format, err = parseText(layout); err != nil {
		return nil, d.UsageErr("%w", err)
	}
	names := []wire.Name{wire.Root()}
	if slices.Contains(args, "stdout") {
		return nil, d.UsageErr("stdout would be a zone here, and lines go to standard output anyway: remove the word")
	}
	if len(args) > 0 {
		if names, err = d.Names(args); err != nil {
			return nil, err
		}
	}
	if err := parseBlock(d, &r); err != nil {
		return nil, err
	}
	rules := make([]rule, len(names))
	for i, n := range names {
		rules[i] = r
		rules[i].name = n
	}
	return rules, nil
}

func parseBlock(d *server.Directive, r *rule) error {
	for d.NextBlock() {
		switch d.Val() {
		case "class":
			args, err := d.Arguments(1, -1)
			if err != nil {
				return err
			}
			for _, a := range args {
				c, ok := map[string]classes{"all": all, "success": success, "denial": denial, "error": failure}[a]
				if !ok {
					return d.UsageErr("unknown class %q%s", a, server.Suggest(a, []string{"all", "success", "denial", "error"}))
				}
				r.classes |= c
			}
		case "format":
			args, err := d.Arguments(1, 1)
			if err != nil {
				return err
			}
			switch args[0] {
			case "text":
			case "json":
				r.format = newObject()
			default:
				return d.UsageErr("unknown format %q%s", args[0], server.Suggest(args[0], []string{"text", "json"}))
			}
		default:
			return d.UnknownProperty("class", "format")
		}
	}
	if r.classes == 0 {
		r.classes = all
	}
	return nil
}
