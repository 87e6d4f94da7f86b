package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// rate is a number of queries per second; below 0 it is not known, which JSON has as
// null.
type rate float64

const unknownRate rate = -1

func (r rate) MarshalJSON() ([]byte, error) {
	if r < 0 {
		return []byte("null"), nil
	}
	return json.Marshal(float64(r))
}

// topView is what is seen of a server at a time: what it said then, and what came
// since it was asked before.
type topView struct {
	Time time.Time `json:"time"`
	// Seconds is what the rates are over; 0 where there are none.
	Seconds     float64           `json:"seconds"`
	Version     string            `json:"version,omitempty"`
	Stamp       string            `json:"stamp,omitempty"`
	Ready       *bool             `json:"ready,omitempty"`
	Total       rate              `json:"queries_per_second"`
	ByPath      map[string]rate   `json:"by_path,omitempty"`
	NameServers []topNamed        `json:"name_servers"`
	RCodes      []topNamed        `json:"rcodes,omitempty"`
	Latency     *topLatency       `json:"latency_us,omitempty"`
	Resolvers   []topResolver     `json:"resolvers"`
	Findings    []observedFinding `json:"findings"`
	Faults      []faultRule       `json:"faults"`
	Forwarders  []topUpstream     `json:"forwarders"`
	// Queries are the last ones, the newest last; Sampled says that the journal has left
	// some out of late.
	Queries []journalEntry `json:"queries"`
	Sampled bool           `json:"queries_sampled"`
	// Missing are the directives that the server would need for more.
	Missing []string `json:"missing_directives"`
}

// topNamed is a rate and what it is of.
type topNamed struct {
	Name string `json:"name"`
	Rate rate   `json:"queries_per_second"`
}

// topLatency is in microseconds.
type topLatency struct {
	P50 *float64 `json:"p50"`
	P99 *float64 `json:"p99"`
}

// topResolver is a resolver, or all others together.
type topResolver struct {
	Name string `json:"name"`
	// Paths are those that it has come by, the most used first.
	Paths    []string        `json:"paths"`
	Rate     rate            `json:"queries_per_second"`
	ByNS     map[string]rate `json:"by_ns"`
	LastSeen *time.Time      `json:"last_seen"`
	Proven   string          `json:"proven"`
	// Level is that of the worst finding about it, empty for none.
	Level string `json:"finding,omitempty"`
}

// topUpstream is a server that names of a domain are forwarded to, all names where
// that is empty.
type topUpstream struct {
	Domain string `json:"domain,omitempty"`
	upstream
}

// newTopView is what is seen at now. Before is nil at first.
func newTopView(before, now *topSample) *topView {
	v := &topView{
		Time: now.at.UTC(), Total: unknownRate, NameServers: []topNamed{}, Resolvers: []topResolver{}, Findings: []observedFinding{},
		Faults: []faultRule{}, Forwarders: []topUpstream{}, Queries: append([]journalEntry{}, now.queries...), Missing: []string{},
	}
	v.server(now)
	v.settings(now)
	if now.history != nil {
		v.past(now.history)
	}
	if before != nil {
		v.Seconds = now.at.Sub(before.at).Seconds()
	}
	if j := now.journal; j == nil {
		v.Missing = append(v.Missing, "journal")
	} else {
		v.Sampled = j.Sampled && now.at.Sub(j.SampledTo) < 10*time.Second
		if before != nil && before.journal != nil {
			v.Total = v.per(before.journal.Seen, j.Seen)
		}
	}
	if now.counts == nil {
		v.Missing = append(v.Missing, "delegation")
		return v
	}
	var counts *observed
	if before != nil && before.counts != nil && before.counts.Since.Equal(now.counts.Since) {
		counts = before.counts
	}
	v.observe(counts, now.counts)
	return v
}

// per is the rate of a counter, unknown where it did not go up by counting.
func (v *topView) per(before, now uint64) rate {
	if v.Seconds <= 0 || now < before {
		return unknownRate
	}
	return rate(float64(now-before) / v.Seconds)
}

// server says which server it is, and what it says is wrong with its zones.
func (v *topView) server(now *topSample) {
	if s := now.stamp; s != nil {
		v.Stamp = cmp.Or(s.Zone, s.Region)
	}
	s := now.status
	if s == nil {
		return
	}
	v.Version, v.Ready = s.Version, &s.Ready
	if s.Stamp != nil {
		v.Stamp = cmp.Or(s.Stamp.Zone, v.Stamp)
	}
	for _, z := range s.Zones {
		if text := z.Error; text != "" || !z.Loaded {
			v.Findings = append(v.Findings, observedFinding{ID: "zone", Level: "warning", Text: z.Name + ": " + cmp.Or(text, "not loaded")})
		}
	}
}

// settings takes what operators change.
func (v *topView) settings(now *topSample) {
	if now.faults != nil {
		v.Faults = append(v.Faults, now.faults.Faults...)
	}
	if now.forwarders != nil {
		for _, u := range now.forwarders.Forwarders {
			v.Forwarders = append(v.Forwarders, topUpstream{"", u})
		}
	}
	if now.custom != nil {
		for _, c := range now.custom.Custom {
			for _, u := range c.Forwarders {
				v.Forwarders = append(v.Forwarders, topUpstream{c.Domain, u})
			}
		}
	}
}

// past takes the newest that the history has.
func (v *topView) past(h *topHistory) {
	newest := func(values []*float64) *float64 {
		for _, value := range slices.Backward(values) {
			if value != nil {
				return value
			}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(h.RCodes)) {
		if value := newest(h.RCodes[name]); value != nil && *value > 0 {
			v.RCodes = append(v.RCodes, topNamed{name, rate(*value)})
		}
	}
	slices.SortStableFunc(v.RCodes, func(a, b topNamed) int { return cmp.Compare(b.Rate, a.Rate) })
	if l := (topLatency{newest(h.Latency["p50"]), newest(h.Latency["p99"])}); l.P50 != nil || l.P99 != nil {
		v.Latency = &l
	}
}

// observe compares two observations of the same process; before is nil where there
// is none.
func (v *topView) observe(before, now *observed) {
	known := before != nil
	if !known {
		before = new(observed)
	}
	per := func(a, b uint64) rate {
		if !known {
			return unknownRate
		}
		return v.per(a, b)
	}
	earlier := make(map[string]*observedResolver)
	for i := range before.Resolvers {
		earlier[before.Resolvers[i].Name] = &before.Resolvers[i]
	}
	earlier[before.Others.Name] = &before.Others
	levels := v.findings(now)
	for _, r := range append(slices.Clone(now.Resolvers), now.Others) {
		seen := topResolver{Name: r.Name, Paths: r.paths(), Rate: unknownRate, ByNS: make(map[string]rate), LastSeen: r.LastSeen, Proven: r.proven(), Level: levels[r.Name]}
		for _, ns := range now.NameServers {
			seen.ByNS[ns] = unknownRate
		}
		// One that was learned just now has no rate yet.
		if was := earlier[r.Name]; was != nil {
			seen.Rate = per(was.Queries.Total, r.Queries.Total)
			for _, ns := range now.NameServers {
				seen.ByNS[ns] = per(was.Queries.ByNS[ns].Queries, r.Queries.ByNS[ns].Queries)
			}
		}
		v.Resolvers = append(v.Resolvers, seen)
	}
	// The sums go on counting when a resolver gets a row of its own.
	total := func(r *observedResolver) uint64 { return r.Queries.Total }
	v.Total = per(before.sum(total), now.sum(total))
	v.ByPath = make(map[string]rate)
	for _, path := range topPaths {
		of := func(r *observedResolver) uint64 { return r.Queries.ByPath[path] }
		v.ByPath[path] = per(before.sum(of), now.sum(of))
	}
	for _, ns := range now.NameServers {
		of := func(r *observedResolver) uint64 { return r.Queries.ByNS[ns].Queries }
		v.NameServers = append(v.NameServers, topNamed{ns, per(before.sum(of), now.sum(of))})
	}
}

// topPaths are the ways that queries come.
var topPaths = [...]string{"iterative", "forwarded", "direct"}

// sum adds a count of all resolvers.
func (o *observed) sum(of func(*observedResolver) uint64) uint64 {
	n := of(&o.Others)
	for i := range o.Resolvers {
		n += of(&o.Resolvers[i])
	}
	return n
}

// paths are the ways that the resolver came, the most used first.
func (r *observedResolver) paths() []string {
	paths := []string{}
	for _, path := range topPaths {
		if r.Queries.ByPath[path] > 0 {
			paths = append(paths, path)
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(r.Queries.ByPath[b], r.Queries.ByPath[a]) })
	return paths
}

// findings takes them, the worst first, and returns the worst level for each resolver.
func (v *topView) findings(now *observed) map[string]string {
	v.Findings = append(v.Findings, now.Findings...)
	severity := func(f observedFinding) int { return slices.Index(failLevels[:], f.Level) }
	slices.SortStableFunc(v.Findings, func(a, b observedFinding) int { return cmp.Compare(severity(b), severity(a)) })
	levels := make(map[string]string)
	for _, f := range slices.Backward(v.Findings) {
		levels[f.Resolver] = f.Level
	}
	return levels
}
