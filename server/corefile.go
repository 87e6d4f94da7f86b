package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/coredns/caddy/caddyfile"
)

// Corefile is a configuration.
type Corefile struct {
	// Path is the file that Reload reads again; empty where there is none.
	Path string
	// Name stands for the configuration in errors where there is no Path.
	Name string
	// Text is the configuration itself.
	Text []byte
}

// file is the name that errors show.
func (c Corefile) file() string { return cmp.Or(c.Path, c.Name, "Corefile") }

// place is where something stands in a Corefile.
type place struct {
	file string
	line int
}

func (p place) String() string { return p.file + ":" + strconv.Itoa(p.line) }

// errorf is a ConfigError at the place.
func (p place) errorf(format string, args ...any) error {
	return &ConfigError{File: p.file, Line: p.line, Err: fmt.Errorf(format, args...)}
}

// serverBlock is one server block as parsed: its keys, and the tokens of each
// directive, all occurrences of it one after the other.
type serverBlock struct {
	keys   []key
	tokens map[string][]caddyfile.Token
}

// parseCorefile parses and checks what the plugins need not know: keys, and
// that every directive is one of known.
func parseCorefile(cf Corefile, known []string, defaultPort uint16) ([]serverBlock, error) {
	file := cf.file()
	if err := checkBraces(cf); err != nil {
		return nil, err
	}
	parsed, err := caddyfile.Parse(file, bytes.NewReader(cf.Text), nil)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	if len(parsed) == 0 {
		return nil, place{file, 1}.errorf("no server block: write ZONE:PORT { … }")
	}
	blocks := make([]serverBlock, len(parsed))
	for i, places := range keyPlaces(cf, parsed) {
		blocks[i].tokens = parsed[i].Tokens
		for j, text := range parsed[i].Keys {
			k, err := parseKey(text, places[j], defaultPort)
			if err != nil {
				return nil, err
			}
			blocks[i].keys = append(blocks[i].keys, k)
		}
		if err := checkDirectives(file, parsed[i], known); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

// checkBraces reports a brace that has no partner: caddyfile.Parse lets some
// pass, and tells of others far from their place.
func checkBraces(cf Corefile) error {
	var open []place
	last := 0 // line of the last token
	for d := caddyfile.NewDispenser(cf.file(), bytes.NewReader(cf.Text)); d.Next(); {
		at := place{cf.file(), d.Line()}
		switch d.Val() {
		case "{":
			open = append(open, at)
		case "}":
			if len(open) == 0 {
				return at.errorf("this } closes nothing: is a space missing before a {?")
			}
			open = open[:len(open)-1]
		default:
			if first := at.line > last; first && len(d.Val()) > 1 && strings.Trim(d.Val(), "}") == "" {
				return at.errorf("%s: a } stands alone, each on a line of its own", d.Val())
			}
		}
		last = at.line + strings.Count(d.Val(), "\n")
	}
	if len(open) > 0 {
		return open[len(open)-1].errorf("this { is never closed")
	}
	return nil
}

// checkDirectives reports the first directive of a block that is not known.
func checkDirectives(file string, b caddyfile.ServerBlock, known []string) error {
	var unknown []caddyfile.Token
	for name, tokens := range b.Tokens {
		if !slices.Contains(known, name) {
			t := tokens[0]
			t.Text = name
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	first := slices.MinFunc(unknown, func(a, b caddyfile.Token) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	at := tokenPlace(file, first)
	switch first.Text {
	case "{":
		return at.errorf("a { without a key or a directive before it on its line")
	case "":
		return at.errorf("empty directive name")
	}
	if instead, ok := elsewhere(first.Text); ok {
		return at.errorf("unknown directive %q: CoreDNS has it, stampdns does not: %s", first.Text, instead)
	}
	return at.errorf("unknown directive %q%s", first.Text, Suggest(first.Text, known))
}

// elsewhere says of a directive that CoreDNS has what to do where we have none.
func elsewhere(name string) (instead string, ok bool) {
	switch name {
	case "root":
		return "remove the line, paths of files are relative to the Corefile's folder", true
	case "any":
		return "remove the line, queries for ANY get a short answer over UDP anyway (RFC 8482)", true
	case "autopath", "azure", "cache", "cancel", "chaos", "clouddns", "debug", "dns64", "dnssec", "dnstap", "erratic",
		"etcd", "forward", "geoip", "grpc", "grpc_server", "header", "hosts", "https", "https3", "k8s_external",
		"kubernetes", "loadbalance", "local", "loop", "metadata", "minimal", "multisocket", "nomad", "on", "pprof", "quic",
		"rewrite", "route53", "secondary", "sign", "template", "timeouts", "tls", "trace", "transfer", "tsig", "view",
		"whoami":
		return "remove it", true
	}
	return "", false
}

func tokenPlace(file string, t caddyfile.Token) place {
	return place{cmp.Or(t.File, file), t.Line}
}

// syntaxError turns an error of the caddyfile package, "FILE:LINE - Error during
// parsing: What", into a ConfigError.
func syntaxError(file string, err error) error {
	const missing = "File to import not found: "
	form := regexp.MustCompile(`(?s)^(.*):(\d+) - (?:Error during parsing|Syntax error): (.*)$`)
	m := form.FindStringSubmatch(err.Error())
	if m == nil {
		return &ConfigError{File: file, Line: 1, Err: err}
	}
	line, _ := strconv.Atoi(m[2])
	if name, ok := strings.CutPrefix(m[3], missing); ok {
		return place{m[1], line}.errorf("import %s: there is no such file or snippet", name)
	}
	what := []rune(m[3])
	what[0] = unicode.ToLower(what[0])
	return &ConfigError{File: m[1], Line: line, Err: errors.New(string(what))}
}

// keyPlaces finds where the keys stand, which caddyfile.Parse does not tell: it
// reads the tokens outside of braces in order. The keys of a block that was
// imported get the place of the block's first directive.
func keyPlaces(cf Corefile, blocks []caddyfile.ServerBlock) [][]place {
	tokens := outerTokens(cf)
	all := make([][]place, len(blocks))
	for i, b := range blocks {
		for _, k := range b.Keys {
			at := slices.IndexFunc(tokens, func(t caddyfile.Token) bool { return t.Text == k })
			if at < 0 {
				all[i] = append(all[i], firstPlace(cf, b))
				continue
			}
			all[i] = append(all[i], tokenPlace(cf.file(), tokens[at]))
			tokens = tokens[at+1:]
		}
	}
	return all
}

// outerTokens are the tokens outside of braces, as keys are spelled after parsing.
func outerTokens(cf Corefile) []caddyfile.Token {
	var tokens []caddyfile.Token
	depth := 0
	for d := caddyfile.NewDispenser(cf.file(), bytes.NewReader(cf.Text)); d.Next(); {
		switch d.Val() {
		case "{":
			depth++
		case "}":
			depth--
		default:
			if depth > 0 {
				continue
			}
			// prepare has reported what is not set.
			text, _ := expandEnv(place{cf.file(), d.Line()}, d.Val())
			tokens = append(tokens, caddyfile.Token{Line: d.Line(), Text: strings.TrimSuffix(text, ",")})
		}
	}
	return tokens
}

// firstPlace is the place of a block's first directive.
func firstPlace(cf Corefile, b caddyfile.ServerBlock) place {
	first := place{cf.file(), 0}
	for _, tokens := range b.Tokens {
		if at := tokenPlace(cf.file(), tokens[0]); first.line == 0 || at.line < first.line {
			first = at
		}
	}
	first.line = max(1, first.line)
	return first
}

// Suggest returns `; did you mean "x"?` where one of known is a near miss of
// val, else "". What both begin with up to a hyphen or an underscore, as in the
// names of flags, does not make them alike.
func Suggest(val string, known []string) string {
	best, least := "", len(val)
	for _, k := range known {
		a, b := apart(val, k)
		n := distance(a, b)
		if n <= max(1, len(a)/3) && 2*n < max(len(a), len(b)) && n < least {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// apart takes off a and b what they both begin with, up to its last hyphen or
// underscore.
func apart(a, b string) (restA, restB string) {
	cut := 0
	for i := 0; i < min(len(a), len(b)) && a[i] == b[i]; i++ {
		if a[i] == '-' || a[i] == '_' {
			cut = i + 1
		}
	}
	return a[cut:], b[cut:]
}

// distance is the number of letters to insert, delete, change or swap with
// their neighbor to turn a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
