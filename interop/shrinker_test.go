package interop

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"
)

// TestGenerate holds the generator to its promises: the same seed gives the same
// zones and questions, others give others, and there are as many as a run needs.
func TestGenerate(t *testing.T) {
	const seed, count = 7, 20
	families := generate(seed, count)
	if again := generate(seed, count); !reflect.DeepEqual(families, again) {
		t.Error("the same seed gives other zones")
	}
	if other := generate(seed+1, count); reflect.DeepEqual(families, other) {
		t.Error("another seed gives the same zones")
	}
	for _, f := range families {
		asked := map[string]bool{}
		questions := f.questions(seed, 300)
		if again := f.questions(seed, 300); !slices.Equal(questions, again) {
			t.Errorf("%s: the same seed gives other questions", f.origin())
		}
		for _, q := range questions {
			asked[strings.ToLower(q.String())] = true
			if _, err := q.message().Pack(); err != nil {
				t.Errorf("%s: %v", q, err)
			}
		}
		if len(asked) < 300 {
			t.Errorf("%s: %d different questions, want 300", f.origin(), len(asked))
		}
		for _, z := range f.zones {
			parser := dns.NewZoneParser(strings.NewReader(strings.Join(z.text(), "\n")+"\n"), ".", z.origin)
			n := 0
			for _, ok := parser.Next(); ok; _, ok = parser.Next() {
				n++
			}
			if err := parser.Err(); err != nil || n != len(z.head)+len(z.body) {
				t.Errorf("%s: read %d of %d records: %v", z.origin, n, len(z.head)+len(z.body), err)
			}
		}
	}
}

// wrongServer is a server that does not see that a name beside a wildcard keeps
// the wildcard from matching below that name: it is wrong about a family if a zone
// has a wildcard and, beside it, a name with another name below.
func wrongServer(f *family) bool {
	for _, z := range f.zones {
		for _, wild := range z.body {
			base, ok := strings.CutPrefix(wild.owner, "*.")
			if !ok {
				continue
			}
			for _, r := range z.body {
				if below(r.owner, "blocks."+base) {
					return true
				}
			}
		}
	}
	return false
}

// TestShrink makes a family on which wrongServer is wrong as small as can be: two
// records in one zone, whatever else was there.
func TestShrink(t *testing.T) {
	for seed := range uint64(20) {
		f := generate(seed, 1)[0]
		z := &f.zones[len(f.zones)-1]
		wild := record{"*.shrink." + z.origin, "A", "192.0.2.1", 60}
		beside := record{"x.blocks.shrink." + z.origin, "A", "192.0.2.2", 60}
		z.body = slices.Insert(z.body, len(z.body)/2, wild)
		z.body = append(z.body, beside)
		asked := 0
		small := f.shrink(time.Now().Add(time.Minute), func(f *family) bool {
			asked++
			return wrongServer(f)
		})
		if len(small.zones) != 1 || !slices.Equal(small.zones[0].body, []record{wild, beside}) {
			t.Errorf("seed %d: shrunk to %v", seed, small.zones)
		}
		if asked > 400 {
			t.Errorf("seed %d: %d tries, each of which would start four servers", seed, asked)
		}
	}
}

// TestShrinkStops holds the shrinker to its deadline: what it has then still
// fails.
func TestShrinkStops(t *testing.T) {
	f := generate(1, 1)[0]
	small := f.shrink(time.Now(), func(*family) bool { t.Error("asked after the deadline"); return true })
	if !reflect.DeepEqual(small, f) {
		t.Errorf("a shrinker without time changed the family")
	}
}

// TestConformanceCase prints a case and reads it again.
func TestConformanceCase(t *testing.T) {
	f := generate(1, 1)[0]
	msg := new(dns.Msg)
	msg.Authoritative = true
	rr, err := dns.NewRR("a.example. 60 A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	msg.Answer = []dns.RR{rr}
	q := question{name: "a.example.", typ: dns.TypeA, size: 1232, do: true}
	var files []string
	for _, z := range f.zones {
		files = append(files, strings.Join(z.text(), "\n"))
	}
	archive := txtar.Parse([]byte(f.conformance(q, reply{"nsd", factsOf(q, msg), msg, nil}, files, "notes")))
	if got := strings.TrimSpace(string(archive.Comment)); got != "notes" {
		t.Errorf("comment is %q", got)
	}
	if len(archive.Files) != len(f.zones)+1 {
		t.Fatalf("%d files, want %d zones and a query", len(archive.Files), len(f.zones))
	}
	last := archive.Files[len(f.zones)]
	if last.Name != "query a.example. A do size=1221" || string(last.Data) != "NOERROR AA\nanswer: a.example. 60 in a 192.0.2.1\n" {
		t.Errorf("the query is %q:\n%s", last.Name, last.Data)
	}
}

// TestBroken shows wrong replies of ours to the checks that need no other server.
func TestBroken(t *testing.T) {
	q := question{name: "WwW.example.", typ: dns.TypeA}
	whole := q.message()
	for i := range 3 {
		rr, err := dns.NewRR(fmt.Sprintf("www.example. 60 A 192.0.2.%d", i))
		if err != nil {
			t.Fatal(err)
		}
		whole.Answer = append(whole.Answer, rr)
	}
	for _, c := range []struct {
		what, want string
		change     func(*reply)
	}{
		{"right", "", func(*reply) {}},
		{"case", "the question came back", func(r *reply) { r.msg.Question[0].Name = "www.example." }},
		{"size", "513 octets", func(r *reply) { r.packet = make([]byte, 513) }},
		{"half a set", "part of the RRset", func(r *reply) { r.msg.Truncated = true; r.msg.Answer = r.msg.Answer[:2] }},
		{"no set", "", func(r *reply) { r.msg.Truncated = true; r.msg.Answer = nil }},
	} {
		r := reply{msg: whole.Copy()}
		c.change(&r)
		got := q.broken(r, func() reply { return reply{msg: whole} })
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestDecisionsAreDocumented holds the decisions and the table in docs/rfc.md to
// each other.
func TestDecisionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/rfc.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n### Answers\n")
	if !ok {
		t.Fatal("docs/rfc.md has no section called Answers")
	}
	section, _, _ = strings.Cut(section, "\n### ")
	var documented, decisions []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
	}
	for _, rule := range decided() {
		decisions = append(decisions, rule.what)
		if !slices.Contains(documented, rule.what) {
			t.Errorf("docs/rfc.md does not say what we decided about %q, and why", rule.what)
		}
	}
	for _, what := range documented[1:] { // behind the head of the table
		if !slices.Contains(decisions, what) {
			t.Errorf("docs/rfc.md has a decision about %q, which no test knows", what)
		}
	}
}
