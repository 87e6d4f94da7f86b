//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// captureTTL is the TTL of the stamp's records, in seconds: longer than the least
// time that any of the resolvers keeps a record.
const captureTTL = 7

// The signed world's root has a server whose name is the root's own: Knot Resolver
// does not use a root server's address that a zone below the root has.
var (
	signedHints = []string{
		".         3600 NS root-server.",
		"root-server. 3600 A 192.0.2.2",
	}
	signedRoot = append([]string{
		". 60 SOA root-server. hostmaster.fabrikam.com. 1 3600 300 2419200 60",
		"cloud.fabrikam.com. 3600 NS parent.cloud.fabrikam.com.",
		"parent.cloud.fabrikam.com. 3600 A 192.0.2.2",
		// A user's zone.
		"shop.fabrikam.com. 3600 NS azs-ns01.east.cloud.fabrikam.com.",
		"shop.fabrikam.com. 3600 NS azs-ns02.east.cloud.fabrikam.com.",
	}, signedHints...)
)

// newWorld starts the servers above the stamp, signed as the real ones are.
func newWorld(t *testing.T, parent *host, stamp ...netip.Addr) *world {
	t.Helper()
	dir := t.TempDir()
	child := sign(t, dir, "cloud.fabrikam.com.", "nsec", parentZone...)
	ds, err := os.ReadFile(filepath.Join(dir, "dsset-cloud.fabrikam.com."))
	if err != nil {
		t.Fatal(err)
	}
	root := sign(t, dir, ".", "nsec", append(slices.Clone(signedRoot), string(ds))...)
	w := &world{parent: parent.addr, hints: write(t, dir, "hints", signedHints...), stamp: stamp}
	keys, err := filepath.Glob(filepath.Join(dir, ".keys", "*.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range keys {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rr, err := dns.NewRR(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if key, ok := rr.(*dns.DNSKEY); ok && key.Flags&dns.SEP != 0 {
			w.dnskey = fmt.Sprintf(". DNSKEY %d %d %d %s", key.Flags, key.Protocol, key.Algorithm, key.PublicKey)
			digest := key.ToDS(dns.SHA256)
			w.ds = fmt.Sprintf("%d %d %d %s", digest.KeyTag, digest.Algorithm, digest.DigestType, digest.Digest)
		}
	}
	startBIND(t, parent, root, child)
	return w
}

// startBehind serves the stamp on the host, behind the front.
func (f *front) startBehind(t *testing.T, h *host, ns string) {
	t.Helper()
	args := append([]string{stampdns(t), "serve"}, stampFlags...)
	args = append(args, "--listen", h.addr.String(), "--port", fmt.Sprint(behind), "--ttl", fmt.Sprint(captureTTL))
	for i := range manyAddresses {
		args = append(args, "--label", fmt.Sprintf("many=198.51.100.%d", i+131))
	}
	p := h.start(t, "stampdns", args...)
	p.ready(func() error {
		c, err := h.dialPort("udp", netip.AddrPortFrom(h.addr, behind), time.Second)
		if err == nil {
			defer c.close()
			_, err = c.exchange(question{name: stampZone, typ: dns.TypeSOA}.message())
		}
		return err
	})
	f.start(h, ns)
}

// TestCapture captures what each resolver sends to the stamp, and holds it against
// the table of docs/metrics.md.
func TestCapture(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	ns01, ns02 := lab.host("ns01", "192.0.2.11"), lab.host("ns02", "192.0.2.12")
	w := newWorld(t, lab.host("parent", "192.0.2.2"), ns01.addr, ns02.addr)
	f := &front{t: t, bad: map[string]string{}}
	f.startBehind(t, ns01, "ns01")
	f.startBehind(t, ns02, "ns02")
	client := lab.host("client", "198.51.100.9")
	if len(resolverSetups) != len(behaviors) {
		t.Fatalf("%d resolvers, %d rows", len(resolverSetups), len(behaviors))
	}
	// A group, so that the servers outlive the tests that run beside each other.
	t.Run("resolvers", func(t *testing.T) {
		for i, want := range behaviors {
			h := lab.host(fmt.Sprintf("resolver%d", i), fmt.Sprintf("198.51.100.%d", 21+i))
			t.Run(want.resolver+", "+want.setup, func(t *testing.T) {
				t.Parallel()
				start := resolverSetups[want.kind()]
				if start == nil {
					t.Fatalf("no resolver %q", want.kind())
				}
				start(t, h, w)
				c := &capture{front: f, client: client, resolver: h}
				c.compare(t, c.behavior(t), want)
			})
		}
		h := lab.host("resolver", "198.51.100.20")
		t.Run("Knot Resolver that forwards and validates", func(t *testing.T) {
			t.Parallel()
			startKnotResolver(t, h, w, knotPolicy("FORWARD", w)...)
			c := &capture{front: f, client: client, resolver: h}
			reply, list := c.ask(t, "udp", question{name: "plain.blob." + stampZone, typ: dns.TypeA, rd: true}.message())
			if got := besides(list); reply.Rcode != dns.RcodeServerFailure || got != "DS" || !list[0].msg.RecursionDesired {
				t.Errorf("%s after it has asked %q, want SERVFAIL after DS with RD:\n%s", dns.RcodeToString[reply.Rcode], got, c.log.String())
			}
		})
	})
}

// capture asks one resolver and reads what it asked the stamp.
type capture struct {
	front            *front
	client, resolver *host
	log              strings.Builder
}

// compare fails the test unless what was captured is what the table says.
func (c *capture) compare(t *testing.T, got, want behavior) {
	t.Helper()
	took := got.silence.least
	if !want.silence.has(took) {
		t.Errorf("with one silent server it asked the other after %v, want %v", took, want.silence)
	}
	if want.servfail == both && got.servfail == other {
		got.servfail = both // the good answer came first
	}
	got.resolver, got.setup, got.silence = want.resolver, want.setup, want.silence
	if got != want {
		t.Errorf("captured\n%+v, the table has\n%+v", got, want)
	}
	if t.Failed() {
		t.Logf("what it asked:\n%s", c.log.String())
	}
}

// ask has the client ask, up to three times as dig does, and returns what the
// resolver sent to the stamp since.
func (c *capture) ask(t *testing.T, network string, m *dns.Msg) (*dns.Msg, []asked) {
	t.Helper()
	n, start := c.front.count(), time.Now()
	conn, err := c.client.dial(network, c.resolver.addr, clientTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	var reply *dns.Msg
	for range 3 {
		if reply, err = conn.exchange(m); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", m.Question[0].String(), err)
	}
	list := c.front.from(c.resolver.addr, n)
	fmt.Fprintf(&c.log, "%s: %s, %d answers, TC %t\n", m.Question[0].String(), dns.RcodeToString[reply.Rcode], len(reply.Answer), reply.Truncated)
	for _, a := range list {
		fmt.Fprintf(&c.log, "    %8v %s %s\n", a.at.Sub(start).Round(time.Millisecond), a.ns, a)
	}
	return reply, list
}

// last is the last of the queries for a name.
func last(t *testing.T, list []asked, name string) asked {
	t.Helper()
	for _, a := range slices.Backward(list) {
		if a.name() == strings.ToLower(name) {
			return a
		}
	}
	t.Fatalf("the stamp was not asked for %s, but %v", name, list)
	return asked{}
}

// behavior asks all there is to ask.
func (c *capture) behavior(t *testing.T) (b behavior) {
	plainQuery := question{name: "plain.blob." + stampZone, typ: dns.TypeA, rd: true}.message()
	c.fields(t, plainQuery, &b)
	first := time.Now()
	c.ask(t, "udp", question{name: deepName, typ: dns.TypeAAAA, rd: true}.message())
	b.tc = c.truncated(t)
	for _, kind := range []string{"servfail", "silent"} {
		name, n := kind+".blob."+stampZone, c.front.count()
		reply, _ := c.ask(t, "udp", question{name: name, typ: dns.TypeA, rd: true}.message())
		// What it has sent before it answered may come later still.
		time.Sleep(200 * time.Millisecond)
		after, ok := turned(c.front.from(c.resolver.addr, n), name)
		switch {
		case kind == "silent":
			b.silence = span{after, after}
		case ok && after < 500*time.Millisecond && reply.Rcode == dns.RcodeSuccess:
			b.servfail = other
		case ok:
			b.servfail = both
		case reply.Rcode == dns.RcodeServerFailure:
			b.servfail = passes
		}
	}
	// Some count whole seconds.
	time.Sleep(time.Until(first.Add((captureTTL + 2) * time.Second)))
	if _, list := c.ask(t, "udp", plainQuery); len(list) == 0 {
		t.Errorf("%d s after it asked for a record with TTL %d, it did not ask again", captureTTL+2, captureTTL)
	}
	if _, list := c.ask(t, "udp", plainQuery); len(list) > 0 {
		t.Errorf("at once after it asked for a record with TTL %d, it asked again: %v", captureTTL, list)
	}
	all := c.front.from(c.resolver.addr, 0)
	b.minimizes, b.besides = minimized(all), besides(all)
	return b
}

// fields asks twice, as different clients do, to see which fields follow the client.
func (c *capture) fields(t *testing.T, plainQuery *dns.Msg, b *behavior) {
	t.Helper()
	richName := "RiCh.bLoB." + stampZone
	richQuery := question{name: richName, typ: dns.TypeA, rd: true, do: true, size: 1400}.message()
	richQuery.CheckingDisabled, richQuery.AuthenticatedData = true, true
	opt := richQuery.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"})
	_, list := c.ask(t, "udp", plainQuery)
	plain := last(t, list, plainQuery.Question[0].Name)
	_, list = c.ask(t, "udp", richQuery)
	rich := last(t, list, richName)

	value := func(of func(*dns.Msg) string) string {
		p, r := of(plain.msg), of(rich.msg)
		switch {
		case p == r:
			return p
		case p == of(plainQuery) && r == of(richQuery):
			return theClients
		case p == of(plainQuery) && r == sizeDO:
			return theClients + ", 1232 at most"
		}
		return p + " or " + r
	}
	b.rd = value(func(m *dns.Msg) string { return bit(m.RecursionDesired) })
	b.cd = value(func(m *dns.Msg) string { return bit(m.CheckingDisabled) })
	b.ad = value(func(m *dns.Msg) string { return bit(m.AuthenticatedData) })
	b.edns = value(ednsOf)
	b.options = value(optionsOf)
	switch {
	case plain.msg.Question[0].Name != plain.name():
		b.letters = "random"
	case rich.msg.Question[0].Name == richName:
		b.letters = theClients
	default:
		b.letters = "small"
	}
}

// deepName is below many names that a resolver may ask for first.
const deepName = "a.b.c.d.e.f.blob." + stampZone

// truncated asks for what fits no datagram, and again over TCP as clients do.
func (c *capture) truncated(t *testing.T) string {
	t.Helper()
	q := question{name: "many." + cloudappZone, typ: dns.TypeA, rd: true}.message()
	tcp := func(list []asked) bool { return slices.ContainsFunc(list, func(a asked) bool { return a.tcp }) }
	_, list := c.ask(t, "udp", q)
	if tcp(list) {
		return itself
	}
	if _, list = c.ask(t, "tcp", q); tcp(list) {
		return clients
	}
	return nothing
}

// turned is how long after the first query for the name the other server was asked.
func turned(list []asked, name string) (time.Duration, bool) {
	var first *asked
	for _, a := range list {
		switch {
		case a.name() != name:
		case first == nil:
			first = &a
		case a.ns != first.ns:
			return a.at.Sub(first.at), true
		}
	}
	return 0, false
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func ednsOf(m *dns.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return nothing
	}
	text := fmt.Sprint(opt.UDPSize())
	if opt.Version() != 0 {
		text = fmt.Sprintf("version %d %s", opt.Version(), text)
	}
	if opt.Do() {
		text += ", DO"
	}
	return text
}

func optionsOf(m *dns.Msg) string {
	var names []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if o.Option() == dns.EDNS0COOKIE {
				names = append(names, "cookie")
			} else {
				names = append(names, fmt.Sprintf("option %d", o.Option()))
			}
		}
	}
	return list(names)
}

// list joins names, each once.
func list(names []string) string {
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return nothing
	}
	return strings.Join(names, ", ")
}

// minimized are the types that were asked for names between the zone and deepName, and
// whether each of these names was asked for.
func minimized(queries []asked) string {
	var types []string
	names := map[string]bool{}
	for _, a := range queries {
		below, typ := strings.TrimPrefix(a.name(), "_."), a.typ()
		if below != a.name() {
			typ += " of _.NAME"
		}
		if a.name() != deepName && dns.IsSubDomain(below, deepName) && dns.IsSubDomain(stampZone, below) && below != stampZone {
			types = append(types, typ)
			names[below] = true
		}
	}
	switch all := dns.CountLabel(deepName) - dns.CountLabel(stampZone) - 1; {
	case len(names) == 0:
		return nothing
	case len(names) == all:
		return list(types) + eachLabel
	}
	return list(types)
}

// besides are the queries that no client has asked, nor names above them: at the
// apexes, for the name servers' addresses, and outside of the stamp's zones.
func besides(queries []asked) string {
	var found []string
	for _, a := range queries {
		what := a.typ()
		switch name := a.name(); {
		case name == stampZone || name == cloudappZone:
		case name == "azs-ns01."+stampZone || name == "azs-ns02."+stampZone:
			what = "glue " + what
		case name == ".":
			what = "`. " + what + "` (health check)"
		case !dns.IsSubDomain(stampZone, name) && !dns.IsSubDomain(cloudappZone, name):
			what = name + " " + what
		default:
			continue
		}
		if a.tcp {
			what += " (TCP)"
		}
		found = append(found, what)
	}
	return list(found)
}

// String is the query in a line.
func (a asked) String() string {
	network := "udp"
	if a.tcp {
		network = "tcp"
	}
	return fmt.Sprintf("%s %s %s rd %s cd %s ad %s, edns %s, options %s, tc %t", network, a.msg.Question[0].Name, a.typ(),
		bit(a.msg.RecursionDesired), bit(a.msg.CheckingDisabled), bit(a.msg.AuthenticatedData), ednsOf(a.msg), optionsOf(a.msg), a.tc)
}
