package fault

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Bounds of rules.
const (
	maxRules    = 256
	maxDelay    = time.Minute
	maxHeld     = 10000
	defaultLast = 10 * time.Minute
	leastLast   = time.Second
	mostLast    = 24 * time.Hour
	maxValues   = 64 // of one selector
	maxText     = 4096
	minOversize = 513
	maxOversize = 65000
	defaultSize = 4000
)

// spec is what a rule says, as parse reads it. It is immutable.
type spec struct {
	kind kind
	// What it is about; nil is all.
	ns        []string
	names     []server.NamePattern
	types     []uint16
	over      transports
	clients   server.Networks
	resolvers []string
	// How often.
	probability float64 // 1: always
	every       uint64  // 0 and 1: each
	count       uint64  // 0: no bound
	seed        uint64
	// How late.
	delay, jitter time.Duration
	// How long: for lasts, or until a time.
	lasts time.Duration
	until time.Time
	name  string // "" where the rule does not say
	// The kind's own arguments.
	size    int         // oversize
	behind  uint32      // stale-serial
	servers []wire.Name // wrong-ns

	// doc is the rule as values by their words.
	doc ruleDoc
}

// ruleDoc is a rule as the API has it, with the words of the rule form.
type ruleDoc struct {
	Kind        string   `json:"kind,omitempty"`
	Arguments   []string `json:"arguments,omitempty"`
	NS          []string `json:"ns,omitempty"`
	Names       []string `json:"name,omitempty"`
	Types       []string `json:"type,omitempty"`
	Transports  []string `json:"transport,omitempty"`
	Clients     []string `json:"client,omitempty"`
	Resolvers   []string `json:"resolver,omitempty"`
	Probability *float64 `json:"probability,omitempty"`
	Every       *uint64  `json:"every,omitempty"`
	Seed        *uint64  `json:"seed,omitempty"`
	Count       *uint64  `json:"count,omitempty"`
	Delay       string   `json:"delay,omitempty"`
	Jitter      string   `json:"jitter,omitempty"`
	For         string   `json:"for,omitempty"`
	Until       string   `json:"until,omitempty"`
	As          string   `json:"as,omitempty"`
}

// words are the rule form of d, which parse reads.
func (d *ruleDoc) words() []string {
	w := []string{d.Kind}
	w = append(w, d.Arguments...)
	one := func(word, value string) {
		if value != "" {
			w = append(w, word, value)
		}
	}
	number := func(word string, n *uint64) {
		if n != nil {
			one(word, strconv.FormatUint(*n, 10))
		}
	}
	list := func(word string, values []string) {
		if len(values) > 0 {
			w = append(append(w, word), values...)
		}
	}
	if d.Kind == delay.String() && d.Delay != "" && len(d.Arguments) == 0 {
		w = append(w, d.Delay)
	} else {
		one("delay", d.Delay)
	}
	one("jitter", d.Jitter)
	list("ns", d.NS)
	list("name", d.Names)
	list("type", d.Types)
	list("transport", d.Transports)
	list("client", d.Clients)
	list("resolver", d.Resolvers)
	if d.Probability != nil {
		one("probability", strconv.FormatFloat(*d.Probability, 'g', -1, 64))
	}
	number("every", d.Every)
	number("seed", d.Seed)
	number("count", d.Count)
	one("for", d.For)
	one("until", d.Until)
	one("as", d.As)
	return w
}

// document makes doc from the values.
func (s *spec) document() {
	d := ruleDoc{Kind: s.kind.String(), NS: s.ns, Resolvers: s.resolvers, As: s.name}
	switch s.kind {
	case oversize:
		d.Arguments = []string{strconv.Itoa(s.size)}
	case staleSerial:
		d.Arguments = []string{strconv.FormatUint(uint64(s.behind), 10)}
	case wrongNS:
		for _, n := range s.servers {
			d.Arguments = append(d.Arguments, n.String())
		}
	}
	for _, p := range s.names {
		name := p.String()
		if isKeyword(name) {
			name += "."
		}
		d.Names = append(d.Names, name)
	}
	for _, t := range s.types {
		d.Types = append(d.Types, dns.Type(t).String())
	}
	if _, usual := s.kind.transports(); s.over != usual {
		for _, t := range [...]server.Transport{server.UDP, server.TCP} {
			if s.over.has(t) {
				d.Transports = append(d.Transports, t.String())
			}
		}
	}
	for _, p := range s.clients {
		d.Clients = append(d.Clients, networkText(p))
	}
	if s.probability < 1 {
		d.Probability = &s.probability
	}
	if s.every > 1 {
		d.Every = &s.every
	}
	if s.draws() {
		d.Seed = &s.seed
	}
	if s.count > 0 {
		d.Count = &s.count
	}
	if s.delay > 0 {
		d.Delay = durationText(s.delay)
	}
	if s.jitter > 0 {
		d.Jitter = durationText(s.jitter)
	}
	if s.until.IsZero() {
		d.For = durationText(s.lasts)
	} else {
		d.Until = s.until.Format(time.RFC3339)
	}
	s.doc = d
}

// text is the rule on one line, in its canonical form: parse reads it back.
func (s *spec) text() string { return strings.Join(s.doc.words(), " ") }

// draws says whether chance has a part in the rule.
func (s *spec) draws() bool { return s.probability < 1 || s.jitter > 0 }

// whole says that the rule is about each connection to an address.
func (s *spec) whole() bool {
	return s.kind == tcpRefuse && s.clients == nil && s.probability == 1 && s.every <= 1 && s.count == 0
}

func networkText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// durationText is a duration without the zeros that Go's has.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
