package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// ruleForm is how rules are written; errors show it.
const ruleForm = "KIND [ARGUMENT...] [delay D [jitter D]] [ns NS...] [name NAME...] [type TYPE...] [transport udp|tcp] " +
	"[client NETWORK...] [resolver NAME...] [probability P | every N] [seed N] [count N] [for DURATION | until TIME] [as RULE]"

// keywords begin the parts of a rule behind its kind.
func keywords() []string {
	return []string{"delay", "jitter", "ns", "name", "type", "transport", "client", "resolver", "probability", "every",
		"seed", "count", "for", "until", "as"}
}

func isKeyword(word string) bool { return slices.Contains(keywords(), word) }

var (
	errNoKind = errors.New("no kind of fault given: write one of " + strings.Join(kindNames(), ", "))
	ruleName  = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
)

func kindNames() []string {
	names := kinds()
	return names[:]
}

// parse reads a rule, word by word: the kind and its own arguments, then parts in any
// order, each once, which begin with a keyword. It is the same for the Corefile, the
// command and the API.
func parse(words []string) (*spec, error) {
	if len(words) == 0 || words[0] == "" {
		return nil, errNoKind
	}
	if n := len(strings.Join(words, " ")); n > maxText {
		return nil, fmt.Errorf("the rule has %d characters, and %d at most: use patterns and larger networks", n, maxText)
	}
	k, ok := parseKind(words[0])
	if !ok {
		return nil, fmt.Errorf("unknown kind of fault %q%s", words[0], server.Suggest(words[0], kindNames()))
	}
	p := parser{spec: spec{kind: k, probability: 1, lasts: defaultLast}, values: map[string][]string{}}
	_, p.spec.over = k.transports()
	rest := words[1:]
	if k == delay && len(rest) > 0 && !isKeyword(rest[0]) {
		rest = slices.Insert(slices.Clone(rest), 0, "delay")
	}
	own, err := p.split(rest)
	if err != nil {
		return nil, err
	}
	if err := p.own(own); err != nil {
		return nil, err
	}
	for _, word := range keywords() { // not over the map: the same error each time
		values, given := p.values[word]
		if !given {
			continue
		}
		if err := p.part(word, values); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if _, given := p.values["seed"]; !given && p.spec.draws() {
		p.spec.seed = uint64(rand.Uint32())
	}
	p.spec.document()
	return &p.spec, nil
}

// parseLine is parse for a rule on one line.
func parseLine(line string) (*spec, error) { return parse(strings.Fields(line)) }

// parser is a rule that is being read.
type parser struct {
	spec   spec
	values map[string][]string // by keyword
}

// split takes the words apart at the keywords; own are those before the first.
func (p *parser) split(words []string) (own []string, err error) {
	keyword := ""
	for i, word := range words {
		switch {
		case isKeyword(word):
			if _, twice := p.values[word]; twice {
				return nil, fmt.Errorf("%s stands twice in the rule", word)
			}
			if i+1 == len(words) || isKeyword(words[i+1]) {
				return nil, fmt.Errorf("nothing follows %s", word)
			}
			keyword, p.values[word] = word, nil
		case keyword == "":
			own = append(own, word)
		default:
			p.values[keyword] = append(p.values[keyword], word)
		}
		if len(p.values[keyword]) > maxValues || len(own) > maxValues {
			return nil, fmt.Errorf("%s has more than %d values: use a pattern, a larger network or another rule", keyword, maxValues)
		}
	}
	return own, nil
}

// own reads the kind's own arguments.
func (p *parser) own(args []string) error {
	s := &p.spec
	most := 0
	switch s.kind {
	case oversize, staleSerial:
		most = 1
	case wrongNS:
		most = 13
	}
	if len(args) > most {
		return fmt.Errorf("%s does not take %q%s", s.kind, args[most], server.Suggest(args[most], keywords()))
	}
	s.size, s.behind = defaultSize, 1
	switch {
	case s.kind == wrongNS:
		return p.wrongServers(args)
	case len(args) == 0:
		return nil
	case s.kind == oversize:
		n, err := strconv.Atoi(args[0])
		if err != nil || n < minOversize || n > maxOversize {
			return fmt.Errorf("oversize %q: give the size of the reply in octets, %d to %d", args[0], minOversize, maxOversize)
		}
		s.size = n
	case s.kind == staleSerial:
		n, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil || n == 0 {
			return fmt.Errorf("stale-serial %q: give how far behind the serial is, 1 to 2147483647 (RFC 1982)", args[0])
		}
		s.behind = uint32(n)
	}
	return nil
}

func (p *parser) wrongServers(args []string) error {
	if len(args) == 0 {
		args = []string{"ns1.wrong.invalid.", "ns2.wrong.invalid."}
	}
	for _, a := range args {
		n, err := wire.ParseName(a)
		if err != nil {
			return fmt.Errorf("wrong-ns: %w", err)
		}
		p.spec.servers = append(p.spec.servers, n)
	}
	return nil
}

// part reads what follows one keyword.
func (p *parser) part(word string, values []string) (err error) {
	s := &p.spec
	switch word {
	case "ns", "resolver":
		for _, v := range values {
			if len(v) > 64 {
				return fmt.Errorf("%s %q: a name has at most 64 characters", word, v)
			}
		}
		if word == "ns" {
			s.ns = values
		} else {
			s.resolvers = values
		}
		return nil
	case "name":
		for _, v := range values {
			p, err := server.ParseNamePattern(v)
			if err != nil {
				return err
			}
			s.names = append(s.names, p)
		}
		return nil
	case "type":
		for _, v := range values {
			t, err := server.ParseType(v)
			if err != nil {
				return err
			}
			s.types = append(s.types, t)
		}
		return nil
	case "transport":
		return p.transports(values)
	case "client":
		s.clients, err = server.ParseNetworks(values)
		if err != nil {
			return fmt.Errorf("client %w", err)
		}
		return nil
	}
	if len(values) > 1 {
		return fmt.Errorf("%s takes one value, and %q follows %q%s", word, values[1], values[0], server.Suggest(values[1], keywords()))
	}
	return p.single(word, values[0])
}

// single reads a part of one value.
func (p *parser) single(word, v string) (err error) {
	s := &p.spec
	switch word {
	case "delay", "jitter":
		d, err := duration(word, v, time.Microsecond, maxDelay)
		if word == "delay" {
			s.delay = d
		} else {
			s.jitter = d
		}
		return err
	case "for":
		s.lasts, err = duration(word, v, leastLast, mostLast)
		return err
	case "until":
		if s.until, err = time.Parse(time.RFC3339, v); err != nil {
			return fmt.Errorf("until %q is no time: write it as 2026-01-02T15:04:05Z, or with +01:00 for Z", v)
		}
		return nil
	case "probability":
		s.probability, err = strconv.ParseFloat(v, 64)
		if err != nil || !(s.probability > 0 && s.probability <= 1) {
			return fmt.Errorf("probability %q: write a number above 0 and up to 1, such as 0.25", v)
		}
		return nil
	case "as":
		if s.name = v; !ruleName.MatchString(v) {
			return fmt.Errorf("as %q: the name of a rule has 1 to 32 of a-z, 0-9 and -", v)
		}
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 53) // what JSON can carry
	if err != nil || n == 0 && word != "seed" {
		return fmt.Errorf("%s %q: write a whole number", word, v)
	}
	switch word {
	case "every":
		s.every = n
	case "count":
		s.count = n
	case "seed":
		s.seed = n
	}
	return nil
}

func (p *parser) transports(values []string) error {
	p.spec.over = 0
	for _, v := range values {
		switch strings.ToLower(v) {
		case "udp":
			p.spec.over |= overUDP
		case "tcp":
			p.spec.over |= overTCP
		default:
			return fmt.Errorf("unknown transport %q: write udp or tcp", v)
		}
	}
	possible, _ := p.spec.kind.transports()
	if p.spec.over&^possible != 0 {
		return fmt.Errorf("%s is no fault over %s: leave transport out", p.spec.kind, strings.Join(values, " "))
	}
	return nil
}

// check says what does not go together.
func (p *parser) check() error {
	s := &p.spec
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { _, ok := p.values[w]; return ok })
	}
	switch {
	case s.kind == delay && !has("delay"):
		return errors.New("delay needs to know how long: delay 500ms")
	case has("jitter") && !has("delay"):
		return errors.New("jitter needs a delay that it is about: delay 500ms jitter 100ms")
	case s.jitter > s.delay:
		return fmt.Errorf("jitter %s is more than the delay of %s", s.jitter, s.delay)
	case s.delay+s.jitter > maxDelay:
		return fmt.Errorf("delay and jitter are more than %s together", maxDelay)
	case has("probability") && has("every"):
		return errors.New("probability and every exclude each other: give one of them")
	case has("seed") && !s.draws():
		return errors.New("seed is for rules with probability or jitter: leave it out")
	case has("for") && has("until"):
		return errors.New("for and until exclude each other: give one of them")
	case s.kind == tcpRefuse && has("name", "type", "resolver"):
		return errors.New("tcp-refuse acts before there is a query: it takes ns and client; use tcp-reset for name, type and resolver")
	case s.kind == tcpRefuse && has("delay"):
		return errors.New("tcp-refuse has no reply that could be delayed: use tcp-reset")
	case !s.until.IsZero() && time.Until(s.until) > mostLast:
		return fmt.Errorf("until %s is more than %s away, the most that a rule lasts", p.values["until"][0], durationText(mostLast))
	}
	return nil
}

func duration(what, text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s %q is no duration: write a number and its unit, such as 500ms or 5m", what, text)
	case d < least || d > most:
		return 0, fmt.Errorf("%s %s: it is from %s to %s", what, text, durationText(least), durationText(most))
	}
	return d, nil
}
