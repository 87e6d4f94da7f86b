package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// nearMiss is queries that came, but for some filters would have been what was
// expected.
type nearMiss struct {
	Text    string      `json:"text"`
	Without []string    `json:"without"`
	Count   int         `json:"count"`
	More    bool        `json:"more"`
	Groups  []nearGroup `json:"groups"`
}

// nearGroup is those of a nearMiss that have the same values where filters do not
// count.
type nearGroup struct {
	Values map[string]string `json:"values"`
	Count  int               `json:"count"`
}

// nearShown is how many groups of a nearMiss are told.
const nearShown = 5

// instead finds what came in place of what was expected: what would match if one
// filter did not count, for each of them; or two, or none of them.
func (e *expectation) instead() ([]nearMiss, error) {
	var set []*journalFilter
	for _, f := range e.filters {
		if f.value != "" {
			set = append(set, f)
		}
	}
	var tries [][][]*journalFilter
	var one, two [][]*journalFilter
	for i, f := range set {
		one = append(one, []*journalFilter{f})
		for _, g := range set[:i] {
			two = append(two, []*journalFilter{g, f})
		}
	}
	tries = append(tries, one)
	if len(set) > 2 {
		tries = append(tries, two)
	}
	if len(set) > 1 {
		tries = append(tries, [][]*journalFilter{set})
	}
	for _, round := range tries {
		found := []nearMiss{}
		for _, without := range round {
			miss, err := e.near(without)
			if err != nil {
				return nil, err
			}
			if miss.Count > 0 {
				found = append(found, miss)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return []nearMiss{}, nil
}

// near is the newest queries that would have been expected without some filters.
func (e *expectation) near(without []*journalFilter) (nearMiss, error) {
	values := filterValues(e.filters)
	miss := nearMiss{Groups: []nearGroup{}}
	for _, f := range without {
		values.Del(f.name)
		miss.Without = append(miss.Without, f.name)
	}
	values.Set("since", e.window())
	values.Set("limit", strconv.Itoa(expectLimit))
	l, err := e.ask(values)
	if err != nil {
		return miss, err
	}
	groups := map[string]*nearGroup{}
	for _, raw := range l.Entries {
		var entry journalEntry
		if err := json.Unmarshal(raw, &entry); err != nil {
			return miss, fmt.Errorf("the server sent an entry that no stampdns would: %w", err)
		}
		if e.matched[entry.ID] {
			continue
		}
		group := nearGroup{Values: map[string]string{}}
		key := ""
		for _, f := range without {
			v := entry.value(f.name)
			group.Values[f.name] = v
			key += v + "\n"
		}
		if groups[key] == nil {
			groups[key] = &group
		}
		groups[key].Count++
	}
	for _, g := range groups {
		miss.Groups = append(miss.Groups, *g)
		miss.Count += g.Count
	}
	slices.SortFunc(miss.Groups, func(a, b nearGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(fmt.Sprint(a.Values), fmt.Sprint(b.Values)))
	})
	miss.More = l.More
	miss.Text = miss.sentence(e.filters, without)
	return miss, nil
}

// value is what the entry has where a filter looks.
func (e *journalEntry) value(filter string) string {
	value := ""
	switch filter {
	case "resolver":
		value = e.Resolver
	case "source":
		value = e.Source
		if i := strings.LastIndexByte(value, ':'); i >= 0 {
			value = strings.Trim(value[:i], "[]")
		}
	case "name":
		value = e.Name
	case "type":
		value = e.Type
	case "path":
		value = e.Path
	case "transport":
		value = e.Transport
	case "ns":
		value = e.NS
	case "rcode":
		value = cmp.Or(e.RCode, "dropped")
	case "fault":
		if e.Fault != nil {
			value = e.Fault.Rule
		}
	}
	return cmp.Or(value, "none")
}

// sentence says how many there are and in which way they are other than expected.
func (m *nearMiss) sentence(filters, without []*journalFilter) string {
	text := plural(m.Count, "query", "queries")
	if m.More {
		text = fmt.Sprintf("more than %d queries", m.Count)
	}
	text += phrase(filters, without) + ", but"
	shown := m.Groups[:min(nearShown, len(m.Groups))]
	for i, g := range shown {
		if i > 0 {
			text += ","
		}
		for _, f := range without {
			text += " " + fmt.Sprintf(f.text, g.Values[f.name])
		}
		text += fmt.Sprintf(" (%d)", g.Count)
	}
	if n := len(m.Groups) - len(shown); n > 0 {
		text += fmt.Sprintf(", and %d others", n)
	}
	return text
}
