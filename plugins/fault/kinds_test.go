package fault

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server/servertest"
)

// kindCase is one kind, and how it looks.
type kindCase struct {
	rule   string
	name   string // asked for
	rrtype uint16
	over   string // transports with the fault, of "udp tcp"
	silent bool   // nothing comes
	ede    bool   // the reply says that it is on purpose
	check  func(r result) bool
}

func isRCode(rcode int) func(result) bool {
	return func(r result) bool {
		return r.Rcode == rcode && len(r.Answer)+len(r.Ns) == 0 && r.Id == r.asked.Id && r.IsEdns0() != nil
	}
}

func kindCases() []kindCase {
	const child = "x.child.example.org."
	return []kindCase{
		{rule: "delay 30ms", ede: true, check: func(r result) bool { return len(r.Answer) == 1 && r.took >= 30*time.Millisecond }},
		{rule: "drop", silent: true},
		{rule: "servfail", ede: true, check: isRCode(dns.RcodeServerFailure)},
		{rule: "servfail delay 30ms jitter 10ms", ede: true, check: func(r result) bool {
			return r.Rcode == dns.RcodeServerFailure && r.took >= 20*time.Millisecond
		}},
		{rule: "refused", ede: true, check: isRCode(dns.RcodeRefused)},
		{rule: "nxdomain", ede: true, check: isRCode(dns.RcodeNameError)},
		{rule: "notimp", ede: true, check: isRCode(dns.RcodeNotImplemented)},
		{rule: "formerr", ede: true, check: isRCode(dns.RcodeFormatError)},
		{rule: "truncate", over: "udp", ede: true, check: func(r result) bool { return r.Truncated && len(r.Answer) == 0 }},
		{rule: "truncate transport tcp", over: "tcp", ede: true, check: func(r result) bool { return r.Truncated }},
		{rule: "empty", ede: true, check: func(r result) bool { return r.Authoritative && isRCode(dns.RcodeSuccess)(r) }},
		{rule: "lame", ede: true, check: func(r result) bool { return !r.Authoritative && len(r.Answer) == 1 }},
		{rule: "wrong-id", ede: true, check: func(r result) bool { return r.Id != r.asked.Id && len(r.Answer) == 1 }},
		{rule: "wrong-case", ede: true, check: func(r result) bool { return r.Question[0].Name == "WwW.EXAMPLE.ORG." }},
		{rule: "no-edns", check: func(r result) bool { return r.IsEdns0() == nil && len(r.Answer) == 1 }},
		{rule: "formerr-edns", check: func(r result) bool { return r.IsEdns0() == nil && r.Rcode == dns.RcodeFormatError }},
		{rule: "tcp-reset", over: "tcp", check: func(r result) bool { return isReset(r.err) }},
		{rule: "tcp-refuse", over: "tcp", check: func(r result) bool { return isRefused(r.err) }},
		{rule: "tcp-refuse client 127.0.0.0/8", over: "tcp", check: func(r result) bool { return isReset(r.err) }},
		{rule: "oversize", over: "udp", ede: true, check: func(r result) bool { return r.size == 4000 && !r.Truncated && len(r.Answer) == 1 }},
		{rule: "oversize 9000", over: "udp", ede: true, check: func(r result) bool { return r.size == 9000 }},
		{rule: "stale-serial 100", rrtype: dns.TypeSOA, ede: true, check: func(r result) bool {
			return r.Answer[0].(*dns.SOA).Serial == serial-100
		}},
		{rule: "no-glue", name: child, ede: true, check: func(r result) bool { return len(r.Ns) == 2 && len(r.Extra) == 1 }},
		{rule: "no-glue", name: "mixed." + child, ede: true, check: func(r result) bool {
			return len(r.Ns) == 2 && len(r.Extra) == 2 && r.Extra[0].Header().Rrtype == dns.TypeTXT
		}},
		{rule: "wrong-ns", name: child, ede: true, check: func(r result) bool {
			return len(r.Ns) == 2 && r.Ns[0].(*dns.NS).Ns == "ns1.wrong.invalid." && len(r.Extra) == 1
		}},
		{rule: "wrong-ns a.example.net", name: child, ede: true, check: func(r result) bool {
			return len(r.Ns) == 1 && r.Ns[0].(*dns.NS).Ns == "a.example.net." && r.Question[0].Name == child && !r.Authoritative
		}},
	}
}

// TestKinds makes each fault on ns01, over both transports. ns02 knows nothing of it,
// nor does ns01 before and after.
func TestKinds(t *testing.T) {
	w := startWorld(t, " fault\n prometheus "+web)
	for _, c := range kindCases() {
		t.Run(c.rule, func(t *testing.T) {
			if c.name == "" {
				c.name = "wWw.example.org."
			}
			if c.rrtype == 0 {
				c.rrtype = dns.TypeA
			}
			if c.over == "" {
				c.over = "udp tcp"
			}
			w.t = t
			w.add(c.rule + " ns ns01 as broken")
			for _, network := range []string{"udp", "tcp"} {
				w.healthy(network, "ns02", c.name, c.rrtype)
				if c.over != "udp tcp" && c.over != network {
					w.healthy(network, "ns01", c.name, c.rrtype)
					continue
				}
				w.broken(network, c)
			}
			w.clear()
			w.healthy("udp", "ns01", c.name, c.rrtype)
			w.healthy("tcp", "ns01", c.name, c.rrtype)
		})
	}
}

// broken asks ns01, which has the fault.
func (w *world) broken(network string, c kindCase) {
	w.t.Helper()
	m := servertest.Question(c.name, c.rrtype)
	wait := servertest.Patience
	if c.silent {
		wait = 50 * time.Millisecond
	}
	r := exchange(network, w.at("ns01"), m, wait)
	switch {
	case c.silent:
		if r.err != errNone {
			w.t.Errorf("%s: %v %v", network, r.err, r.Msg)
		}
	case r.err != nil && c.ede:
		w.t.Fatalf("%s: %v", network, r.err)
	case !c.check(r):
		w.t.Errorf("%s: %d octets after %s: %v\n%v", network, r.size, r.took, r.err, r.Msg)
	}
	kind, _, _ := strings.Cut(c.rule, " ")
	if got := r.ede(); c.ede && got != "fault broken: "+kind || !c.ede && got != "" {
		w.t.Errorf("%s: extended error %q", network, got)
	}
}

// healthy asks a name server that has no fault.
func (w *world) healthy(network, ns, name string, rrtype uint16) {
	w.t.Helper()
	r := w.ask(network, ns, servertest.Question(name, rrtype))
	switch {
	case r.err != nil:
		w.t.Errorf("%s over %s: %v", ns, network, r.err)
	case r.Id != r.asked.Id || r.Rcode != 0 || r.Truncated || r.Question[0].Name != name || r.IsEdns0() == nil || r.ede() != "":
		w.t.Errorf("%s over %s:\n%v", ns, network, r.Msg)
	case len(r.Answer) == 1 && (!r.Authoritative || len(r.Extra) != 1):
		w.t.Errorf("%s over %s:\n%v", ns, network, r.Msg)
	case len(r.Answer) == 0 && (len(r.Ns) != 2 || len(r.Extra) < 5):
		w.t.Errorf("%s over %s:\n%v", ns, network, r.Msg)
	}
	for _, rr := range r.Answer {
		if soa, ok := rr.(*dns.SOA); ok && soa.Serial != serial {
			w.t.Errorf("%s over %s: serial %d", ns, network, soa.Serial)
		}
	}
}
