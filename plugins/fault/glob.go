package fault

import (
	"fmt"
	"strings"

	"github.com/stampdns/stampdns/zones/wire"
)

// glob is a pattern of names in presentation form, lower-case and without the last
// dot; * stands for any run of characters, dots too.
type glob string

// maxNameText is the longest presentation form of a name, \DDD for each octet.
const maxNameText = 4 * wire.MaxName

func parseGlob(text string) (glob, error) {
	if text == "." {
		return "", nil
	}
	// What the stars stand for is at least possible as a name.
	if _, err := wire.ParseName(strings.ReplaceAll(text, "*", "x")); err != nil || len(text) > maxNameText {
		return "", fmt.Errorf("name %q is no name, also not with * for any part of it", text)
	}
	lower := []byte(text)
	wire.Lower(lower)
	return glob(strings.TrimSuffix(string(lower), ".")), nil
}

// String is the pattern as it is written: the root has its dot.
func (g glob) String() string {
	if g == "" {
		return "."
	}
	return string(g)
}

// text appends a name as globs match it. It allocates nothing where dst has room.
func text(dst []byte, name wire.Name) []byte {
	dst = wire.AppendText(dst, name)
	return dst[:len(dst)-1]
}

// matches says whether the whole of a name matches. Its time is at worst the product
// of both lengths.
func (g glob) matches(name []byte) bool {
	at, i := 0, 0
	star, retry := -1, 0
	for i < len(name) {
		switch {
		case at < len(g) && g[at] == '*':
			star, retry = at, i
			at++
		case at < len(g) && g[at] == name[i]:
			at++
			i++
		case star >= 0:
			retry++
			at, i = star+1, retry
		default:
			return false
		}
	}
	for at < len(g) && g[at] == '*' {
		at++
	}
	return at == len(g)
}
