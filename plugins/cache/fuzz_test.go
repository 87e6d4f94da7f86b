package cache

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones/wire"
)

// frozen is a lab whose clock stands still.
func frozen(t testing.TB, directive string) *lab {
	l := newLab(t, directive)
	at := time.Now()
	l.h.store.now = func() time.Time { return at }
	l.front = func(q *server.Query) { q.Received = at }
	return l
}

// FuzzStore has any octets stand where a reply should be. The client gets them, as
// they are but for TTLs; a later one gets the same, or asks again.
func FuzzStore(f *testing.F) {
	for _, records := range [][]string{
		{www}, {"--", soa}, {"www.contoso.com. 300 IN CNAME b.contoso.com.", "b.contoso.com. 20 IN A 192.0.2.1", "--", soa},
		{"www.contoso.com. 9 IN TXT \"x\"", "--", "contoso.com. 5 IN NS ns.contoso.com.", "--", "ns.contoso.com. 1 IN A 192.0.2.1"},
	} {
		m := message(f, dns.RcodeSuccess, records...)
		m.Question = []dns.Question{{Name: "www.contoso.com.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
		m.Compress = true
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[2:])
	}
	l := frozen(f, "cache {\n capacity 1MB\n }")
	conn, err := net.Dial("tcp", servertest.Reachable(l.Addrs()[0]).String())
	if err != nil {
		f.Fatal(err)
	}
	question, err := new(dns.Msg).SetQuestion("www.contoso.com.", dns.TypeA).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		if len(octets) > 30000 {
			return
		}
		l.answers(func(q *server.Query) server.Verdict {
			q.Reply = append(append(q.Reply[:0], q.Packet[:2]...), octets...)
			return server.Answered
		})
		first := overTCP(t, conn, question)
		asked := l.asked.Load()
		l.answers(func(*server.Query) server.Verdict { return server.Answered })
		second := overTCP(t, conn, question)
		if l.flights() != 0 {
			t.Fatal("a flight goes on")
		}
		if l.asked.Load() == asked {
			compareHit(t, first, second)
		}
		check(t, l.h.store)
		l.h.store.forget(wire.Root())
		if l.h.store.size().entries != [2]int{} {
			t.Fatal("entries are left")
		}
	})
}

// questionEnd is where the question of FuzzStore ends.
const questionEnd = wire.HeaderLen + 21

// compareHit holds a reply from the cache to the one that was kept, which may have
// the question in another case.
func compareHit(t *testing.T, first, second []byte) {
	t.Helper()
	copy(first[wire.HeaderLen:questionEnd], second[wire.HeaderLen:])
	const settable = wire.FlagAA | wire.FlagRA | wire.FlagAD | wire.FlagCD | wire.FlagZ | wire.FlagRD | 0xF<<11
	if wire.RCode(second) != server.RCodeServerFailure && !bytes.Equal(first[wire.CountQD:], second[wire.CountQD:]) ||
		wire.Flags(first)&^settable != wire.Flags(second)&^settable {
		t.Fatalf("first % x\nthen  % x", first, second)
	}
	if f := wire.Flags(second); f&(wire.FlagAA|wire.FlagTC|wire.FlagZ|wire.FlagAD) != 0 || f&wire.FlagRA == 0 {
		t.Fatalf("flags %x", f)
	}
	for r := readRecords(second, questionEnd); r.next(); {
		if r.ttl() == 0 || r.ttl() > successTTL {
			t.Fatalf("a TTL of %d", r.ttl())
		}
	}
}

func overTCP(t *testing.T, conn net.Conn, query []byte) []byte {
	t.Helper()
	conn.SetDeadline(time.Now().Add(servertest.Patience))
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		t.Fatal(err)
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzHit sends any query to a full cache: its reply is one to the query, and one
// from the cache is what it was when it came through.
func FuzzHit(f *testing.F) {
	l := frozen(f, "cache {\n capacity 1MB\n serve_stale\n prefetch 1 1h 90%\n }")
	for _, name := range []string{".", "contoso.com.", "wWw.Contoso.com.", "x.fabrikam.com."} {
		for _, rrtype := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeANY} {
			for _, m := range []*dns.Msg{
				new(dns.Msg).SetQuestion(name, rrtype),
				new(dns.Msg).SetQuestion(name, rrtype).SetEdns0(1232, true),
			} {
				b, err := m.Pack()
				if err != nil {
					f.Fatal(err)
				}
				f.Add(b)
			}
		}
	}
	l.answers(func(q *server.Query) server.Verdict {
		answerRight(q)
		m, err := q.Msg()
		if err != nil {
			return server.Answered
		}
		m.Answer[0].Header().Ttl = 100
		m.AuthenticatedData = q.EDNS.DO
		q.SetMsg(m)
		return server.Answered
	})
	conn, err := net.Dial("udp", servertest.Reachable(l.Addrs()[0]).String())
	if err != nil {
		f.Fatal(err)
	}
	b := make([]byte, 4096)
	f.Fuzz(func(t *testing.T, query []byte) {
		if len(query) < wire.HeaderLen || len(query) > 4000 || query[2]&0x80 != 0 {
			return
		}
		var replies [2]*dns.Msg
		for i := range replies {
			conn.SetDeadline(time.Now().Add(servertest.Patience))
			if _, err := conn.Write(query); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			replies[i] = new(dns.Msg)
			if err := replies[i].Unpack(b[:n]); err != nil {
				t.Fatalf("%v: % x", err, b[:n])
			}
		}
		first, second := replies[0], replies[1]
		if second.Id != wire.ID(query) || len(first.Answer) != len(second.Answer) || first.Rcode != second.Rcode {
			t.Fatalf("first\n%s\nthen\n%s", first, second)
		}
		for i, rr := range second.Answer {
			if rr.String() != first.Answer[i].String() {
				t.Fatalf("first\n%s\nthen\n%s", first, second)
			}
		}
		if l.flights() != 0 {
			t.Fatal("a flight goes on")
		}
	})
}
