package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/stampdns/stampdns/zones/stamp"
)

// serverSide is the stamp's side of a probe, as far as its API can be reached.
type serverSide struct {
	client *apiClient // nil where there is none
	// why says why the sides are not joined; empty while they may be.
	why string
	// told counts what the stamp knows.
	told int
}

// probeSighting is one query for a probe, as the API tells of it.
type probeSighting struct {
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

// serverSide is the way to the API that the flags say.
func (p *probeFlags) serverSide() (*serverSide, error) {
	if p.address == off {
		return &serverSide{why: p.command.origin(p.cmd, "api") + " is off"}, nil
	}
	client, err := p.client()
	return &serverSide{client: client}, err
}

// base is the URL of the API, empty where there is none.
func (s *serverSide) base() string {
	if s.client == nil {
		return ""
	}
	return s.client.base
}

// joined says whether the stamp's side is known.
func (s *serverSide) joined() bool { return s.why == "" && s.told > 0 }

// call asks the API. The first time that it has no answer is the last.
func (s *serverSide) call(ctx context.Context, method, path string, in any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	raw, err := s.client.call(ctx, method, path, in)
	if refused := (*refusal)(nil); err != nil && !errors.As(err, &refused) {
		s.why = err.Error()
	}
	return raw, err
}

// stamp is the stamp that the API tells of, nil where it does not.
func (s *serverSide) stamp(ctx context.Context) *stamp.Stamp {
	if s.why != "" {
		return nil
	}
	raw, err := s.call(ctx, http.MethodGet, "/stamp", nil)
	if err != nil {
		return nil
	}
	described, _, err := stamp.Parse(raw)
	if err != nil {
		return nil
	}
	return &described
}

// join tells the stamp what came of a probe. Where no answer came, it asks whether the
// stamp saw the query.
func (s *serverSide) join(ctx context.Context, t *probeTry, to netip.AddrPort) {
	if s.why != "" {
		return
	}
	word := map[string]any{"result": "failed", "resolver_address": to.String(), "latency_ms": t.Latency}
	if t.answered {
		word["answer_source"] = to.String()
	}
	if known := t.RCode; known != "" && !strings.HasPrefix(known, "RCODE") {
		word["rcode"] = known
	}
	if t.Reached {
		word["result"], word["ns"] = "confirmed", t.NS
	}
	raw, err := s.call(ctx, http.MethodPost, "/probes/"+t.Nonce+"/confirm", word)
	var refused *refusal
	switch {
	case err == nil:
		s.took(raw, t)
	case errors.As(err, &refused) && refused.status == http.StatusNotFound:
		s.told++
		seen := false
		t.Seen = &seen
		if t.Reached {
			t.note("the stamp at %s did not see it: it is another one than the resolver reaches", s.client.base)
		} else {
			t.Text += "; the stamp did not see the query"
		}
	case s.why == "":
		s.why = err.Error()
	}
}

// took reads what the stamp knows of a probe.
func (s *serverSide) took(raw json.RawMessage, t *probeTry) {
	var doc struct {
		Sightings []probeSighting `json:"sightings"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || len(doc.Sightings) == 0 {
		s.why = fmt.Sprintf("%s answered what no stampdns would", s.client.base)
		return
	}
	s.told++
	seen := true
	t.Seen, t.Sightings = &seen, doc.Sightings
	if !t.Reached {
		var at []string
		for _, sighting := range doc.Sightings {
			if text := fmt.Sprintf("%s over %s from %s", sighting.NS, sighting.Transport, sighting.Source); !slices.Contains(at, text) {
				at = append(at, text)
			}
		}
		t.Text += printable("; the query reached " + strings.Join(at, ", ") + ", but its answer did not come back")
	}
}
