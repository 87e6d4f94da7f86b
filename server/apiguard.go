package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// apiGuard stands in front of the API's routes at one address. In this order a
// request needs a name of this machine or the token, to come from no other site's
// page, one of the slots, and a body that may be read.
type apiGuard struct {
	server *Server
	routes *http.ServeMux
	// token is the hash of the token, so that comparing it takes as long for every
	// guess; nil where there is none.
	token  []byte
	origin *http.CrossOriginProtection
}

func newAPIGuard(s *Server, p apiPoint, routes *http.ServeMux) *apiGuard {
	g := &apiGuard{server: s, routes: routes, origin: http.NewCrossOriginProtection()}
	if len(p.Token) > 0 {
		sum := sha256.Sum256(p.Token)
		g.token = sum[:]
	}
	return g
}

// ServeHTTP answers a request, with JSON whatever is wrong.
func (g *apiGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lockUp(w.Header())
	response := &apiResponse{ResponseWriter: w}
	defer g.salvage(response, r)
	if !g.admit(response, r) {
		return
	}
	select {
	case g.server.apiSlots <- struct{}{}:
		defer func() { <-g.server.apiSlots }()
	default:
		w.Header().Set("Retry-After", "1")
		WriteAPIError(response, http.StatusServiceUnavailable,
			"%d requests are under way, which is the most: try again in a second", maxAPIRequests)
		return
	}
	if r.ContentLength > maxAPIBody {
		writeTooLarge(response)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxAPIBody)
	if r.ContentLength != 0 && !isSafe(r.Method) && !requireJSON(response, r) {
		return
	}
	g.route(response, r)
}

// lockUp sets the headers of every answer, whatever is wrong: no page may frame or
// load it, and what is in it is never run. Handlers may set others.
func lockUp(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

// isSafe says whether requests of a method change nothing (RFC 9110 section 9.2.1).
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// admit says whether the client may ask at all, and tells it why not.
func (g *apiGuard) admit(w http.ResponseWriter, r *http.Request) bool {
	if g.token == nil {
		// A page may reach this machine under a name of its own (DNS rebinding),
		// and then is no other site to the browser.
		if !isLoopback(r.Host) {
			WriteAPIError(w, http.StatusForbidden, "the host asked for is %q, which is no name of this machine: "+
				"ask http://localhost or http://127.0.0.1, or give the API a token", r.Host)
			return false
		}
	} else if challenge, fault := g.unauthorized(r); fault != "" {
		w.Header().Set("WWW-Authenticate", challenge)
		WriteAPIError(w, http.StatusUnauthorized, "%s", fault)
		return false
	}
	if err := g.foreign(r); err != nil {
		WriteAPIError(w, http.StatusForbidden, "pages of other sites may not ask here or change anything: %v", err)
		return false
	}
	return true
}

// foreign says why a request is one of another site's page, nil if it is none. Such a
// page can read no answer, but what it asks for holds slots, and following the journal
// never ends. A link from elsewhere that somebody follows is all right.
func (g *apiGuard) foreign(r *http.Request) error {
	if !isSafe(r.Method) {
		return g.origin.Check(r)
	}
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" {
		return nil
	}
	write := *r // the check lets all pass that changes nothing
	write.Method = http.MethodPost
	return g.origin.Check(&write)
}

// unauthorized says what is wrong with a request's credentials, "" for nothing, and
// the challenge to answer with (RFC 6750 section 3, RFC 7617 section 2).
//
// The token may come as a bearer token, or as the password of whatever user: the
// second is what browsers ask people for, and only outside /api/, where programs ask.
func (g *apiGuard) unauthorized(r *http.Request) (challenge, fault string) {
	const bearer, remedy = "Bearer", "send Authorization: Bearer and the token of the API's token file"
	challenge = bearer
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		challenge = `Basic realm="stampdns", charset="UTF-8"`
	}
	sent := r.Header.Get("Authorization")
	if sent == "" {
		return challenge, "no token sent: " + remedy
	}
	scheme, token, _ := strings.Cut(sent, " ")
	_, password, basic := r.BasicAuth()
	switch {
	case basic:
		token = password
	case !strings.EqualFold(scheme, bearer):
		return challenge, "what was sent as Authorization is no bearer token: " + remedy
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if subtle.ConstantTimeCompare(sum[:], g.token) != 1 {
		if challenge == bearer {
			challenge += ` error="invalid_token"`
		}
		return challenge, "the token sent is wrong: " + remedy
	}
	return "", ""
}

// route passes a request to its handler. Where there is none, the multiplexer's
// own answer would be text.
func (g *apiGuard) route(w http.ResponseWriter, r *http.Request) {
	h, pattern := g.routes.Handler(r)
	if pattern != "" {
		g.routes.ServeHTTP(w, r)
		return
	}
	without := withoutBody{header: make(http.Header)}
	h.ServeHTTP(&without, r)
	switch allow := without.header.Get("Allow"); without.status {
	case http.StatusNotFound:
		WriteAPIError(w, http.StatusNotFound, "there is no %s: /api/v1/openapi.json says what there is", r.URL.Path)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", allow)
		WriteAPIError(w, http.StatusMethodNotAllowed, "%s does not take %s: use %s", r.URL.Path, r.Method, allow)
	default:
		h.ServeHTTP(w, r)
	}
}

// salvage answers a request whose handler panicked, if that is possible still.
func (g *apiGuard) salvage(w *apiResponse, r *http.Request) {
	fault := recover()
	switch fault {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(fault)
	}
	g.server.panics.Add(1)
	if g.server.panicLog.allow(time.Now()) {
		g.server.log.Error("a handler of the API panicked", "panic", fault,
			"method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
	}
	if w.begun {
		panic(http.ErrAbortHandler) // so that the client sees that the end is missing
	}
	WriteAPIError(w, http.StatusInternalServerError, "a fault of the server: its log says more")
}

// apiResponse knows whether the response has begun.
type apiResponse struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader begins the response, unless it is an informational one.
func (w *apiResponse) WriteHeader(status int) {
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the response, or goes on with it.
func (w *apiResponse) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *apiResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// withoutBody keeps status and header of a response.
type withoutBody struct {
	header http.Header
	status int
}

func (w *withoutBody) Header() http.Header { return w.header }

func (w *withoutBody) WriteHeader(status int) { w.status = status }

func (w *withoutBody) Write(b []byte) (int, error) { return len(b), nil }
