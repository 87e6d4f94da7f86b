package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// behavior is how a resolver asks the stamp. A value that follows the client's
// query is theClients.
type behavior struct {
	resolver, setup string // as the table and resolverSetups name them

	rd, cd, ad string // 0 or 1
	edns       string // size, and DO
	options    string // of EDNS
	letters    string // of the name
	minimizes  string // the types it asks for between the zone and the name
	besides    string // what it asks that no client has asked
	tc         string // who comes over TCP after TC
	servfail   string // where one of the two servers says SERVFAIL
	silence    span   // after which it turns from a silent server to the other
}

// kind is the resolver without its version, and how it is set up.
func (b behavior) kind() string {
	return b.resolver[:strings.LastIndexByte(b.resolver, ' ')] + " " + strings.Trim(b.setup, "`")
}

const (
	theClients = "client's"
	nothing    = "–"
)

// span is how long something takes: between two times, of which a busy machine may
// exceed the second.
type span struct{ least, most time.Duration }

// clientTimeout is after which the lab's client asks again, as dig does.
const clientTimeout = 5 * time.Second

func (s span) String() string {
	switch {
	case s.least == clientTimeout:
		return "when the client asks again"
	case s.least == s.most:
		return fmt.Sprintf("after %g s", s.least.Seconds())
	}
	return fmt.Sprintf("after %g to %g s", s.least.Seconds(), s.most.Seconds())
}

// slack is how much later than it means to a resolver may do something here.
const slack = 1500 * time.Millisecond

// has says whether a time that was measured is in the span.
func (s span) has(took time.Duration) bool {
	return took >= s.least-50*time.Millisecond && took <= s.most+slack
}

// What most rows have.
const (
	sizeDO = "1232, DO"
	other  = "asks the other"
	// It does so for each label, rather than for the first or the first two.
	eachLabel = ", each label"
	both      = "asks both anew"
	passes    = "says so, too"
	itself    = "itself"
	clients   = "if the client does"
)

const ms = time.Millisecond

// behaviors are the rows of the table "How resolvers ask". TestCapture holds them
// against what it captures of the resolvers of Debian 12.
var behaviors = []behavior{
	{"BIND 9.18", "delegation", "0", theClients, "0", sizeDO, "cookie", theClients, "NS", nothing, itself, other, span{800 * ms, 800 * ms}},
	{"BIND 9.18", "`type forward`", "1", "1", "0", sizeDO, "cookie", theClients, nothing, nothing, itself, other, span{1200 * ms, 1200 * ms}},
	{"BIND 9.18", "`type stub`", "0", theClients, "0", sizeDO, "cookie", theClients, "NS", "NS (TCP), SOA", itself, other, span{800 * ms, 800 * ms}},
	{"BIND 9.18", "`type static-stub`", "0", theClients, "0", sizeDO, "cookie", theClients, "NS", nothing, itself, other, span{800 * ms, 800 * ms}},
	{"Unbound 1.17", "delegation", "0", "1", "0", sizeDO, nothing, theClients, "A" + eachLabel, nothing, itself, other, span{100 * ms, 2000 * ms}},
	{"Unbound 1.17", "`forward-zone`", "1", theClients, "0", sizeDO, nothing, theClients, nothing, nothing, itself, other, span{100 * ms, 2000 * ms}},
	{"Unbound 1.17", "`stub-zone`", "0", "1", "0", sizeDO, nothing, theClients, "A" + eachLabel, nothing, itself, other, span{100 * ms, 2000 * ms}},
	{"Knot Resolver 5.6", "delegation", "0", "1", "0", sizeDO, nothing, "random", "NS", nothing, itself, other, span{0, 6000 * ms}},
	{"Knot Resolver 5.6", "`policy.FORWARD`", "1", "1", "0", sizeDO, nothing, "random", nothing, nothing, itself, other, span{2000 * ms, 6000 * ms}},
	{"Knot Resolver 5.6", "`policy.STUB`", "1", theClients, "0", "1232", nothing, "random", nothing, nothing, itself, passes, span{2000 * ms, 6000 * ms}},
	{"PowerDNS Recursor 4.8", "delegation", "0", "0", "0", sizeDO, nothing, theClients, "A" + eachLabel, nothing, itself, other, span{1500 * ms, 2000 * ms}},
	{"PowerDNS Recursor 4.8", "`forward-zones`", "0", "0", "0", sizeDO, nothing, theClients, "A" + eachLabel, nothing, itself, other, span{1500 * ms, 2000 * ms}},
	{"PowerDNS Recursor 4.8", "`forward-zones-recurse`", "1", "1", "0", sizeDO, nothing, theClients, nothing, nothing, itself, other, span{1500 * ms, 2000 * ms}},
	{"dnsmasq 2.90", "`server=/ZONE/ADDRESS`", "1", theClients, theClients, "client's, 1232 at most", theClients, theClients, nothing, nothing, clients, both, span{clientTimeout, clientTimeout}},
	{"CoreDNS 1.15", "`forward`", "1", theClients, "1", theClients, theClients, theClients, nothing, "`. NS` (health check)", clients, passes, span{2000 * ms, 2000 * ms}},
}

// behaviorTable is the table of docs/metrics.md.
func behaviorTable() string {
	var b strings.Builder
	columns := []string{
		"resolver", "set up by", "RD", "CD", "AD", "EDNS", "options", "letters", "minimizes", "asks besides",
		"TCP after TC", "one server says SERVFAIL", "one server is silent: turns to the other",
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, h := range behaviors {
		fmt.Fprintf(&b, "| %s |\n", strings.Join([]string{
			h.resolver, h.setup, h.rd, h.cd, h.ad, h.edns, h.options, h.letters, h.minimizes, h.besides,
			h.tc, h.servfail, h.silence.String(),
		}, " | "))
	}
	return b.String()
}

// TestBehaviorTable finds in the documentation what TestCapture captures.
func TestBehaviorTable(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := behaviorTable(); !strings.Contains(string(text), table) {
		t.Errorf("docs/metrics.md does not have this table:\n%s", table)
	}
}
