package forward

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// mount puts the routes of the API beside the directive.
func (c *config) mount(d *server.Directive) error {
	e := c.engine
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /api/v1/forwarders":             e.getForwarders,
		"PUT /api/v1/forwarders":             e.putForwarders,
		"DELETE /api/v1/forwarders":          e.deleteForwarders,
		"GET /api/v1/custom-dns":             e.getCustomDNS,
		"PUT /api/v1/custom-dns/{domain}":    e.putCustomDNS,
		"DELETE /api/v1/custom-dns/{domain}": e.deleteCustomDNS,
		"GET /api/v1/settings":               e.getSettings,
		"PATCH /api/v1/settings":             e.patchSettings,
	} {
		if err := d.MountAPI(pattern, h); err != nil {
			return err
		}
	}
	return nil
}

// The documents of the API.
type (
	upstreamDoc struct {
		Address   string  `json:"address"`
		Transport string  `json:"transport"`
		State     string  `json:"state"`
		RTT       float64 `json:"rtt_ms"`
		Failures  int32   `json:"failures"`
		Queries   uint64  `json:"queries"`
	}
	forwardersDoc struct {
		Source     string        `json:"source"`
		Lasts      bool          `json:"lasts"`
		Forwarders []upstreamDoc `json:"forwarders"`
	}
	customDoc struct {
		Domain     string        `json:"domain"`
		Source     string        `json:"source"`
		Lasts      bool          `json:"lasts"`
		ShadowedBy string        `json:"shadowed_by,omitempty"`
		Forwarders []upstreamDoc `json:"forwarders"`
	}
	customListDoc struct {
		CustomDNS []customDoc `json:"custom_dns"`
	}
	addressesDoc struct {
		Addresses []string `json:"addresses"`
	}
	settingsDoc struct {
		UseRootHint bool   `json:"use_root_hint"`
		RootHints   bool   `json:"root_hints"`
		Source      string `json:"source"`
	}
)

// Where a setting comes from, in the API.
const corefileSource = "corefile"

// document describes an upstream.
func (u *upstream) document() upstreamDoc {
	doc := upstreamDoc{
		Address: u.address.String(), Transport: "dns", State: u.status().String(),
		RTT: float64(u.rtt.Load()) / float64(time.Millisecond), Failures: u.fails.Load(), Queries: u.queries.Load(),
	}
	if u.tls != nil {
		doc.Transport = "tls"
	}
	return doc
}

// ofDomain describes the upstreams that some block asks for names in a domain. mu is
// held.
func (e *engine) ofDomain(domain wire.Name) (docs []upstreamDoc, source string) {
	docs, source = []upstreamDoc{}, corefileSource
	if e.overlay.has(domain) {
		source = runtimeSource
	}
	var seen []*upstream
	for _, h := range e.config.handlers {
		for _, g := range h.table.Load().groups[string(domain)] {
			if string(g.from) != string(domain) {
				continue
			}
			for _, u := range g.upstreams {
				if !slices.Contains(seen, u) {
					seen = append(seen, u)
					docs = append(docs, u.document())
				}
			}
		}
	}
	return docs, source
}

// view runs f with the configuration in use.
func (e *engine) view(w http.ResponseWriter, f func(c *config) any) {
	e.mu.Lock()
	var doc any
	if e.config != nil {
		doc = f(e.config)
	}
	e.mu.Unlock()
	if doc == nil {
		server.WriteAPIError(w, http.StatusServiceUnavailable, "%s", errNotServed)
		return
	}
	server.WriteJSON(w, http.StatusOK, doc)
}

func (e *engine) getForwarders(w http.ResponseWriter, _ *http.Request) {
	e.view(w, func(c *config) any {
		docs, source := e.ofDomain(wire.Root())
		return forwardersDoc{source, c.bucket.Lasts(), docs}
	})
}

// putForwarders replaces the DNS forwarders.
func (e *engine) putForwarders(w http.ResponseWriter, r *http.Request) {
	to, ok := readAddresses(w, r)
	if !ok {
		return
	}
	if e.changed(w, func(o overlay) (overlay, error) { return o.with(wire.Root(), to), nil }) {
		e.getForwarders(w, r)
	}
}

// deleteForwarders goes back to those of the Corefile.
func (e *engine) deleteForwarders(w http.ResponseWriter, r *http.Request) {
	if e.changed(w, func(o overlay) (overlay, error) { return o.with(wire.Root(), nil), nil }) {
		e.getForwarders(w, r)
	}
}

func (e *engine) getCustomDNS(w http.ResponseWriter, _ *http.Request) {
	e.view(w, func(c *config) any {
		var domains []wire.Name
		for _, h := range c.handlers {
			for _, n := range h.table.Load().domains() {
				if !slices.ContainsFunc(domains, func(o wire.Name) bool { return string(o) == string(n) }) {
					domains = append(domains, n)
				}
			}
		}
		slices.SortFunc(domains, wire.Compare)
		list := customListDoc{CustomDNS: []customDoc{}}
		for _, n := range domains {
			list.CustomDNS = append(list.CustomDNS, e.custom(c, n))
		}
		return list
	})
}

// custom describes the forwarders of a domain. mu is held.
func (e *engine) custom(c *config, domain wire.Name) customDoc {
	docs, source := e.ofDomain(domain)
	doc := customDoc{Domain: bare(domain), Source: source, Lasts: source == corefileSource || c.bucket.Lasts(), Forwarders: docs}
	if zone := e.zoneOf(c, domain); zone != "" {
		doc.ShadowedBy = "zone " + bare(domain) + " from " + zone
	}
	return doc
}

// zoneOf is the source of the zone of this name that some block has, "" for none.
func (e *engine) zoneOf(c *config, domain wire.Name) string {
	for _, h := range c.handlers {
		if h.store == nil {
			continue
		}
		if source, ok := h.store.Declared(domain); ok {
			return source
		}
	}
	return ""
}

// bare is a name without its last dot.
func bare(n wire.Name) string { return strings.TrimSuffix(n.String(), ".") }

// domainOf reads the domain of a path.
func domainOf(w http.ResponseWriter, r *http.Request) (wire.Name, bool) {
	n, err := parseDomain(r.PathValue("domain"))
	switch {
	case err != nil:
		server.WriteAPIError(w, http.StatusBadRequest, "domain: %s", err)
		return nil, false
	case len(n) == 1:
		server.WriteAPIError(w, http.StatusBadRequest, "the forwarders for all names are no conditional forwarder: use /api/v1/forwarders")
		return nil, false
	}
	return n, true
}

// putCustomDNS sets the forwarders of a domain.
func (e *engine) putCustomDNS(w http.ResponseWriter, r *http.Request) {
	domain, ok := domainOf(w, r)
	if !ok {
		return
	}
	to, ok := readAddresses(w, r)
	if !ok {
		return
	}
	changed := e.changed(w, func(o overlay) (overlay, error) {
		if source := e.zoneOf(e.config, domain); source != "" {
			return o, conflict("%s is a zone of this server, from %s, which would answer in place of the forwarders: forward a domain below it, or take the zone out", bare(domain), source)
		}
		return o.with(domain, to), nil
	})
	if changed {
		e.view(w, func(c *config) any { return e.custom(c, domain) })
	}
}

// deleteCustomDNS takes the forwarders of a domain out that were set at run time.
func (e *engine) deleteCustomDNS(w http.ResponseWriter, r *http.Request) {
	domain, ok := domainOf(w, r)
	if !ok {
		return
	}
	changed := e.changed(w, func(o overlay) (overlay, error) {
		if o.has(domain) {
			return o.with(domain, nil), nil
		}
		if docs, _ := e.ofDomain(domain); len(docs) > 0 {
			return o, conflict("the forwarders of %s are the Corefile's: take them out there", bare(domain))
		}
		return o, &statusError{http.StatusNotFound, fmt.Sprintf("%s has no conditional forwarder", bare(domain))}
	})
	if changed {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *engine) getSettings(w http.ResponseWriter, _ *http.Request) {
	e.view(w, func(c *config) any {
		doc := settingsDoc{UseRootHint: c.hints != nil && e.overlay.usesRootHint(), RootHints: c.hints != nil, Source: corefileSource}
		if e.overlay.useRootHint != nil {
			doc.Source = runtimeSource
		}
		return doc
	})
}

// patchSettings changes the settings that are given.
func (e *engine) patchSettings(w http.ResponseWriter, r *http.Request) {
	var doc struct {
		UseRootHint *bool `json:"use_root_hint"`
	}
	if !server.ReadJSON(w, r, &doc) {
		return
	}
	changed := e.changed(w, func(o overlay) (overlay, error) {
		if doc.UseRootHint == nil {
			return o, &statusError{http.StatusBadRequest, "no setting given: use_root_hint is true or false"}
		}
		if *doc.UseRootHint && e.config.hints == nil {
			return o, conflict("there are no root hints: start the server with --root-hints FILE, or with root_hints FILE in the Corefile's forward")
		}
		o.useRootHint = doc.UseRootHint
		return o, nil
	})
	if changed {
		e.getSettings(w, r)
	}
}

// readAddresses reads a body that lists forwarders.
func readAddresses(w http.ResponseWriter, r *http.Request) ([]address, bool) {
	var doc addressesDoc
	if !server.ReadJSON(w, r, &doc) {
		return nil, false
	}
	to, err := parseAddresses(doc.Addresses)
	if err != nil {
		server.WriteAPIError(w, http.StatusBadRequest, "%s", err)
		return nil, false
	}
	return to, true
}

// statusError is an error with the status that the API gives it.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func conflict(format string, args ...any) error {
	return &statusError{http.StatusConflict, fmt.Sprintf(format, args...)}
}

// changed makes a change, and where that fails answers so.
func (e *engine) changed(w http.ResponseWriter, f func(overlay) (overlay, error)) bool {
	err := e.change(f)
	var refused *statusError
	switch {
	case err == nil:
		return true
	case errors.As(err, &refused):
		server.WriteAPIError(w, refused.status, "%s", refused.text)
	case errors.Is(err, errTooMany):
		server.WriteAPIError(w, http.StatusConflict, "%s", err)
	default:
		server.WriteAPIError(w, http.StatusInternalServerError, "%s", err)
	}
	return false
}
