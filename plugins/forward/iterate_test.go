package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// smallWorld is a root, two domains below it, and servers of every kind of
// trouble. 127.0.0.99 is dead: nobody listens there.
func smallWorld(t testing.TB) *world {
	long := strings.Repeat("x", 200)
	example := serves(t, "example.com.", `@ NS ns1
ns1 A 127.0.0.99
ns2 A 127.0.0.13
www A 192.0.2.1
www AAAA 2001:db8::1
alias CNAME www.other.net.
near CNAME www
old DNAME new.other.net.
big TXT `+strings.Repeat(`"`+long+`" `, 20)+`
ring CNAME ring2
ring2 CNAME ring
far CNAME far.other.net.
sub NS ns.sub
ns.sub A 127.0.0.13
`)
	other := serves(t, "other.net.", `@ NS ns.example.com.
www A 192.0.2.2
x.new A 192.0.2.3
far CNAME far.example.com.
`)
	chain := "@ NS ns\n"
	for i := range 13 {
		chain += fmt.Sprintf("c%d CNAME c%d\n", i, i+1)
	}
	return newWorld(t, map[byte]dns.Handler{
		10: serves(t, ".", `@ NS a.root.
a.root. A 127.0.0.10
com. NS ns.com.
ns.com. A 127.0.0.11
net. NS ns.net.
ns.net. A 127.0.0.12
`),
		11: serves(t, "com.", `@ NS ns
ns A 127.0.0.11
example NS ns1.example
example NS ns2.example
ns1.example A 127.0.0.99
ns2.example A 127.0.0.13
ns.example A 127.0.0.14
example DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
lame NS ns1.lame
lame NS ns2.lame
lame NS ns3.lame
lame NS ns4.lame
lame NS ns5.lame
ns1.lame A 127.0.0.20
ns2.lame A 127.0.0.21
ns3.lame A 127.0.0.22
ns4.lame A 127.0.0.23
ns5.lame A 127.0.0.24
dead NS ns.dead
ns.dead A 127.0.0.99
loopa NS ns.loopb
loopb NS ns.loopa
self NS ns.self.lost.invalid.
noglue NS ns.noglue
chain NS ns.chain
ns.chain A 127.0.0.15
lying NS ns.lying
ns.lying A 127.0.0.16
old NS ns.old
ns.old A 127.0.0.17
slow NS ns.slow
ns.slow A 127.0.0.18
`),
		12: dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
			// The glue is of another zone's server, and wrong.
			m := new(dns.Msg).SetReply(req)
			refers(m, "other.net. 3600 NS ns2.example.com.", "example.com. 3600 NS ns.evil.net.",
				"+ns2.example.com. 3600 A 127.0.0.66", "+www.example.com. 3600 A 203.0.113.66", "+ns.evil.net. 3600 A 127.0.0.66")
			rw.WriteMsg(m)
		}),
		13: dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
			if dns.IsSubDomain("other.net.", req.Question[0].Name) {
				other.ServeDNS(rw, req)
				return
			}
			example.ServeDNS(rw, req)
		}),
		14: silent(),
		15: serves(t, "chain.com.", chain+"c13 A 192.0.2.4\nns A 127.0.0.15\n"),
		16: lying(serves(t, "lying.com.", "@ NS ns\nns A 127.0.0.16\nwww A 192.0.2.5\n")),
		17: withoutEDNS(serves(t, "old.com.", "@ NS ns\nns A 127.0.0.17\nwww A 192.0.2.6\n")),
		18: silent(),
		20: replies(func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }),
		21: replies(func(m *dns.Msg) { refers(m, ". 3600 NS a.root.", "+a.root. 3600 A 127.0.0.66") }),
		22: replies(func(m *dns.Msg) { refers(m, "lame.com. 3600 NS ns1.lame.com.", "+ns1.lame.com. 3600 A 127.0.0.66") }),
		23: replies(func(m *dns.Msg) { m.Answer = []dns.RR{mustRecord("www.lame.com. 60 A 203.0.113.66")} }), // without AA
		24: serves(t, "lame.com.", "@ NS ns5\nns5 A 127.0.0.24\nwww A 192.0.2.7\n"),
		66: replies(func(m *dns.Msg) {
			m.Authoritative = true
			m.Answer = []dns.RR{mustRecord(m.Question[0].Name + " 60 A 203.0.113.66")}
		}),
	})
}

// withoutEDNS is h as a server that does not know EDNS.
func withoutEDNS(h dns.Handler) dns.Handler {
	return dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
		if req.IsEdns0() == nil {
			h.ServeDNS(rw, req)
			return
		}
		m := new(dns.Msg).SetRcodeFormatError(req)
		m.Question = nil
		rw.WriteMsg(m)
	})
}

// shown is a message in short: RCODE, then answer and authority.
func shown(m *dns.Msg) string {
	parts := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		text := fmt.Sprintf("%s %s", rr.Header().Name, dns.Type(rr.Header().Rrtype))
		switch rr := rr.(type) {
		case *dns.TXT:
			text += fmt.Sprintf(" of %d strings", len(rr.Txt))
		case *dns.A, *dns.NS, *dns.CNAME, *dns.DNAME:
			text += " " + strings.TrimPrefix(rr.String(), rr.Header().String())
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func TestIterate(t *testing.T) {
	w := smallWorld(t)
	for _, c := range []struct {
		what, name string
		rrtype     uint16
		want       string // shown, or a part of the error
	}{
		{"past a dead server", "www.example.com.", dns.TypeA, "NOERROR, www.example.com. A 192.0.2.1"},
		{"no data", "www.example.com.", dns.TypeMX, "NOERROR, example.com. SOA"},
		{"no name", "none.example.com.", dns.TypeA, "NXDOMAIN, example.com. SOA"},
		{"no domain", "example.test.", dns.TypeA, "NXDOMAIN, . SOA"},
		{"the root", ".", dns.TypeNS, "NOERROR, . NS a.root."},
		{"over TCP", "big.example.com.", dns.TypeTXT, "NOERROR, big.example.com. TXT of 20 strings"},
		{"an alias in the zone", "near.example.com.", dns.TypeA, "NOERROR, near.example.com. CNAME www.example.com., www.example.com. A 192.0.2.1"},
		{"an alias itself", "alias.example.com.", dns.TypeCNAME, "NOERROR, alias.example.com. CNAME www.other.net."},
		{"an alias to another zone, whose server has wrong glue", "alias.example.com.", dns.TypeA,
			"NOERROR, alias.example.com. CNAME www.other.net., www.other.net. A 192.0.2.2"},
		{"a DNAME", "x.old.example.com.", dns.TypeA,
			"NOERROR, old.example.com. DNAME new.other.net., x.old.example.com. CNAME x.new.other.net., x.new.other.net. A 192.0.2.3"},
		{"an alias loop", "ring.example.com.", dns.TypeA, "loop"},
		{"an alias loop over zones", "far.example.com.", dns.TypeA, "loop"},
		{"eleven aliases", "c2.chain.com.", dns.TypeTXT, ""},
		{"twelve aliases", "c1.chain.com.", dns.TypeTXT, "too many"},
		{"past lame servers", "www.lame.com.", dns.TypeA, "NOERROR, www.lame.com. A 192.0.2.7"},
		{"dead", "www.dead.com.", dns.TypeA, "name server 127.0.0.99 of dead.com.: "},
		{"name servers that need each other", "www.loopa.com.", dns.TypeA, "no name server of loopa.com. has an address"},
		{"a name server that is not there", "www.self.com.", dns.TypeA, "no name server of self.com. has an address"},
		{"no glue", "www.noglue.com.", dns.TypeA, "no name server of noglue.com. has an address"},
		{"false replies first", "www.lying.com.", dns.TypeA, "NOERROR, www.lying.com. A 192.0.2.5"},
		{"without EDNS", "www.old.com.", dns.TypeA, "NOERROR, www.old.com. A 192.0.2.6"},
		{"DS at the parent", "example.com.", dns.TypeDS, "NOERROR, example.com. DS"},
		{"silence", "www.slow.com.", dns.TypeA, "name server 127.0.0.18 of slow.com.: "},
	} {
		for _, it := range []*iterator{w.iterator(time.Now, 10), w.iterator(time.Now, 99, 10)} {
			before := w.all()
			m, err := it.resolve(t.Context(), mustName(t, c.name), c.rrtype, false)
			switch {
			case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: error %v, want %s", c.what, err, c.want)
			case err == nil && c.want != "" && shown(m) != c.want:
				t.Errorf("%s:\n got %s\nwant %s", c.what, shown(m), c.want)
			case err == nil && (!m.Response || !m.RecursionAvailable || m.Authoritative || m.Question[0].Name != c.name):
				t.Errorf("%s: %v", c.what, m)
			}
			if n := w.all() - before; n > maxIterQueries {
				t.Errorf("%s: %d queries", c.what, n)
			}
		}
	}
	if w.queries(66) != 0 {
		t.Error("glue was taken from a server that could not know it")
	}
	if counter(&w.stream, 13).Load() == 0 {
		t.Error("nothing went over TCP")
	}
	// A loop is left where it closes.
	before := w.queries(13)
	if _, err := w.iterator(time.Now, 10).resolve(t.Context(), mustName(t, "far.example.com."), dns.TypeA, false); !errors.Is(err, errIterAliases) {
		t.Error(err)
	}
	if n := w.queries(13) - before; n > 4 {
		t.Errorf("%d queries for a loop of two names", n)
	}
}

// What was learned on the way is not asked for again, until it expires.
func TestIterateRemembersCuts(t *testing.T) {
	w := smallWorld(t)
	now := time.Now()
	it := w.iterator(func() time.Time { return now }, 10)
	ask := func(name string) {
		t.Helper()
		if m, err := it.resolve(t.Context(), mustName(t, name), dns.TypeA, false); err != nil || m.Rcode != dns.RcodeSuccess {
			t.Fatal(m, err)
		}
	}
	ask("www.example.com.")
	root, com := w.queries(10), w.queries(11)
	ask("near.example.com.")
	if w.queries(10) != root || w.queries(11) != com {
		t.Error("the way from the root was gone again")
	}
	ask("alias.example.com.")
	ask("alias.example.com.")
	now = now.Add(maxCutTTL)
	root = w.queries(10)
	ask("www.example.com.")
	if w.queries(10) != root+1 {
		t.Errorf("%d queries to the root after an hour, want 1", w.queries(10)-root)
	}
	// A delegation that is no longer true is looked for again, once.
	it.cuts.put(&zoneCut{zone: mustName(t, "example.com."), expires: now.Add(time.Minute), servers: []cutServer{
		{name: mustName(t, "gone.example.com."), addrs: []netip.Addr{netip.MustParseAddr("127.0.0.20")}},
	}})
	ask("www.example.com.")
}

// Servers that did not answer are asked last for a while.
func TestIterateAvoidsTrouble(t *testing.T) {
	now := time.Now()
	c := newCutCache(func() time.Time { return now })
	var addrs []netip.Addr
	for n := range byte(8) {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, 0, n}))
	}
	c.trouble(addrs[0])
	c.trouble(addrs[5])
	firsts := map[netip.Addr]bool{}
	for range 200 {
		ordered := c.order(addrs)
		if last := ordered[6:]; !slices.Contains(last, addrs[0]) || !slices.Contains(last, addrs[5]) {
			t.Fatalf("asked in the order %v", ordered)
		}
		firsts[ordered[0]] = true
	}
	if len(firsts) != 6 {
		t.Errorf("only %d servers were ever the first", len(firsts))
	}
	now = now.Add(troubleTime)
	for range 200 {
		firsts[c.order(addrs)[0]] = true
	}
	if len(firsts) != 8 {
		t.Error("trouble is never forgiven")
	}
}

// However many cuts there are, and servers in trouble, few are remembered.
func TestIterateMemoryIsBounded(t *testing.T) {
	now := time.Now()
	c := newCutCache(func() time.Time { return now })
	for i := range 3 * maxCuts {
		c.put(&zoneCut{zone: mustName(t, fmt.Sprintf("z%d.", i)), expires: now.Add(time.Hour)})
		c.trouble(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(c.cuts) != maxCuts || len(c.troubled) != maxTroubled {
		t.Errorf("%d cuts and %d servers", len(c.cuts), len(c.troubled))
	}
	last := mustName(t, fmt.Sprintf("z%d.", 3*maxCuts-1))
	if c.find(last, false) == nil || c.find(last, true) != nil {
		t.Error("the last cut was not remembered, or counts above itself")
	}
	now = now.Add(time.Hour)
	if c.find(last, false) != nil {
		t.Error("a cut outlives its time")
	}
	for _, zone := range []string{"a.", "b."} {
		c.put(&zoneCut{zone: mustName(t, zone), expires: now.Add(time.Hour)})
	}
	if len(c.cuts) != 2 {
		t.Errorf("%d cuts, want two: the others are over", len(c.cuts))
	}
	c.put(&zoneCut{zone: mustName(t, "over."), expires: now})
	if len(c.cuts) != 2 {
		t.Error("a cut that is over was remembered")
	}
}

// A server that delegates label by label, and servers that need a hundred others
// each, cost no more than one resolution may.
func TestIterateHostile(t *testing.T) {
	var down atomic.Int64
	w := newWorld(t, map[byte]dns.Handler{10: dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
		m := new(dns.Msg).SetReply(req)
		labels := dns.SplitDomainName(req.Question[0].Name)
		switch last := labels[len(labels)-1]; last {
		case "deep":
			from := max(0, len(labels)-int(down.Add(1)))
			cut := strings.Join(labels[from:], ".") + "."
			refers(m, cut+" 3600 NS n."+cut, "+n."+cut+" 3600 A 127.0.0.10")
		case "wide", "many":
			for i := range 100 {
				refers(m, fmt.Sprintf("%s. 3600 NS ns%d.x%d.%s.", last, i, i%7, map[string]string{"wide": "many", "many": "wide"}[last]))
			}
		}
		m.Compress = true
		rw.WriteMsg(m)
	})})
	for name, least := range map[string]int64{strings.Repeat("a.", 100) + "deep.": maxIterQueries, "www.wide.": 2} {
		before := w.all()
		m, err := w.iterator(time.Now, 10).resolve(t.Context(), mustName(t, name), dns.TypeA, false)
		if err == nil {
			t.Errorf("%s: %v", name, m)
		}
		if n := w.all() - before; n > maxIterQueries || n < least {
			t.Errorf("%s: %d queries", name, n)
		}
	}
}

// Servers that are remembered and need each other cost no queries, and no time
// without end either.
func TestIterateTangle(t *testing.T) {
	w := newWorld(t, map[byte]dns.Handler{10: replies(func(m *dns.Msg) { m.Rcode = dns.RcodeRefused })})
	it := w.iterator(time.Now, 10)
	for i := range 100 {
		cut := &zoneCut{zone: mustName(t, fmt.Sprintf("z%d.", i)), expires: time.Now().Add(time.Hour)}
		for j := range maxCutServers {
			cut.servers = append(cut.servers, cutServer{name: mustName(t, fmt.Sprintf("ns%d.z%d.", j, (i*maxCutServers+j)%100))})
		}
		it.cuts.put(cut)
	}
	r := iteration{it: it, servers: make(map[string][]netip.Addr)}
	if m, err := r.resolve(t.Context(), mustName(t, "www.z1."), dns.TypeA, false); err == nil {
		t.Errorf("%v", m)
	}
	if n := w.all(); n > maxIterQueries || len(r.servers) != maxIterServers {
		t.Errorf("%d queries, %d servers looked up", n, len(r.servers))
	}
}

func TestIterateBounds(t *testing.T) {
	w := newWorld(t, map[byte]dns.Handler{10: silent(), 11: silent(), 12: silent(), 13: silent()})
	it := w.iterator(time.Now, 10, 11, 12, 13)
	ctx, cancel := context.WithCancel(t.Context())
	var resolutions sync.WaitGroup
	for range maxIterations {
		resolutions.Go(func() { it.resolve(ctx, mustName(t, "a."), dns.TypeA, false) })
	}
	for len(it.slots) < maxIterations {
		<-time.After(time.Millisecond)
	}
	if _, err := it.resolve(ctx, mustName(t, "a."), dns.TypeA, false); !errors.Is(err, errIterBusy) {
		t.Errorf("one more: %v", err)
	}
	cancel()
	start := time.Now()
	resolutions.Wait()
	if took := time.Since(start); took > iterTry {
		t.Errorf("%s to end what was cancelled", took)
	}
	if len(it.slots) != 0 {
		t.Errorf("%d places are not given back", len(it.slots))
	}
}

// Many resolutions at once get their own answers.
func TestIterateConcurrently(t *testing.T) {
	w := smallWorld(t)
	it := w.iterator(time.Now, 10)
	var all sync.WaitGroup
	for i := range 2 * maxIterations {
		name, want := "www.example.com.", "NOERROR, www.example.com. A 192.0.2.1"
		if i%2 == 1 {
			name, want = "alias.example.com.", "NOERROR, alias.example.com. CNAME www.other.net., www.other.net. A 192.0.2.2"
		}
		all.Go(func() {
			m, err := it.resolve(t.Context(), mustName(t, name), dns.TypeA, false)
			if errors.Is(err, errIterBusy) {
				return
			}
			if err != nil || shown(m) != want {
				t.Errorf("%v, %v; want %s", m, err, want)
			}
		})
	}
	all.Wait()
}

// A host without IPv6 does not try it again and again.
func TestIterateWithoutIPv6(t *testing.T) {
	w := smallWorld(t)
	it := w.iterator(time.Now, 10)
	it.noIPv6.Store(true)
	six, four := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("127.0.0.10")
	if got := it.order([]netip.Addr{six, four}); !slices.Equal(got, []netip.Addr{four}) {
		t.Errorf("asks %v", got)
	}
	for err, want := range map[error]bool{
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}:  true,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}: false,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}:        false,
		context.DeadlineExceeded: false,
	} {
		if got := isNoRoute(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
