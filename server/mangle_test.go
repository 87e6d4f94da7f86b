package server

import (
	"testing"

	"github.com/miekg/dns"
)

// Each way of sending a reply wrong, and that the others are as they should be.
func TestMangle(t *testing.T) {
	long := func(q *Query) {
		for range 20 {
			appendTXT(q, "a reply that is longer than a client takes which speaks no EDNS over UDP")
		}
	}
	short := func(q *Query) { appendTXT(q, "hello") }
	for _, c := range []struct {
		name   string
		how    Mangling
		answer func(*Query)
		check  func(asked, got *dns.Msg, size int) bool
	}{
		{"nothing", 0, short, func(asked, got *dns.Msg, _ int) bool {
			return got.Id == asked.Id && got.Question[0].Name == "www.Example.org." && got.IsEdns0() != nil && !got.Truncated
		}},
		{"id", WrongID, short, func(asked, got *dns.Msg, _ int) bool {
			return got.Id != asked.Id && got.Question[0].Name == "www.Example.org."
		}},
		{"id of a cut reply", WrongID, long, func(asked, got *dns.Msg, _ int) bool { return got.Id != asked.Id && got.Truncated }},
		{"case", WrongCase, short, func(asked, got *dns.Msg, _ int) bool {
			return got.Id == asked.Id && got.Question[0].Name == "WWW.eXAMPLE.ORG."
		}},
		{"no EDNS", NoEDNS, short, func(_, got *dns.Msg, _ int) bool { return got.IsEdns0() == nil && len(got.Answer) == 1 }},
		{"no EDNS, long", NoEDNS, long, func(_, got *dns.Msg, size int) bool {
			return got.IsEdns0() == nil && got.Truncated && size <= dns.MinMsgSize
		}},
		{"oversized", Oversized, long, func(_, got *dns.Msg, size int) bool { return !got.Truncated && size > DefaultUDPSize }},
	} {
		var log []string
		b := chainOf(t, marker(&log, "mangler", false, func(q *Query) Verdict {
			q.Mangle(c.how)
			c.answer(q)
			return Answered
		}, nil))
		asked := question("www.Example.org.").SetEdns0(1232, false)
		packet, _ := asked.Pack()
		reply := b.exchange(packet)
		got := new(dns.Msg)
		if err := got.Unpack(reply); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !c.check(asked, got, len(reply)) {
			t.Errorf("%s: %d octets\n%v", c.name, len(reply), got)
		}
	}
}
