package errors

import (
	"log/slog"
	"regexp"
	"time"

	"github.com/stampdns/stampdns/server"
)

func parse(d *server.Directive) ([]*rule, error) {
	d.Next()
	args, err := d.Arguments(0, 1)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 && args[0] != "stdout" {
		return nil, d.UsageErr("%q is no place to log to: errors go to the server's log, remove the word", args[0])
	}
	var rules []*rule
	for d.NextBlock() {
		switch d.Val() {
		case "consolidate":
			r, err := parseRule(d)
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		case "stacktrace":
			// A panic is always logged with its stack.
			if _, err := d.Arguments(0, 0); err != nil {
				return nil, err
			}
		default:
			return nil, d.UnknownProperty("consolidate", "stacktrace")
		}
	}
	return rules, d.End()
}

func parseRule(d *server.Directive) (*rule, error) {
	args, err := d.Arguments(2, -1)
	if err != nil {
		return nil, err
	}
	if args[len(args)-1] == "show_first" {
		return nil, d.UsageErr("consolidate: CoreDNS has show_first, stampdns does not: remove the word")
	}
	if len(args) > 3 {
		return nil, d.UsageErr("consolidate takes 2 to 3 arguments, not %d", len(args))
	}
	r := &rule{level: slog.LevelError, due: make(chan struct{}, 1)}
	if r.period, err = d.Duration("consolidate", args[0], time.Millisecond); err != nil {
		return nil, err
	}
	if r.pattern, err = regexp.Compile(args[1]); err != nil {
		return nil, d.UsageErr("consolidate: %w", err)
	}
	if len(args) == 3 {
		levels := map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError,
		}
		level, ok := levels[args[2]]
		if !ok {
			return nil, d.UsageErr("unknown level %q%s", args[2],
				server.Suggest(args[2], []string{"debug", "info", "warning", "error"}))
		}
		r.level = level
	}
	return r, nil
}
