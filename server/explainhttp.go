package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
)

// ExplainHandler answers GET requests with the Explanation of a question as JSON.
// The question is in the URL's query: name, and where they are not to be the
// defaults of ExplainQuestion, type (such as AAAA or TYPE65280), from (an
// address) and to (an address, with a port or without). What is wrong with a
// request is said in the member error of the answer, with status 400; where the
// server is not running, it is 503. It may be mounted by any plugin.
func (d *Directive) ExplainHandler() http.Handler { return explainHandler(d.gen.server.Explain) }

// explainHandler is Server.Explain over HTTP.
type explainHandler func(ExplainQuestion) (Explanation, error)

// ServeHTTP answers one request.
func (explain explainHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := http.StatusOK, any(nil)
	question, err := parseExplain(r.URL.RawQuery)
	if err != nil {
		status = http.StatusBadRequest
	} else {
		body, err = explain(question)
		switch {
		case errors.Is(err, errNotStarted), errors.Is(err, errClosed):
			status = http.StatusServiceUnavailable
		case errors.Is(err, errExplain):
			status = http.StatusInternalServerError
		case err != nil:
			status = http.StatusBadRequest
		}
	}
	if err != nil {
		body = struct {
			Error string `json:"error"`
		}{legible(err.Error())}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.Encode(body) // an error is the client's: it has gone
}

// parseExplain reads a question from a URL's query. What stands there twice, or
// has a name that we do not know, is refused: it would be ignored otherwise.
func parseExplain(rawQuery string) (question ExplainQuestion, err error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return question, fmt.Errorf("the query of the URL cannot be read: %w", err)
	}
	for key, all := range values {
		switch {
		case key != "name" && key != "type" && key != "from" && key != "to":
			return question, fmt.Errorf("unknown parameter %q%s: name, type, from and to are known", key, Suggest(key, []string{"name", "type", "from", "to"}))
		case len(all) > 1:
			return question, fmt.Errorf("%s stands there twice: give it once", key)
		}
	}
	if question.Name = values.Get("name"); question.Name == "" {
		return question, errors.New("no name: say what to explain, such as ?name=www.contoso.com&type=A")
	}
	if text := values.Get("type"); text != "" {
		if question.Type, err = ParseType(text); err != nil {
			return question, err
		}
	}
	if text := values.Get("from"); text != "" {
		if question.From, err = netip.ParseAddr(text); err != nil {
			return question, fmt.Errorf("from: %q is no address: write one such as 192.0.2.1", text)
		}
	}
	if text := values.Get("to"); text != "" {
		if question.To, err = parseTo(text); err != nil {
			return question, err
		}
	}
	return question, nil
}

// parseTo reads an address with a port or without.
func parseTo(text string) (netip.AddrPort, error) {
	if to, err := netip.ParseAddrPort(text); err == nil {
		return to, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, 0), nil
	}
	return netip.AddrPort{}, fmt.Errorf("to: %q is no address: write one such as 192.0.2.1 or 192.0.2.1:53", text)
}
