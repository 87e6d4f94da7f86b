package status

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
)

// templateFiles are the page, a file for each of its parts.
//
//go:embed templates
var templateFiles embed.FS

// Limits of the page.
const (
	maxRenderings = 4  // that are made at once
	maxEntries    = 50 // of the journal
	shownColumns  = 12 // resolvers in the endpoints' table
	shownRows     = 32 // resolvers in their own table
	shownZones    = 100
	shownNetworks = 4
)

// newTemplates reads the templates. They are part of the program: what is wrong with
// them is a fault of it.
func newTemplates() *template.Template {
	return template.Must(template.New("page.html").Funcs(template.FuncMap{
		"clock": clock, "bare": bare, "join": strings.Join, "left": left, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).ParseFS(templateFiles, "templates/*.html"))
}

// clock is the time of day of a moment, in UTC.
func clock(moment string) string {
	t, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return moment
	}
	return t.UTC().Format("15:04:05")
}

// left is a time to come, for people.
func left(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// pageDoc is what the templates show. What a plugin would bring that is not there is
// nil.
type pageDoc struct {
	Title      string
	Status     statusDoc
	Shown      []string // resolvers in the endpoints' table
	Delegation *delegationDoc
	Resolvers  []resolverDoc // with the others, where these have asked
	MoreRows   int           // resolvers that there is no room for
	Journal    *journalDoc
	Filter     map[string]string
	Forwarders *forwardersDoc
	Custom     *customDoc
	Settings   *settingsDoc
	Faults     *faultsDoc
	Kinds      []string
	Picture    picture
	Charts     []chart
	Problems   map[string]string // by section: what its source says is wrong
}

// filters are the page's parameters, which are the journal's.
func filters() []string { return []string{"resolver", "name", "type", "path", "rcode"} }

// getPage answers with the page as of now.
func (c *config) getPage(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if !c.render(&body, w, r) {
		return
	}
	secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.Write(body.Bytes()) // that the client is gone is not of interest
}

// render makes the page, or says why not. A client that is slow to read keeps none
// from being made.
func (c *config) render(body *bytes.Buffer, w http.ResponseWriter, r *http.Request) bool {
	select {
	case c.rendering <- struct{}{}:
		defer func() { <-c.rendering }()
	default:
		w.Header().Set("Retry-After", "1")
		server.WriteAPIError(w, http.StatusServiceUnavailable, "%d pages are being made, which is the most: try again in a second", maxRenderings)
		return false
	}
	if err := c.templates().Execute(body, c.document(r.Context(), r.URL.Query())); err != nil {
		server.WriteAPIError(w, http.StatusInternalServerError, "the page cannot be made: %s", err)
		return false
	}
	return true
}

// document collects what the page shows.
func (c *config) document(ctx context.Context, values url.Values) *pageDoc {
	doc := &pageDoc{Title: "stampdns", Kinds: kinds(), Filter: make(map[string]string), Problems: make(map[string]string)}
	query := url.Values{"limit": {strconv.Itoa(maxEntries)}, "order": {"newest"}}
	for _, name := range filters() {
		if text := values.Get(name); text != "" {
			doc.Filter[name] = text
			if name == "name" && !strings.Contains(text, "*") {
				text = "*" + text + "*" // a part is enough, as it is for the script
			}
			query.Set(name, text)
		}
	}
	doc.Delegation = fetch[delegationDoc](ctx, c, doc, "resolvers", "/api/v1/delegation")
	doc.Journal = fetch[journalDoc](ctx, c, doc, "queries", "/api/v1/journal?"+query.Encode())
	doc.Forwarders = fetch[forwardersDoc](ctx, c, doc, "forwarders", "/api/v1/forwarders")
	doc.Custom = fetch[customDoc](ctx, c, doc, "forwarders", "/api/v1/custom-dns")
	doc.Settings = fetch[settingsDoc](ctx, c, doc, "forwarders", "/api/v1/settings")
	doc.Faults = fetch[faultsDoc](ctx, c, doc, "faults", "/api/v1/faults")
	known := doc.Delegation
	if known == nil {
		known = new(delegationDoc)
	}
	doc.Status = c.status(known)
	if s := doc.Status.Stamp; s != nil {
		doc.Title = s.Prefix + " " + s.Region + " – stampdns"
	}
	doc.Shown = doc.Status.Resolvers[:min(len(doc.Status.Resolvers), shownColumns)]
	doc.Resolvers = known.Resolvers[:min(len(known.Resolvers), shownRows)]
	doc.MoreRows = len(known.Resolvers) - len(doc.Resolvers)
	if known.Others.Queries.Total > 0 {
		doc.Resolvers = append(slices.Clip(doc.Resolvers), known.Others)
	}
	doc.Picture = newPicture(doc.Status.Stamp, doc.Resolvers, known)
	doc.Charts = newCharts(c.observer.history.last(stepCount))
	return doc
}

// fetch asks the API for a document; nil where there is none. What is wrong is the
// section's problem.
func fetch[T any](ctx context.Context, c *config, doc *pageDoc, section, path string) *T {
	to := new(T)
	found, err := c.client.get(ctx, path, to)
	if err != nil {
		doc.Problems[section] = err.Error()
	}
	if !found || err != nil {
		return nil
	}
	return to
}

// Capabilities are those of a resolver in the order of the table.
func (d *pageDoc) Capabilities() []capability {
	return []capability{
		{"edns", "EDNS"}, {"do", "DNSSEC OK"}, {"tcp", "TCP"}, {"cookie", "Cookies"},
		{"case_random", "Random case"}, {"qmin", "QNAME minimisation"}, {"ipv6", "IPv6"},
	}
}

// capability is one that queries can prove.
type capability struct{ Key, Name string }

// Zones are those that the page shows.
func (d *pageDoc) Zones() []zoneDoc { return d.Status.Zones[:min(len(d.Status.Zones), shownZones)] }

// HiddenZones is how many it does not.
func (d *pageDoc) HiddenZones() int { return d.Status.ZonesTotal - len(d.Zones()) }

// HiddenColumns is how many resolvers the endpoints' table leaves out.
func (d *pageDoc) HiddenColumns() int { return len(d.Status.Resolvers) - len(d.Shown) }

// Where lists the networks of a resolver, as far as there is room.
func (r resolverDoc) Where() string {
	text := strings.Join(r.Networks[:min(len(r.Networks), shownNetworks)], ", ")
	if more := len(r.Networks) - shownNetworks; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

// Ticked is how many endpoints somebody has asked for.
func (d *pageDoc) Ticked() (n int) {
	for _, e := range d.Status.Endpoints {
		if len(e.Seen) > 0 {
			n++
		}
	}
	return n
}

// Paths and RCodes are what the journal can be filtered by.
func (d *pageDoc) Paths() [pathCount]string { return pathNames() }

// RCodes are without "other", which is no value of the journal's.
func (d *pageDoc) RCodes() []string {
	names := rcodeNames()
	return slices.Delete(names[:], rcodeOther, rcodeOther+1)
}

// kinds are those of faults, for the form.
func kinds() []string {
	return []string{
		"delay", "drop", "servfail", "refused", "nxdomain", "notimp", "formerr", "truncate", "empty", "lame", "wrong-id", "wrong-case",
		"no-edns", "formerr-edns", "tcp-refuse", "tcp-reset", "oversize", "stale-serial", "no-glue", "wrong-ns",
	}
}
