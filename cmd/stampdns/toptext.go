package main

import (
	"slices"
	"strings"
	"unicode"
)

// topStyle is how a piece of text looks on a terminal.
type topStyle byte

const (
	styleNone topStyle = iota
	styleDim
	styleBold
	styleTitle
	styleGood
	styleWarn
	styleBad
)

// sgr are the parameters of Select Graphic Rendition (ECMA-48 section 8.3.117) for
// the style; those of a color are left out where the terminal has none.
func (s topStyle) sgr(color bool) string {
	codes := map[topStyle][2]string{
		styleDim: {"2", "2"}, styleBold: {"1", "1"}, styleTitle: {"7", "7"},
		styleGood: {"", "32"}, styleWarn: {"1", "1;33"}, styleBad: {"1", "1;31"},
	}[s]
	if color {
		return codes[1]
	}
	return codes[0]
}

// topSpan is text of one style. It is made by span alone, so that it holds nothing
// that a terminal could take for an order.
type topSpan struct {
	text  string
	style topStyle
}

// maxMarks is how many combining marks a letter may have: more than a language needs,
// and too few to paint over the lines around.
const maxMarks = 2

func span(style topStyle, text string) topSpan {
	marks := 0
	clean := strings.Map(func(r rune) rune {
		if marks++; runeWidth(r) > 0 {
			marks = 0
		}
		if marks > maxMarks {
			return -1
		}
		return r
	}, printable(text))
	return topSpan{clean, style}
}

// topLine is a line of the screen.
type topLine []topSpan

func (l topLine) String() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// width is how many columns the line takes.
func (l topLine) width() int {
	n := 0
	for _, s := range l {
		n += textWidth(s.text)
	}
	return n
}

// cut is the line in at most width columns.
func (l topLine) cut(width int) topLine {
	var out topLine
	for _, s := range l {
		n := textWidth(s.text)
		if n > width {
			return append(out, topSpan{cutText(s.text, width), s.style})
		}
		out, width = append(out, s), width-n
	}
	return out
}

// runeWidth is how many columns a terminal gives to a rune that printable leaves: 2
// for those that Unicode's East Asian Width (UAX #11) has as wide, which are taken by
// the block.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me), r >= 0x1160 && r <= 0x11ff:
		return 0
	}
	wide := [...][2]rune{
		{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2329, 0x232a}, {0x23e9, 0x23ec}, {0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2648, 0x2653},
		{0x26aa, 0x26ab}, {0x26bd, 0x26be}, {0x2705, 0x2705}, {0x270a, 0x270b}, {0x274c, 0x274c}, {0x2753, 0x2757}, {0x2795, 0x2797},
		{0x2b1b, 0x2b1c}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3},
		{0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x18dff}, {0x1b000, 0x1b2ff},
		{0x1f000, 0x1f02f}, {0x1f0a0, 0x1f0ff}, {0x1f18e, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f64f}, {0x1f680, 0x1f6ff},
		{0x1f7e0, 0x1f7f0}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
	}
	_, found := slices.BinarySearchFunc(wide[:], r, func(block [2]rune, r rune) int {
		switch {
		case r < block[0]:
			return 1
		case r > block[1]:
			return -1
		}
		return 0
	})
	if found {
		return 2
	}
	return 1
}

func textWidth(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// cutText is text in at most width columns; where something is left out, a dot set
// says so.
func cutText(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if fitting(text, width) == len(text) {
		return text
	}
	return text[:fitting(text, width-1)] + "…"
}

// fitting is how many octets of text fit into width columns.
func fitting(text string, width int) int {
	for i, r := range text {
		if width -= runeWidth(r); width < 0 {
			return i
		}
	}
	return len(text)
}

// wrapText breaks text at blanks into lines of at most width columns; a word that is
// longer is broken anywhere.
func wrapText(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && textWidth(line)+1+textWidth(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		line = word
		for n := fitting(line, max(2, width)); n < len(line); n = fitting(line, max(2, width)) {
			lines, line = append(lines, line[:n]), line[n:]
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// topColumn is a column of a table.
type topColumn struct {
	title string
	// least is what the column takes whatever is in it, so that it stays in its place.
	least int
	// drop is in which order columns go where the screen is narrow, the highest first; 0
	// stays.
	drop int
	// flex is the width that the column may be cut to before others go; 0 is not cut.
	flex  int
	right bool
}

// decoration is the drop of a column that goes before any is cut.
const decoration = 9

// topTable fits rows into width columns. The first line is the header.
func topTable(columns []topColumn, rows [][]topSpan, width int) []topLine {
	natural := make([]int, len(columns))
	for i, c := range columns {
		natural[i] = max(c.least, textWidth(c.title))
		for _, row := range rows {
			natural[i] = max(natural[i], textWidth(row[i].text))
		}
	}
	widths := fitColumns(columns, natural, width)
	header := make([]topSpan, len(columns))
	for i, c := range columns {
		header[i] = topSpan{c.title, styleTitle}
	}
	lines := []topLine{tableLine(columns, header, widths, styleTitle).cut(width)}
	for _, row := range rows {
		lines = append(lines, tableLine(columns, row, widths, styleNone).cut(width))
	}
	return lines
}

// fitColumns says how wide each column is, below 0 for one that is left out.
func fitColumns(columns []topColumn, natural []int, width int) []int {
	widths := slices.Clone(natural)
	for {
		need, slack, drop := -2-width, 0, 0
		for i, w := range widths {
			if w < 0 {
				continue
			}
			need += w + 2
			drop = max(drop, columns[i].drop)
			if columns[i].flex > 0 {
				slack += max(0, w-columns[i].flex)
			}
		}
		if need <= 0 {
			return widths
		}
		if drop == 0 || drop < decoration && need <= slack {
			shrinkColumns(columns, widths, need)
			return widths
		}
		for i, c := range columns {
			if c.drop == drop {
				widths[i] = -1
			}
		}
	}
}

// shrinkColumns takes need from the columns that may be cut, from the one that has
// most to give first.
func shrinkColumns(columns []topColumn, widths []int, need int) {
	for ; need > 0; need-- {
		most, at := 0, -1
		for i, c := range columns {
			if excess := widths[i] - c.flex; c.flex > 0 && excess > most {
				most, at = excess, i
			}
		}
		if at < 0 {
			return
		}
		widths[at]--
	}
}

// tableLine is a row; fill is the style of what is between.
func tableLine(columns []topColumn, row []topSpan, widths []int, fill topStyle) topLine {
	var line topLine
	for i, cell := range row {
		if widths[i] < 0 {
			continue
		}
		text := cutText(cell.text, widths[i])
		pad := strings.Repeat(" ", widths[i]-textWidth(text))
		if columns[i].right {
			line = append(line, topSpan{pad, fill}, topSpan{text, cell.style}, topSpan{"  ", fill})
		} else {
			line = append(line, topSpan{text, cell.style}, topSpan{pad + "  ", fill})
		}
	}
	if n := len(line); n > 0 {
		line[n-1].text = strings.TrimSuffix(line[n-1].text, "  ")
	}
	return line
}
