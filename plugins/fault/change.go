package fault

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stampdns/stampdns/server"
)

// statusError is an error with the status that the API gives it.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func failure(status int, format string, args ...any) error {
	return &statusError{status, fmt.Sprintf(format, args...)}
}

// change makes a change to the rules, which takes effect for every query that comes
// from now on.
func (e *engine) change(f func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config == nil {
		return failure(http.StatusServiceUnavailable, "faults are not in use any more")
	}
	if err := f(); err != nil {
		return err
	}
	e.sweepLocked(true)
	return nil
}

// add puts a rule into use, behind the others of run time. It is written down first.
func (e *engine) add(s *spec) (r *rule, err error) {
	err = e.change(func() error {
		if err := e.possible(s); err != nil {
			return err
		}
		taken := make(map[string]bool)
		behind := 0
		for i, r := range e.rules {
			taken[r.name] = true
			if r.source == fromRuntime {
				behind = i + 1
			}
		}
		name := s.name
		if name == "" {
			name = freeName(taken)
		} else if taken[name] {
			return failure(http.StatusConflict, "there is a fault %s: clear it first, or choose another name", name)
		}
		r = newRule(s, name, fromRuntime, now())
		r.spent = e.sweepSoon
		rules := slices.Insert(slices.Clone(e.rules), behind, r)
		if err := e.saveRules(rules); err != nil {
			return fmt.Errorf("nothing changed: %w", err)
		}
		e.rules = rules
		e.begin(r)
		return nil
	})
	return r, err
}

// possible says what keeps a rule from being one for this server.
func (e *engine) possible(s *spec) error {
	switch {
	case len(e.rules) >= maxRules:
		return failure(http.StatusConflict, "there are %d faults, the most there may be: clear some", maxRules)
	case !s.until.IsZero() && !s.until.After(now()):
		return failure(http.StatusBadRequest, "until %s is over already", s.doc.Until)
	case s.resolvers != nil && !slices.ContainsFunc(e.config.blocks, func(b *block) bool { return b.resolver }):
		return failure(http.StatusBadRequest, "resolver: this server does not tell resolvers apart: add the directive delegation, or use client NETWORK")
	}
	var labels []string
	for _, b := range e.config.blocks {
		for _, label := range b.labels {
			if label != "" && !slices.Contains(labels, label) {
				labels = append(labels, label)
			}
		}
	}
	for _, ns := range s.ns {
		switch {
		case slices.Contains(labels, ns):
		case labels == nil:
			return failure(http.StatusBadRequest, "ns %s: this server does not tell name servers apart: it has no stamp", ns)
		default:
			return failure(http.StatusBadRequest, "unknown ns %q%s (there are %s)", ns, server.Suggest(ns, labels), strings.Join(labels, ", "))
		}
	}
	return nil
}

// named is the rule in use of a name.
func (e *engine) named(name string) (*rule, error) {
	for _, r := range e.rules {
		if r.name == name {
			return r, nil
		}
	}
	return nil, failure(http.StatusNotFound, "there is no fault %s: stampdns fault list shows those there are", name)
}

// clear ends a rule; one of the Corefile is off until the next reload.
func (e *engine) clear(name string) error {
	return e.change(func() error {
		r, err := e.named(name)
		if err == nil {
			e.clearOne(r)
		}
		return err
	})
}

// clearAll is clear for all rules that are on; it returns their names.
func (e *engine) clearAll() (names []string, err error) {
	names = []string{}
	err = e.change(func() error {
		for _, r := range slices.Clone(e.rules) {
			if !r.off || r.source == fromRuntime {
				names = append(names, r.name)
				e.clearOne(r)
			}
		}
		return nil
	})
	return names, err
}

func (e *engine) clearOne(r *rule) {
	if r.source == fromRuntime {
		e.end(r, endCleared)
		return
	}
	r.off = true
	e.log.Info("fault is off until the next reload", "rule", r.name, "kind", r.kind.String(), "hits", r.hits.Load())
}

// enable turns a rule on or off; its time runs on.
func (e *engine) enable(name string, on bool) (r *rule, err error) {
	err = e.change(func() (err error) {
		if r, err = e.named(name); err == nil && r.off == on {
			r.off = !on
			e.log.Info("fault is turned on or off", "rule", r.name, "kind", r.kind.String(), "on", on, "hits", r.hits.Load())
		}
		return err
	})
	return r, err
}
