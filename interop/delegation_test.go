//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// rootHints and the parent's zones are the whole world above the stamp: one
// server that is the root and the owner of cloud.fabrikam.com.
var (
	rootHints = []string{
		".                        3600 NS parent.cloud.fabrikam.com.",
		"parent.cloud.fabrikam.com. 3600 A 192.0.2.2",
	}
	rootZone = append([]string{
		". 60 SOA parent.cloud.fabrikam.com. hostmaster.fabrikam.com. 1 3600 300 2419200 60",
		"cloud.fabrikam.com. 3600 NS parent.cloud.fabrikam.com.",
	}, rootHints...)
	// The delegation, as network integration asks the owner of the parent for it.
	parentZone = []string{
		"$ORIGIN cloud.fabrikam.com.",
		"$TTL 3600",
		"@             SOA parent hostmaster 1 3600 300 2419200 60",
		"@             NS  parent",
		"parent        A   192.0.2.2",
		"east          NS  azs-ns01.east",
		"east          NS  azs-ns02.east",
		"east.cloudapp NS  azs-ns01.east",
		"east.cloudapp NS  azs-ns02.east",
		"azs-ns01.east A   192.0.2.11",
		"azs-ns02.east A   192.0.2.12",
	}
)

// manyAddresses make an answer that fits no UDP reply: a resolver must come
// again over TCP for it.
const manyAddresses = 100

// expected is what a resolver must say to a question. No addresses and no
// error is NODATA.
type expected struct {
	name  string
	typ   uint16
	rcode int
	addrs []string
	zone  string // of the SOA in a negative answer
}

// TestDelegation lets Unbound and BIND, which know only the root, find every
// name of the stamp: with both of the stamp's name servers, with either alone,
// and when the first is back.
func TestDelegation(t *testing.T) {
	lab := newLab(t)
	client := lab.host("client", "198.51.100.9")
	parent := lab.host("parent", "192.0.2.2")
	ns01, ns02 := lab.host("ns01", "192.0.2.11"), lab.host("ns02", "192.0.2.12")
	d := &delegation{
		client:  client,
		unbound: lab.host("unbound", "198.51.100.21"),
		bind:    lab.host("bind", "198.51.100.22"),
		rows:    endpointRows(t),
	}
	dir := t.TempDir()
	d.hints = write(t, dir, "hints", rootHints...)
	startBIND(t, parent,
		zone{".", write(t, dir, "root.zone", rootZone...)},
		zone{"cloud.fabrikam.com.", write(t, dir, "parent.zone", parentZone...)})

	labels := []string{"--label", "web01=198.51.100.130"}
	for i := range manyAddresses {
		labels = append(labels, "--label", fmt.Sprintf("many=198.51.100.%d", i+131))
	}
	p01, p02 := startStamp(t, ns01, labels...), startStamp(t, ns02, labels...)
	d.resolve(t, "both")
	if err := p01.stop(); err != nil {
		t.Errorf("ns01 at SIGTERM: %v, want exit status 0", err)
	}
	d.resolve(t, "ns02-alone")
	startStamp(t, ns01, labels...)
	p02.kill()
	d.resolve(t, "ns01-alone")
	startStamp(t, ns02, labels...)
	d.resolve(t, "both-again")
}

// delegation is the world of TestDelegation.
type delegation struct {
	client, unbound, bind *host
	hints                 string
	rows                  []endpointRow
}

// resolve asks resolvers that start with empty caches for everything. The
// phase is in the random labels, so that none was asked before.
func (d *delegation) resolve(t *testing.T, phase string) {
	resolvers := []struct {
		name  string
		host  *host
		start func(*testing.T, *host, string, string) *process
	}{{"unbound", d.unbound, startUnbound}, {"bind", d.bind, startBINDResolver}}
	for _, r := range resolvers {
		t.Run(phase+"/"+r.name, func(t *testing.T) {
			r.start(t, r.host, d.hints, "cloud.fabrikam.com.")
			for _, network := range []string{"udp", "tcp"} {
				for _, want := range d.expectations(phase + "-" + network) {
					d.check(t, network, r.host.addr, want)
				}
			}
		})
	}
}

func (d *delegation) check(t *testing.T, network string, resolver netip.Addr, want expected) {
	t.Helper()
	q := question{name: want.name, typ: want.typ, size: 1232, rd: true}
	reply, err := d.stub(network, resolver, q)
	if err == nil && reply.Truncated {
		reply, err = d.stub("tcp", resolver, q)
	}
	if err != nil {
		t.Errorf("%s over %s: %v", q, network, err)
		return
	}
	got := addresses(reply.Answer)
	slices.Sort(got)
	if reply.Rcode != want.rcode || !slices.Equal(got, want.addrs) {
		t.Errorf("%s over %s: %s %v, want %s %v", q, network,
			dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[want.rcode], want.addrs)
	}
	if len(want.addrs) == 0 && !slices.ContainsFunc(reply.Ns, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeSOA && rr.Header().Name == want.zone
	}) {
		t.Errorf("%s over %s: no SOA of %s in the authority section: %v", q, network, want.zone, reply.Ns)
	}
}

// stub asks as a stub resolver does, up to three times: Unbound is silent where
// a name server that is down has cost it more than two seconds, and answers the
// next time.
func (d *delegation) stub(network string, resolver netip.Addr, q question) (reply *dns.Msg, err error) {
	for range 3 {
		if reply, err = d.client.ask(network, resolver, q, 5*time.Second); err == nil {
			return reply, nil
		}
	}
	return nil, err
}

// expectations are all the questions and their answers; fresh is a label that
// was not asked before.
func (d *delegation) expectations(fresh string) []expected {
	var all []expected
	for _, row := range d.rows {
		if row.FQDN == "" || len(row.VIPs) == 0 {
			continue
		}
		name := dns.Fqdn(strings.ToLower(row.FQDN))
		names := []string{name}
		if parent, wild := strings.CutPrefix(name, "*."); wild {
			names = []string{fresh + "." + parent, "a." + fresh + "-b." + parent}
		}
		for _, name := range names {
			all = append(all,
				expected{name: name, typ: dns.TypeA, addrs: row.VIPs},
				expected{name: name, typ: dns.TypeAAAA, zone: stampZone})
		}
	}
	nodata := func(name string) {
		all = append(all, expected{name: name + stampZone, typ: dns.TypeA, zone: stampZone})
	}
	nxdomain := func(name, zone string) {
		all = append(all, expected{name: name + zone, typ: dns.TypeA, rcode: dns.RcodeNameError, zone: zone})
	}
	// Names that are only on the way to others.
	for _, name := range []string{"appservice.", "scm.appservice.", "blob.", "vault.", "dbadapter.", "hosting."} {
		nodata(name)
	}
	nxdomain(fresh+".portal.", stampZone)
	nxdomain(fresh+".api.appservice.", stampZone)
	nxdomain(fresh+".dbadapter.", stampZone)
	nxdomain(fresh+".", stampZone)
	nxdomain(fresh+".", cloudappZone)
	nxdomain(fresh+".web01.", cloudappZone)
	many := make([]string, manyAddresses)
	for i := range many {
		many[i] = fmt.Sprintf("198.51.100.%d", i+131)
	}
	slices.Sort(many)
	return append(all,
		expected{name: "web01." + cloudappZone, typ: dns.TypeA, addrs: []string{"198.51.100.130"}},
		expected{name: "many." + cloudappZone, typ: dns.TypeA, addrs: many},
		expected{name: "web01." + cloudappZone, typ: dns.TypeAAAA, zone: cloudappZone})
}

// endpointRow is a row of "stampdns endpoints -o json".
type endpointRow struct {
	Endpoint, FQDN string
	VIPs           []string
}

// inboundTable are the names that the network-integration page's inbound table
// has for every stamp with AD FS.
var inboundTable = []string{
	"adfs", "adminportal", "*.adminhosting", "adminmanagement", "portal", "management", "graph", "crl",
	"*.hosting", "*.vault", "*.adminvault", "*.queue", "*.table", "*.blob", "sqladapter.dbadapter",
	"mysqladapter.dbadapter", "*.appservice", "*.scm.appservice", "api.appservice", "ftp.appservice",
}

// endpointRows are the rows of the lab's stamp, of which none may be missing and
// no two may share an address.
func endpointRows(t *testing.T) []endpointRow {
	t.Helper()
	args := append([]string{"endpoints", "-o", "json"}, stampFlags...)
	var rows []endpointRow
	if err := json.Unmarshal([]byte(output(t, stampdns(t), args...)), &rows); err != nil {
		t.Fatalf("stampdns endpoints -o json: %v", err)
	}
	holder := map[string]string{}
	for _, row := range rows {
		for _, vip := range row.VIPs {
			if holder[vip] != "" && holder[vip] != row.FQDN {
				t.Errorf("%s and %s have one address, %s", holder[vip], row.FQDN, vip)
			}
			holder[vip] = row.FQDN
		}
	}
	for _, name := range inboundTable {
		if !slices.ContainsFunc(rows, func(r endpointRow) bool {
			return strings.EqualFold(dns.Fqdn(r.FQDN), name+"."+stampZone) && len(r.VIPs) > 0
		}) {
			t.Errorf("stampdns endpoints has no row with an address for %s.%s", name, stampZone)
		}
	}
	return rows
}
