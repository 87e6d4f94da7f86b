package status

import (
	"fmt"
	"math"
	"strings"
)

// Measures of the picture, in its own units.
const (
	pictureWidth  = 720
	rowHeight     = 52
	boxWidth      = 190
	boxHeight     = 36
	shownSources  = 12 // resolvers in the picture
	leastLine     = 1.5
	mostLine      = 12.0
	shownNameSize = 24 // characters of a name in a box
)

// picture shows which resolver asks which name server by which path. It is drawn by a
// template; here is where everything is.
type picture struct {
	Width, Height int
	Resolvers     []box
	Servers       []box
	Lines         []line
	Sentences     []string
	Hidden        int // resolvers that there is no room for
}

// box is a resolver or a name server.
type box struct {
	Name, Short string
	Note        string
	Amber       bool
	X, Y        int
	Width       int
	Height      int
	TextX       int
	TextY       int
	NoteY       int
}

// line is the queries of one resolver to one name server by one path; or shows that
// there are none.
type line struct {
	Resolver, NS, Path string
	Queries            uint64
	Width              float64
	D                  string
	Amber              bool
	Title              string
}

// Class is for the style sheet.
func (l line) Class() string {
	class := "line silent"
	if l.Path != "" {
		class = "line path-" + l.Path
	}
	if l.Amber {
		class += " amber"
	}
	return class
}

// way is a path in words.
func way(path string) string {
	switch path {
	case "iterative":
		return "by delegation"
	case "forwarded":
		return "by forwarding"
	}
	return "directly"
}

// warned are what warnings name.
type warned struct {
	resolvers map[string]bool
	// silent are the resolvers that do not use one of the name servers.
	silent map[string]bool
}

func newWarned(findings []findingDoc) warned {
	w := warned{make(map[string]bool), make(map[string]bool)}
	for _, f := range findings {
		if f.Level != "warning" || f.Resolver == "" {
			continue
		}
		w.resolvers[f.Resolver] = true
		if f.ID == "one-server" || f.ID == "stale-glue" {
			w.silent[f.Resolver] = true
		}
	}
	return w
}

// newPicture draws what is known. The stamp may be nil.
func newPicture(s *stampDoc, resolvers []resolverDoc, d *delegationDoc) picture {
	p := picture{Width: pictureWidth}
	shown := resolvers[:min(len(resolvers), shownSources)]
	p.Hidden = len(resolvers) - len(shown)
	servers := d.NameServers
	if len(servers) == 0 && s != nil {
		for _, ns := range s.NameServers {
			servers = append(servers, ns.Label)
		}
	}
	rows := max(len(shown), len(servers), 1)
	p.Height = rows * rowHeight
	w := newWarned(d.Findings)
	amber := make(map[string]bool)
	busiest := uint64(1)
	for _, r := range shown {
		for _, ns := range servers {
			q := r.Queries.ByNS[ns]
			amber[ns] = amber[ns] || w.silent[r.Name] && q.Queries == 0
			for _, n := range q.ByPath {
				busiest = max(busiest, n)
			}
		}
	}
	for i, r := range shown {
		note := fmt.Sprintf("%d queries", r.Queries.Total)
		p.Resolvers = append(p.Resolvers, newBox(r.Name, note, w.resolvers[r.Name], 1, i, len(shown), p.Height))
	}
	for i, ns := range servers {
		p.Servers = append(p.Servers, newBox(ns, hostOf(s, ns), amber[ns], pictureWidth-boxWidth-1, i, len(servers), p.Height))
	}
	for i, r := range shown {
		for j, ns := range servers {
			p.connect(&r, ns, i, j, busiest, w.silent[r.Name])
		}
		p.Sentences = append(p.Sentences, sentence(&r, servers))
	}
	return p
}

// hostOf is where a name server is.
func hostOf(s *stampDoc, label string) string {
	if s != nil {
		for _, ns := range s.NameServers {
			if ns.Label == label {
				return strings.Join(ns.Addresses, ", ")
			}
		}
	}
	return ""
}

// newBox is the i-th of n in a column of the picture.
func newBox(name, note string, amber bool, x, i, n, height int) box {
	y := (2*i+1)*height/(2*n) - boxHeight/2
	return box{
		Name: name, Short: shorten(name), Note: shorten(note), Amber: amber, X: x, Y: y, Width: boxWidth, Height: boxHeight,
		TextX: x + 10, TextY: y + 15, NoteY: y + 29,
	}
}

func shorten(text string) string {
	if letters := []rune(text); len(letters) > shownNameSize {
		return string(letters[:shownNameSize-1]) + "…"
	}
	return text
}

// connect draws a line for each path between a resolver and a name server.
func (p *picture) connect(r *resolverDoc, ns string, i, j int, busiest uint64, warned bool) {
	from, to := &p.Resolvers[i], &p.Servers[j]
	draw := func(path string, n uint64, shift int) {
		l := line{Resolver: r.Name, NS: ns, Path: path, Queries: n, Amber: warned && n == 0, Width: leastLine}
		x1, y1 := from.X+boxWidth, from.Y+boxHeight/2+shift
		x2, y2 := to.X, to.Y+boxHeight/2+shift
		l.D = fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+110, y1, x2-110, y2, x2, y2)
		if l.Title = fmt.Sprintf("%s has not asked %s", r.Name, ns); n > 0 {
			l.Title = fmt.Sprintf("%s asked %s %s: %d queries", r.Name, ns, way(path), n)
			l.Width = math.Round(10*(leastLine+(mostLine-leastLine)*float64(n)/float64(busiest))) / 10
		}
		p.Lines = append(p.Lines, l)
	}
	q := r.Queries.ByNS[ns]
	for k, path := range pathNames() {
		if n := q.ByPath[path]; n > 0 {
			draw(path, n, 8*(k-1))
		}
	}
	if q.Queries == 0 && r.Queries.Total > 0 {
		draw("", 0, 0)
	}
}

// sentence says in words what the lines of a resolver show.
func sentence(r *resolverDoc, servers []string) string {
	if r.Queries.Total == 0 {
		return r.Name + " has not asked yet."
	}
	var parts []string
	for _, ns := range servers {
		q := r.Queries.ByNS[ns]
		if q.Queries == 0 {
			parts = append(parts, ns+" never")
			continue
		}
		var ways []string
		for _, path := range pathNames() {
			if n := q.ByPath[path]; n > 0 {
				ways = append(ways, fmt.Sprintf("%d times %s", n, way(path)))
			}
		}
		parts = append(parts, ns+" "+strings.Join(ways, " and "))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%s asked %d times.", r.Name, r.Queries.Total)
	}
	return r.Name + " asked " + strings.Join(parts, ", ") + "."
}
