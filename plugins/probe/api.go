package probe

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// mount puts the routes of the API beside the directive.
func mount(d *server.Directive, r *record) error {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /api/v1/probes":                  r.getProbes,
		"GET /api/v1/probes/{nonce}":          r.getProbe,
		"POST /api/v1/probes/{nonce}/confirm": r.postConfirm,
	} {
		if err := d.MountAPI(pattern, h); err != nil {
			return err
		}
	}
	return nil
}

// The documents of the API.
type (
	probesDoc struct {
		Probes []probeDoc `json:"probes"`
	}
	probeDoc struct {
		Nonce     string            `json:"nonce"`
		Queries   uint64            `json:"queries"`
		Sightings []sightingDoc     `json:"sightings"`
		Confirmed []confirmationDoc `json:"confirmed"`
	}
	sightingDoc struct {
		Time      string `json:"time"`
		NS        string `json:"ns"`
		Source    string `json:"source"`
		Resolver  string `json:"resolver"`
		Path      string `json:"path"`
		RD        bool   `json:"rd"`
		Transport string `json:"transport"`
		EDNS      string `json:"edns"`
		Case      string `json:"case"`
		Type      string `json:"type"`
		Name      string `json:"name"`
	}
	confirmationDoc struct {
		Time     string  `json:"time"`
		Result   string  `json:"result"`
		Resolver string  `json:"resolver_address"`
		Source   string  `json:"answer_source,omitempty"`
		RCode    string  `json:"rcode,omitempty"`
		NS       string  `json:"ns,omitempty"`
		Latency  float64 `json:"latency_ms"`
	}
	confirmDoc struct {
		Result   string  `json:"result"`
		Resolver string  `json:"resolver_address"`
		Source   string  `json:"answer_source"`
		RCode    string  `json:"rcode"`
		NS       string  `json:"ns"`
		Latency  float64 `json:"latency_ms"`
	}
)

// document describes a nonce. The record's lock is held.
func (p *probed) document() probeDoc {
	doc := probeDoc{Nonce: p.nonce, Queries: p.queries, Sightings: []sightingDoc{}, Confirmed: []confirmationDoc{}}
	for _, s := range p.sightings {
		resolver := s.resolver
		if resolver == "" {
			resolver = other
		}
		doc.Sightings = append(doc.Sightings, sightingDoc{
			Time: s.at.UTC().Format(timeForm), NS: s.ns, Source: s.source.String(), Resolver: resolver,
			Path: s.path.String(), RD: s.rd, Transport: s.transport.String(), EDNS: s.edns, Case: caseOf(s.mixed),
			Type: dns.Type(s.rrtype).String(), Name: s.name,
		})
	}
	for _, c := range p.confirmed {
		doc.Confirmed = append(doc.Confirmed, confirmationDoc{
			Time: c.at.UTC().Format(timeForm), Result: c.result.String(), Resolver: c.resolver, Source: c.source,
			RCode: c.rcode, NS: c.ns, Latency: c.latency,
		})
	}
	return doc
}

// defaultLimit is how many nonces are listed unless the request says otherwise.
const defaultLimit = 100

func (r *record) getProbes(w http.ResponseWriter, req *http.Request) {
	limit := defaultLimit
	if text := req.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxNonces {
			server.WriteAPIError(w, http.StatusBadRequest, "limit %q: want a number from 1 to %d", text, maxNonces)
			return
		}
		limit = n
	}
	server.WriteJSON(w, http.StatusOK, probesDoc{r.last(limit)})
}

func (r *record) getProbe(w http.ResponseWriter, req *http.Request) {
	doc, ok := r.of(req.PathValue("nonce"))
	if !ok {
		writeUnseen(w)
		return
	}
	server.WriteJSON(w, http.StatusOK, doc)
}

func writeUnseen(w http.ResponseWriter) {
	server.WriteAPIError(w, http.StatusNotFound,
		"no query for this nonce came here, or %d others came since: ask for NONCE.probe.ZONE, the nonce of %d to %d letters and digits", maxNonces, minNonce, maxNonce)
}

// postConfirm takes what the asker's side says.
func (r *record) postConfirm(w http.ResponseWriter, req *http.Request) {
	var doc confirmDoc
	if !server.ReadJSON(w, req, &doc) {
		return
	}
	c := confirmation{
		at: time.Now(), resolver: doc.Resolver, source: doc.Source, rcode: doc.RCode, ns: doc.NS, latency: doc.Latency,
	}
	switch doc.Result {
	case confirmed.String():
		c.result = confirmed
	case failed.String():
		c.result = failed
	default:
		server.WriteAPIError(w, http.StatusBadRequest, "result %q: want confirmed or failed", doc.Result)
		return
	}
	_, known := dns.StringToRcode[doc.RCode]
	switch {
	case !isAddress(doc.Resolver):
		server.WriteAPIError(w, http.StatusBadRequest, "resolver_address %q: want an IP address, with or without a port", doc.Resolver)
	case doc.Source != "" && !isAddress(doc.Source):
		server.WriteAPIError(w, http.StatusBadRequest, "answer_source %q: want an IP address, with or without a port", doc.Source)
	case doc.RCode != "" && !known:
		server.WriteAPIError(w, http.StatusBadRequest, "rcode %q: want one such as NOERROR", doc.RCode)
	case len(doc.NS) > maxNonce:
		server.WriteAPIError(w, http.StatusBadRequest, "ns: want a label such as ns01")
	case doc.Latency < 0:
		server.WriteAPIError(w, http.StatusBadRequest, "latency_ms: want a number that is not negative")
	default:
		answer, ok := r.confirm(req.PathValue("nonce"), c)
		if !ok {
			writeUnseen(w)
			return
		}
		server.WriteJSON(w, http.StatusOK, answer)
	}
}

// isAddress says whether text is an IP address, with a port or without.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	if err != nil {
		_, err = netip.ParseAddrPort(text)
	}
	return err == nil
}
