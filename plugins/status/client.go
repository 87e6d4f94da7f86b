package status

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// client asks the API in process.
type client struct{ routes http.Handler }

// get reads the document at path into doc. found is false where the configuration has
// no such route, which is no error.
func (c client) get(ctx context.Context, path string, doc any) (found bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return false, err
	}
	answer := recorder{header: make(http.Header), status: http.StatusOK}
	c.routes.ServeHTTP(&answer, r)
	switch answer.status {
	case http.StatusOK:
	case http.StatusNotFound:
		return false, nil
	default:
		var fault struct{ Error string }
		if json.Unmarshal(answer.body.Bytes(), &fault) != nil || fault.Error == "" {
			fault.Error = http.StatusText(answer.status)
		}
		return true, fmt.Errorf("%s: %s", path, fault.Error)
	}
	if err := json.Unmarshal(answer.body.Bytes(), doc); err != nil {
		return true, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// The documents of the API, as far as the page shows them.
type (
	delegationDoc struct {
		NameServers []string      `json:"name_servers"`
		Resolvers   []resolverDoc `json:"resolvers"`
		Others      resolverDoc   `json:"others"`
		Findings    []findingDoc  `json:"findings"`
		// SourceHidden is there if all queries seem to come from one address.
		SourceHidden *struct{ Text string } `json:"source_hidden"`
	}
	resolverDoc struct {
		Name         string          `json:"name"`
		Learned      bool            `json:"learned"`
		Networks     []string        `json:"networks"`
		LastSeen     string          `json:"last_seen"`
		Capabilities map[string]bool `json:"capabilities"`
		Queries      struct {
			Total  uint64            `json:"total"`
			ByPath map[string]uint64 `json:"by_path"`
			ByNS   map[string]nsDoc  `json:"by_ns"`
		} `json:"queries"`
	}
	nsDoc struct {
		Queries uint64            `json:"queries"`
		ByPath  map[string]uint64 `json:"by_path"`
	}
	findingDoc struct {
		ID       string `json:"id"`
		Level    string `json:"level"`
		Resolver string `json:"resolver"`
		Zone     string `json:"zone"`
		Text     string `json:"text"`
	}
	journalDoc struct {
		Entries []entryDoc `json:"entries"`
		Sampled bool       `json:"sampled"`
	}
	entryDoc struct {
		ID        uint64    `json:"id"`
		Time      string    `json:"time"`
		NS        string    `json:"ns"`
		Source    string    `json:"source"`
		Resolver  string    `json:"resolver"`
		Name      string    `json:"name"`
		Asked     string    `json:"asked"`
		Type      string    `json:"type"`
		Transport string    `json:"transport"`
		RCode     string    `json:"rcode"`
		Path      string    `json:"path"`
		Took      float64   `json:"took_us"`
		Fault     *entryHit `json:"fault"`
	}
	entryHit struct {
		Rule string `json:"rule"`
		Kind string `json:"kind"`
	}
	upstreamDoc struct {
		Address   string  `json:"address"`
		Transport string  `json:"transport"`
		State     string  `json:"state"`
		RTT       float64 `json:"rtt_ms"`
		Failures  int64   `json:"failures"`
		Queries   uint64  `json:"queries"`
	}
	forwardersDoc struct {
		Source     string        `json:"source"`
		Lasts      bool          `json:"lasts"`
		Forwarders []upstreamDoc `json:"forwarders"`
	}
	customDoc struct {
		CustomDNS []struct {
			Domain     string        `json:"domain"`
			Source     string        `json:"source"`
			ShadowedBy string        `json:"shadowed_by"`
			Forwarders []upstreamDoc `json:"forwarders"`
		} `json:"custom_dns"`
	}
	settingsDoc struct {
		UseRootHint bool `json:"use_root_hint"`
		RootHints   bool `json:"root_hints"`
	}
	faultsDoc struct {
		Faults []faultDoc `json:"faults"`
	}
	faultDoc struct {
		ID        string  `json:"id"`
		Rule      string  `json:"rule"`
		Kind      string  `json:"kind"`
		Source    string  `json:"source"`
		Enabled   bool    `json:"enabled"`
		Ends      string  `json:"ends_at"`
		Remaining float64 `json:"remaining_seconds"`
		Hits      uint64  `json:"hits"`
	}
)
