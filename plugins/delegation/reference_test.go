package delegation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// TestReference holds the counts of queries by chance, from several sources to both name
// servers, against those of somebody who counts one by one.
func TestReference(t *testing.T) {
	const seed = 20260101
	by := rand.New(rand.NewPCG(seed, seed))
	s := start(t, "resolver corp 127.0.0.3 127.0.0.4\nresolver branch 127.0.0.5\nlearn 0")
	sources := []string{"127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7"}
	resolvers := map[string]string{"127.0.0.3": "corp", "127.0.0.4": "corp", "127.0.0.5": "branch"}
	const region, cloudapp = "east.cloud.fabrikam.com.", "east.cloudapp.cloud.fabrikam.com."
	names := []struct{ name, zone, outside string }{
		{portal, region, ""}, {"account.blob." + region, region, ""}, {"missing." + region, region, ""}, {"www.user." + region, region, ""},
		{region, region, ""}, {"web." + cloudapp, cloudapp, ""}, {cloudapp, cloudapp, ""},
		{"cloud.fabrikam.com", ".", "parent"}, {"fabrikam.com", ".", "parent"}, {"cloudapp.cloud.fabrikam.com", ".", "parent"},
		{"west.cloud.fabrikam.com", ".", "sibling"}, {"www.west.cloudapp.cloud.fabrikam.com", ".", "sibling"},
		{".", ".", "root"}, {"www.example.org", ".", "other"}, {"eastcloud.fabrikam.com", ".", "other"},
	}
	want := make(map[string]int)
	for range 600 {
		n, to, source := names[by.IntN(len(names))], by.IntN(2), sources[by.IntN(len(sources))]
		m := servertest.Question(n.name, []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT}[by.IntN(3)])
		m.RecursionDesired = by.IntN(2) == 0
		network := []string{"udp", "udp", "tcp"}[by.IntN(3)]
		askFrom(t, s, network, source, to, m)
		resolver, named := resolvers[source]
		if !named {
			resolver = otherName
		}
		path := "iterative"
		if m.RecursionDesired {
			path = map[bool]string{true: "forwarded", false: "direct"}[named]
		}
		ns := fmt.Sprintf("ns0%d", to+1)
		want[fmt.Sprintf(`queries_total{family="1",ns=%q,path=%q,transport=%q,zone=%q}`, ns, path, network, n.zone)]++
		want[fmt.Sprintf(`resolver_queries_total{ns=%q,path=%q,resolver=%q}`, ns, path, resolver)]++
		if m.RecursionDesired {
			want[fmt.Sprintf(`flags_total{flag="rd",ns=%q}`, ns)]++
		}
		want[fmt.Sprintf(`edns_queries_total{ns=%q,version="0"}`, ns)]++
		if n.outside != "" {
			want[fmt.Sprintf(`out_of_zone_total{kind=%q,resolver=%q}`, n.outside, resolver)]++
		}
	}
	texts := make(map[string]string)
	for series, n := range want {
		texts[series] = strconv.Itoa(n)
	}
	s.want(texts)
}

// askFrom sends a query from a source, and waits for the reply.
func askFrom(t *testing.T, s *stamp, network, source string, to int, m *dns.Msg) {
	t.Helper()
	ip := net.ParseIP(source)
	d := net.Dialer{Timeout: servertest.Patience, LocalAddr: &net.UDPAddr{IP: ip}}
	if network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: ip}
	}
	conn, err := d.Dial(network, s.Addrs()[to].String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) && runtime.GOOS != "linux" {
		t.Skipf("this host has no address %s", source) // Linux has all of 127.0.0.0/8
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &dns.Conn{Conn: conn}
	defer c.Close()
	c.SetDeadline(time.Now().Add(servertest.Patience))
	if err := c.WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadMsg(); err != nil {
		t.Fatal(err)
	}
}
