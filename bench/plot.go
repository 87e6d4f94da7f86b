//go:build linux

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plotStyle makes plots readable on light and dark pages alike: the page shows
// through, and text and lines change with the reader's scheme.
const plotStyle = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 11px; fill: #57606a }
.line { stroke: #d0d7de; stroke-width: 1 }
.us { fill: #0969da } .us.user { fill: #0a3069 } .us.curve { stroke: #0969da }
.peer { fill: #9aa4af } .peer.user { fill: #57606a } .peer.curve { stroke: #8c959f }
.floor { fill: #d4a72c } .floor.user { fill: #7d5e00 }
.curve { fill: none; stroke-width: 2.5 }
.range { stroke-width: 6; stroke-opacity: .3 }
.over { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.line { stroke: #3d444d }
.us { fill: #4493f8 } .us.user { fill: #a5d2ff } .us.curve { stroke: #4493f8 }
.peer { fill: #656c76 } .peer.user { fill: #b1bac4 } .peer.curve { stroke: #9198a1 }
.floor { fill: #bb8009 } .floor.user { fill: #f2cc60 }
.over { fill: #0d1117 }
}
</style>
`

// drawing grows an SVG.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// text writes at a baseline; anchor is start, middle or end.
func (d *drawing) text(x, y float64, anchor, class, text string) {
	d.add(`<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, html.EscapeString(text))
}

func (d *drawing) rect(x, y, w, h float64, class string) {
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>`, x, y, math.Max(w, 0), h, class)
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	d.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

// svg is the finished drawing; title is what a screen reader says of it.
func (d *drawing) svg(width, height float64, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+
		"\n<title>%s</title>\n%s%s</svg>\n", width, height, width, height, html.EscapeString(title), plotStyle, d.String())
}

// class is the color of a server.
func class(server string) string {
	switch server {
	case ourName, metricsName:
		return "us"
	case echoName:
		return "floor"
	}
	return "peer"
}

// The bars: two columns of panels, one a mix.
const (
	panelWidth, panelGap = 440.0, 40.0
	barHeight, barStep   = 18.0, 24.0
	nameWidth, textWidth = 88.0, 62.0
)

// plotCPU draws a bar for each server and mix: user and system time.
func plotCPU(r *results) string {
	d := new(drawing)
	d.text(0, 18, "start", "title", "CPU microseconds per answered query: less is better")
	d.text(0, 38, "start", "small", "dark: user time, light: system time; median of the rounds; one core, metrics of stampdns on")
	most := axisEnd(r.Mixes)
	var y [2]float64
	y[0], y[1] = 66, 66
	for i, m := range r.Mixes {
		column := i % 2
		x := float64(column) * (panelWidth + panelGap)
		y[column] = panel(d, x, y[column], m, most)
	}
	return d.svg(2*panelWidth+panelGap, math.Max(y[0], y[1]), "CPU per answered query, by mix and server")
}

// axisEnd is the longest bar that is drawn in full: that of the dearest server
// of all but the dearest one, who would make the others too short to compare.
func axisEnd(mixes []*mixResult) float64 {
	most := make(map[string]float64)
	for _, m := range mixes {
		for _, c := range m.Servers {
			most[c.Server] = math.Max(most[c.Server], spreadOf(c.series(round.sum)).Median)
		}
	}
	first, second := 0.0, 0.0
	for _, n := range most {
		if n > first {
			first, second = n, first
		} else {
			second = math.Max(second, n)
		}
	}
	if second == 0 || first < 1.5*second {
		return first
	}
	return second * 1.1
}

// panel draws the bars of one mix below y and returns where it ends.
func panel(d *drawing, x, y float64, m *mixResult, most float64) float64 {
	d.text(x, y, "start", "title", m.Mix)
	y += 12
	scale := (panelWidth - nameWidth - textWidth) / most
	for _, c := range m.Servers {
		d.text(x+nameWidth-8, y+barHeight-5, "end", "", c.Server)
		if len(c.Rounds) == 0 {
			d.text(x+nameWidth, y+barHeight-5, "start", "small", "disqualified")
			y += barStep
			continue
		}
		user := spreadOf(c.series(func(r round) float64 { return r.User })).Median
		sum := spreadOf(c.series(round.sum)).Median
		end := math.Min(sum, most)
		d.rect(x+nameWidth, y, math.Min(user, end)*scale, barHeight, class(c.Server)+" user")
		d.rect(x+nameWidth+math.Min(user, end)*scale, y, (end-math.Min(user, end))*scale, barHeight, class(c.Server))
		if sum > most {
			cut(d, x+nameWidth+end*scale-24, y)
		}
		d.text(x+nameWidth+end*scale+6, y+barHeight-5, "start", "", fmt.Sprintf("%.1f", sum))
		y += barStep
	}
	return y + 26
}

// cut shows that a bar goes on beyond the axis.
func cut(d *drawing, x, y float64) {
	d.add(`<path d="M%.1f %.1f l4 0 l-5 %.1f l-4 0 z" class="over"/>`, x, y-1, barHeight+2)
	d.add(`<path d="M%.1f %.1f l4 0 l-5 %.1f l-4 0 z" class="over"/>`, x+8, y-1, barHeight+2)
}

// The frame of the curves.
const (
	frameLeft, frameTop     = 48.0, 60.0
	frameWidth, frameHeight = 560.0, 260.0
	growthWidth             = 740.0
	growthHeight            = 366.0
)

// plotGrowth draws CPU per query over the size of the zone, a curve a server.
func plotGrowth(r *results) string {
	d := new(drawing)
	d.text(0, 18, "start", "title", "CPU microseconds per answered query as a zone grows")
	d.text(0, 38, "start", "small", "one zone, mix large; median of the rounds, bars from least to most")
	most := 0.0
	for _, g := range r.Growth {
		for _, size := range g.Sizes {
			most = math.Max(most, spreadOf(size.sums()).Max)
		}
	}
	step := math.Max(1, math.Ceil(most/6))
	top := step * math.Ceil(most*1.02/step)
	y := func(v float64) float64 { return frameTop + frameHeight*(1-v/top) }
	for v := 0.0; v <= top; v += step {
		d.line(frameLeft, y(v), frameLeft+frameWidth, y(v), "line")
		d.text(frameLeft-8, y(v)+4, "end", "small", fmt.Sprintf("%.0f", v))
	}
	sizes := r.Growth[0].Sizes
	x := func(i int) float64 {
		return frameLeft + frameWidth*(0.5+float64(i))/float64(len(sizes))
	}
	for i, size := range sizes {
		d.text(x(i), frameTop+frameHeight+20, "middle", "small", thousands(float64(size.Names))+" names")
	}
	labels := curves(d, r.Growth, x, y)
	spreadLabels(labels)
	for _, l := range labels {
		d.text(frameLeft+frameWidth+8, l.y+4, "start", "", l.text)
	}
	return d.svg(growthWidth, growthHeight, "CPU per answered query as a zone grows")
}

// curveLabel stands beside a curve's end.
type curveLabel struct {
	y    float64
	text string
}

// curves draws all curves, ours on top, and returns their labels.
func curves(d *drawing, all []*growth, x func(int) float64, y func(float64) float64) (labels []*curveLabel) {
	for _, ours := range []bool{false, true} {
		for n, g := range all {
			if (g.Server == ourName) != ours {
				continue
			}
			var path []string
			last := 0.0
			for i, size := range g.Sizes {
				if len(size.Rounds) == 0 {
					continue
				}
				s := spreadOf(size.sums())
				last = s.Median
				path = append(path, fmt.Sprintf("%.1f,%.1f", x(i), y(s.Median)))
				d.line(x(i), y(s.Min), x(i), y(s.Max), class(g.Server)+" curve range")
			}
			if len(path) == 0 {
				continue
			}
			dash := ""
			if !ours && n%2 == 1 {
				dash = ` stroke-dasharray="7 4"`
			}
			d.add(`<polyline points="%s" class="%s curve"%s/>`, strings.Join(path, " "), class(g.Server), dash)
			labels = append(labels, &curveLabel{y(last), fmt.Sprintf("%s %.1f", g.Server, last)})
		}
	}
	return labels
}

// spreadLabels moves labels that would cover each other apart.
func spreadLabels(labels []*curveLabel) {
	const apart = 17
	for range len(labels) {
		for i, a := range labels {
			for _, b := range labels[i+1:] {
				upper, lower := a, b
				if a.y > b.y {
					upper, lower = b, a
				}
				if gap := apart - (lower.y - upper.y); gap > 0 {
					upper.y -= gap / 2
					lower.y += gap / 2
				}
			}
		}
	}
}
