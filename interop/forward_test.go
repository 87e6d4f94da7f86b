//go:build interop

package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The addresses of forwardLab, as command lines have them.
const (
	corpAddress    = "192.0.2.3"
	loopAddress    = "192.0.2.6"
	unboundAddress = "192.0.2.21"
)

// TestForward has the stamp resolve outside names through a corporate BIND and
// Unbounds, set up as an operator does, with all that can be wrong with them.
func TestForward(t *testing.T) {
	f := newForwardLab(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *forwardLab)
	}{
		{"clients", forwardClients},
		{"answers", forwardAnswers},
		{"restart of the stamp", forwardStampRestart},
		{"at once", forwardAtOnce},
		{"changes under load", forwardChanges},
		{"impaired", forwardImpaired},
		{"all are dead", forwardDead},
		{"flood", forwardFlood},
		{"restart of an upstream", forwardUpstreamRestart},
		{"loop", forwardLoop},
		{"root hints", forwardRootHints},
		{"tls", forwardTLS},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, f) })
	}
}

// forwardClients has clients of a network that is not private refused, and answered
// where they are allowed, dig and kdig among them.
func forwardClients(t *testing.T, f *forwardLab) {
	q := question{name: "www.example.org.", typ: dns.TypeA, size: 1232, rd: true}
	p := startStamp(t, f.ns01, "--forwarder", unboundAddress)
	for range 2 {
		reply := f.client.mustAsk(t, "udp", f.ns01.addr, q)
		if got := extendedErrors(reply); reply.Rcode != dns.RcodeRefused || len(reply.Answer) > 0 || !slices.Equal(got, []uint16{dns.ExtendedErrorCodeProhibited}) {
			t.Errorf("a client whose network is not allowed: %v, extended errors %v, want REFUSED, 18", reply, got)
		}
	}
	if err := f.client.expect(f.ns01.addr, question{name: "portal." + stampZone, typ: dns.TypeAAAA}, dns.RcodeSuccess, ""); err != nil {
		t.Errorf("the stamp is for all clients: %v", err)
	}
	p.stop()
	f.start(t, "--forwarder", unboundAddress)
	for _, c := range []struct {
		command string
		want    []string
	}{
		{"dig +dnssec www.example.org", []string{"status: NOERROR", "flags: qr rd ra;", `(?m)^www\.example\.org\..*\sA\s+203\.0\.113\.10$`, `\sRRSIG\s+A 13 `}},
		{"dig -t TXT large.example.org", []string{"Truncated, retrying in TCP mode", "flags: qr rd ra;", `\(TCP\)`, `\sTXT\s+"large `}},
		{"kdig alias.example.org", []string{"status: NOERROR", "Flags: qr rd ra;", `\sCNAME\s+www\.example\.org\.`, `\sA\s+203\.0\.113\.10`}},
		{"kdig +tcp +norec www.example.org", []string{"status: REFUSED"}},
		{"kdig nowhere.example.org", []string{"status: NXDOMAIN", "Flags: qr rd ra;", `(?m)^example\.org\..*\sSOA\s`}},
	} {
		out := f.client.command(t, f.ns01.addr, c.command)
		for _, pattern := range c.want {
			if !regexp.MustCompile(pattern).MatchString(out) {
				t.Errorf("%s: nothing matches %q in:\n%s", c.command, pattern, out)
			}
		}
	}
}

// forwardAnswers compares what the stamp's name server says with what the servers
// behind it say themselves. They are set up with the cmdlets of a stamp.
func forwardAnswers(t *testing.T, f *forwardLab) {
	f.start(t)
	for _, line := range []string{
		`pep Register-CustomDnsServer -CustomDomainName "contoso.com" -CustomDnsIPAddresses "` + corpAddress + `"`,
		`pep Set-AzSDnsForwarder -IPAddress "` + unboundAddress + `"`,
	} {
		if out := f.operate(t, line); out != "" {
			t.Errorf("%s printed %q, want nothing", line, out)
		}
	}
	if out := f.operate(t, "pep Get-AzSDnsForwarder"); !strings.Contains(out, ": {"+unboundAddress+"}") {
		t.Errorf("pep Get-AzSDnsForwarder printed:\n%s", out)
	}
	if out := f.operate(t, "explain www.contoso.com --from "+f.client.addr.String()); !strings.Contains(out, "forwarded") || !strings.Contains(out, corpAddress+":53") {
		t.Errorf("explain www.contoso.com printed:\n%s", out)
	}
	for _, server := range []struct {
		host      *host
		questions []string
	}{
		{f.corp, []string{
			"contoso.com. SOA", "contoso.com. NS", "contoso.com. A", "contoso.com. MX", "contoso.com. ANY",
			"_ldap._tcp.contoso.com. SRV", "_kerberos._tcp.dc._msdcs.contoso.com. SRV", "intranet.contoso.com. A",
			"portal.contoso.com. A", "portal.contoso.com. CNAME", "portal.contoso.com. MX", "PORTAL.Contoso.com. A",
			"large.contoso.com. TXT", "large.contoso.com. A", "_tcp.contoso.com. A", "nowhere.contoso.com. A",
			"x.www.contoso.com. SRV", "files.emea.contoso.com. A", "nowhere.emea.contoso.com. A", "h4.contoso.com. A",
		}},
		{f.unbound[0], []string{
			"example.org. SOA", "example.org. NS", "example.org. MX", "example.org. DNSKEY", "www.example.org. A",
			"www.example.org. AAAA", "www.example.org. TXT", "alias.example.org. A", "alias.example.org. AAAA",
			"far.example.org. A", "gone.example.org. A", "_sip._tcp.example.org. SRV", "a.wild.example.org. A",
			"b.wild.example.org. TXT", "large.example.org. TXT", "nowhere.example.org. A", "nowhere.example. A",
			". NS", "org. A", "h5.example.com. A",
		}},
	} {
		for _, text := range server.questions {
			for _, q := range variants(text) {
				// The second time from the cache.
				for _, from := range []string{"the forwarder", "the cache"} {
					if why := f.differs(t, q, server.host); why != "" {
						t.Errorf("%s, from %s: %s", q, from, why)
					}
				}
			}
		}
	}
	// A referral is no answer, and the client is told.
	q := question{name: "x.lost.contoso.com.", typ: dns.TypeA, size: 1232, rd: true}
	reply := f.client.mustAsk(t, "udp", f.ns01.addr, q)
	if got := extendedErrors(reply); reply.Rcode != dns.RcodeServerFailure || !slices.Contains(got, dns.ExtendedErrorCodeNoReachableAuthority) {
		t.Errorf("%s, to which the forwarder has a referral: %v, want SERVFAIL, extended error 22", q, reply)
	}
	f.checkStamp(t)
}

// variants are the ways to ask a question, which is a name and a type.
func variants(text string) []question {
	name, typ, _ := strings.Cut(text, " ")
	var all []question
	for _, tcp := range []bool{false, true} {
		for _, edns := range []struct {
			size uint16
			do   bool
		}{{0, false}, {1232, false}, {1232, true}} {
			all = append(all, question{name: name, typ: dns.StringToType[typ], size: edns.size, do: edns.do, rd: true, tcp: tcp})
		}
	}
	return all
}

// differs says in what the stamp's answer differs from that of the server behind it.
func (f *forwardLab) differs(t *testing.T, q question, behind *host) string {
	t.Helper()
	network := "udp"
	if q.tcp {
		network = "tcp"
	}
	ours := f.client.mustAsk(t, network, f.ns01.addr, q)
	theirs := f.client.mustAsk(t, "tcp", behind.addr, q)
	switch {
	case ours.Authoritative || !ours.RecursionAvailable || !ours.RecursionDesired:
		return fmt.Sprintf("AA %t, RA %t, RD %t, want RA and RD", ours.Authoritative, ours.RecursionAvailable, ours.RecursionDesired)
	case ours.Truncated && !q.tcp:
		if size := max(int(q.size), dns.MinMsgSize); theirs.Len() <= size-64 { // far from the limit
			return fmt.Sprintf("TC, but the answer has only %d octets", theirs.Len())
		}
		network = "tcp"
		ours = f.client.mustAsk(t, network, f.ns01.addr, q)
	}
	if ours.Rcode != theirs.Rcode {
		return fmt.Sprintf("%s, the server says %s", dns.RcodeToString[ours.Rcode], dns.RcodeToString[theirs.Rcode])
	}
	if a, b := recordSet(ours.Answer), recordSet(theirs.Answer); !slices.Equal(a, b) {
		return fmt.Sprintf("answer %q, the server says %q", a, b)
	}
	if opt := ours.IsEdns0(); (opt != nil) != (q.size > 0) || opt != nil && opt.Do() != q.do {
		return fmt.Sprintf("OPT record %v", opt)
	}
	negative := !slices.ContainsFunc(theirs.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == q.typ || q.typ == dns.TypeANY })
	return authorityDiffers(ours, theirs, negative, q.do)
}

// authorityDiffers says in what the authority sections differ: there are a negative
// answer's SOA, and with DO the proofs.
func authorityDiffers(ours, theirs *dns.Msg, negative, do bool) string {
	want := slices.DeleteFunc(slices.Clone(theirs.Ns), func(rr dns.RR) bool {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return !negative
		case dns.TypeNSEC, dns.TypeRRSIG:
			return !do
		}
		return true
	})
	if a, b := recordSet(ours.Ns), recordSet(want); !slices.Equal(a, b) {
		return fmt.Sprintf("authority %q, of the server's %q", a, b)
	}
	if negative != slices.ContainsFunc(ours.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }) {
		return fmt.Sprintf("no SOA, or one too many: authority %v", ours.Ns)
	}
	return ""
}

// recordSet are records in an order of their own, without their TTLs: the copies of
// two caches are not equally old.
func recordSet(records []dns.RR) []string {
	var all []string
	for _, rr := range records {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		all = append(all, strings.ToLower(rr.String()))
	}
	slices.Sort(all)
	return all
}

// checkStamp makes sure that names of the stamp are answered as ever.
func (f *forwardLab) checkStamp(t *testing.T) {
	t.Helper()
	for name, rcode := range map[string]int{"portal." + stampZone: dns.RcodeSuccess, "nowhere." + stampZone: dns.RcodeNameError} {
		for _, rd := range []bool{true, false} {
			q := question{name: name, typ: dns.TypeA, size: 1232, rd: rd}
			reply := f.client.mustAsk(t, "udp", f.ns01.addr, q)
			if reply.Rcode != rcode || !reply.Authoritative || (rcode == dns.RcodeSuccess) != (len(reply.Answer) == 1) {
				t.Errorf("%s: %v, want %s with AA", q, reply, dns.RcodeToString[rcode])
			}
		}
	}
}

// forwardStampRestart has what was set at run time outlive the process, also one that
// is killed.
func forwardStampRestart(t *testing.T, f *forwardLab) {
	state := stateFile(t)
	flags := []string{"--state", state, "--forwarder", f.closedPort(), "--custom-dns", "example.com=" + unboundAddress}
	p := f.start(t, flags...)
	f.operate(t, "forwarder set "+unboundAddress)
	f.operate(t, "custom-dns register contoso.com "+corpAddress)
	f.operate(t, "custom-dns register example.org "+corpAddress)
	check := func(when string) {
		t.Helper()
		for _, zone := range []string{"contoso.com.", "example.com."} {
			if _, err := f.right(zone); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		// The corporate server knows no other names, and says so.
		if err := f.client.expect(f.ns01.addr, question{name: "www.example.org.", typ: dns.TypeA, rd: true}, dns.RcodeRefused, ""); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		list := f.operate(t, "custom-dns list") + f.operate(t, "forwarder get")
		for _, pattern := range []string{
			`(?m)^contoso\.com\.? .*192\.0\.2\.3.*runtime`, `(?m)^example\.org\.? .*192\.0\.2\.3.*runtime`,
			`(?m)^example\.com\.? .*192\.0\.2\.21.*corefile`, `(?m)^192\.0\.2\.21:53 .*runtime`,
		} {
			if !regexp.MustCompile(pattern).MatchString(list) {
				t.Errorf("%s: nothing matches %q in:\n%s", when, pattern, list)
			}
		}
	}
	check("before a restart")
	if err := p.stop(); err != nil {
		t.Errorf("at SIGTERM: %v, want exit status 0", err)
	}
	p = f.start(t, flags...)
	check("after a restart")
	f.operate(t, "custom-dns register fabrikam.com "+corpAddress)
	p.kill()
	f.start(t, flags...)
	check("after a crash")
	f.operate(t, "custom-dns remove fabrikam.com")
	if code, out := f.exitStatus(t, "custom-dns remove fabrikam.com"); code == 0 {
		t.Errorf("removed twice, printed:\n%s", out)
	}
}

// forwardAtOnce has changes take effect for the next query, whatever the cache has of
// before.
func forwardAtOnce(t *testing.T, f *forwardLab) {
	f.start(t, "--forwarder", unboundAddress)
	www := question{name: "www.contoso.com.", typ: dns.TypeA, rd: true}
	expect := func(when string, rcode int, address string) {
		t.Helper()
		for range 2 {
			if err := f.client.expect(f.ns01.addr, www, rcode, address); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	expect("before it is registered", dns.RcodeNameError, "")
	f.operate(t, "custom-dns register contoso.com "+corpAddress)
	expect("when it is registered", dns.RcodeSuccess, "203.0.113.20")
	f.operate(t, "custom-dns remove contoso.com")
	expect("when it is removed", dns.RcodeNameError, "")
	f.operate(t, "forwarder set "+f.closedPort())
	expect("when the forwarder does not answer", dns.RcodeServerFailure, "")
	f.operate(t, "forwarder reset")
	expect("when the forwarder answers again", dns.RcodeNameError, "")
	f.operate(t, "forwarder set "+corpAddress)
	expect("when the forwarder is another one", dns.RcodeSuccess, "203.0.113.20")
}

// forwardChanges changes the forwarders twenty times while queries come, some of which
// wait for a slow forwarder that is taken away: each has to be answered rightly.
func forwardChanges(t *testing.T, f *forwardLab) {
	startUnbound(t, f.unbound[1], f.hints, "example.org.")
	f.start(t, "--forwarder", unboundAddress, "--state", stateFile(t))
	f.operate(t, "custom-dns register contoso.com "+corpAddress)
	slow := impairment{name: "slow", delay: 150 * time.Millisecond}
	slowUnbound, slowCorp := f.relay(t, f.unbound[0].addr, slow), f.relay(t, f.corp.addr, slow)
	l := f.startLoad(t, 8, 30*time.Millisecond, 0, "example.com.", "contoso.com.")
	for i := range 20 {
		f.operate(t, []string{
			"forwarder set " + slowUnbound.at.String(),
			"custom-dns register contoso.com " + slowCorp.at.String(),
			"forwarder set " + f.unbound[1].addr.String() + " " + unboundAddress,
			"custom-dns register contoso.com " + corpAddress,
			fmt.Sprintf("custom-dns register d%d.example %s", i, corpAddress),
			"forwarder set " + unboundAddress,
		}[i%6])
		// Some queries later, and with others under way.
		n := l.count() + 20
		wait(t, 15*time.Second, func() error { return l.atLeast(n) })
	}
	l.end(t)
	for _, r := range []*relay{slowUnbound, slowCorp} {
		if r.asked() < 10 {
			t.Errorf("the relay to %v was asked %d times: it should have been in use", r.to, r.asked())
		}
	}
	f.checkStamp(t)
}

// forwardRootHints resolves from the root where the forwarder is dead, until that is
// turned off.
func forwardRootHints(t *testing.T, f *forwardLab) {
	dead := f.relay(t, f.unbound[0].addr, impairment{name: "dead", dead: true})
	f.start(t, "--root-hints", f.hints, "--forwarder", dead.at.String(), "--custom-dns", "contoso.com="+corpAddress)
	resolved := func() error {
		_, err := f.right("example.com.")
		return err
	}
	// Until probes have found the forwarder dead, a query that it does not answer fails.
	wait(t, 15*time.Second, resolved)
	for range 5 {
		if err := resolved(); err != nil {
			t.Error(err)
		}
	}
	if why := f.differs(t, question{name: "alias.example.org.", typ: dns.TypeA, rd: true}, f.unbound[0]); why != "" {
		t.Errorf("alias.example.org. from the root: %s", why)
	}
	if err := f.client.expect(f.ns01.addr, question{name: "nowhere.example.org.", typ: dns.TypeA, rd: true}, dns.RcodeNameError, ""); err != nil {
		t.Error(err)
	}
	f.operate(t, "pep Set-AzSDnsServerSettings -UseRootHint false")
	for range 3 {
		if _, err := f.fails("example.com.", dns.ExtendedErrorCodeNoReachableAuthority); err != nil {
			t.Errorf("without root hints: %v", err)
		}
	}
	if _, err := f.right("contoso.com."); err != nil {
		t.Errorf("a conditional forwarder without root hints: %v", err)
	}
	if out := f.operate(t, "pep Get-AzSDnsServerSettings"); !regexp.MustCompile(`UseRootHint\s*: False`).MatchString(out) {
		t.Errorf("pep Get-AzSDnsServerSettings printed:\n%s", out)
	}
	f.operate(t, "settings set use-root-hint=true")
	if err := resolved(); err != nil {
		t.Errorf("root hints again: %v", err)
	}
	if n := f.metric(t, "stampdns_forward_root_queries_total", ""); n < 7 {
		t.Errorf("stampdns_forward_root_queries_total is %v, want 7 or more", n)
	}
	f.checkStamp(t)
}
