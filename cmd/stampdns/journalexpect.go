package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// expectPoll is the time between two questions for what has come.
const expectPoll = 200 * time.Millisecond

// expectLimit is how many entries the API gives at once.
const expectLimit = 1000

// expectShown is how many entries a report shows.
const expectShown = 5

func (c *command) journalExpect() *cobra.Command {
	e := expectation{filters: journalFilters()}
	cmd := &cobra.Command{
		Use:   "expect",
		Short: "wait for queries that must come, or must not",
		Long: `Wait until queries that match all filters have come to a running server: a test
for scripts and CI. Those that came in the time --within before the start count
as well, or in the time --since.

The exit code is 0 as soon as enough have come, and 1 if they have not when the
time --within is over; then it is said what came instead. With --count, --at-most
and --never the whole time has to pass, unless too many come before. The exit
code is 2 if the command line is wrong or no server can be asked.`,
		Example: `  stampdns journal expect --resolver corp --name '*.blob.*' --path iterative --ns ns02
  stampdns journal expect --resolver branch --transport tcp --within 30s --at-least 3
  stampdns journal expect --path forwarded --name '*.cloudapp.*' --never --within 5s`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return e.run() },
	}
	e.add(c, cmd)
	addFilters(cmd, e.filters)
	f := cmd.Flags()
	f.DurationVar(&e.within, "within", 10*time.Second, "wait for this `TIME`, and look back as far")
	f.DurationVar(&e.since, "since", 0, "look back this `TIME` (default that of --within)")
	f.Uint16Var(&e.count, "count", 0, "expect this `NUMBER` of queries, no more and no fewer")
	f.Uint16Var(&e.atLeast, "at-least", 1, "expect this `NUMBER` of queries or more")
	f.Uint16Var(&e.atMost, "at-most", 0, "expect this `NUMBER` of queries or fewer")
	f.BoolVar(&e.never, "never", false, "expect no query")
	e.addOutput()
	asks(cmd, "within", "since", "count", "at-least", "at-most", "never")
	return cmd
}

// expectation is what the verb is told, and what has come.
type expectation struct {
	apiFlags
	filters                []*journalFilter
	within, since          time.Duration
	count, atLeast, atMost uint16
	never                  bool

	least  int
	most   *int // nil for any number
	back   time.Duration
	began  time.Time
	cursor string
	got    int
	first  []json.RawMessage // the first of what has come
	// matched are the ids of what has come, as long as that is not enough.
	matched map[uint64]bool
	// What may have hidden queries: those left out, and those lost before they were
	// looked at.
	skipped *uint64 // at the first look
	hidden  bool
	lost    uint64
}

// run waits, and tells what has come.
func (e *expectation) run() error {
	if err := e.read(); err != nil {
		return err
	}
	e.began, e.matched = time.Now(), map[uint64]bool{}
	for {
		last := time.Since(e.began) >= e.within
		more, err := e.look()
		if err != nil {
			// Whatever is wrong, the expectation has not failed.
			return &usageError{err}
		}
		enough, tooMany := e.got >= e.least, e.most != nil && e.got > *e.most
		switch {
		case tooMany, last && !more, enough && e.most == nil:
			return e.report(enough && !tooMany)
		case more:
			continue
		}
		select {
		case <-time.After(min(expectPoll, max(time.Millisecond, e.within-time.Since(e.began)))):
		case <-e.cmd.Context().Done():
			return e.cmd.Context().Err()
		}
	}
}

// read checks the flags and makes them what is wanted.
func (e *expectation) read() error {
	given := e.given
	bounds := given("at-least") || given("at-most")
	switch {
	case given("count") && (e.never || bounds), e.never && bounds:
		return usagef("give one of --count, --never, and --at-least and --at-most: each says how many queries are expected")
	case e.within <= 0:
		return usagef("--within %s: want a duration such as 10s", e.within)
	case e.since < 0:
		return usagef("--since %s: want how far to look back, such as 1m", e.since)
	}
	e.least, e.back = int(e.atLeast), e.since
	if !given("since") {
		e.back = e.within
	}
	switch {
	case e.never:
		e.least, e.most = 0, new(int)
	case given("count"):
		e.least, e.most = int(e.count), new(int(e.count))
	case given("at-most"):
		if e.most = new(int(e.atMost)); !given("at-least") {
			e.least = 0
		}
		if e.least > int(e.atMost) {
			return usagef("--at-least %d and --at-most %d: no number is both", e.least, e.atMost)
		}
	}
	return nil
}

// window is the whole time that is looked at, up to now. Durations are not wrong
// where the clocks of the two machines differ.
func (e *expectation) window() string { return (e.back + time.Since(e.began)).String() }

// look takes in what has come since the last look.
func (e *expectation) look() (more bool, err error) {
	values := filterValues(e.filters)
	values.Set("since", e.window())
	values.Set("limit", strconv.Itoa(expectLimit))
	values.Set("after", e.cursor)
	begins := e.cursor == ""
	if begins {
		values.Set("after", "0")
	}
	l, err := e.ask(values)
	if err != nil {
		return false, err
	}
	e.cursor = l.Cursor
	e.got += len(l.Entries)
	e.first = append(e.first, l.Entries[:min(len(l.Entries), expectShown-min(expectShown, len(e.first)))]...)
	for _, raw := range l.Entries {
		var entry journalEntry
		if err := json.Unmarshal(raw, &entry); err != nil {
			return false, fmt.Errorf("the server sent an entry that no stampdns would: %w", err)
		}
		if e.got < e.least {
			e.matched[entry.ID] = true
		}
	}
	skipped := l.Seen - l.Recorded
	if begins {
		e.skipped = &skipped
		from := time.Now().Add(-e.back)
		e.hidden = l.Sampled && !l.SampledTo.Before(from)
		if l.Lost > 0 && l.Oldest.After(from) {
			e.lost = l.Lost
		}
		return l.More, nil
	}
	e.hidden = e.hidden || skipped > *e.skipped
	e.lost += l.Lost
	return l.More, nil
}

// ask asks the API for entries.
func (e *expectation) ask(values url.Values) (*journalListing, error) {
	var l journalListing
	_, err := e.call(http.MethodGet, "/journal?"+values.Encode(), nil, &l)
	return &l, err
}

// expectResult is the result for programs.
type expectResult struct {
	OK      bool              `json:"ok"`
	Text    string            `json:"text"`
	Count   int               `json:"count"`
	AtLeast int               `json:"at_least"`
	AtMost  *int              `json:"at_most"`
	Filters map[string]string `json:"filters"`
	Waited  float64           `json:"waited_seconds"`
	Entries []json.RawMessage `json:"entries"`
	Instead []nearMiss        `json:"instead"`
	Sampled bool              `json:"sampled"`
	Lost    uint64            `json:"lost"`
}

// report writes the result.
func (e *expectation) report(ok bool) error {
	r := expectResult{
		OK: ok, Count: e.got, AtLeast: e.least, AtMost: e.most, Filters: map[string]string{}, Waited: time.Since(e.began).Seconds(),
		Entries: e.first, Instead: []nearMiss{}, Sampled: e.hidden, Lost: e.lost, Text: e.sentence(),
	}
	if r.Entries == nil {
		r.Entries = []json.RawMessage{}
	}
	for _, f := range e.filters {
		if f.value != "" {
			r.Filters[f.name] = f.value
		}
	}
	var err error
	if !ok && e.got < e.least {
		if r.Instead, err = e.instead(); err != nil {
			return &usageError{err}
		}
	}
	if e.output == "json" {
		err = writeObject(e.command.stdout, r)
	} else {
		err = e.write(&r)
	}
	if err == nil && !ok {
		return silentError{}
	}
	return err
}

// sentence says what came, and what was expected where that is not plain.
func (e *expectation) sentence() string {
	text := plural(e.got, "query", "queries")
	if e.got == 0 {
		text = "no query"
	}
	text += phrase(e.filters, nil)
	wanted := ""
	switch {
	case e.most == nil && e.got < e.least:
		wanted = fmt.Sprintf("%d or more", e.least)
	case e.most == nil:
	case *e.most == 0:
		wanted = "none"
	case *e.most == e.least:
		wanted = strconv.Itoa(e.least)
	case e.least == 0:
		wanted = fmt.Sprintf("%d at most", *e.most)
	default:
		wanted = fmt.Sprintf("%d to %d", e.least, *e.most)
	}
	if wanted != "" {
		text += ", expected " + wanted
	}
	return fmt.Sprintf("%s, from %s before the start to %s after it", text, e.back, time.Since(e.began).Round(100*time.Millisecond))
}

// phrase is the filters as words, without some.
func phrase(filters, without []*journalFilter) string {
	var text strings.Builder
	for _, f := range filters {
		if f.value != "" && !has(without, f) {
			fmt.Fprintf(&text, " "+f.text, f.value)
		}
	}
	return text.String()
}

func has(filters []*journalFilter, f *journalFilter) bool {
	for _, other := range filters {
		if other == f {
			return true
		}
	}
	return false
}

// write writes the result for people.
func (e *expectation) write(r *expectResult) error {
	verdict := "ok"
	if !r.OK {
		verdict = "failed"
	}
	lines := []string{verdict + ": " + r.Text}
	if !r.OK {
		for _, raw := range r.Entries {
			row, err := journalRow(raw)
			if err != nil {
				return err
			}
			lines = append(lines, "  "+journalLine(row))
		}
		for _, miss := range r.Instead {
			lines = append(lines, "  "+miss.Text)
		}
		if e.got < e.least && len(r.Instead) == 0 {
			lines = append(lines, "  no query of any kind is in the journal for this time")
		}
	}
	// Too many that came are too many, whatever is hidden.
	if !r.OK && e.got < e.least || r.OK && e.most != nil {
		lines = append(lines, e.doubts()...)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(e.command.stdout, printable(line)); err != nil {
			return err
		}
	}
	return nil
}

// doubts says why queries may have come that are not seen.
func (e *expectation) doubts() (lines []string) {
	if e.hidden {
		lines = append(lines, "  not every query was recorded, as more came than the journal's rate: such queries may have come all the same; "+
			"give journal a higher rate")
	}
	if e.lost > 0 {
		lines = append(lines, fmt.Sprintf("  %s lost, as newer ones took their place in the journal: such queries may have come all the same; "+
			"give journal a larger SIZE", plural(e.lost, "entry is", "entries are")))
	}
	return lines
}
