package server

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/stampdns/stampdns/zones/wire"
)

// NamePattern is a pattern of domain names in presentation form: a star stands for any
// run of characters, dots too, or for none. Neither case nor the last dot counts. It is
// read-only once made.
type NamePattern struct {
	// parts are what stands between the stars, in lower case.
	parts [][]byte
}

// ParseNamePattern reads a pattern, which has to be a name with its stars as well.
func ParseNamePattern(text string) (NamePattern, error) {
	if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return NamePattern{}, fmt.Errorf("name %q has more than printable ASCII: names are shown with \\DDD in its place", text)
	}
	// As a name it has escapes in the one form in which they are matched.
	name, err := wire.ParseName(text)
	if err != nil {
		return NamePattern{}, fmt.Errorf("name %q is no name, also not with * for any part of it", text)
	}
	wire.Lower(name)
	var p NamePattern
	for part := range strings.SplitSeq(withoutDot(name.String()), "*") {
		p.parts = append(p.parts, []byte(part))
	}
	return p, nil
}

// String is the pattern in lower case and without the last dot; the root keeps it.
func (p NamePattern) String() string {
	if text := string(bytes.Join(p.parts, []byte{'*'})); text != "" {
		return text
	}
	return "."
}

// Match says whether the whole of a name is of the pattern. The name is in lower case,
// in the form that wire.AppendText has. It takes time in proportion to the lengths of
// both, and no memory.
func (p NamePattern) Match(name []byte) bool {
	name = withoutDot(name)
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(p.parts) == 1 {
		return bytes.Equal(name, first)
	}
	if len(name) < len(first)+len(last) || !bytes.HasPrefix(name, first) || !bytes.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := bytes.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}

// withoutDot is a name or pattern without its last dot, unless that is escaped.
func withoutDot[T string | []byte](name T) T {
	end := len(name) - 1
	if end < 0 || name[end] != '.' {
		return name
	}
	escapes := 0
	for i := end - 1; i >= 0 && name[i] == '\\'; i-- {
		escapes++
	}
	if escapes%2 == 1 {
		return name
	}
	return name[:end]
}
