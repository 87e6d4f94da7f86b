package main

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// fakeResolver answers probes as a kind of resolver does, over UDP and TCP.
type fakeResolver struct {
	t    testing.TB
	kind string
	api  *fakeAPI // that of the stamp, nil where there is none
	asks atomic.Int64
}

// serveResolver listens until the test ends and returns the address.
func serveResolver(t testing.TB, kind string, api *fakeAPI) string {
	t.Helper()
	f := &fakeResolver{t: t, kind: kind, api: api}
	for {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err != nil {
			pc.Close()
			continue
		}
		for _, s := range []*dns.Server{
			{PacketConn: pc, Handler: dns.HandlerFunc(f.udp)}, {Listener: l, Handler: dns.HandlerFunc(f.tcp)},
		} {
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go s.ActivateAndServe()
			<-started
			t.Cleanup(func() { s.Shutdown() })
		}
		return pc.LocalAddr().String()
	}
}

func (f *fakeResolver) udp(w dns.ResponseWriter, q *dns.Msg) { f.serve(w, q, false) }
func (f *fakeResolver) tcp(w dns.ResponseWriter, q *dns.Msg) { f.serve(w, q, true) }

func (f *fakeResolver) serve(w dns.ResponseWriter, q *dns.Msg, stream bool) {
	n := f.asks.Add(1)
	nonce, zone, ok := strings.Cut(strings.ToLower(q.Question[0].Name), ".probe.")
	if !ok || q.Question[0].Qtype != dns.TypeTXT || !q.RecursionDesired || q.IsEdns0() == nil || q.IsEdns0().UDPSize() != 1232 {
		f.t.Errorf("this is no probe:\n%v", q)
	}
	r := new(dns.Msg).SetReply(q)
	r.RecursionAvailable = true
	if f.answer(r, n, nonce, zone, stream) {
		w.WriteMsg(r)
	}
}

// answer fills the reply in; it returns false where there is none.
func (f *fakeResolver) answer(r *dns.Msg, n int64, nonce, zone string, stream bool) bool {
	ns := []string{"ns01", "ns02"}[n%2]
	path, ttl, told := "iterative", uint32(0), nonce
	kind, arg, _ := strings.Cut(f.kind, "=")
	switch kind {
	case "delegated":
	case "one":
		ns = "ns02"
	case "forwarding":
		path, r.Authoritative = "forwarded", true
	case "unknown":
		path = "direct"
	case "translated":
		path, r.Authoritative, r.RecursionAvailable = "direct", true, false
	case "forwarding-as-is":
		path, r.Authoritative, r.RecursionAvailable = "forwarded", true, false
	case "forwarding-cached":
		path, ttl, r.Authoritative, r.RecursionAvailable = "direct", 5, true, false
	case "cached":
		ttl = 300
	case "other-nonce":
		told = "zzzzzzzz2222"
	case "lossy":
		if n%2 == 0 {
			return false
		}
	case "truncated":
		if !stream {
			r.Truncated = true
			return true
		}
	case "silent":
		f.see(nonce, ns)
		return false
	case "unseen":
		return false
	case "wildcard":
		r.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"v spf1 -all"}}}
		return true
	case "alias":
		r.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "example.net."}}
		return true
	case "question":
		r.Question[0].Qtype = dns.TypeA
		return true
	case "empty":
		return true
	case "referral":
		r.RecursionAvailable = false
		r.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "azs-ns01." + zone}}
		return true
	case "nodata", "nxdomain":
		if kind == "nxdomain" {
			r.Rcode = dns.RcodeNameError
		}
		if arg != "" {
			r.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: arg, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "dc01.example.net.", Mbox: "."}}
		}
		return true
	case "rcode":
		r.Rcode = dns.StringToRcode[arg]
		r.SetEdns0(1232, false)
		r.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeNoReachableAuthority, ExtraText: "at delegation " + zone}}
		return true
	default:
		f.t.Errorf("no resolver of kind %q", f.kind)
	}
	f.see(nonce, ns)
	r.Answer = []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttl},
		Txt: []string{"v=1", "nonce=" + told, "ns=" + ns, "zone=" + zone, "source=192.0.2.53:40000", "resolver=corp", "path=" + path,
			"rd=0", "transport=udp", "edns=0 size=1232 do=1", "case=mixed", "time=2026-01-02T03:04:05.678Z", "new=later"},
	}}
	return true
}

// see has the stamp's API know of a query.
func (f *fakeResolver) see(nonce, ns string) {
	if f.api != nil {
		f.api.seen.Store(nonce, ns)
	}
}
