//go:build !race

package plugins

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// TestObservedQueriesDoNotAllocate: all that observes costs no allocation a query, with
// faults and forwarders that are about others. The run-time, and what is done by the
// second, allocate a little: that is the tolerance.
func TestObservedQueriesDoNotAllocate(t *testing.T) {
	dir := t.TempDir()
	zone := "@ 60 IN SOA ns mail 1 1 1 1 1\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\nuser 60 IN NS ns.user\nns.user 60 IN A 192.0.2.2\n"
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(zone), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := servertest.TryIn(t, dir, ".:0 {\n bind 127.0.0.1\n proxyproto 192.0.2.1\n delegation {\n  resolver corp 127.0.0.0/8\n }\n journal\n"+
		" dnstap queries\n prometheus 127.0.0.1:0\n errors\n nsid name\n fault {\n  servfail name *.example.net\n }\n file zone example.org\n"+
		" probe\n cache\n forward . 192.0.2.53\n}", All("test")...)
	if err != nil {
		t.Fatal(err)
	}
	to := s.Addrs()[0].String()
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"ns.example.org.", "missing.example.org.", "www.user.example.org."} {
			m := servertest.Question(name, dns.TypeA)
			m.RecursionDesired = false
			packet, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial(network, to)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(time.Minute))
			const queries = 5000
			var before, after runtime.MemStats
			ask(t, conn, packet, 500)
			start := time.Now()
			runtime.ReadMemStats(&before)
			ask(t, conn, packet, queries)
			runtime.ReadMemStats(&after)
			conn.Close()
			tolerance := queries/20 + uint64(1000*time.Since(start).Seconds())
			if n := after.Mallocs - before.Mallocs; n > tolerance {
				t.Errorf("%s over %s: %d allocations for %d queries", name, network, n, queries)
			}
		}
	}
}

// ask sends a query so many times, and waits for each reply. It allocates nothing by
// query.
func ask(t *testing.T, conn net.Conn, packet []byte, times int) {
	t.Helper()
	buf := make([]byte, 4096)
	_, stream := conn.(*net.TCPConn)
	if stream {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	for range times {
		_, err := conn.Write(packet)
		switch {
		case err != nil:
		case !stream:
			_, err = conn.Read(buf)
		default:
			if _, err = io.ReadFull(conn, buf[:2]); err == nil {
				_, err = io.ReadFull(conn, buf[:binary.BigEndian.Uint16(buf)])
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
