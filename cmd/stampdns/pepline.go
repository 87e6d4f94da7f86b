package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stampdns/stampdns/server"
)

// pepParameter is a parameter of a cmdlet.
type pepParameter struct {
	name      string
	alias     string // of a common parameter
	kind      pepKind
	position  int // from 1 on; 0 for one that goes by its name alone
	mandatory bool
	// common is one that cmdlets have from PowerShell: where a prefix fits it
	// and one of the cmdlet's own, the own one is meant.
	common bool
}

// pepCmdlet is what the parser knows of a cmdlet.
type pepCmdlet struct {
	name       string
	parameters []pepParameter
}

// pepCall is a command line that was understood: the cmdlet, and the values of
// the parameters given, by their full names.
type pepCall struct {
	cmdlet *pepCmdlet
	values map[string]pepValue
}

// bindPep binds the words of a command line to the parameters of one of the
// cmdlets, as PowerShell does: names and values in any case, names by any prefix
// that only one parameter has, parameters by position where no name is given,
// lists with commas. A shell has taken off the quotes before. What PowerShell
// hands to a program as several words, a list, is one again: addresses behind
// addresses belong to them. Errors are faults of the command line.
func bindPep(cmdlets []pepCmdlet, words []string) (*pepCall, error) {
	name := plainDashes(words[0])
	at := slices.IndexFunc(cmdlets, func(c pepCmdlet) bool { return strings.EqualFold(c.name, name) })
	if at < 0 {
		return nil, unknownCmdlet(cmdlets, name)
	}
	b := &pepBinder{call: pepCall{&cmdlets[at], map[string]pepValue{}}, words: words[1:]}
	if err := b.bind(); err != nil {
		return nil, usagef("%s: %w", b.call.cmdlet.name, err)
	}
	return &b.call, nil
}

// pepBinder is a command line on its way.
type pepBinder struct {
	call       pepCall
	words      []string   // not looked at yet
	positional [][]string // arguments without a name, as lists
}

func (b *pepBinder) bind() error {
	for len(b.words) > 0 {
		word := b.words[0]
		name, value, colon, ok := parameterWord(word)
		if !ok {
			list, err := b.list()
			if err != nil {
				return err
			}
			b.positional = append(b.positional, list)
			continue
		}
		p, err := b.call.cmdlet.parameter(name)
		if err != nil {
			return err
		}
		switch b.words = b.words[1:]; {
		case value != "":
			b.words = append([]string{value}, b.words...)
		case p.kind == pepSwitch && !colon:
			b.words = append([]string{"$true"}, b.words...)
		}
		list, err := b.named(p)
		if err == nil {
			err = b.set(p, list)
		}
		if err != nil {
			return err
		}
	}
	if err := b.bindPositional(); err != nil {
		return err
	}
	return b.missing()
}

// named reads the value of a parameter that its name stood before.
func (b *pepBinder) named(p *pepParameter) ([]string, error) {
	if len(b.words) == 0 || isParameterWord(b.words[0]) {
		return nil, fmt.Errorf("missing an argument for parameter '%s': specify a parameter of type '%s'%s", p.name, p.kind.typeName(), p.eaten())
	}
	list, err := b.list()
	for err == nil && p.kind == pepAddresses && len(b.words) > 0 && !isParameterWord(b.words[0]) {
		words := b.words
		more, wrong := b.list()
		if wrong != nil || !allAddresses(more) {
			b.words = words
			break
		}
		list = append(list, more...)
	}
	return list, err
}

// bindPositional gives the arguments without a name to the parameters that are
// left, by position.
func (b *pepBinder) bindPositional() error {
	for len(b.positional) > 0 {
		list := b.positional[0]
		b.positional = b.positional[1:]
		var next *pepParameter
		for i := range b.call.cmdlet.parameters {
			p := &b.call.cmdlet.parameters[i]
			if _, bound := b.call.values[p.name]; !bound && p.position > 0 && (next == nil || p.position < next.position) {
				next = p
			}
		}
		if next == nil {
			return fmt.Errorf("a positional parameter cannot be found that accepts argument '%s'", strings.Join(list, ","))
		}
		for next.kind == pepAddresses && len(b.positional) > 0 && allAddresses(b.positional[0]) {
			list = append(list, b.positional[0]...)
			b.positional = b.positional[1:]
		}
		if err := b.set(next, list); err != nil {
			return err
		}
	}
	return nil
}

// missing is the error of a call that lacks a mandatory parameter.
func (b *pepBinder) missing() error {
	var names []string
	eaten := ""
	for _, p := range b.call.cmdlet.parameters {
		if _, bound := b.call.values[p.name]; p.mandatory && !bound {
			names = append(names, p.name)
			eaten += p.eaten()
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("cannot process command because of one or more missing mandatory parameters: %s%s", strings.Join(names, " "), eaten)
}

// eaten explains where the value of a truth parameter went.
func (p *pepParameter) eaten() string {
	if p.kind != pepBool && p.kind != pepSwitch {
		return ""
	}
	return fmt.Sprintf("; a shell puts its own variable in place of $true and $false: write '$true' in single quotes, or true, as in -%s:true", p.name)
}

// list takes an argument from the words: one value or several with commas
// between, which may stand alone or at the end of their neighbors.
func (b *pepBinder) list() ([]string, error) {
	text := strings.TrimSpace(b.words[0])
	b.words = b.words[1:]
	for len(b.words) > 0 && (strings.HasSuffix(text, ",") && !isParameterWord(b.words[0]) || strings.HasPrefix(strings.TrimSpace(b.words[0]), ",")) {
		text += strings.TrimSpace(b.words[0])
		b.words = b.words[1:]
	}
	list := strings.Split(text, ",")
	for i, value := range list {
		if list[i] = unquoted(strings.TrimSpace(value)); list[i] == "" && len(list) > 1 {
			return nil, fmt.Errorf("missing argument in parameter list '%s': a value must stand on each side of a comma", text)
		}
	}
	return list, nil
}

// set converts and binds the value of p.
func (b *pepBinder) set(p *pepParameter, list []string) error {
	if _, bound := b.call.values[p.name]; bound {
		return fmt.Errorf("cannot bind parameter because parameter '%s' is specified more than once", p.name)
	}
	value, err := p.convert(list)
	if err != nil {
		return err
	}
	b.call.values[p.name] = value
	return nil
}

// parameter finds the parameter that a name or the start of one means.
func (c *pepCmdlet) parameter(name string) (*pepParameter, error) {
	var own, all []*pepParameter
	for i := range c.parameters {
		p := &c.parameters[i]
		switch {
		case strings.EqualFold(p.name, name) || p.alias != "" && strings.EqualFold(p.alias, name):
			return p, nil
		case len(name) > len(p.name) || !strings.EqualFold(p.name[:len(name)], name):
		default:
			all = append(all, p)
			if !p.common {
				own = append(own, p)
			}
		}
	}
	if len(own) == 1 {
		all = own
	}
	switch len(all) {
	case 0:
		var known []string
		for _, p := range c.parameters {
			known = append(known, "-"+p.name)
		}
		return nil, fmt.Errorf("a parameter cannot be found that matches parameter name '%s'%s", name, pepSuggest("-"+name, known))
	case 1:
		return all[0], nil
	}
	var matches []string
	for _, p := range all {
		matches = append(matches, "-"+p.name)
	}
	return nil, fmt.Errorf("parameter cannot be processed because the parameter name '%s' is ambiguous: possible matches include %s", name, strings.Join(matches, " "))
}

// parameterWord takes apart -NAME and -NAME:VALUE. What starts with a dash and
// no letter is an argument, such as a negative number.
func parameterWord(word string) (name, value string, colon, ok bool) {
	plain := plainDashes(word)
	if len(plain) < 2 || plain[0] != '-' {
		return "", "", false, false
	}
	if first, _ := utf8.DecodeRuneInString(plain[1:]); !unicode.IsLetter(first) && first != '_' {
		return "", "", false, false
	}
	_, rest, _ := strings.Cut(word, ":")
	name, _, colon = strings.Cut(plain[1:], ":")
	return name, rest, colon, true
}

func isParameterWord(word string) bool {
	_, _, _, ok := parameterWord(word)
	return ok
}

// plainDashes replaces the dashes that word processors make of a hyphen, which
// PowerShell takes for one.
func plainDashes(word string) string {
	return strings.NewReplacer("–", "-", "—", "-", "―", "-").Replace(word)
}

// The quotation marks that PowerShell knows: straight ones and those that word
// processors make of them.
const (
	singleQuotes = "'‘’‚‛"
	doubleQuotes = "\"“”„"
)

// unquoted takes off the quotes around a value that a shell left there.
func unquoted(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	last, m := utf8.DecodeLastRuneInString(text)
	if len(text) < n+m {
		return text
	}
	for _, quotes := range []string{singleQuotes, doubleQuotes} {
		if strings.ContainsRune(quotes, first) && strings.ContainsRune(quotes, last) {
			return text[n : len(text)-m]
		}
	}
	return text
}

// splitPepLine takes apart a command line that is one word to the shell, quotes
// and all.
func splitPepLine(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quotes := false, ""
	for _, r := range line {
		switch {
		case quotes != "":
			if strings.ContainsRune(quotes, r) {
				quotes = ""
				continue
			}
		case strings.ContainsRune(singleQuotes, r):
			inWord, quotes = true, singleQuotes
			continue
		case strings.ContainsRune(doubleQuotes, r):
			inWord, quotes = true, doubleQuotes
			continue
		case unicode.IsSpace(r):
			if inWord {
				words = append(words, word.String())
			}
			inWord = false
			word.Reset()
			continue
		case strings.ContainsRune("|;&`", r):
			return nil, usagef("pep runs one cmdlet and nothing else, but there is %q: leave it out; --json is what | ConvertTo-Json would print", r)
		}
		inWord = true
		word.WriteRune(r)
	}
	if quotes != "" {
		return nil, usagef("the string is missing the terminator: %.1s", quotes)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// unknownCmdlet is the error for what is no cmdlet here. Some that a stamp does
// not have either are verbs of ours.
func unknownCmdlet(cmdlets []pepCmdlet, name string) error {
	switch strings.ToLower(name) {
	case "get-customdnsserver":
		return usagef("no stamp has %s: stampdns custom-dns list shows the conditional forwarders", name)
	case "unregister-customdnsserver", "remove-customdnsserver":
		return usagef("no stamp has %s: stampdns custom-dns remove DOMAIN removes a conditional forwarder", name)
	case "set-customdnsserver":
		return usagef("no stamp has %s: Register-CustomDnsServer replaces the conditional forwarder of a domain", name)
	case "reset-datacenterintegrationconfiguration":
		return usagef("%s is not stood in for: stampdns forwarder reset and stampdns custom-dns remove DOMAIN undo changes", name)
	}
	var known []string
	for _, c := range cmdlets {
		known = append(known, c.name)
	}
	return usagef("the term '%s' is not recognized as the name of a cmdlet here: there is %s%s", name, strings.Join(known, ", "), pepSuggest(name, known))
}

// pepSuggest is server.Suggest without a look at the case.
func pepSuggest(name string, known []string) string {
	lower := make([]string, len(known))
	for i, k := range known {
		lower[i] = strings.ToLower(k)
	}
	hint := server.Suggest(strings.ToLower(name), lower)
	for i, k := range known {
		hint = strings.Replace(hint, strconv.Quote(lower[i]), strconv.Quote(k), 1)
	}
	return hint
}
