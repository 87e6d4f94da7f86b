package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// How often top asks for what seldom changes, in polls, and how many queries it
// keeps.
const (
	topSlow    = 10
	topQueries = 100
)

// topSample is what the API said at one time. What the server has no directive for
// is nil.
type topSample struct {
	// at is when the counts came.
	at         time.Time
	counts     *observed
	faults     *topFaults
	forwarders *forwarders
	custom     *topCustom
	status     *topStatus
	stamp      *topStamp
	history    *topHistory
	journal    *journalListing
	// queries are the last ones of the journal, the newest last.
	queries []journalEntry
}

// The documents of the API that no other verb reads.
type (
	topFaults struct {
		Faults []faultRule `json:"faults"`
	}
	topCustom struct {
		Custom []customDNS `json:"custom_dns"`
	}
	topStatus struct {
		Version string `json:"version"`
		Ready   bool   `json:"ready"`
		Stamp   *struct {
			Prefix string `json:"prefix"`
			Zone   string `json:"external_zone"`
		} `json:"stamp"`
		Zones []struct {
			Name   string `json:"name"`
			Loaded bool   `json:"loaded"`
			Error  string `json:"error"`
		} `json:"zones"`
	}
	topStamp struct {
		Region string `json:"RegionName"`
		Zone   string `json:"ExternalDomainFQDN"`
	}
	topHistory struct {
		RCodes  map[string][]*float64 `json:"rcodes"`
		Latency map[string][]*float64 `json:"latency_us"`
	}
)

// topPoller asks an API again and again. Its methods are for one goroutine; filter
// is for all.
type topPoller struct {
	client   *apiClient
	patience time.Duration
	// filter is the resolver whose queries are wanted, nil for all.
	filter atomic.Pointer[string]

	polls int
	// absent has the routes that the server does not have: until which poll they are
	// left alone.
	absent  map[string]int
	slow    topSample
	cursor  string
	queries []journalEntry
	// filtered is what filter was when queries came.
	filtered string
}

func newTopPoller(client *apiClient, patience time.Duration) *topPoller {
	return &topPoller{client: client, patience: patience, absent: make(map[string]int)}
}

// topRequest is one document that a poll asks for.
type topRequest struct {
	path, query string
	read        func(json.RawMessage) error
	err         error
}

// into decodes a document. What *out held before is gone, and nil is left where the
// document is not what a stampdns sends.
func into[T any](out **T) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		v := new(T)
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("an answer that no stampdns would give: %w", err)
		}
		*out = v
		return nil
	}
}

// poll asks for everything at once. It fails if any answer does, but for what the
// server does not have, of which something must be there.
func (p *topPoller) poll(ctx context.Context) (*topSample, error) {
	filter := ""
	if f := p.filter.Load(); f != nil {
		filter = *f
	}
	if filter != p.filtered {
		p.filtered, p.cursor, p.queries = filter, "", nil
	}
	s := new(topSample)
	requests := p.requests(s, filter)
	var all sync.WaitGroup
	for _, r := range requests {
		all.Go(func() { p.ask(ctx, r) })
	}
	all.Wait()
	p.polls++
	found := len(requests) == 0
	for _, r := range requests {
		var none *refusal
		switch {
		case errors.As(r.err, &none) && none.status == http.StatusNotFound:
			p.absent[r.path] = p.polls + topSlow
		case r.err != nil:
			// What comes next may be another server: all is asked for anew.
			p.polls = 0
			clear(p.absent)
			return nil, r.err
		default:
			found = true
		}
	}
	if !found && p.polls == 1 {
		return nil, fmt.Errorf("%s has nothing below %s that top could show: is it the API of a stampdns?", p.client.base, apiBase)
	}
	p.keep(s)
	return s, nil
}

// requests are those of the next poll, and fill s.
func (p *topPoller) requests(s *topSample, filter string) []*topRequest {
	values := url.Values{"limit": {strconv.Itoa(topQueries)}, "order": {"newest"}}
	if filter != "" {
		values.Set("resolver", filter)
	}
	if p.cursor != "" {
		values.Set("after", p.cursor)
	}
	counts := func(raw json.RawMessage) error {
		s.at = time.Now()
		return into(&s.counts)(raw)
	}
	all := []*topRequest{
		{path: "/delegation", read: counts},
		{path: "/journal", query: "?" + values.Encode(), read: into(&s.journal)},
		{path: "/faults", read: into(&s.faults)},
		{path: "/forwarders", read: into(&s.forwarders)},
		{path: "/custom-dns", read: into(&s.custom)},
		{path: "/history", query: "?minutes=1", read: into(&s.history)},
	}
	if p.polls%topSlow == 0 {
		p.slow = topSample{}
		all = append(all, &topRequest{path: "/status", read: into(&p.slow.status)}, &topRequest{path: "/stamp", read: into(&p.slow.stamp)})
	}
	return slices.DeleteFunc(all, func(r *topRequest) bool { return p.absent[r.path] > p.polls })
}

// ask does one request.
func (p *topPoller) ask(ctx context.Context, r *topRequest) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	raw, err := p.client.call(ctx, http.MethodGet, r.path+r.query, nil)
	if r.err = err; err == nil {
		if err := r.read(raw); err != nil {
			r.err = fmt.Errorf("%s%s%s: %w", p.client.base, apiBase, r.path, err)
		}
	}
}

// keep adds to s what was there before it.
func (p *topPoller) keep(s *topSample) {
	s.status, s.stamp = p.slow.status, p.slow.stamp
	if s.at.IsZero() {
		s.at = time.Now()
	}
	if s.journal == nil {
		return
	}
	p.cursor = s.journal.Cursor
	var came []journalEntry
	for _, raw := range s.journal.Entries {
		var e journalEntry
		if json.Unmarshal(raw, &e) == nil {
			came = append(came, e)
		}
	}
	slices.SortFunc(came, func(a, b journalEntry) int { return cmp.Compare(a.ID, b.ID) })
	all := append(p.queries, came...)
	p.queries = slices.Clone(all[max(0, len(all)-topQueries):])
	s.queries = p.queries
}
