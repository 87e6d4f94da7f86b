package deploy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins"
	"github.com/stampdns/stampdns/server/servertest"
)

// What the Corefile calls the addresses of its HTTP listeners.
const (
	metricsAt = "127.0.0.1:0"
	apiAt     = "127.0.0.4:0"
)

// corefile has all plugins that have metrics. Of the senders, 127.0.0.1 has a name, and
// 127.0.0.2 must send PROXY headers.
const corefile = `.:0 {
	bind 127.0.0.1 127.0.0.2
	proxyproto 127.0.0.2
	prometheus 127.0.0.1:0
	api 127.0.0.4:0
	log nobody.example
	errors
	delegation {
		resolver corp 127.0.0.1
	}
	journal
	dnstap taps
	acl {
		block type NULL
		filter type HINFO
		drop type MINFO
	}
	fault {
		truncate name trunc* transport udp for 1h as cut
		servfail ns ns01 name fails* for 1h as broken
	}
	stamp
	file contoso.com.zone contoso.com
	auto {
		directory zones
	}
	cache
	forward . %s
}`

const zoneFile = `@ 3600 IN SOA ns01 hostmaster 1 3600 300 2419200 300
@ 3600 IN NS ns01
ns01 3600 IN A 192.0.2.1
sub 3600 IN NS ns.sub
ns.sub 3600 IN A 192.0.2.2
`

// busy is a server that has had all traffic that makes series.
type busy struct {
	*servertest.Server
	t testing.TB
}

// startBusy starts a server and sends it one of everything.
func startBusy(t testing.TB) *busy {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "zones"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"contoso.com.zone": zoneFile, "zones/db.fabrikam.net": zoneFile, "zones/db.broken.example": "@ 60 IN A 192.0.2.\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	corefile := fmt.Sprintf(corefile, startUpstream(t))
	s, err := servertest.TryIn(t, dir, corefile, plugins.All("1.2.3")...)
	if err != nil {
		t.Fatal(err)
	}
	b := &busy{s, t}
	b.queries()
	b.control(corefile)
	return b
}

// startUpstream is a forwarder that has one address for all names.
func startUpstream(t testing.TB) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		r.RecursionAvailable = true
		r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.IPv4(192, 0, 2, 7)}}
		w.WriteMsg(r)
	})}
	go s.ActivateAndServe()
	<-started
	t.Cleanup(func() { s.Shutdown() })
	return pc.LocalAddr().String()
}

// ask sends a query to ns01 or ns02, with RD if recurse is set.
func (b *busy) ask(ns int, network, name string, rrtype uint16, recurse bool) {
	b.t.Helper()
	m := servertest.Question(name, rrtype)
	m.RecursionDesired = recurse
	m.IsEdns0().SetDo(!recurse)
	b.Exchange(network, b.Addrs()[ns-1], m)
}

// queries are those of resolvers that work in all the ways there are.
func (b *busy) queries() {
	b.t.Helper()
	const stamp = "east.cloud.fabrikam.com."
	const iterative, forwarded = false, true
	// That it does not come again over TCP is known after ten seconds.
	b.ask(1, "udp", "trunc1.blob."+stamp, dns.TypeA, iterative)
	for range 2 {
		b.ask(1, "udp", "trunc2.blob."+stamp, dns.TypeA, iterative)
		b.ask(1, "tcp", "trunc2.blob."+stamp, dns.TypeA, iterative)
	}
	b.ask(1, "tcp", "portal."+stamp, dns.TypeA, iterative)
	for range 2 {
		for ns := 1; ns <= 2; ns++ {
			b.ask(ns, "udp", "fails.blob."+stamp, dns.TypeA, iterative)
			b.ask(ns, "udp", "portal."+stamp, dns.TypeA, forwarded)
			b.ask(ns, "udp", "www.example.com.", dns.TypeA, forwarded)
			b.ask(ns, "udp", "sub.contoso.com.", dns.TypeA, forwarded)
			b.ask(ns, "udp", "www.east.cloudapp.cloud.fabrikam.com.", dns.TypeA, iterative)
			b.ask(ns, "udp", "PoRtAl."+stamp, dns.TypeA, iterative)
			b.ask(ns, "udp", "azs-ns02."+stamp, dns.TypeA, iterative)
			b.ask(ns, "udp", "cloud.fabrikam.com.", dns.TypeSOA, iterative)
			b.ask(ns, "udp", "west.cloud.fabrikam.com.", dns.TypeA, iterative)
			for _, rrtype := range []uint16{dns.TypeDS, dns.TypeDNSKEY, dns.TypeNS, dns.TypeSOA, dns.TypeNULL, dns.TypeHINFO} {
				b.ask(ns, "udp", stamp, rrtype, iterative)
			}
		}
	}
	b.ask(1, "udp", "_.adminportal."+stamp, dns.TypeA, iterative)
	b.ask(1, "udp", "x.adminportal."+stamp, dns.TypeA, iterative)
	b.from(net.IPv4(127, 0, 0, 2), "portal."+stamp)
	b.from(net.IPv4(127, 0, 0, 3), "portal."+stamp)
}

// from sends a query with RD from an address, for no reply.
func (b *busy) from(ip net.IP, name string) {
	b.t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: ip}, net.UDPAddrFromAddrPort(b.Addrs()[0]))
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	packet, err := servertest.Question(name, dns.TypeA).Pack()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := c.Write(packet); err != nil {
		b.t.Fatal(err)
	}
}

// control is what operators do: a fault, probes, a reload that fails.
func (b *busy) control(corefile string) {
	b.t.Helper()
	b.post("/api/v1/faults", `{"rule": "delay 1ms name slow.* for 1h as slow"}`)
	for nonce, result := range map[string]string{"k3v9x2m7q1": "confirmed", "k3v9x2m7q2": "failed"} {
		b.ask(2, "udp", nonce+".probe.east.cloud.fabrikam.com.", dns.TypeTXT, false)
		b.post("/api/v1/probes/"+nonce+"/confirm", `{"result": "`+result+`", "resolver_address": "127.0.0.1:53", "answer_source": "127.0.0.1:53", "rcode": "NOERROR", "ns": "ns02", "latency_ms": 1}`)
	}
	b.Rewrite("nonsense {")
	if err := b.Reload(); err == nil {
		b.t.Error("nonsense was taken up")
	}
	b.Rewrite(corefile)
}

func (b *busy) post(path, body string) {
	b.t.Helper()
	r, err := http.Post(fmt.Sprintf("http://%s%s", b.HTTPAddrs()[apiAt], path), "application/json", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode >= 300 {
		b.t.Fatalf("POST %s: %s", path, r.Status)
	}
}

// scrape is what the server shows, with the labels that Prometheus adds. It waits
// until what takes its time is there.
func (b *busy) scrape() []series {
	b.t.Helper()
	const last = "stampdns_delegation_tc_unretried_total"
	for deadline := time.Now().Add(3 * servertest.Patience); ; <-time.After(100 * time.Millisecond) {
		_, page := b.Get(metricsAt, "/metrics")
		if strings.Contains(page, "\n"+last+"{") {
			return readSeries(b.t, page)
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s in\n%s", last, page)
		}
	}
}
