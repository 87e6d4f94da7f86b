//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The zones of the world outside the stamp: a root that knows example.com and
// example.org, and contoso.com, which the corporate server alone knows.
var (
	outsideHints = []string{
		".                   3600 NS root.example.org.",
		"root.example.org.   3600 A  192.0.2.2",
	}
	outsideRoot = append([]string{
		". 60 SOA root.example.org. hostmaster.example.org. 1 3600 300 2419200 60",
		"example.org. 3600 NS root.example.org.",
		"example.com. 3600 NS root.example.org.",
	}, outsideHints...)
	outsideOrg = []string{
		"$ORIGIN example.org.",
		"$TTL 300",
		"@        SOA   root hostmaster 1 3600 300 2419200 60",
		"@        NS    root",
		"@        MX    10 mail",
		"root     A     192.0.2.2",
		"www      A     203.0.113.10",
		"www      AAAA  2001:db8::10",
		"mail     A     203.0.113.11",
		"alias    CNAME www",
		"far      CNAME h0.example.com.",
		"gone     CNAME nowhere",
		"_sip._tcp SRV  0 5 5060 www",
		"*.wild   A     203.0.113.12",
		"large    TXT   " + strings.Repeat(`"`+strings.Repeat("large ", 40)+`" `, 12),
	}
	// As a domain controller has it.
	corporate = []string{
		"$ORIGIN contoso.com.",
		"$TTL 300",
		"@            SOA   dc01 hostmaster 7 3600 300 2419200 60",
		"@            NS    dc01",
		"@            NS    dc02",
		"@            A     192.0.2.3",
		"@            MX    10 mail",
		"@            MX    20 mail.example.org.",
		"dc01         A     192.0.2.3",
		"dc02         A     192.0.2.4",
		"mail         A     203.0.113.21",
		"www          A     203.0.113.20",
		"intranet     CNAME www",
		"portal       CNAME intranet",
		"_ldap._tcp   SRV   0 100 389 dc01",
		"_ldap._tcp   SRV   0 100 389 dc02",
		"_kerberos._tcp.dc._msdcs SRV 0 100 88 dc01",
		"_msdcs.dc    TXT   below",
		"emea         NS    dc01",
		"lost         NS    ns.lost",
		"ns.lost      A     203.0.113.29",
		"large        TXT   " + strings.Repeat(`"`+strings.Repeat("large ", 40)+`" `, 12),
	}
	corporateChild = []string{
		"$ORIGIN emea.contoso.com.",
		"$TTL 300",
		"@            SOA   dc01.contoso.com. hostmaster.contoso.com. 7 3600 300 2419200 60",
		"@            NS    dc01.contoso.com.",
		"files        A     203.0.113.22",
	}
)

// numberedHosts are the names hN.example.com and hN.contoso.com, each with an address
// of its own, by which an answer is known to be the right one.
const numberedHosts = 1 << 14

// numbered are the records of the numbered hosts of a zone, whose addresses start
// with 10.net.
func numbered(net int) []string {
	var lines []string
	for n := range numberedHosts {
		lines = append(lines, fmt.Sprintf("h%d A 10.%d.%d.%d", n, net, n>>8, n&255))
	}
	return lines
}

// The second octet of the numbered hosts' addresses.
var numberedNets = map[string]int{"example.com.": 1, "contoso.com.": 2}

// forwardLab is the stamp's first name server, and the servers that it may forward to.
type forwardLab struct {
	lab                              *lab
	client, root, corp, loop, relays *host
	ns01                             *host
	unbound                          [3]*host
	hints                            string
	asked                            atomic.Int64 // how many numbered hosts were
	ports                            uint16       // of relays, that are in use
}

// newForwardLab starts the servers that no test stops: the root, the corporate
// server, and the first Unbound.
func newForwardLab(t *testing.T) *forwardLab {
	l := newLab(t)
	f := &forwardLab{
		lab:    l,
		client: l.host("client", "198.51.100.9"),
		root:   l.host("root", "192.0.2.2"),
		corp:   l.host("corp", "192.0.2.3"),
		loop:   l.host("loop", "192.0.2.6"),
		relays: l.host("relays", "198.51.100.31"),
		ns01:   l.host("ns01", "192.0.2.11"),
		ports:  5300,
	}
	l.ip("-n", f.relays.netns, "addr", "add", liarAddress+"/32", "dev", "eth0")
	for i := range f.unbound {
		f.unbound[i] = l.host(fmt.Sprintf("unbound%d", i), fmt.Sprintf("192.0.2.%d", 21+i))
	}
	dir := t.TempDir()
	f.hints = write(t, dir, "hints", outsideHints...)
	com := []string{
		"$ORIGIN example.com.", "$TTL 300",
		"@ SOA root.example.org. hostmaster.example.org. 1 3600 300 2419200 60",
		"@ NS root.example.org.",
	}
	startBIND(t, f.root,
		zone{".", write(t, dir, "root.zone", outsideRoot...)},
		sign(t, dir, "example.org.", "nsec", outsideOrg...),
		zone{"example.com.", write(t, dir, "com.zone", append(com, numbered(numberedNets["example.com."])...)...)})
	startBIND(t, f.corp,
		zone{"contoso.com.", write(t, dir, "contoso.zone", append(corporate[:len(corporate):len(corporate)], numbered(numberedNets["contoso.com."])...)...)},
		zone{"emea.contoso.com.", write(t, dir, "emea.zone", corporateChild...)})
	startUnbound(t, f.unbound[0], f.hints, "example.org.")
	return f
}

// allowLab lets the lab's clients, whose networks are not private, be forwarded for.
var allowLab = []string{"--allow", "192.0.2.0/24,198.51.100.0/24"}

// start serves the stamp with forwarding for the lab's clients.
func (f *forwardLab) start(t *testing.T, extra ...string) *process {
	t.Helper()
	return startStamp(t, f.ns01, append(allowLab[:len(allowLab):len(allowLab)], extra...)...)
}

// startCorefile serves one block, with the stamp, metrics, cache and API, and these
// lines.
func (f *forwardLab) startCorefile(t *testing.T, lines ...string) *process {
	t.Helper()
	dir := t.TempDir()
	text := output(t, stampdns(t), append(append([]string{"serve"}, stampFlags...), "--listen", f.ns01.addr.String(), "--port", "53", "--print-conf")...)
	// What the flags amount to, with other forwarding.
	head, _, ok := strings.Cut(text, "    forward\n")
	if !ok {
		t.Fatalf("no line \"forward\" in what serve --print-conf prints:\n%s", text)
	}
	conf := append([]string{head}, lines...)
	corefile := write(t, dir, "Corefile", append(conf, "    api", "}")...)
	p := f.ns01.start(t, "stampdns", stampdns(t), "serve", "--conf", corefile)
	p.ready(f.ns01.answers(f.ns01.addr, stampZone))
	return p
}

// relay starts a relay at a port that no test has used: nothing is known of it yet.
func (f *forwardLab) relay(t *testing.T, to netip.Addr, impaired impairment) *relay {
	t.Helper()
	f.ports++
	return startRelay(t, f.relays, f.ports, netip.AddrPortFrom(to, 53), impaired)
}

// closedPort is an address where nobody listens.
func (f *forwardLab) closedPort() string {
	f.ports++
	return netip.AddrPortFrom(f.relays.addr, f.ports).String()
}

// operate runs a command line of stampdns on the stamp's name server, where the API
// is at its usual address, and returns what it prints.
func (f *forwardLab) operate(t *testing.T, line string) string {
	t.Helper()
	args := []string{"netns", "exec", f.ns01.netns, stampdns(t)}
	for _, word := range strings.Fields(line) {
		args = append(args, strings.ReplaceAll(word, `"`, "")) // as a shell does
	}
	return output(t, "ip", args...)
}

// metric is host.metric of the stamp's name server.
func (f *forwardLab) metric(t *testing.T, name, labels string) float64 {
	t.Helper()
	return f.ns01.metric(t, name, labels)
}

// metric is the sum of a metric of the stampdns on the host over all its labels that
// have the text.
func (h *host) metric(t *testing.T, name, labels string) float64 {
	t.Helper()
	text := h.get(t, "http://127.0.0.1:9153/metrics")
	sum, found := 0.0, false
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(\{.*\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], labels) {
			continue
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatalf("metric %s: %v", m[0], err)
		}
		sum, found = sum+v, true
	}
	if !found {
		t.Errorf("no metric %s with %q", name, labels)
	}
	return sum
}

// numberedHost is a numbered host of a zone that was not asked before, and its address.
func (f *forwardLab) numberedHost(zone string) (question, string) {
	n := int(f.asked.Add(1)) % numberedHosts
	q := question{name: fmt.Sprintf("h%d.%s", n, zone), typ: dns.TypeA, size: 1232, rd: true}
	return q, fmt.Sprintf("10.%d.%d.%d", numberedNets[zone], n>>8, n&255)
}

// stub asks the stamp's name server once, and returns how long that took.
func (f *forwardLab) stub(q question) (*dns.Msg, time.Duration, error) {
	network := "udp"
	if q.tcp {
		network = "tcp"
	}
	start := time.Now()
	reply, err := f.client.ask(network, f.ns01.addr, q, patience)
	return reply, time.Since(start), err
}

// right asks for a numbered host of the zone that was not asked before; what is not
// as it should be is an error.
func (f *forwardLab) right(zone string) (time.Duration, error) {
	q, want := f.numberedHost(zone)
	reply, took, err := f.stub(q)
	if err != nil {
		return took, fmt.Errorf("%s: %w", q, err)
	}
	return took, isRight(q, reply, want)
}

// isRight says of a reply what is wrong.
func isRight(q question, reply *dns.Msg, want string) error {
	got := strings.Join(addresses(reply.Answer), " ")
	if reply.Rcode != dns.RcodeSuccess || got != want || !reply.RecursionAvailable || reply.Authoritative {
		return fmt.Errorf("%s: %s %q, RA %t, AA %t, extended errors %v; want NOERROR %q, RA, no AA", q,
			dns.RcodeToString[reply.Rcode], got, reply.RecursionAvailable, reply.Authoritative, extendedErrors(reply), want)
	}
	return nil
}

// fails asks for a numbered host of the zone that was not asked before, and wants
// SERVFAIL with one of the extended errors.
func (f *forwardLab) fails(zone string, extended ...uint16) (time.Duration, error) {
	q, _ := f.numberedHost(zone)
	reply, took, err := f.stub(q)
	if err != nil {
		return took, fmt.Errorf("%s: %w", q, err)
	}
	got := extendedErrors(reply)
	if reply.Rcode != dns.RcodeServerFailure || len(got) != 1 || !slices.Contains(extended, got[0]) {
		err = fmt.Errorf("%s: %s, extended errors %v, want SERVFAIL, one of %v", q, dns.RcodeToString[reply.Rcode], got, extended)
	}
	return took, err
}

// times are how long replies took. A busy machine may hold up any of them, but not
// each: a bound is kept if three of four keep it.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

// check notes a time, and reports what went wrong.
func (d *times) check(t *testing.T, what string, took time.Duration, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, took)
}

// within fails the test unless three of four kept the bound.
func (d *times) within(t *testing.T, what string, bound time.Duration) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.all)
	if took := d.all[(len(d.all)*3-1)/4]; took > bound {
		t.Errorf("%s: one of four of %d took %v or more, want %v at most: %v", what, len(d.all), took, bound, d.all)
	}
}

// extendedErrors are the codes of a reply's extended errors.
func extendedErrors(reply *dns.Msg) []uint16 {
	var codes []uint16
	if opt := reply.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				codes = append(codes, e.InfoCode)
			}
		}
	}
	return codes
}

// wait polls until probe returns nil, within so long.
func wait(t *testing.T, within time.Duration, probe func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := probe()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", within, err)
		}
		time.Sleep(pollTime)
	}
}

// load is clients that ask for numbered hosts all the time.
type load struct {
	f       *forwardLab
	retries int // that a client makes

	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex
	asked    int
	again    int // asked again
	slowest  time.Duration
	failures []string // what was wrong at the last try
}

// startLoad starts clients that each ask for a host of one of the zones, and the next
// one when the answer is there and the pause since the last query over.
func (f *forwardLab) startLoad(t *testing.T, clients int, pause time.Duration, retries int, zones ...string) *load {
	t.Helper()
	l := &load{f: f, retries: retries, stop: make(chan struct{})}
	for i := range clients {
		c, err := f.client.dial("udp", f.ns01.addr, 2500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		l.done.Go(func() {
			defer c.close()
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-l.stop:
					return
				case <-tick.C:
					l.ask(c, zones[i%len(zones)])
				}
			}
		})
	}
	return l
}

// ask asks once, and again as often as clients do.
func (l *load) ask(c *client, zone string) {
	q, want := l.f.numberedHost(zone)
	start := time.Now()
	var err error
	tries := 0
	for ; tries <= l.retries; tries++ {
		var reply *dns.Msg
		if reply, err = c.exchange(q.message()); err == nil {
			err = isRight(q, reply, want)
		}
		if err == nil {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.again += min(tries, l.retries)
	l.slowest = max(l.slowest, time.Since(start))
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%v (after %v)", err, time.Since(start)))
	}
}

// count is how many queries were asked so far.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// atLeast is a probe for wait.
func (l *load) atLeast(n int) error {
	if got := l.count(); got < n {
		return fmt.Errorf("%d queries, want %d", got, n)
	}
	return nil
}

// end stops the clients, and fails the test for each query without its answer.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	t.Logf("%d queries, %d asked again, the slowest took %v", l.asked, l.again, l.slowest)
	for i, failure := range l.failures {
		if i == 10 {
			t.Errorf("and %d more", len(l.failures)-i)
			break
		}
		t.Error(failure)
	}
}

// exitStatus runs a command line of stampdns that has to fail on the stamp's name
// server, and returns its exit status and what it said.
func (f *forwardLab) exitStatus(t *testing.T, line string) (int, string) {
	t.Helper()
	args := append([]string{"netns", "exec", f.ns01.netns, stampdns(t)}, strings.Fields(line)...)
	cmd := exec.Command("ip", args...)
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

// stateFile is a path for one.
func stateFile(t *testing.T) string { return filepath.Join(t.TempDir(), "stampdns.state") }
