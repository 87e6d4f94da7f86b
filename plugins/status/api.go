package status

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/stamp"
)

// maxZones are told of at most.
const maxZones = 500

// The documents of the API.
type (
	statusDoc struct {
		Version    string     `json:"version"`
		StartedAt  time.Time  `json:"started_at"`
		Now        time.Time  `json:"now"`
		Ready      bool       `json:"ready"`
		Stamp      *stampDoc  `json:"stamp"`
		Zones      []zoneDoc  `json:"zones"`
		ZonesTotal int        `json:"zones_total"`
		Endpoints  []endpoint `json:"endpoints"`
		Resolvers  []string   `json:"resolvers"`
	}
	stampDoc struct {
		Prefix       string      `json:"prefix"`
		Region       string      `json:"region"`
		Domain       string      `json:"domain"`
		ExternalZone string      `json:"external_zone"`
		CloudappZone string      `json:"cloudapp_zone"`
		NameServers  []serverDoc `json:"name_servers"`
	}
	serverDoc struct {
		Label     string   `json:"label"`
		Name      string   `json:"name"`
		Addresses []string `json:"addresses"`
		Listen    []string `json:"listen"`
	}
	zoneDoc struct {
		Name    string `json:"name"`
		Serial  uint32 `json:"serial"`
		Records int    `json:"records"`
		Loaded  bool   `json:"loaded"`
		Error   string `json:"error,omitempty"`
	}
	endpoint struct {
		Name    string               `json:"name"`
		Service string               `json:"service"`
		Address string               `json:"address"`
		Ports   string               `json:"ports"`
		Zone    string               `json:"zone"`
		Seen    map[string]time.Time `json:"seen"`
	}
)

// newEndpoint is a row of the firewall table.
func newEndpoint(r *stamp.Row, zone string) endpoint {
	addrs := make([]string, len(r.VIPs))
	for i, a := range r.VIPs {
		addrs[i] = a.String()
	}
	var protocols, ports []string
	for _, rule := range r.Rules {
		if p := strings.ToUpper(rule.Protocol); !slices.Contains(protocols, p) {
			protocols = append(protocols, p)
		}
		text := strconv.Itoa(int(rule.From))
		if rule.To != rule.From {
			text += "-" + strconv.Itoa(int(rule.To))
		}
		if !slices.Contains(ports, text) {
			ports = append(ports, text)
		}
	}
	return endpoint{
		Name: r.FQDN, Service: r.Endpoint, Address: strings.Join(addrs, ", "),
		Ports: strings.Join(protocols, " & ") + " " + strings.Join(ports, ", "), Zone: zone,
	}
}

func (c *config) getStatus(w http.ResponseWriter, r *http.Request) {
	var d delegationDoc
	if _, err := c.client.get(r.Context(), "/api/v1/delegation", &d); err != nil {
		server.WriteAPIError(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	server.WriteJSON(w, http.StatusOK, c.status(&d))
}

// status tells what is served. d says which resolvers there are.
func (c *config) status(d *delegationDoc) statusDoc {
	doc := statusDoc{
		Version: c.version, StartedAt: c.observer.since.UTC().Truncate(time.Second), Now: c.now().UTC(), Ready: c.ready() == nil,
		Zones: []zoneDoc{}, Endpoints: slices.Clone(c.endpoints),
	}
	if doc.Endpoints == nil {
		doc.Endpoints = []endpoint{}
	}
	if c.stamp != nil {
		doc.Stamp = c.describe(c.stamp)
	}
	doc.Zones, doc.ZonesTotal = c.zones()
	doc.Resolvers = c.seen(doc.Endpoints, d)
	return doc
}

// seen fills in who asked for the endpoints, and returns the resolvers in their order.
func (c *config) seen(endpoints []endpoint, d *delegationDoc) []string {
	t, names := c.observer.ticks.Load(), c.observer.columns.list()
	asked := make(map[string]bool)
	for i := range endpoints {
		endpoints[i].Seen = make(map[string]time.Time)
		// While a configuration changes over, the ticks may be those of the other.
		if i >= len(t.names) || t.names[i] != strings.ToLower(endpoints[i].Name) {
			continue
		}
		for column, name := range names {
			if at := t.last(i, column); at > 0 {
				endpoints[i].Seen[name] = time.Unix(at, 0).UTC()
				asked[name] = true
			}
		}
	}
	list := []string{}
	for _, r := range d.Resolvers {
		if !r.Learned || asked[r.Name] {
			list = append(list, r.Name)
			delete(asked, r.Name)
		}
	}
	for _, name := range names[1:] {
		if asked[name] {
			list = append(list, name)
		}
	}
	if asked[otherName] {
		list = append(list, otherName)
	}
	return list
}

// describe describes the stamp, and where its name servers answer.
func (c *config) describe(s *stamp.Stamp) *stampDoc {
	doc := &stampDoc{Prefix: s.Prefix, Region: s.Region, Domain: s.Domain, ExternalZone: s.External(), CloudappZone: s.Cloudapp()}
	var listen []netip.AddrPort
	for _, b := range c.blocks() {
		if len(b.NameServers) > 0 && b.NameServers[0].Name == s.NameServers()[0].Name {
			listen = b.Addrs
			break
		}
	}
	for i, ns := range s.NameServers() {
		d := serverDoc{Label: ns.Label, Name: ns.Name, Addresses: []string{}, Listen: listens(i, ns.Addrs, listen)}
		for _, a := range ns.Addrs {
			d.Addresses = append(d.Addresses, a.String())
		}
		doc.NameServers = append(doc.NameServers, d)
	}
	return doc
}

// listens is where the i-th name server answers: at its published addresses, else at
// the i-th that is listened on, as the server tells name servers apart.
func listens(i int, published []netip.Addr, listen []netip.AddrPort) []string {
	list := []string{}
	for _, at := range listen {
		if slices.Contains(published, at.Addr()) {
			list = append(list, at.String())
		}
	}
	if len(list) == 0 && len(listen) > 0 {
		list = append(list, listen[min(i, len(listen)-1)].String())
	}
	return list
}

// zones are the zones of all blocks, and how many there are: the stamp's and those with
// an error first.
func (c *config) zones() ([]zoneDoc, int) {
	list := []zoneDoc{}
	for _, store := range c.stores {
		for _, z := range store.Status() {
			list = append(list, c.zone(&z))
		}
	}
	rank := func(z *zoneDoc) int {
		switch {
		case c.stamp != nil && (z.Name == c.stamp.External() || z.Name == c.stamp.Cloudapp()):
			return 0
		case z.Error != "" || !z.Loaded:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b zoneDoc) int { return rank(&a) - rank(&b) })
	return list[:min(len(list), maxZones)], len(list)
}

func (c *config) zone(z *zones.Status) zoneDoc {
	doc := zoneDoc{Name: bare(z.Origin.String()), Loaded: z.Loaded}
	if z.Loaded {
		doc.Serial, doc.Records = z.Serial, z.Records
	}
	if z.Err != nil {
		doc.Error = z.Err.Error()
	}
	return doc
}

// bare is a name without its last dot.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// mostMinutes is as far back as the history goes.
const mostMinutes = stepCount * stepSeconds / 60

func (c *config) getHistory(w http.ResponseWriter, r *http.Request) {
	minutes := mostMinutes
	if values := r.URL.Query(); values.Has("minutes") {
		var err error
		if minutes, err = strconv.Atoi(values.Get("minutes")); err != nil || minutes < 1 || minutes > mostMinutes {
			server.WriteAPIError(w, http.StatusBadRequest, "minutes %q is no number from 1 to %d", values.Get("minutes"), mostMinutes)
			return
		}
	}
	server.WriteJSON(w, http.StatusOK, c.observer.history.last(minutes*60/stepSeconds))
}

// getCSV answers with the endpoints' table for spreadsheets.
func (c *config) getCSV(w http.ResponseWriter, r *http.Request) {
	var d delegationDoc
	if _, err := c.client.get(r.Context(), "/api/v1/delegation", &d); err != nil {
		server.WriteAPIError(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	doc := c.status(&d)
	secure(w.Header())
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="endpoints.csv"`)
	out := csv.NewWriter(w)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = inert(cells[i])
		}
		out.Write(cells) // that the client is gone is not of interest
	}
	head := []string{"endpoint", "service", "address", "ports", "zone"}
	for _, name := range doc.Resolvers {
		head = append(head, fmt.Sprintf("last query of %s", name))
	}
	row(head...)
	for _, e := range doc.Endpoints {
		cells := []string{e.Name, e.Service, e.Address, e.Ports, e.Zone}
		for _, name := range doc.Resolvers {
			text := ""
			if at, ok := e.Seen[name]; ok {
				text = at.Format(time.RFC3339)
			}
			cells = append(cells, text)
		}
		row(cells...)
	}
	out.Flush()
}

// inert is a cell that no spreadsheet takes for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
