package forward

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// overlay is what was set at run time, on top of the Corefile. It is immutable: each
// change makes another one.
type overlay struct {
	custom []custom // by domain; the DNS forwarders have the root
	// useRootHint is nil where nobody has said.
	useRootHint *bool
}

// custom is the forwarders of one domain.
type custom struct {
	domain wire.Name
	to     []address
}

func (o *overlay) find(domain wire.Name) int {
	return slices.IndexFunc(o.custom, func(c custom) bool { return string(c.domain) == string(domain) })
}

func (o *overlay) has(domain wire.Name) bool { return o.find(domain) >= 0 }

// with is o with these forwarders of a domain, without any where to is nil.
func (o *overlay) with(domain wire.Name, to []address) overlay {
	next := overlay{useRootHint: o.useRootHint}
	next.custom = slices.DeleteFunc(slices.Clone(o.custom), func(c custom) bool { return string(c.domain) == string(domain) })
	if to != nil {
		next.custom = append(next.custom, custom{domain, to})
	}
	slices.SortFunc(next.custom, func(a, b custom) int { return wire.Compare(a.domain, b.domain) })
	return next
}

// difference are the domains for which o and next have other forwarders; the root
// where how names are resolved from it differs.
func (o *overlay) difference(next *overlay) (domains []wire.Name) {
	for _, pair := range [...][2]*overlay{{o, next}, {next, o}} {
		for _, c := range pair[0].custom {
			i := pair[1].find(c.domain)
			if i < 0 || !slices.Equal(pair[1].custom[i].to, c.to) {
				domains = append(domains, c.domain)
			}
		}
	}
	if o.usesRootHint() != next.usesRootHint() {
		domains = append(domains, wire.Root())
	}
	return domains
}

// usesRootHint says whether names are resolved from the root where no forwarder
// answers: as on a stamp, unless it was turned off.
func (o *overlay) usesRootHint() bool { return o.useRootHint == nil || *o.useRootHint }

// stored is an overlay as the state file has it.
type stored struct {
	Forwarders  map[string][]string `json:"forwarders,omitempty"` // by domain
	UseRootHint *bool               `json:"use_root_hint,omitempty"`
}

// stateKey is where the overlay lies in the plugin's bucket.
const stateKey = "runtime"

// load reads what was set at run time; nil if nothing was.
func load(b *server.Bucket) (*overlay, error) {
	text, err := b.Get(stateKey)
	if err != nil || text == nil {
		return nil, err
	}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	o := overlay{useRootHint: s.UseRootHint}
	for _, domain := range slices.Sorted(maps.Keys(s.Forwarders)) {
		name, err := wire.ParseName(domain)
		if err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		to, err := parseAddresses(s.Forwarders[domain])
		if err != nil {
			return nil, fmt.Errorf("state: %s: %w", domain, err)
		}
		o = o.with(name, to)
		o.useRootHint = s.UseRootHint
	}
	return &o, nil
}

// save writes o.
func (o *overlay) save(b *server.Bucket) error {
	s := stored{Forwarders: make(map[string][]string), UseRootHint: o.useRootHint}
	for _, c := range o.custom {
		for _, a := range c.to {
			s.Forwarders[c.domain.String()] = append(s.Forwarders[c.domain.String()], a.String())
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return b.Put(stateKey, text)
}

// Limits of what can be set at run time.
const maxCustom = 1000

var (
	errNoAddress = errors.New("no forwarder given: name at least one address")
	errNotServed = errors.New("forwarding is not in use any more")
	errTooMany   = fmt.Errorf("more than %d domains with forwarders: remove one first", maxCustom)
)

// parseAddresses reads the addresses that a client gives.
func parseAddresses(texts []string) ([]address, error) {
	if len(texts) == 0 {
		return nil, errNoAddress
	}
	var to []address
	for _, text := range texts {
		a, err := parseAddress(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		to = append(to, a)
	}
	to = distinct(to)
	if len(to) > maxUpstreams {
		return nil, fmt.Errorf("%d forwarders: at most %d", len(to), maxUpstreams)
	}
	return to, nil
}

// change makes a change to what was set at run time: it is written down first, and
// then takes effect, for every query that comes from now on.
func (e *engine) change(f func(overlay) (overlay, error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config == nil {
		return errNotServed
	}
	next, err := f(e.overlay)
	if err != nil {
		return err
	}
	if len(next.custom) > maxCustom {
		return errTooMany
	}
	if err := next.save(e.config.bucket); err != nil {
		return fmt.Errorf("nothing changed: %w", err)
	}
	before := e.overlay
	e.overlay = next
	e.apply()
	e.config.forget(before.difference(&next))
	return nil
}

// all are the upstreams in use, in the order of their addresses.
func (e *engine) all() []*upstream {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.upstreams), func(a, b *upstream) int {
		return strings.Compare(a.address.String(), b.address.String())
	})
}
