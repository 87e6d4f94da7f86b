//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// userZone is a zone on the stamp, of which the user delegates a part onward.
const userZone = "shop.fabrikam.com."

var userZoneText = []string{
	"$ORIGIN " + userZone,
	"$TTL 60",
	"@      SOA azs-ns01." + stampZone + " hostmaster 1 3600 300 2419200 60",
	"@      NS  azs-ns01." + stampZone,
	"@      NS  azs-ns02." + stampZone,
	"www    A   203.0.113.30",
	"team   NS  ns.team",
	"ns.team A  192.0.2.30",
}

// reach is a stamp that observes who comes by which way, both of its name servers on
// one host, and the resolvers that it has names for.
type reach struct {
	lab           *lab
	client, stamp *host
	world         *world
	resolvers     map[string]*host
	fresh         atomic.Int64 // names that were made up
}

// stampAddresses are those of the stamp's name servers.
var stampAddresses = []string{"192.0.2.11", "192.0.2.12"}

// newReach starts the stamp, below a signed parent that delegates rightly, and makes
// the hosts of the resolvers that the stamp has names for.
func newReach(t *testing.T, names ...string) *reach {
	t.Helper()
	l := newLab(t)
	r := &reach{
		lab: l, client: l.host("client", "198.51.100.9"), stamp: l.host("stamp", stampAddresses[0]),
		resolvers: make(map[string]*host),
	}
	l.ip("-n", r.stamp.netns, "addr", "add", stampAddresses[1]+"/32", "dev", "eth0")
	r.world = newWorld(t, l.host("parent", "192.0.2.2"), r.stamp.addr, r.stamp.addr.Next())
	conf := []string{".:53 {", "    bind " + strings.Join(stampAddresses, " "), "    delegation {"}
	for i, name := range names {
		r.resolvers[name] = l.host(fmt.Sprintf("r%d", i), fmt.Sprintf("198.51.100.%d", 21+i))
		conf = append(conf, fmt.Sprintf("        resolver %s %s", name, r.resolvers[name].addr))
	}
	conf = append(conf,
		"    }", "    journal", "    prometheus", "    errors", "    fault",
		"    stamp {", "        ns01 192.0.2.11", "        ns02 192.0.2.12", "        vips 198.51.100.64/26", "        ttl 60")
	many := ""
	for i := range manyAddresses {
		many += fmt.Sprintf(" 198.51.100.%d", i+131)
	}
	dir := t.TempDir()
	conf = append(conf, "        label many"+many, "        label more"+many, "    }",
		fmt.Sprintf("    file %s %s", write(t, dir, "user.zone", userZoneText...), userZone),
		"    api", "}")
	p := r.stamp.start(t, "stampdns", stampdns(t), "serve", "--conf", write(t, dir, "Corefile", conf...))
	p.ready(r.stamp.answers(r.stamp.addr, stampZone))
	return r
}

// run runs a command line of stampdns on the stamp's host, where the API is at its
// usual address, and returns its exit status and what it says.
func (r *reach) run(t *testing.T, line string) (int, string) {
	t.Helper()
	args := append([]string{"netns", "exec", r.stamp.netns, stampdns(t)}, strings.Fields(line)...)
	cmd := exec.Command("ip", args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", line, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// says runs a command line that has to end with the status, and to say what matches
// the patterns.
func (r *reach) says(t *testing.T, status int, line string, patterns ...string) string {
	t.Helper()
	got, out := r.run(t, line)
	if got != status {
		t.Errorf("stampdns %s: exit status %d, want %d:\n%s", line, got, status, out)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("stampdns %s: nothing matches %q in:\n%s", line, pattern, out)
		}
	}
	return out
}

// freshName is a name in the zone that nobody has asked for; below blob. there is an
// answer for each.
func (r *reach) freshName(below string) string {
	return fmt.Sprintf("n%d.%s", r.fresh.Add(1), below)
}

// blobNames are below the wildcard of the stamp's blob storage.
const blobNames = "blob." + stampZone

// ask has the client ask a resolver, up to three times, and returns the last answer;
// nil if there was none.
func (r *reach) ask(t *testing.T, resolver, name string, typ uint16) *dns.Msg {
	t.Helper()
	for range 3 {
		reply, err := r.client.ask("udp", r.resolvers[resolver].addr, question{name: name, typ: typ, size: 1232, rd: true}, clientTimeout)
		if err == nil {
			return reply
		}
	}
	return nil
}

// askMany asks a resolver for so many fresh names, each of which has an answer.
func (r *reach) askMany(t *testing.T, resolver string, n int) {
	t.Helper()
	for range n {
		name := r.freshName(blobNames)
		if reply := r.ask(t, resolver, name, dns.TypeA); reply == nil || len(addresses(reply.Answer)) != 1 {
			t.Errorf("%s of %s: %v, want an address", name, resolver, reply)
		}
	}
}

// metric is the sum of a metric of the stamp over all series that have the labels, each
// as label="value". There may be none.
func (r *reach) metric(t *testing.T, name string, labels ...string) (sum float64) {
	t.Helper()
	text := r.stamp.get(t, "http://127.0.0.1:9153/metrics")
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(\{.*\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		if slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(m[1], label) }) {
			continue
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatalf("metric %s: %v", m[0], err)
		}
		sum += v
	}
	return sum
}

// metricIs polls a metric until it is in the bounds.
func (r *reach) metricIs(t *testing.T, within time.Duration, least, most float64, name string, labels ...string) {
	t.Helper()
	wait(t, within, func() error {
		if got := r.metric(t, name, labels...); got < least || got > most {
			return fmt.Errorf("metric %s%v is %v, want %v to %v", name, labels, got, least, most)
		}
		return nil
	})
}

// report is what the API tells of the delegation.
type report struct {
	Resolvers []struct {
		Name    string
		Learned bool
		Queries struct {
			ByPath map[string]uint64 `json:"by_path"`
		}
	}
	Findings     []finding
	SourceHidden *struct{ Address, Text string } `json:"source_hidden"`
}

type finding struct{ ID, Level, Resolver, Zone, Text string }

func (r *reach) report(t *testing.T) (doc report) {
	t.Helper()
	text := r.stamp.get(t, "http://127.0.0.1:8053/api/v1/delegation")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return doc
}

// warnings are the identifiers of the warnings on a resolver.
func (r *reach) warnings(t *testing.T, resolver string) (ids []string) {
	t.Helper()
	for _, f := range r.report(t).Findings {
		if f.Resolver == resolver && f.Level != "info" {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// warned waits until a warning on the resolver is there, and fails the test if there
// are others than those named.
func (r *reach) warned(t *testing.T, resolver string, within time.Duration, want string, others ...string) {
	t.Helper()
	wait(t, within, func() error {
		if got := r.warnings(t, resolver); !slices.Contains(got, want) {
			return fmt.Errorf("warnings on %s: %q, want %s", resolver, got, want)
		}
		return nil
	})
	for _, id := range r.warnings(t, resolver) {
		if id != want && !slices.Contains(others, id) {
			t.Errorf("there is a warning %s on %s, too: %+v", id, resolver, r.report(t).Findings)
		}
	}
}
