package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// stored is a rule of run time as the state has it.
type stored struct {
	Name    string    `json:"name"`
	Rule    string    `json:"rule"` // without its name
	Started time.Time `json:"started"`
	Ends    time.Time `json:"ends"`
	Left    int64     `json:"left,omitempty"` // of count
	Off     bool      `json:"off,omitempty"`
}

// stateKey is where the rules lie in the plugin's bucket.
const stateKey = "rules"

// save writes the rules of run time down if they are others than those there.
func (e *engine) save() {
	err := e.saveRules(e.rules)
	if err != nil && !e.unsaved {
		e.log.Error("faults cannot be written to the state: they end with the server", "error", err)
	}
	e.unsaved = err != nil
}

func (e *engine) saveRules(rules []*rule) error {
	list := []stored{}
	for _, r := range rules {
		if r.source == fromRuntime {
			// What is not hit yet, rather than what is not taken: a query under way may
			// come to nothing.
			left := int64(0)
			if r.count > 0 {
				left = int64(r.count - r.hits.Load())
			}
			list = append(list, stored{r.name, r.text(), r.started, r.ends, left, r.off})
		}
	}
	text, err := json.Marshal(list)
	if err != nil || bytes.Equal(text, e.saved) || e.saved == nil && len(list) == 0 {
		return err
	}
	if err := e.config.bucket.Put(stateKey, text); err != nil {
		return err
	}
	e.saved = text
	return nil
}

// restore are the rules of run time: those in use, or those of the state where it is
// not as the engine left it, as after a restart or with another file.
func (e *engine) restore(c *config) (rules []*rule) {
	for _, r := range e.rules {
		if r.source == fromRuntime {
			rules = append(rules, r)
		}
	}
	text, err := c.bucket.Get(stateKey)
	if err == nil && text == nil {
		e.saved = nil
		return rules
	}
	if err == nil && bytes.Equal(text, e.saved) {
		return rules
	}
	var list []stored
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		e.log.Error("the faults that were set at run time cannot be read: set them again", "error", err)
		return rules
	}
	for _, r := range rules {
		e.end(r, endCleared)
	}
	rules = nil
	for _, s := range list[:min(len(list), maxRules)] {
		r, err := s.rule()
		if err != nil {
			e.log.Error("a fault that was set at run time cannot be read: set it again", "rule", s.Name, "error", err)
			continue
		}
		r.spent = e.sweepSoon
		rules = append(rules, r)
	}
	e.saved = slices.Clone(text)
	return rules
}

// rule makes the rule that s was.
func (s *stored) rule() (*rule, error) {
	spec, err := parseLine(s.Rule)
	if err != nil {
		return nil, err
	}
	if !ruleName.MatchString(s.Name) {
		return nil, fmt.Errorf("name %q", s.Name)
	}
	r := newRule(spec, s.Name, fromRuntime, s.Started)
	r.ends, r.off = s.Ends, s.Off
	if most := now().Add(mostLast); r.ends.After(most) {
		r.ends = most
	}
	if r.count > 0 {
		left := min(max(s.Left, 0), int64(r.count))
		r.left.Store(left)
		r.hits.Store(r.count - uint64(left))
		r.told = r.hits.Load()
	}
	return r, nil
}
