package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// FuzzPacket: whatever comes, nothing panics; a reply is one to the query, is no
// longer than the client takes, and another implementation can read it.
func FuzzPacket(f *testing.F) {
	for _, name := range []string{".", "a.example.org.", "big.", "msg.", "boom.", "none.invalid.", strings.Repeat("a.", 127)} {
		for _, m := range []*dns.Msg{question(name), question(name).SetEdns0(1232, true), question(name).SetEdns0(100, false)} {
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, false)
			f.Add(b, true)
		}
	}
	f.Add(rawQuery(4<<11, 1, 0, 0, 0, "\x00\x00\x06\x00\x01"), false)
	b := newBench(f, `example.org:0 {
		watch
		say hello
	}
	big.:0 {
		big 30
	}
	msg.:0 {
		big 30 msg
	}
	boom.:0 {
		boom in
	}`)
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		if len(packet) > inSize {
			return
		}
		q := b.q
		q.Transport = UDP
		if tcp {
			q.Transport = TCP
		}
		raw := b.exchange(packet)
		if len(packet) < wire.HeaderLen || packet[2]&0x80 != 0 {
			if raw != nil {
				t.Fatalf("reply to no query: % x", raw)
			}
			return
		}
		if raw == nil {
			t.Fatal("no reply")
		}
		limit := dns.MaxMsgSize
		if !tcp {
			limit = max(dns.MinMsgSize, min(int(q.EDNS.Size), DefaultUDPSize))
		}
		if len(raw) > limit {
			t.Fatalf("%d octets, limit %d", len(raw), limit)
		}
		checkReply(t, q, packet, raw)
	})
}

func checkReply(t *testing.T, q *Query, packet, raw []byte) {
	r := new(dns.Msg)
	if err := r.Unpack(raw); err != nil {
		t.Fatalf("%v: % x", err, raw)
	}
	if wire.ID(raw) != wire.ID(packet) || !r.Response || r.Opcode != int(wire.Opcode(packet)) {
		t.Fatalf("not a reply to the query: % x", raw)
	}
	if len(r.Question) == 1 && !bytes.Equal(raw[wire.HeaderLen:q.QuestionEnd], packet[wire.HeaderLen:q.QuestionEnd]) {
		t.Fatalf("question not echoed: % x", raw)
	}
	if (r.IsEdns0() != nil) != q.EDNS.Present {
		t.Fatalf("OPT record:\n%s", r)
	}
	// What a second implementation reads in the query, we read as well.
	m := new(dns.Msg)
	if q.state != stateOK || m.Unpack(packet) != nil {
		return
	}
	if len(m.Question) != 1 || m.Question[0].Qtype != q.Type || m.Question[0].Qclass != q.Class {
		t.Fatalf("read %s %d %d, of\n%s", q.Name, q.Type, q.Class, m)
	}
}
