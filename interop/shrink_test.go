package interop

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// shrink returns as few items as still fail, of items that do: it takes away
// halves, then quarters, and so on down to single ones, again and again until
// nothing more can go or time is up.
func shrink[T any](items []T, deadline time.Time, fails func([]T) bool) []T {
	for size := (len(items) + 1) / 2; size > 0; {
		smaller := false
		for start := 0; start < len(items); {
			if time.Now().After(deadline) {
				return items
			}
			end := min(start+size, len(items))
			rest := slices.Concat(items[:start], items[end:])
			if fails(rest) {
				items, smaller = rest, true
			} else {
				start = end
			}
		}
		if size > 1 || !smaller {
			size /= 2
		}
	}
	return items
}

// placed is a record and the zone it belongs to.
type placed struct {
	zone int
	record
}

// shrink makes the family as small as still fails: first without whole zones,
// then without single records.
func (f *family) shrink(deadline time.Time, fails func(*family) bool) *family {
	zones := shrink(f.zones, deadline, func(zones []madeZone) bool {
		return len(zones) > 0 && fails(&family{zones, f.denial})
	})
	var records []placed
	for i, z := range zones {
		for _, r := range z.body {
			records = append(records, placed{i, r})
		}
	}
	with := func(records []placed) *family {
		smaller := &family{zones: slices.Clone(zones), denial: f.denial}
		for i := range smaller.zones {
			smaller.zones[i].body = nil
		}
		for _, r := range records {
			z := &smaller.zones[r.zone]
			z.body = append(z.body, r.record)
		}
		return smaller
	}
	return with(shrink(records, deadline, func(records []placed) bool { return fails(with(records)) }))
}

// simpler are forms of a question that are easier to look into, the easiest first.
func (q question) simpler() []question {
	return []question{
		{name: strings.ToLower(q.name), typ: q.typ, tcp: true},
		{name: strings.ToLower(q.name), typ: q.typ, do: q.do, size: q.size, tcp: true},
		{name: strings.ToLower(q.name), typ: q.typ},
		{name: strings.ToLower(q.name), typ: q.typ, do: q.do, size: q.size, tcp: q.tcp},
	}
}

// conformance is a question and its answer as a case for the folder
// zones/testdata/conformance, with the zones as they were served and notes on top.
func (f *family) conformance(q question, want reply, files []string, notes string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", strings.TrimSpace(notes))
	for i, z := range f.zones {
		fmt.Fprintf(&b, "-- zone %s --\n%s\n", strings.TrimSuffix(z.origin, "."), strings.TrimSpace(files[i]))
	}
	fmt.Fprintf(&b, "-- query %s %s", q.name, typeName(q.typ))
	if q.do {
		b.WriteString(" do")
	}
	if q.tcp {
		b.WriteString(" tcp")
	} else {
		fmt.Fprintf(&b, " size=%d", q.limit())
	}
	b.WriteString(" --\n" + want.facts[partRcode])
	if want.msg.Authoritative {
		b.WriteString(" AA")
	}
	if want.msg.Truncated {
		b.WriteString(" TC")
	}
	b.WriteString("\n")
	for _, part := range []string{partAnswer, partAuthority, partAdditional} {
		for _, line := range want.lines(part) {
			fmt.Fprintf(&b, "%s: %s\n", part, line)
		}
	}
	return b.String()
}
