package status

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Measures of a chart, in its own units.
const (
	chartWidth  = 720
	chartHeight = 200
	chartLeft   = 52 // room for the scale
	chartBottom = 24 // room for the times
	chartTop    = 10
	chartMarks  = 5 // lines of the scale
)

// chart is a history, drawn. A template makes SVG of it.
type chart struct {
	ID, Title     string
	Unit          string
	Width, Height int
	Left, Right   int
	Top, Bottom   int
	Marks         []mark
	Times         []mark
	Series        []series
	Summary       string
}

// mark is a value on a scale.
type mark struct {
	At   int
	Text string
}

// series is one line of a chart.
type series struct {
	Name, Class, D string
	Last           string
}

// newCharts draws the history.
func newCharts(h historyDoc) []chart {
	byPath := newChart("chart-paths", "Queries per second by path", "queries/s")
	for _, name := range pathNames() {
		byPath.add(name, "path-"+name, h.Paths[name], false)
	}
	byRCode := newChart("chart-rcodes", "Queries per second by response code", "queries/s")
	for _, name := range rcodeNames() {
		byRCode.add(name, "rcode-"+strings.ToLower(name), h.RCodes[name], name != "NOERROR")
	}
	latency := newChart("chart-latency", "Time to answer", "µs")
	latency.add("p50", "latency-p50", h.Latency["p50"], false)
	latency.add("p99", "latency-p99", h.Latency["p99"], false)
	all := []*plot{byPath, byRCode, latency}
	charts := make([]chart, len(all))
	for i, p := range all {
		charts[i] = p.draw(&h)
	}
	return charts
}

// plot is a chart that is being made.
type plot struct {
	chart
	names, classes []string
	values         [][]*float64
	most           float64
}

func newChart(id, title, unit string) *plot {
	return &plot{chart: chart{
		ID: id, Title: title, Unit: unit, Width: chartWidth, Height: chartHeight,
		Left: chartLeft, Right: chartWidth - 4, Top: chartTop, Bottom: chartHeight - chartBottom,
	}}
}

// add adds a line, unless it is one that would be flat and may be left out.
func (p *plot) add(name, class string, values []*float64, optional bool) {
	most := 0.0
	for _, v := range values {
		if v != nil {
			most = max(most, *v)
		}
	}
	if optional && most == 0 {
		return
	}
	p.most = max(p.most, most)
	p.names, p.classes, p.values = append(p.names, name), append(p.classes, class), append(p.values, values)
}

// draw works out the lines and the scales.
func (p *plot) draw(h *historyDoc) chart {
	top := roundUp(p.most)
	height := float64(p.Bottom - p.Top)
	for i := range chartMarks + 1 {
		value := top * float64(i) / chartMarks
		p.Marks = append(p.Marks, mark{p.Bottom - int(height*float64(i)/chartMarks), short(value)})
	}
	for i, name := range p.names {
		p.Series = append(p.Series, series{name, p.classes[i], p.path(p.values[i], top), newest(p.values[i])})
	}
	n := len(p.values[0])
	for i := range 5 {
		at := h.From.Add(time.Duration(n*h.StepSeconds*i/4) * time.Second)
		p.Times = append(p.Times, mark{p.Left + (p.Right-p.Left)*i/4, at.Format("15:04")})
	}
	p.Summary = p.summary()
	return p.chart
}

// path is the line of SVG through the values, with gaps where there are none.
func (p *plot) path(values []*float64, top float64) string {
	var d []byte
	width, height := float64(p.Right-p.Left), float64(p.Bottom-p.Top)
	pen := false
	for i, v := range values {
		if v == nil {
			pen = false
			continue
		}
		x := float64(p.Left) + width*float64(i)/float64(max(1, len(values)-1))
		y := float64(p.Bottom) - height**v/top
		command := byte('L')
		if !pen {
			command = 'M'
		}
		d = append(d, command)
		d = strconv.AppendFloat(d, x, 'f', 1, 64)
		d = append(d, ' ')
		d = strconv.AppendFloat(d, y, 'f', 1, 64)
		if !pen && (i+1 == len(values) || values[i+1] == nil) {
			d = append(d, "h.1"...) // a dot
		}
		pen = true
	}
	return string(d)
}

// summary says in words what the chart shows.
func (p *plot) summary() string {
	var parts []string
	for i, name := range p.names {
		most := -1.0
		for _, v := range p.values[i] {
			if v != nil {
				most = max(most, *v)
			}
		}
		if most > 0 {
			parts = append(parts, fmt.Sprintf("%s now %s, at most %s %s", name, newest(p.values[i]), short(most), p.Unit))
		}
	}
	if len(parts) == 0 {
		return "No queries in the last hour."
	}
	return "In the last hour: " + strings.Join(parts, "; ") + "."
}

// newest is the last value.
func newest(values []*float64) string {
	if len(values) == 0 || values[len(values)-1] == nil {
		return "none"
	}
	return short(*values[len(values)-1])
}

// short is a number for people.
func short(v float64) string {
	if v >= 100 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// roundUp is the next number of 1, 2 or 5 times a power of ten, and 1 for nothing.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*power {
			return n * power
		}
	}
	return 10 * power
}
