package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// journalEntry is a query of the journal, as the API tells of it.
type journalEntry struct {
	ID        uint64    `json:"id"`
	Time      time.Time `json:"time"`
	NS        string    `json:"ns"`
	Source    string    `json:"source"`
	Resolver  string    `json:"resolver"`
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	RD        bool      `json:"rd"`
	Transport string    `json:"transport"`
	RCode     string    `json:"rcode"`
	Path      string    `json:"path"`
	Took      float64   `json:"took_us"`
	Fault     *struct {
		Rule string `json:"rule"`
		Kind string `json:"kind"`
	} `json:"fault"`
	OneIn uint64 `json:"one_in"`
}

// journalListing is what the API answers.
type journalListing struct {
	Entries     []json.RawMessage `json:"entries"`
	More        bool              `json:"more"`
	Cursor      string            `json:"cursor"`
	Lost        uint64            `json:"lost"`
	Seen        uint64            `json:"seen"`
	Recorded    uint64            `json:"recorded"`
	Sampled     bool              `json:"sampled"`
	SampledFrom time.Time         `json:"sampled_from"`
	SampledTo   time.Time         `json:"sampled_to"`
	Oldest      time.Time         `json:"oldest"`
}

// journalFilter is a filter of the journal: a flag, and the parameter of the same
// name.
type journalFilter struct {
	name, usage string
	// text is how a sentence says it.
	text  string
	value string
}

// journalFilters are the filters, in the order in which a sentence has them.
func journalFilters() []*journalFilter {
	return []*journalFilter{
		{name: "resolver", usage: "only queries by the resolver of this `NAME`", text: "by %s"},
		{name: "source", usage: "only queries from this `ADDRESS` or network", text: "from %s"},
		{name: "name", usage: "only queries for names of this `PATTERN`: * is any run of characters", text: "for %s"},
		{name: "type", usage: "only queries for this `TYPE`", text: "of type %s"},
		{name: "path", usage: "only queries that came by this `PATH`: iterative, forwarded, direct", text: "on path %s"},
		{name: "transport", usage: "only queries over this `TRANSPORT`: udp, tcp", text: "over %s"},
		{name: "ns", usage: "only queries to the name server of this `LABEL`, such as ns01", text: "to %s"},
		{name: "rcode", usage: "only queries with this response `CODE`, or dropped", text: "answered %s"},
		{name: "fault", usage: "only queries whose reply a `RULE` made wrong on purpose, or any", text: "with fault %s"},
	}
}

// addFilters gives cmd a flag for each filter.
func addFilters(cmd *cobra.Command, filters []*journalFilter) {
	for _, f := range filters {
		cmd.Flags().StringVar(&f.value, f.name, "", f.usage)
		asks(cmd, f.name)
	}
	complete(cmd, "path", "iterative", "forwarded", "direct")
	complete(cmd, "transport", "udp", "tcp")
	complete(cmd, "type", explainTypes[:]...)
	complete(cmd, "rcode", "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "dropped")
	complete(cmd, "fault", "any")
}

// filterValues are the parameters of the filters that are set.
func filterValues(filters []*journalFilter) url.Values {
	values := url.Values{}
	for _, f := range filters {
		if f.value != "" {
			values.Set(f.name, f.value)
		}
	}
	return values
}

// How many entries are shown.
const (
	journalLimit  = 100
	followedLimit = 10 // before those that come
	followedMax   = 1000
)

func (c *command) journal() *cobra.Command {
	j := journalFlags{filters: journalFilters()}
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "show the last queries of a running server",
		Long: `Show the last queries that a running server got, the newest last: when each
came, which name server it was sent to, from where, by which path, and what
became of it. The server needs the directive journal. RESOLVER and PATH are told
where it has the directive delegation, too.

With --follow the queries are shown as they come, until Ctrl-C. With -o json each is
a JSON object on a line. Where the server
did not record every query, or more come than --max a second, it is said.`,
		Example: `  stampdns journal
  stampdns journal --resolver corp --name '*.blob.*'
  stampdns journal --source 192.0.2.0/24 --since 10m -o json
  stampdns journal --follow --path iterative`,
		Args: knownVerb,
		RunE: func(*cobra.Command, []string) error {
			if j.follow {
				return j.followEntries()
			}
			return j.list()
		},
	}
	j.add(c, cmd)
	addFilters(cmd, j.filters)
	f := cmd.Flags()
	f.StringVar(&j.since, "since", "", "only queries since this `TIME` (RFC 3339), or so long ago, such as 10m")
	f.Uint16Var(&j.limit, "limit", journalLimit, "show this `NUMBER` of queries, the newest; with --follow 10 unless given")
	f.BoolVarP(&j.follow, "follow", "f", false, "show queries as they come")
	f.Uint16Var(&j.max, "max", followedMax, "with --follow, show at most this `NUMBER` of queries a second")
	j.addOutput()
	asks(cmd, "since", "limit", "follow", "max")
	cmd.AddCommand(c.journalExpect())
	return cmd
}

// journalFlags are what the verb journal is told.
type journalFlags struct {
	apiFlags
	filters    []*journalFilter
	since      string
	limit, max uint16
	follow     bool
}

// get asks for the entries that the flags want.
func (j *journalFlags) get(limit uint16) (*journalListing, error) {
	values := filterValues(j.filters)
	values.Set("limit", strconv.Itoa(int(limit)))
	if j.since != "" {
		values.Set("since", j.since)
	}
	var l journalListing
	_, err := j.call(http.MethodGet, "/journal?"+values.Encode(), nil, &l)
	return &l, err
}

// list shows what is there.
func (j *journalFlags) list() error {
	l, err := j.get(j.limit)
	if err != nil {
		return err
	}
	j.noteSampled(l)
	if j.output == "json" {
		return writeLines(j.command.stdout, l.Entries)
	}
	rows := make([][]string, len(l.Entries))
	for i, raw := range l.Entries {
		if rows[i], err = journalRow(raw); err != nil {
			return err
		}
	}
	return writeTable(j.command.stdout, journalHeader(), rows)
}

// noteSampled says that queries were left out.
func (a *apiFlags) noteSampled(l *journalListing) {
	if l.Sampled {
		a.command.note("not every query was recorded from %s to %s, as there were too many: %d were seen and %d recorded since the server began",
			clock(l.SampledFrom), clock(l.SampledTo), l.Seen, l.Recorded)
	}
}

// clock is a time as the table has it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func journalHeader() []string {
	return []string{"time", "ns", "source", "resolver", "path", "proto", "rd", "type", "name", "rcode", "took", "fault"}
}

// journalRow is an entry as a row of the table.
func journalRow(raw json.RawMessage) ([]string, error) {
	var e journalEntry
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("the server sent an entry that no stampdns would: %w", err)
	}
	rd, fault, rcode := "", "", e.RCode
	if e.RD {
		rd = "rd"
	}
	if rcode == "" {
		rcode = "dropped"
	}
	if e.Fault != nil {
		fault = e.Fault.Rule + ":" + e.Fault.Kind
	}
	took := time.Duration(e.Took * float64(time.Microsecond)).Round(100 * time.Nanosecond)
	return []string{clock(e.Time), e.NS, e.Source, e.Resolver, e.Path, e.Transport, rd, e.Type, e.Name, rcode, took.String(), fault}, nil
}

// journalLine is a row for who does not know the rows to come.
func journalLine(row []string) string {
	widths := [...]int{24, 4, 21, 12, 9, 5, 2, 5, 40, 8, 8, 0}
	var line strings.Builder
	for i, cell := range row {
		if cell == "" {
			cell = "-"
		}
		fmt.Fprintf(&line, "%-*s  ", widths[i], printable(cell))
	}
	return strings.TrimRight(line.String(), " ")
}

// writeLines writes JSON objects, each on a line.
func writeLines(w io.Writer, objects []json.RawMessage) error {
	for _, raw := range objects {
		if err := writeObject(w, raw); err != nil {
			return err
		}
	}
	return nil
}

// writeObject writes a JSON object on a line. What a terminal could take for an order
// is escaped.
func writeObject(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var line strings.Builder
	for _, r := range string(text) {
		if r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(&line, `\u%04x`, r)
		} else {
			line.WriteRune(r)
		}
	}
	line.WriteByte('\n')
	_, err = io.WriteString(w, line.String())
	return err
}
