package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// expression is what one of PromQL asks for, without what it makes of it.
type expression struct {
	selectors []selector
	by        []string // labels of by (…), which are those of the result
	grouped   []string // labels of by, without, on, ignoring and their kin
}

// selector is a metric's name with its matchers.
type selector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, op, value string }

// token is a piece of PromQL: a name, a string (without quotes), a number or duration,
// a variable of Grafana, or an operator, which is its own kind.
type token struct{ kind, text string }

var tokens = regexp.MustCompile(`^(?:(\s+)|(#[^\n]*)|([a-zA-Z_][a-zA-Z0-9_:]*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|` + "`[^`]*`" + `)|([0-9.][0-9a-zA-Z_.]*)|(\$[a-zA-Z_]+)|(=~|!~|!=|==|>=|<=|[-+*/%^(){}\[\]=<>,:@]))`)

// lex takes PromQL into pieces.
func lex(text string) ([]token, error) {
	var all []token
	for text != "" {
		m := tokens.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("no PromQL from here: %s", text)
		}
		text = text[len(m[0]):]
		switch {
		case m[3] != "":
			all = append(all, token{"name", m[3]})
		case m[4] != "":
			s, err := unquote(m[4])
			if err != nil {
				return nil, fmt.Errorf("string %s: %w", m[4], err)
			}
			all = append(all, token{"string", s})
		case m[5] != "":
			all = append(all, token{"number", m[5]})
		case m[6] != "":
			all = append(all, token{"variable", m[6]})
		case m[7] != "":
			all = append(all, token{m[7], m[7]})
		}
	}
	return all, nil
}

func unquote(s string) (string, error) {
	if s[0] == '\'' {
		s = `"` + strings.ReplaceAll(strings.ReplaceAll(s[1:len(s)-1], `\'`, `'`), `"`, `\"`) + `"`
	}
	return strconv.Unquote(s)
}

// parse finds the selectors and the labels of an expression.
func parse(text string) (expression, error) {
	all, err := lex(text)
	if err != nil {
		return expression{}, err
	}
	p := parser{tokens: all}
	for p.at < len(p.tokens) {
		if err := p.next(); err != nil {
			return expression{}, fmt.Errorf("%w in %s", err, text)
		}
	}
	return p.expression, nil
}

type parser struct {
	expression
	tokens []token
	at     int
}

// peek is the kind of the n-th token from here, "" behind the end.
func (p *parser) peek(n int) string {
	if p.at+n >= len(p.tokens) {
		return ""
	}
	return p.tokens[p.at+n].kind
}

func (p *parser) next() error {
	t := p.tokens[p.at]
	p.at++
	if t.kind == "{" {
		return fmt.Errorf("a selector without a name")
	}
	if t.kind != "name" {
		return nil
	}
	switch word := strings.ToLower(t.text); word {
	case "by", "without", "on", "ignoring", "group_left", "group_right":
		if p.peek(0) != "(" {
			return nil
		}
		labels, err := p.labels()
		p.grouped = append(p.grouped, labels...)
		if word == "by" {
			p.by = append(p.by, labels...)
		}
		return err
	case "and", "or", "unless", "offset", "bool", "inf", "nan", "atan2",
		"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values":
		return nil
	}
	if p.peek(0) == "(" {
		return nil // a function
	}
	s := selector{metric: t.text}
	if p.peek(0) == "{" {
		if err := p.matchers(&s); err != nil {
			return err
		}
	}
	p.selectors = append(p.selectors, s)
	return nil
}

// labels reads a list in round brackets.
func (p *parser) labels() (labels []string, err error) {
	for p.at++; p.peek(0) != ")"; p.at++ {
		switch p.peek(0) {
		case "name":
			labels = append(labels, p.tokens[p.at].text)
		case ",":
		default:
			return nil, fmt.Errorf("a list of labels that does not end")
		}
	}
	p.at++
	return labels, nil
}

// matchers reads those of a selector.
func (p *parser) matchers(s *selector) error {
	for p.at++; p.peek(0) != "}"; {
		op := p.peek(1)
		if p.peek(0) != "name" || !slices.Contains([]string{"=", "!=", "=~", "!~"}, op) || p.peek(2) != "string" {
			return fmt.Errorf("no matcher at %s{", s.metric)
		}
		s.matchers = append(s.matchers, matcher{p.tokens[p.at].text, op, p.tokens[p.at+2].text})
		if p.at += 3; p.peek(0) == "," {
			p.at++
		}
	}
	p.at++
	return nil
}

// matches says whether a series is selected. Variables of Grafana are everything.
func (s selector) matches(m series) bool {
	if m.name != s.metric {
		return false
	}
	for _, want := range s.matchers {
		value := m.labels[want.label]
		hit := value == want.value
		if strings.HasSuffix(want.op, "~") {
			hit = regexp.MustCompile("^(?:" + variables.ReplaceAllString(want.value, ".*") + ")$").MatchString(value)
		}
		if hit == strings.HasPrefix(want.op, "!") {
			return false
		}
	}
	return true
}

// variables are those of Grafana.
var variables = regexp.MustCompile(`\$[a-z_]+`)

// TestParse tries the parser on what expressions are made of.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`up`: "up",
		`sum by (a, b) (rate(m_total{x="1",y=~"$ns"}[$__rate_interval]))`: "m_total{x=1 y=~$ns} by a b",
		`sum(m) by (a) / on (b) group_left (c) n offset 1h`:               "m n by a | b c",
		`histogram_quantile(0.99, sum by (le) (m_bucket)) > 1e3`:          "m_bucket by le",
		`time() - max without (a) (m) >= 30 unless n or -o and p`:         "m n o p | a",
		`count_values("v", m:n{}) == bool 1`:                              "m:n",
		"m{a!~'it\\'s \"', b!=`\\`,} # n\n+ 5m":                           `m{a!~it's " b!=\}`,
		`m{a="}{,\"("}[5m:1m] @ 1`:                                        `m{a=}{,"(}`,
	} {
		e, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.String(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{`{a="b"}`, `m{a}`, `m{a="b"`, `m{a=b}`, `sum by (a`, `"m`, `m ; n`, `m{a="\q"}`, `m{"a"="b"}`} {
		if e, err := parse(text); err == nil {
			t.Errorf("%s is read as %s", text, e)
		}
	}
}

// String shows an expression for the test.
func (e expression) String() string {
	var words []string
	for _, s := range e.selectors {
		var matchers []string
		for _, m := range s.matchers {
			matchers = append(matchers, m.label+m.op+m.value)
		}
		if len(matchers) > 0 {
			s.metric += "{" + strings.Join(matchers, " ") + "}"
		}
		words = append(words, s.metric)
	}
	if len(e.by) > 0 {
		words = append(append(words, "by"), e.by...)
	}
	if rest := e.grouped[len(e.by):]; len(rest) > 0 {
		words = append(append(words, "|"), rest...)
	}
	return strings.Join(words, " ")
}

// TestMatches tries selectors on a series.
func TestMatches(t *testing.T) {
	m := series{"m", map[string]string{"a": "x", "b": "yes"}}
	for text, want := range map[string]bool{
		`m`: true, `n`: false, `m{a="x"}`: true, `m{a="y"}`: false, `m{a!="y",b=~"ye."}`: true, `m{b=~"e"}`: false,
		`m{b!~"y.*"}`: false, `m{c=""}`: true, `m{c="z"}`: false, `m{a=~"$instance"}`: true, `m{a=~"y|x"}`: true,
	} {
		e, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.selectors[0].matches(m); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
