//go:build linux

package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/bench/process"
)

// resolve has the resolver answer one query.
func (r *resolver) resolve(t *testing.T, query *dns.Msg) *dns.Msg {
	t.Helper()
	wire, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, datagramPacket)
	n := copy(packet, wire)
	length := r.answer(packet, n)
	if length == 0 {
		return nil
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(packet[:length]); err != nil {
		t.Fatalf("%v: the reply %x: %v", query.Question, packet[:length], err)
	}
	return reply
}

// TestResolver: what is forwarded to it gets the answers that the mixes expect.
func TestResolver(t *testing.T) {
	r := new(resolver)
	for i := range 40 {
		for _, do := range []bool{false, true} {
			q := forwarded(i+70_000, 0)
			reply := r.resolve(t, q.message(do))
			if err := q.check(reply, do); err != nil {
				t.Errorf("%v\n%v", err, reply)
			}
			if opt := reply.IsEdns0(); (opt != nil) != do || do && !opt.Do() {
				t.Errorf("%s with DO %t: OPT record %v", q, do, opt)
			}
			for _, rr := range append(reply.Answer, reply.Ns...) {
				if rr.Header().Ttl != resolverTTL {
					t.Errorf("%s: %v", q, rr)
				}
			}
		}
	}
	count := new(dns.Msg)
	count.Question = []dns.Question{{Name: "asked.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS}}
	if n, err := readCount(r.resolve(t, count)); err != nil || n != 80 {
		t.Errorf("asked %d times, %v, want 80", n, err)
	}
	if n, err := readCount(count); err == nil {
		t.Errorf("a reply without count is read as %d", n)
	}
}

// TestResolverOddities: what is no plain question gets no answer, and an odd one
// gets a right one.
func TestResolverOddities(t *testing.T) {
	r := new(resolver)
	for name, spoil := range map[string]func(m *dns.Msg){
		"a reply":       func(m *dns.Msg) { m.Response = true },
		"a notify":      func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		"two questions": func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		"none":          func(m *dns.Msg) { m.Question = nil },
	} {
		m := forwarded(1, 0).message(false)
		spoil(m)
		if reply := r.resolve(t, m); reply != nil {
			t.Errorf("%s is answered: %v", name, reply)
		}
	}
	m := new(dns.Msg)
	m.SetQuestion(".", dns.TypeNS)
	if reply := r.resolve(t, m); reply == nil || reply.Rcode != dns.RcodeSuccess || len(reply.Ns) != 1 || reply.Ns[0].Header().Name != "." {
		t.Errorf("the root's name servers: %v", reply)
	}
	m.SetQuestion("example.", dns.TypeA)
	m.Question[0].Qclass = dns.ClassHESIOD
	if reply := r.resolve(t, m); reply == nil || reply.Rcode != dns.RcodeRefused {
		t.Errorf("another class: %v", reply)
	}
	if r.asked != 1 {
		t.Errorf("counted %d questions, want 1", r.asked)
	}
}

// TestUpstream asks one over loopback that a process serves.
func TestUpstream(t *testing.T) {
	addr, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- serveResolver(addr.String()) }()
	spawner := process.NewSpawner()
	lives, err := spawner.Start("sleep", t.TempDir(), []string{"sleep", "60"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lives.Kill()
	u := &upstream{addr: addr, process: lives}
	if n, err := u.count(t.Context()); err != nil || n != 0 {
		t.Fatalf("asked %d times, %v", n, err)
	}
	var questions []question
	for i := range 100 {
		questions = append(questions, forwarded(i, 0))
	}
	if err := compare(t.Context(), addr, questions, false, false); err != nil {
		t.Error(err)
	}
	if n, err := u.count(t.Context()); err != nil || n < 100 {
		t.Errorf("asked %d times, %v, want 100", n, err)
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	u.addr = netip.AddrPortFrom(addr.Addr(), 1)
	lives.Kill()
	if n, err := u.count(t.Context()); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("one that has ended was asked %d times, %v", n, err)
	}
}

// FuzzResolver: whatever is sent, the reply is a message, to the same question.
func FuzzResolver(f *testing.F) {
	for i := range 20 {
		wire, err := forwarded(i, 0).message(i%2 == 0).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x03"))
	f.Fuzz(func(t *testing.T, query []byte) {
		if len(query) > datagramPacket {
			return
		}
		packet := make([]byte, datagramPacket)
		n := copy(packet, query)
		length := new(resolver).answer(packet, n)
		if length == 0 {
			return
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(packet[:length]); err != nil {
			t.Fatalf("%x is answered %x: %v", query, packet[:length], err)
		}
		q, _ := readAsked(query)
		if !bytes.Equal(packet[headerSize:q.end], query[headerSize:q.end]) || !bytes.Equal(packet[:2], query[:2]) || !reply.Response {
			t.Errorf("%x is answered %x", query, packet[:length])
		}
	})
}
