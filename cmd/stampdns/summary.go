package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// inventory knows the zones of the configuration in use.
type inventory struct {
	// stores are those of the server blocks in order, nil for one without zones.
	stores atomic.Pointer[[]*zones.Store]
}

// plugin has no directive and no handler: it is told of each block.
func (i *inventory) plugin() server.Plugin {
	type found struct{ stores []*zones.Store }
	return server.Plugin{Name: "inventory", Implicit: true, Setup: func(d *server.Directive) (server.Handler, error) {
		f := server.ShareAll(d, func() *found { return new(found) })
		store, _ := server.Shared[*zones.Store](d)
		f.stores = append(f.stores, store)
		d.OnStart(func() { i.stores.Store(&f.stores) })
		return nil, nil
	}}
}

// zones are the zones of the n-th block and their state, those nearest the root
// first.
func (i *inventory) zones(n int) (status []zones.Status, served []*zones.Zone) {
	stores := i.stores.Load()
	if stores == nil || n >= len(*stores) || (*stores)[n] == nil {
		return nil, nil
	}
	store := (*stores)[n]
	status = store.Status()
	slices.SortStableFunc(status, func(a, b zones.Status) int { return a.Origin.Labels() - b.Origin.Labels() })
	for _, s := range status {
		if z, _ := store.Set().Find(s.Origin); z != nil && s.Loaded {
			served = append(served, z)
		}
	}
	return status, served
}

// summary is what serve says when it is up.
type summary struct {
	title   string
	zones   []zones.Status
	servers []nameServer
	http    [][2]string // what, URL
	// forwards are the domains that the configuration forwards, each with its
	// forwarders; nil where it does not forward at all.
	forwards []forwarding
	keeps    string      // where what is set at run time is kept, "" for nowhere
	observe  [][2]string // what, and the command that shows it
	try      []string
}

// nameServer is one name server, or an address of none, where it listens.
type nameServer struct {
	Name string         `json:"name,omitempty"`
	At   netip.AddrPort `json:"address"`
	// Published are the addresses that the zones give it.
	Published []netip.Addr `json:"published,omitempty"`
}

// tell writes the summary to stdout, or to the log where that is for machines.
func (r *runner) tell(p *plan) error {
	s := summary{title: title(p)}
	for n, block := range r.server.Blocks() {
		status, served := r.inventory.zones(n)
		servers := nameServers(block)
		s.zones = append(s.zones, status...)
		s.servers = append(s.servers, servers...)
		if s.try == nil {
			s.try = digLines(served, servers)
		}
	}
	var err error
	if s.http, err = httpURLs(p.corefile(), r.server.HTTPAddrs()); err != nil {
		return err
	}
	pages, err := p.corefile().Occurrences("status")
	if err != nil {
		return err
	}
	for _, a := range r.server.APIAddrs() {
		s.http = append(s.http, [2]string{"api", a.URL()})
		if len(pages) > 0 {
			s.http = append(s.http, [2]string{"page", a.URL() + "/"})
		}
	}
	if s.forwards, err = forwardings(p.corefile()); err != nil {
		return err
	}
	if s.observe, err = observing(p.corefile(), s.http); err != nil {
		return err
	}
	s.keeps = r.server.StateFile()
	if r.json {
		s.log(r)
		return nil
	}
	_, err = io.WriteString(r.stdout, s.text())
	return err
}

// forwarding is a domain with its forwarders.
type forwarding struct {
	Domain     string   `json:"domain"`
	Forwarders []string `json:"forwarders"`
}

// forwardings are those of the Corefile; nil where nothing is forwarded.
func forwardings(cf server.Corefile) ([]forwarding, error) {
	lines, err := cf.Occurrences("forward")
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	all := []forwarding{}
	for _, args := range lines {
		if len(args) > 0 {
			all = append(all, forwarding{args[0], args[1:]})
		}
	}
	return all, nil
}

// observing are the commands that show how queries reach the server, as far as its
// Corefile has what they need.
func observing(cf server.Corefile, http [][2]string) ([][2]string, error) {
	api, elsewhere := false, ""
	for _, h := range http {
		if h[0] != "api" || api {
			continue
		}
		if api = true; h[1] != "http://"+defaultAPI {
			elsewhere = " --api " + h[1]
		}
	}
	has := make(map[string][][]string)
	for _, directive := range []string{"stamp", "probe", "journal"} {
		lines, err := cf.Occurrences(directive)
		if err != nil {
			return nil, err
		}
		has[directive] = lines
	}
	var all [][2]string
	wanted, unwanted := 0, 0
	for _, args := range has["probe"] {
		if len(args) == 0 {
			wanted++
		} else {
			unwanted++
		}
	}
	if wanted > 0 || len(has["stamp"]) > unwanted {
		all = append(all, [2]string{"prove it", "stampdns probe --resolver ADDRESS" + elsewhere})
	}
	if len(has["journal"]) > 0 && api {
		all = append(all, [2]string{"see queries", "stampdns journal --follow" + elsewhere})
	}
	return all, nil
}

func title(p *plan) string {
	version := "stampdns " + thisBuild().version
	if p.stamp == nil {
		return version + " serves " + p.name
	}
	return fmt.Sprintf("%s serves stamp %s, region %s of %s", version, p.stamp.Prefix, p.stamp.Region, p.stamp.Domain)
}

// nameServers says where each name server of a block answers, as the server
// tells them apart: by the published address, else by the order of the addresses.
func nameServers(b server.BlockInfo) []nameServer {
	var all []nameServer
	if len(b.NameServers) == 0 {
		for _, at := range b.Addrs {
			all = append(all, nameServer{At: at})
		}
	}
	for i, ns := range b.NameServers {
		at := b.Addrs[min(i, len(b.Addrs)-1)]
		for _, a := range b.Addrs {
			if slices.Contains(ns.Addrs, a.Addr()) {
				at = a
			}
		}
		all = append(all, nameServer{strings.TrimSuffix(ns.Name, "."), at, ns.Addrs})
	}
	return all
}

// httpURLs are the addresses of metrics and checks, in the order of the Corefile.
func httpURLs(cf server.Corefile, bound map[string]netip.AddrPort) ([][2]string, error) {
	all, err := cf.Arguments("prometheus", "health", "ready")
	if err != nil {
		return nil, err
	}
	var urls [][2]string
	for _, part := range [][3]string{
		{"prometheus", "/metrics", defaultMetrics}, {"health", "/health", defaultHealth}, {"ready", "/ready", defaultReady},
	} {
		for _, listen := range httpAddresses(all[part[0]], part[2]) {
			url := "http://" + reachable(bound[strings.ToLower(listen)]).String() + part[1]
			if n := len(urls); n == 0 || urls[n-1][1] != url {
				urls = append(urls, [2]string{strings.TrimPrefix(part[1], "/"), url})
			}
		}
	}
	return urls, nil
}

// httpAddresses are the addresses that a directive names in each server block
// that has it: its argument, or the usual one.
func httpAddresses(blocks [][]string, usual string) []string {
	var all []string
	for _, args := range blocks {
		all = append(all, append(args, usual)[0])
	}
	return all
}

// reachable is an address that clients on this machine can use for at.
func reachable(at netip.AddrPort) netip.AddrPort {
	if at.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return at
}

// digLines are two questions about a block's zones that get an answer: a portal's
// address of the first server, else an SOA; and the name servers of the last zone,
// of the last server and over TCP.
func digLines(served []*zones.Zone, servers []nameServer) []string {
	if len(served) == 0 || len(servers) == 0 {
		return nil
	}
	line := func(at netip.AddrPort, question ...string) string {
		at = reachable(at)
		words := []string{"dig", "@" + at.Addr().String()}
		if at.Port() != 53 {
			words = append(words, "-p", strconv.Itoa(int(at.Port())))
		}
		return strings.Join(append(words, question...), " ")
	}
	question := []string{bare(served[0].Origin().String()), "SOA"}
	for _, z := range served {
		if portal, err := wire.ParseName("portal." + z.Origin().String()); err == nil && hasAddress(z, portal) {
			question = []string{bare(portal.String())}
			break
		}
	}
	last := served[len(served)-1].Origin().String()
	return []string{
		line(servers[0].At, question...),
		line(servers[len(servers)-1].At, "+tcp", bare(last), "NS"),
	}
}

// hasAddress says whether name has an A record in z.
func hasAddress(z *zones.Zone, name wire.Name) bool {
	for record := range z.Records() {
		if record.Type == dns.TypeA && bytes.Equal(record.Owner, name) {
			return true
		}
	}
	return false
}

// bare is a name without its last dot, unless it is the root.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// text is the summary for people.
func (s *summary) text() string {
	var text strings.Builder
	text.WriteString(s.title + "\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nzones")
	for _, z := range s.zones {
		if z.Loaded {
			fmt.Fprintf(table, "  %s\t%s\tserial %d\n", bare(z.Origin.String()), count(z.Records, "record"), z.Serial)
		} else {
			fmt.Fprintf(table, "  %s\tnot loaded: %v\n", bare(z.Origin.String()), z.Err)
		}
	}
	if len(s.zones) == 0 {
		fmt.Fprintln(table, "  none yet")
	}
	fmt.Fprintln(table, "\nname servers")
	for _, ns := range s.servers {
		host := ns.At.Addr().String()
		if ns.At.Addr().IsUnspecified() {
			host = "all addresses"
		}
		fmt.Fprintf(table, "  %s\t%s port %d, UDP and TCP%s\n", cmp.Or(ns.Name, "any"), host, ns.At.Port(), ns.published())
	}
	s.forwardText(table)
	if len(s.http) > 0 {
		fmt.Fprintln(table, "\nhttp")
	}
	for _, h := range s.http {
		fmt.Fprintf(table, "  %s\t%s\n", h[0], h[1])
	}
	if len(s.observe) > 0 {
		fmt.Fprintln(table, "\ndelegation")
	}
	for _, o := range s.observe {
		fmt.Fprintf(table, "  %s\t%s\n", o[0], o[1])
	}
	// A Builder takes all.
	_ = table.Flush()
	if len(s.try) > 0 {
		text.WriteString("\ntry\n  " + strings.Join(s.try, "\n  ") + "\n")
	}
	return text.String()
}

// forwardText writes what is forwarded, and how long changes last.
func (s *summary) forwardText(w io.Writer) {
	if s.forwards == nil {
		return
	}
	fmt.Fprintln(w, "\nforwarding")
	for _, f := range s.forwards {
		fmt.Fprintf(w, "  %s\t%s\n", bare(f.Domain), strings.Join(f.Forwarders, ", "))
	}
	if len(s.forwards) == 0 {
		fmt.Fprintln(w, "  none yet\tstampdns forwarder set ADDRESS")
	}
	if s.keeps == "" {
		fmt.Fprintln(w, "  set at run time\tlasts until exit; --state FILE keeps it")
	} else {
		fmt.Fprintf(w, "  set at run time\tkept in %s\n", s.keeps)
	}
}

// published says how the zones' addresses of a name server differ from the one
// it listens on.
func (ns *nameServer) published() string {
	if len(ns.Published) == 0 || slices.Contains(ns.Published, ns.At.Addr()) {
		return ""
	}
	var text []string
	for _, a := range ns.Published {
		text = append(text, a.String())
	}
	return "; published as " + strings.Join(text, ", ")
}

// log is the summary as one log line.
func (s *summary) log(r *runner) {
	type zone struct {
		Zone    string `json:"zone"`
		Records int    `json:"records"`
		Serial  uint32 `json:"serial"`
		Loaded  bool   `json:"loaded"`
	}
	list := []zone{}
	for _, z := range s.zones {
		list = append(list, zone{bare(z.Origin.String()), z.Records, z.Serial, z.Loaded})
	}
	args := []any{"zones", list, "name_servers", s.servers}
	if s.forwards != nil {
		args = append(args, "forwarding", s.forwards, "state", s.keeps)
	}
	for _, h := range s.http {
		args = append(args, h[0], h[1])
	}
	r.log.Info(s.title, args...)
}
