package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// topScreen is all that decides what the screen shows.
type topScreen struct {
	view *topView
	// width and height are those of the terminal. A height of 0 is as much as there is,
	// for what is no terminal: nothing is drawn then, and nothing cut.
	width, height int
	api           string // its URL
	// fault is why the API does not answer, nil if it does; the view is older then.
	fault  error
	since  time.Time
	paused bool
	filter string // the resolver that is shown alone, empty for all
	keys   bool   // keys can be pressed
}

// noWidth is the width where there is no terminal.
const noWidth = 1 << 20

// roomy is the height from which there are empty lines.
const roomy = 30

// barWidth is how many columns a bar has.
const barWidth = 8

// live says whether the screen is one.
func (s *topScreen) live() bool { return s.height > 0 }

// lines are what is on the screen, as many as fit.
func (s *topScreen) lines() []topLine {
	head := s.header()
	if !s.live() {
		return append(head, s.sections(1<<20)...)
	}
	head = head[:min(len(head), max(1, s.height/2))]
	out := append(head, s.sections(s.height-len(head)-1)...)
	for len(out) < s.height-1 {
		out = append(out, nil)
	}
	return append(out, s.footer())[:s.height]
}

// header says which server it is, and what it does in all.
func (s *topScreen) header() []topLine {
	v := s.view
	left := topLine{span(styleBold, strings.TrimSpace("stampdns "+v.Version))}
	if v.Stamp != "" {
		left = append(left, span(styleNone, "  "+v.Stamp))
	}
	if v.Ready != nil && *v.Ready {
		left = append(left, span(styleGood, "  ready"))
	} else if v.Ready != nil {
		left = append(left, span(styleBad, "  not ready"))
	}
	left = append(left, span(styleDim, "  "+s.api))
	right := topLine{span(styleNone, v.Time.Format("  15:04:05Z"))}
	if s.paused {
		right = topLine{span(styleWarn, "  paused "), right[0]}
	}
	first := append(left, right...)
	if s.live() {
		first = left.cut(max(0, s.width-right.width()))
		pad := strings.Repeat(" ", max(0, s.width-first.width()-right.width()))
		first = append(append(first, topSpan{pad, styleNone}), right...).cut(s.width)
	}
	lines := []topLine{first}
	if s.fault != nil {
		text := "no answer since " + s.since.UTC().Format("15:04:05Z") + ": " + s.fault.Error() + "; trying again"
		lines = append(lines, s.wrapped(styleBad, text, s.width, 2)...)
	}
	totals := s.flow(s.totals())
	if s.live() {
		totals = totals[:min(len(totals), max(1, s.height/8))]
	}
	lines = append(lines, totals...)
	if servers := s.nameServers(); len(servers) > 0 {
		lines = append(lines, s.flow(servers)...)
	}
	return lines
}

// wrapped is text in at most most lines of the style.
func (s *topScreen) wrapped(style topStyle, text string, width, most int) []topLine {
	var lines []topLine
	for _, line := range wrapText(span(style, text).text, width) {
		lines = append(lines, topLine{topSpan{line, style}}.cut(width))
	}
	return lines[:min(len(lines), most)]
}

// flow puts pieces side by side as long as they fit.
func (s *topScreen) flow(pieces []topLine) []topLine {
	var lines []topLine
	var line topLine
	for _, piece := range pieces {
		if len(line) > 0 && line.width()+3+piece.width() > s.width {
			lines, line = append(lines, line), nil
		}
		if len(line) > 0 {
			line = append(line, topSpan{"   ", styleNone})
		}
		line = append(line, piece.cut(s.width)...)
	}
	return append(lines, line)
}

// totals are the rates of all queries, and how long answers take.
func (s *topScreen) totals() []topLine {
	v := s.view
	pieces := []topLine{{span(styleBold, v.Total.String()+" queries/s")}}
	if v.ByPath != nil {
		var line topLine
		for i, path := range topPaths {
			line = append(line, span(styleNone, strings.Repeat(" ", min(i, 1)*2)+path+" "+v.ByPath[path].String()))
		}
		pieces = append(pieces, line)
	}
	var codes topLine
	for i, code := range v.RCodes[:min(len(v.RCodes), 5)] {
		style := styleNone
		if code.Name == "SERVFAIL" {
			style = styleWarn
		}
		codes = append(codes, span(style, strings.Repeat(" ", min(i, 1)*2)+code.Name+" "+code.Rate.String()))
	}
	if len(codes) > 0 {
		pieces = append(pieces, codes)
	}
	if v.Latency != nil {
		pieces = append(pieces, topLine{span(styleNone, "p50 "+micros(v.Latency.P50)+"  p99 "+micros(v.Latency.P99))})
	}
	return pieces
}

// nameServers are the name servers side by side.
func (s *topScreen) nameServers() []topLine {
	var most rate
	for _, ns := range s.view.NameServers {
		most = max(most, ns.Rate)
	}
	var pieces []topLine
	for _, ns := range s.view.NameServers {
		line := topLine{span(styleBold, ns.Name), span(styleNone, " "+ns.Rate.String()+"/s")}
		if s.live() {
			line = append(line, span(styleNone, " "), span(styleGood, bar(ns.Rate, most)))
		}
		pieces = append(pieces, line)
	}
	return pieces
}

// footer says which keys there are.
func (s *topScreen) footer() topLine {
	text := "Ctrl-C quit"
	if s.keys {
		all := s.filter
		if all == "" {
			all = "all"
		}
		text = "q quit  p pause  f resolver: " + all
	}
	keys := topLine{span(styleTitle, text)}.cut(s.width)
	return append(keys, topSpan{strings.Repeat(" ", s.width-keys.width()), styleTitle})
}

// sections are the parts below the header, in height lines.
func (s *topScreen) sections(height int) []topLine {
	all := []*topSection{s.resolvers(), s.findings(), s.faults(), s.forwarders(), s.queries()}
	if !s.live() || s.height >= roomy {
		for _, section := range all {
			section.gap = true
		}
	}
	lines := stackSections(all, height, s.width)
	for i := range lines {
		lines[i] = lines[i].cut(s.width)
	}
	return lines
}

// shown says whether something of a resolver is shown.
func (s *topScreen) shown(resolver string) bool { return s.filter == "" || s.filter == resolver }

func (s *topScreen) resolvers() *topSection {
	var most rate
	for _, r := range s.view.Resolvers {
		for _, n := range r.ByNS {
			most = max(most, n)
		}
	}
	columns := []topColumn{{title: "RESOLVER", least: 12, flex: 8}, {title: "PATH", least: 9, drop: 1}}
	for _, ns := range s.view.NameServers {
		columns = append(columns, topColumn{title: span(styleNone, strings.ToUpper(ns.Name)+"/s").text, least: 7, right: true})
		if s.live() {
			columns = append(columns, topColumn{title: "", least: barWidth, drop: decoration})
		}
	}
	columns = append(columns, topColumn{title: "SEEN", least: 4, right: true, drop: 2}, topColumn{title: "PROVEN", flex: 10, drop: 3})
	var rows [][]topSpan
	section := &topSection{share: 3}
	for _, r := range s.view.Resolvers {
		if !s.shown(r.Name) {
			continue
		}
		row := []topSpan{span(levelStyle(r.Level), r.Name), span(styleNone, dash(strings.Join(r.Paths, " ")))}
		for _, ns := range s.view.NameServers {
			row = append(row, span(styleNone, r.ByNS[ns.Name].String()))
			if s.live() {
				row = append(row, span(styleGood, bar(r.ByNS[ns.Name], most)))
			}
		}
		rows = append(rows, append(row, span(styleNone, s.ago(r.LastSeen)), span(styleNone, dash(r.Proven))))
		section.weights = append(section.weights, r.Rate)
	}
	return section.table(columns, rows, s.width)
}

// levelStyle is how a finding of the level looks.
func levelStyle(level string) topStyle {
	if level == "warning" {
		return styleWarn
	}
	return styleNone
}

func (s *topScreen) findings() *topSection {
	section := &topSection{title: topLine{topSpan{"FINDINGS", styleTitle}}, share: 4}
	for _, f := range s.view.Findings {
		if f.Resolver == "" || s.shown(f.Resolver) {
			section.items = append(section.items, s.wrapped(levelStyle(f.Level), f.Level+" "+f.ID+": "+f.Text, s.width, noWidth))
		}
	}
	if missing := s.view.Missing; len(missing) > 0 {
		text := "the server shows more with the directives " + strings.Join(missing, ", ")
		section.items = append(section.items, s.wrapped(styleDim, text, s.width, noWidth))
	}
	return section
}

func (s *topScreen) faults() *topSection {
	columns := []topColumn{{title: "FAULT", least: 6, flex: 4}, {title: "STATE"}, {title: "ENDS IN", least: 8, right: true},
		{title: "HITS", least: 5, right: true, drop: 1}, {title: "RULE", flex: 12}}
	var rows [][]topSpan
	for _, f := range s.view.Faults {
		state := span(styleWarn, "on")
		if !f.Enabled {
			state = span(styleDim, "off")
		}
		left := time.Duration(f.Remaining * float64(time.Second)).Round(time.Second).String()
		if f.Left != nil {
			left += ", " + strconv.FormatUint(*f.Left, 10)
		}
		rows = append(rows, []topSpan{span(styleNone, f.ID), state, span(styleNone, left),
			span(styleNone, strconv.FormatUint(f.Hits, 10)), span(styleNone, f.Rule)})
	}
	return (&topSection{share: 6}).table(columns, rows, s.width)
}

func (s *topScreen) forwarders() *topSection {
	columns := []topColumn{{title: "FORWARDER", least: 18, flex: 15}, {title: "FOR", flex: 8}, {title: "STATE", least: 8},
		{title: "RTT", least: 8, right: true}, {title: "FAILURES", right: true, drop: 2}, {title: "QUERIES", least: 8, right: true, drop: 1}}
	var rows [][]topSpan
	for _, u := range s.view.Forwarders {
		domain := u.Domain
		if domain == "" {
			domain = "all else"
		}
		style := styleNone
		switch u.State {
		case "up":
			style = styleGood
		case "down", "refusing":
			style = styleBad
		case "suspect":
			style = styleWarn
		}
		rows = append(rows, []topSpan{span(styleNone, u.Address), span(styleNone, domain), span(style, u.State), span(styleNone, dash(u.roundTrip())),
			span(styleNone, strconv.FormatUint(u.Failures, 10)), span(styleNone, strconv.FormatUint(u.Queries, 10))})
	}
	return (&topSection{share: 6}).table(columns, rows, s.width)
}

func (s *topScreen) queries() *topSection {
	name := topColumn{title: "QUERY", least: 24, flex: 16}
	columns := []topColumn{{title: "TIME", least: 12, drop: 2}, {title: "NS", least: 4}, {title: "FROM", least: 15, drop: decoration}, {title: "RESOLVER", least: 8, flex: 6, drop: 1},
		{title: "PATH", least: 9, drop: 3}, {title: "", least: 3, drop: decoration}, {title: "TYPE", least: 5}, name, {title: "RCODE", least: 8},
		{title: "TOOK", least: 8, right: true, drop: 4}, {title: "FAULT", drop: 1}}
	if s.view.Sampled {
		columns[7].title = "QUERY (not all were recorded)"
	}
	var rows [][]topSpan
	faults := false
	for i := range s.view.Queries {
		if e := &s.view.Queries[i]; s.shown(e.Resolver) {
			rows = append(rows, e.topRow())
			faults = faults || e.Fault != nil
		}
	}
	if !s.live() {
		rows = rows[max(0, len(rows)-followedLimit):]
	}
	if !faults {
		columns = columns[:len(columns)-1]
		for i := range rows {
			rows[i] = rows[i][:len(columns)]
		}
	}
	section := &topSection{last: true, share: 2}
	return section.table(columns, rows, s.width)
}

// topRow is a query as a row.
func (e *journalEntry) topRow() []topSpan {
	rcode, style, fault := e.RCode, styleNone, ""
	switch rcode {
	case "":
		rcode, style = "dropped", styleBad
	case "SERVFAIL", "REFUSED", "FORMERR":
		style = styleWarn
	}
	if e.Fault != nil {
		fault = e.Fault.Rule + ":" + e.Fault.Kind
	}
	took := e.Took
	return []topSpan{span(styleDim, e.Time.UTC().Format("15:04:05.000")), span(styleNone, dash(e.NS)), span(styleNone, e.Source), span(styleNone, dash(e.Resolver)),
		span(styleNone, dash(e.Path)), span(styleNone, e.Transport), span(styleNone, e.Type), span(styleBold, e.Name), span(style, rcode),
		span(styleNone, micros(&took)), span(styleWarn, fault)}
}

// ago is how long ago a time was.
func (s *topScreen) ago(at *time.Time) string {
	if at == nil {
		return "-"
	}
	d := max(0, s.view.Time.Sub(*at))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// dash stands for nothing.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// String is the rate with as many digits as matter.
func (r rate) String() string {
	switch {
	case r < 0:
		return "-"
	case r == 0:
		return "0"
	case r < 99.95:
		return strconv.FormatFloat(float64(r), 'f', 1, 64)
	}
	return strconv.FormatFloat(float64(r), 'f', 0, 64)
}

// bar is a rate against the most that there is; what is not 0 has something.
func bar(r, most rate) string {
	if r <= 0 || most <= 0 {
		return ""
	}
	return strings.Repeat("#", max(1, int(r/most*barWidth+0.5)))
}

// micros is a number of microseconds in the unit that fits.
func micros(us *float64) string {
	if us == nil {
		return "-"
	}
	d := time.Duration(*us * float64(time.Microsecond))
	switch {
	case d < time.Millisecond:
		return d.Round(100 * time.Nanosecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
