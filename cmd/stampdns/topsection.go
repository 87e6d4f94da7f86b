package main

import (
	"cmp"
	"fmt"
	"slices"
)

// topSection is a part of the screen: a title, and items of a line or more.
type topSection struct {
	title topLine
	items [][]topLine
	// weights say which items are shown where there is no room for all; without, the
	// first are.
	weights []rate
	// last says that the last items are shown.
	last bool
	// share is the part of the screen that the section may take before others have
	// theirs: one in so many.
	share int
	// gap says that an empty line is before it.
	gap bool
}

// table makes the section one.
func (s *topSection) table(columns []topColumn, rows [][]topSpan, width int) *topSection {
	lines := topTable(columns, rows, width)
	s.title = lines[0]
	for _, line := range lines[1:] {
		s.items = append(s.items, []topLine{line})
	}
	return s
}

// height is how many lines all of it takes; a section without items takes none.
func (s *topSection) height() int {
	if len(s.items) == 0 {
		return 0
	}
	n := s.least() - 1
	for _, item := range s.items {
		n += len(item)
	}
	return n
}

// least is the height in which something is seen.
func (s *topSection) least() int {
	if s.gap {
		return 3
	}
	return 2
}

// lines are the section in height lines, which are its least or more.
func (s *topSection) lines(height, width int) []topLine {
	items, room := s.items, height-s.least()+1
	if s.height() > height && len(s.weights) > 0 {
		items = s.heaviest(room)
	} else if s.last {
		items = items[max(0, len(items)-room):]
	}
	out := make([]topLine, s.least()-1, height)
	shown := 0
	for _, item := range items {
		if len(out) == height {
			break
		}
		fits := min(len(item), height-len(out))
		out = append(out, item[:fits]...)
		if fits < len(item) {
			last := append(slices.Clone(out[len(out)-1]), span(styleNone, " …"))
			out[len(out)-1] = last.cut(width)
		}
		shown++
	}
	title := s.title
	if hidden := len(s.items) - shown; hidden > 0 && !s.last {
		more := span(styleTitle, fmt.Sprintf(" +%d more ", hidden))
		title = append(slices.Clone(title.cut(max(0, width-textWidth(more.text)))), more)
	}
	out[s.least()-2] = title
	return out
}

// heaviest are the n items of most weight, in their order.
func (s *topSection) heaviest(n int) [][]topLine {
	order := make([]int, len(s.items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.weights[b], s.weights[a]) })
	order = order[:min(n, len(order))]
	slices.Sort(order)
	items := make([][]topLine, len(order))
	for i, at := range order {
		items[i] = s.items[at]
	}
	return items
}

// stackSections puts sections below each other in height lines, the first the most
// important one; what is left over is the last one's.
func stackSections(sections []*topSection, height, width int) []topLine {
	given := make([]int, len(sections))
	left := height
	grow := func(i, to int) {
		to = min(to, sections[i].height())
		if more := to - given[i]; more > 0 && to >= sections[i].least() && more <= left {
			given[i], left = to, left-more
		}
	}
	for i := range sections {
		grow(i, sections[i].least())
	}
	for i, s := range sections {
		for n := given[i] + 1; given[i] > 0 && n <= height/s.share; n++ {
			grow(i, n)
		}
	}
	for i := range slices.Backward(sections) {
		for n := given[i] + 1; given[i] > 0 && left > 0 && n <= sections[i].height(); n++ {
			grow(i, n)
		}
	}
	var out []topLine
	for i, s := range sections {
		if given[i] > 0 {
			out = append(out, s.lines(given[i], width)...)
		}
	}
	return out
}
