package zones

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones/wire"
)

// TestConformance runs the files below testdata/conformance, whose folders are
// named by RFC and section. A file holds zones ("-- zone ORIGIN --") and queries
// ("-- query NAME TYPE [do] [tcp] [size=N] --") with the whole expected answer:
//
//	RCODE [AA] [TC]
//	answer: …
//	authority: …
//	additional: …
//
// one record a line behind its section's name. Names are absolute or relative
// to $ORIGIN of the query's section, which is the first zone of the file.
func TestConformance(t *testing.T) {
	root := filepath.Join("testdata", "conformance")
	ran := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".txtar" {
			return err
		}
		name, _ := filepath.Rel(root, strings.TrimSuffix(path, ".txtar"))
		t.Run(filepath.ToSlash(name), func(t *testing.T) { ran += conform(t, path) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ran < 100 {
		t.Errorf("ran %d queries, want 100 at least: are the files there?", ran)
	}
}

func conform(t *testing.T, path string) (queries int) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	store, origin := NewStore(), ""
	for _, f := range archive.Files {
		kind, rest, _ := strings.Cut(f.Name, " ")
		switch kind {
		case "zone":
			if origin == "" {
				origin = dns.Fqdn(rest)
			}
			loadText(t, store, dns.Fqdn(rest), string(f.Data))
		case "query":
			queries++
			t.Run(strings.ReplaceAll(rest, " ", "_"), func(t *testing.T) {
				got := describe(t, ask(t, store.Set(), origin, rest))
				want := expected(t, origin, string(f.Data))
				if got != want {
					t.Errorf("query %s\n got:\n%s\nwant:\n%s", rest, got, want)
				}
			})
		default:
			t.Fatalf("%s: unknown file %q", path, f.Name)
		}
	}
	return queries
}

func loadText(t testing.TB, store *Store, origin, text string) {
	t.Helper()
	name, err := wire.ParseName(origin)
	if err != nil {
		t.Fatal(err)
	}
	z, _, err := Load(oracleSource{name: name, text: text})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Declare(name, "test"); err != nil {
		t.Fatal(err)
	}
	store.Put(z, 0, testTime)
}

// ask answers "NAME TYPE [do] [tcp] [size=N]" from set.
func ask(t testing.TB, set *Set, origin, query string) *dns.Msg {
	t.Helper()
	words := strings.Fields(query)
	req := new(dns.Msg)
	qtype, ok := dns.StringToType[words[1]]
	if !ok {
		n, err := strconv.Atoi(strings.TrimPrefix(words[1], "TYPE"))
		if err != nil {
			t.Fatalf("query %q: unknown type", query)
		}
		qtype = uint16(n)
	}
	req.SetQuestion(absolute(words[0], origin), qtype)
	req.RecursionDesired = false
	limit, stream := 1232, false
	for _, w := range words[2:] {
		if w == "tcp" {
			limit, stream = dns.MaxMsgSize-1, true
		} else if w == "do" {
			req.SetEdns0(4096, true)
		} else if s, ok := strings.CutPrefix(w, "size="); ok {
			limit, _ = strconv.Atoi(s)
		} else {
			t.Fatalf("query %q: unknown word %q", query, w)
		}
	}
	return exchange(t, set, req, limit, stream)
}

// exchange answers req as a server would, and checks what holds for any answer.
func exchange(t testing.TB, set *Set, req *dns.Msg, limit int, stream bool) *dns.Msg {
	t.Helper()
	packet, err := req.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var buf [wire.MaxName]byte
	q, ok := wire.ParseQuestion(packet, &buf)
	if !ok {
		t.Fatalf("question of %v not read", req)
	}
	wire.SetFlags(packet, wire.FlagQR)
	reply, result := set.Answer(packet[:q.End], Question{Name: q.Name, Type: q.Type, DO: req.IsEdns0() != nil, Stream: stream}, limit)
	if result.Zone == nil {
		wire.SetRCode(reply, dns.RcodeRefused)
	}
	if len(reply) > limit {
		t.Errorf("%v: reply of %d octets, limit is %d", req.Question, len(reply), limit)
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("%v: reply does not decode: %v", req.Question, err)
	}
	if m.Question[0] != req.Question[0] {
		t.Errorf("question came back as %v, want %v", m.Question[0], req.Question[0])
	}
	return m
}

func absolute(name, origin string) string {
	switch {
	case name == "@":
		return origin
	case strings.HasSuffix(name, "."):
		return name
	case origin == ".":
		return name + "."
	}
	return name + "." + origin
}

// describe is an answer in the form of the files: header line, then each
// section's records, sorted.
func describe(t testing.TB, m *dns.Msg) string {
	t.Helper()
	head := dns.RcodeToString[m.Rcode]
	if m.Authoritative {
		head += " AA"
	}
	if m.Truncated {
		head += " TC"
	}
	lines := []string{head}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		name := [...]string{"answer", "authority", "additional"}[i]
		var rrs []string
		for _, rr := range section {
			rrs = append(rrs, fmt.Sprintf("%s: %s", name, canonical(rr)))
		}
		slices.Sort(rrs)
		lines = append(lines, rrs...)
	}
	return strings.Join(lines, "\n")
}

// canonical is a record as one line. A compressed name takes on the case of the
// name it points to, so case does not count.
func canonical(rr dns.RR) string {
	return strings.ToLower(strings.Join(strings.Fields(rr.String()), " "))
}

func expected(t testing.TB, origin, text string) string {
	t.Helper()
	var lines []string
	sections := map[string][]string{}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if i == 0 {
			lines = append(lines, strings.TrimSpace(line))
			continue
		}
		section, record, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("line %q has no section", line)
		}
		zp := dns.NewZoneParser(strings.NewReader("$ORIGIN "+origin+"\n"+record+"\n"), origin, "")
		zp.SetDefaultTTL(3600)
		rr, ok := zp.Next()
		if !ok {
			t.Fatalf("line %q: %v", line, zp.Err())
		}
		sections[section] = append(sections[section], section+": "+canonical(rr))
	}
	for _, name := range []string{"answer", "authority", "additional"} {
		slices.Sort(sections[name])
		lines = append(lines, sections[name]...)
		delete(sections, name)
	}
	if len(sections) > 0 {
		t.Fatalf("unknown sections in %q", text)
	}
	return strings.Join(lines, "\n")
}

// oracleSource reads a zone with miekg/dns: a second opinion on the scanner.
type oracleSource struct {
	name wire.Name
	text string
}

func (s oracleSource) Origin() wire.Name { return s.name }

func (s oracleSource) Records(add func(Record) error) error {
	zp := dns.NewZoneParser(strings.NewReader(s.text), s.name.String(), "zone")
	zp.SetDefaultTTL(3600)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		r, err := recordOf(rr)
		if err != nil {
			return err
		}
		if err := add(r); err != nil {
			return err
		}
	}
	return zp.Err()
}

func recordOf(rr dns.RR) (Record, error) {
	buf := make([]byte, dns.MaxMsgSize)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return Record{}, err
	}
	data, _ := wire.SkipName(buf, 0)
	return Record{
		Owner: buf[:data], Type: rr.Header().Rrtype, TTL: rr.Header().Ttl,
		Data: buf[data+10 : end],
	}, nil
}

// testTime is when tests load their zones.
var testTime = time.Unix(1_700_000_000, 0)
