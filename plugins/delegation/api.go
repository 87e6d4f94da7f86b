package delegation

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// The documents of the API.
type (
	delegationDoc struct {
		ObservedSince time.Time     `json:"observed_since"`
		NameServers   []string      `json:"name_servers"`
		Zones         []string      `json:"zones"`
		Resolvers     []resolverDoc `json:"resolvers"`
		Others        resolverDoc   `json:"others"`
		SourceHidden  *hiddenDoc    `json:"source_hidden"`
		Findings      []finding     `json:"findings"`
	}
	resolverDoc struct {
		Name         string            `json:"name"`
		Learned      bool              `json:"learned"`
		Networks     []string          `json:"networks"`
		LastSeen     *time.Time        `json:"last_seen"`
		Queries      queriesDoc        `json:"queries"`
		Capabilities map[string]bool   `json:"capabilities"`
		TCPAfterTC   uint64            `json:"tcp_after_tc"`
		TCUnretried  uint64            `json:"tc_unretried"`
		TCPWithoutTC uint64            `json:"tcp_without_tc"`
		Failovers    []failoverDoc     `json:"failovers"`
		Minimization map[string]uint64 `json:"qname_minimization"`
		CaseRandom   uint64            `json:"case_randomized"`
		OutOfZone    map[string]uint64 `json:"out_of_zone"`
		DSAtChild    uint64            `json:"ds_at_child"`
		ApexNS       uint64            `json:"apex_ns_queries"`
		Glue         map[string]uint64 `json:"glue_queries"`
		BelowCut     uint64            `json:"below_cut_recursive"`
	}
	queriesDoc struct {
		Total       uint64               `json:"total"`
		ByPath      map[string]uint64    `json:"by_path"`
		ByNS        map[string]serverDoc `json:"by_ns"`
		ByTransport map[string]uint64    `json:"by_transport"`
		Zones       map[string]uint64    `json:"zones"`
	}
	serverDoc struct {
		Queries  uint64            `json:"queries"`
		ByPath   map[string]uint64 `json:"by_path"`
		LastSeen *time.Time        `json:"last_seen"`
	}
	failoverDoc struct {
		From  string `json:"from"`
		To    string `json:"to"`
		Count uint64 `json:"count"`
	}
	hiddenDoc struct {
		Address netip.Addr `json:"address"`
		Text    string     `json:"text"`
	}
)

// get answers with all that is known.
func (c *config) get(w http.ResponseWriter, _ *http.Request) {
	server.WriteJSON(w, http.StatusOK, c.document())
}

func (c *config) document() delegationDoc {
	o := c.observer
	v := &view{totals: o.sum(), labels: o.nsNames(), zones: c.watchedZones()}
	for _, label := range c.servers {
		v.servers = append(v.servers, int(o.nsNumber(label)))
	}
	doc := delegationDoc{
		ObservedSince: o.since.UTC(), NameServers: append([]string{}, c.servers...),
		Zones: []string{}, Resolvers: []resolverDoc{}, Findings: v.findings(),
	}
	for _, z := range v.zones {
		if z != "" {
			doc.Zones = append(doc.Zones, z)
		}
	}
	for _, r := range v.resolvers {
		if r.slot == otherSlot {
			doc.Others = v.resolver(r)
		} else {
			doc.Resolvers = append(doc.Resolvers, v.resolver(r))
		}
	}
	if addr, text := o.hidden.get(); addr.IsValid() {
		doc.SourceHidden = &hiddenDoc{addr, text}
		doc.Findings = append([]finding{{ID: "source-hidden", Level: levelWarning, Text: text}}, doc.Findings...)
	}
	return doc
}

// watchedZones are the zones that are counted for each resolver, in the order of
// their counts; "" for one that is not served any more.
func (c *config) watchedZones() []string {
	c.observer.names.Lock()
	defer c.observer.names.Unlock()
	names := make([]string, len(c.observer.names.zones))
	for i, label := range c.observer.names.zones {
		if name := c.zoneName(label); c.serves(name) {
			names[i] = name
		}
	}
	return names
}

// serves says whether a zone is served.
func (c *config) serves(zone string) bool {
	name, err := wire.ParseName(zone)
	return err == nil && slices.ContainsFunc(c.stores, func(s *zones.Store) bool {
		_, ok := s.Declared(name)
		return ok
	})
}

// resolver describes one resolver.
func (v *view) resolver(r resolverTotals) resolverDoc {
	doc := resolverDoc{
		Name: r.Name, Learned: r.Learned, Networks: []string{}, Capabilities: make(map[string]bool), Failovers: []failoverDoc{},
		Queries:    v.queries(r.resolverCounts),
		TCPAfterTC: r.tcpAfterTC, TCUnretried: r.unretried, TCPWithoutTC: r.tcpWithoutTC, CaseRandom: r.caseRandom,
		DSAtChild: r.dsAtChild, ApexNS: r.apexNS, BelowCut: r.belowCut, Glue: make(map[string]uint64),
		Minimization: make(map[string]uint64), OutOfZone: make(map[string]uint64),
	}
	for _, p := range r.networks {
		doc.Networks = append(doc.Networks, p.String())
	}
	if r.Learned {
		doc.Networks = append(doc.Networks, r.Name)
	}
	for i, name := range capNames() {
		doc.Capabilities[name] = r.caps>>i&1 != 0
	}
	for i, name := range signalNames() {
		doc.Minimization[name] = r.signals[i]
	}
	for i, name := range outsideNames() {
		doc.OutOfZone[name] = r.outside[i]
	}
	var last int64
	for ns, label := range v.labels {
		last = max(last, r.lastSeen[ns])
		if n := r.glue[ns]; n > 0 {
			doc.Glue[label] = n
		}
		for to, n := range r.failover[ns] {
			if n > 0 {
				doc.Failovers = append(doc.Failovers, failoverDoc{label, v.labels[to], n})
			}
		}
	}
	doc.LastSeen = moment(last)
	return doc
}

// queries describes the queries of a resolver.
func (v *view) queries(r *resolverCounts) queriesDoc {
	doc := queriesDoc{
		Total: r.total(), ByPath: named(byPath(r)), ByNS: make(map[string]serverDoc),
		ByTransport: make(map[string]uint64), Zones: make(map[string]uint64),
	}
	for i, n := range r.transport {
		doc.ByTransport[server.Transport(i).String()] = n
	}
	for _, ns := range v.servers {
		doc.ByNS[v.labels[ns]] = serverDoc{ByPath: named(r.queries[ns])}
	}
	for ns, label := range v.labels {
		// Where the block has no name servers, there is nothing to tell apart.
		if n := sum(r.queries[ns][:]); n > 0 && label != "" {
			doc.ByNS[label] = serverDoc{n, named(r.queries[ns]), moment(r.lastSeen[ns])}
		}
	}
	for i, name := range v.zones {
		if name != "" {
			doc.Zones[name] = r.zones[i]
		}
	}
	return doc
}

// named are counts by the names of the paths.
func named(paths [pathCount]uint64) map[string]uint64 {
	all := make(map[string]uint64, pathCount)
	for i, n := range paths {
		all[pathName(i)] = n
	}
	return all
}

// moment is a time in nanoseconds since 1970; nil for none.
func moment(at int64) *time.Time {
	if at == 0 {
		return nil
	}
	t := time.Unix(0, at).UTC()
	return &t
}
