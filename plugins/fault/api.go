package fault

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
)

// mount puts the routes of the API beside the directive.
func (c *config) mount(d *server.Directive) error {
	e := c.engine
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /api/v1/faults":           e.getFaults,
		"POST /api/v1/faults":          e.postFault,
		"DELETE /api/v1/faults":        e.deleteFaults,
		"PATCH /api/v1/faults/{name}":  e.patchFault,
		"DELETE /api/v1/faults/{name}": e.deleteFault,
	} {
		if err := d.MountAPI(pattern, h); err != nil {
			return err
		}
	}
	return nil
}

// The documents of the API.
type (
	faultDoc struct {
		ID   string `json:"id"`
		Rule string `json:"rule"`
		ruleDoc
		Source    string  `json:"source"`
		Lasts     bool    `json:"lasts"`
		Enabled   bool    `json:"enabled"`
		Started   string  `json:"started_at"`
		Ends      string  `json:"ends_at"`
		Remaining float64 `json:"remaining_seconds"`
		Left      *int64  `json:"remaining_count,omitempty"`
		Hits      uint64  `json:"hits"`
		Ended     string  `json:"ended_at,omitempty"`
		EndedBy   string  `json:"ended_by,omitempty"`
	}
	faultsDoc struct {
		Faults []faultDoc `json:"faults"`
		Ended  []faultDoc `json:"ended"`
	}
	clearedDoc struct {
		Cleared []string `json:"cleared"`
	}
	newFaultDoc struct {
		Rule string `json:"rule"`
		ruleDoc
	}
)

// document describes a rule; the engine's lock is held.
func (e *engine) document(r *rule) faultDoc {
	doc := faultDoc{
		ID: r.name, Rule: r.text(), ruleDoc: r.doc, Source: r.source, Enabled: !r.off && r.ended.IsZero(),
		Lasts:   r.source == fromCorefile || e.config.bucket.Lasts(),
		Started: r.started.UTC().Format(time.RFC3339), Ends: r.ends.UTC().Format(time.RFC3339), Hits: r.hits.Load(),
	}
	if r.count > 0 {
		left := max(0, int64(r.count)-int64(doc.Hits))
		doc.Left = &left
	}
	if r.ended.IsZero() {
		doc.Remaining = max(0, r.ends.Sub(now()).Seconds())
	} else {
		doc.Ended, doc.EndedBy = r.ended.UTC().Format(time.RFC3339), r.reason
	}
	return doc
}

func (e *engine) getFaults(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	doc := faultsDoc{Faults: []faultDoc{}, Ended: []faultDoc{}}
	served := e.config != nil
	if served {
		for _, r := range e.rules {
			doc.Faults = append(doc.Faults, e.document(r))
		}
		for _, r := range slices.Backward(e.recent) {
			doc.Ended = append(doc.Ended, e.document(r))
		}
	}
	e.mu.Unlock()
	if !served {
		server.WriteAPIError(w, http.StatusServiceUnavailable, "faults are not in use any more")
		return
	}
	server.WriteJSON(w, http.StatusOK, doc)
}

// postFault adds a rule, given as one line or by its parts.
func (e *engine) postFault(w http.ResponseWriter, r *http.Request) {
	var doc newFaultDoc
	if !server.ReadJSON(w, r, &doc) {
		return
	}
	s, err := doc.spec()
	if err != nil {
		server.WriteAPIError(w, http.StatusBadRequest, "%s", err)
		return
	}
	added, err := e.add(s)
	if err != nil {
		writeFailure(w, err)
		return
	}
	e.writeRule(w, http.StatusCreated, added)
}

// spec reads the rule, in either form.
func (d *newFaultDoc) spec() (*spec, error) {
	words := d.words()
	if d.Rule != "" {
		if len(words) > 1 || words[0] != "" {
			return nil, errors.New("give rule, the whole rule on one line, or its parts by their names, and not both")
		}
		return parseLine(d.Rule)
	}
	values := slices.Concat(d.Arguments, d.NS, d.Names, d.Types, d.Transports, d.Clients, d.Resolvers)
	for _, v := range values {
		if isKeyword(v) || v == "" {
			return nil, fmt.Errorf("%q cannot be a value here: it is a word of the rule form", v)
		}
	}
	values = append(values, d.Kind, d.Delay, d.Jitter, d.For, d.Until, d.As)
	if i := slices.IndexFunc(values, func(v string) bool { return strings.ContainsFunc(v, isBlank) }); i >= 0 {
		return nil, fmt.Errorf("%q: a value has no blanks", values[i])
	}
	return parse(words)
}

func isBlank(c rune) bool { return c <= ' ' }

// writeRule answers with a rule as it is now.
func (e *engine) writeRule(w http.ResponseWriter, status int, r *rule) {
	e.mu.Lock()
	if e.config == nil {
		e.mu.Unlock()
		server.WriteAPIError(w, http.StatusServiceUnavailable, "faults are not in use any more")
		return
	}
	doc := e.document(r)
	e.mu.Unlock()
	server.WriteJSON(w, status, doc)
}

// deleteFault clears one rule.
func (e *engine) deleteFault(w http.ResponseWriter, r *http.Request) {
	if err := e.clear(r.PathValue("name")); err != nil {
		writeFailure(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// deleteFaults clears all.
func (e *engine) deleteFaults(w http.ResponseWriter, _ *http.Request) {
	names, err := e.clearAll()
	if err != nil {
		writeFailure(w, err)
		return
	}
	server.WriteJSON(w, http.StatusOK, clearedDoc{names})
}

// patchFault turns a rule on or off.
func (e *engine) patchFault(w http.ResponseWriter, r *http.Request) {
	var doc struct {
		Enabled *bool `json:"enabled"`
	}
	if !server.ReadJSON(w, r, &doc) {
		return
	}
	if doc.Enabled == nil {
		server.WriteAPIError(w, http.StatusBadRequest, "nothing given to change: enabled is true or false")
		return
	}
	changed, err := e.enable(r.PathValue("name"), *doc.Enabled)
	if err != nil {
		writeFailure(w, err)
		return
	}
	e.writeRule(w, http.StatusOK, changed)
}

// writeFailure answers with what kept a change from being made.
func writeFailure(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if refused, ok := errors.AsType[*statusError](err); ok {
		status = refused.status
	}
	server.WriteAPIError(w, status, "%s", err)
}
