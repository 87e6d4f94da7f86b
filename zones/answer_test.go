package zones

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones/wire"
)

const allocZone = `
@ 3600 SOA azs-ns01 hostmaster 1 3600 300 2419200 300
@ NS azs-ns01
@ NS azs-ns02
@ MX 10 portal
azs-ns01 A 192.0.2.11
azs-ns02 A 192.0.2.12
portal A 192.0.2.37
alias CNAME portal
*.blob A 192.0.2.46
api.appservice A 192.0.2.51
child NS ns.child
ns.child A 192.0.2.60
old DNAME appservice
`

// question packs a query and returns what Answer takes, with room to answer.
func question(t testing.TB, name string, qtype uint16) ([]byte, Question) {
	t.Helper()
	req := new(dns.Msg)
	req.SetQuestion(name, qtype)
	packet, err := req.Pack()
	if err != nil {
		t.Fatal(err)
	}
	q, ok := wire.ParseQuestion(packet, new([wire.MaxName]byte))
	if !ok {
		t.Fatalf("question %s not read", name)
	}
	buf := make([]byte, q.End, 4096)
	copy(buf, packet)
	return buf, Question{Name: q.Name, Type: q.Type}
}

var answerCases = []struct {
	what, name string
	qtype      uint16
}{
	{"exact", "portal.east.cloud.fabrikam.com.", dns.TypeA},
	{"wildcard", "web.blob.east.cloud.fabrikam.com.", dns.TypeA},
	{"nodata", "portal.east.cloud.fabrikam.com.", dns.TypeAAAA},
	{"nxdomain", "x.portal.east.cloud.fabrikam.com.", dns.TypeA},
	{"ns", "east.cloud.fabrikam.com.", dns.TypeNS},
	{"mx", "east.cloud.fabrikam.com.", dns.TypeMX},
	{"cname", "alias.east.cloud.fabrikam.com.", dns.TypeA},
	{"dname", "api.old.east.cloud.fabrikam.com.", dns.TypeA},
	{"referral", "www.child.east.cloud.fabrikam.com.", dns.TypeA},
}

// An answer must not allocate: it is made between two system calls.
func TestAnswerAllocatesNothing(t *testing.T) {
	store := NewStore()
	loadText(t, store, "east.cloud.fabrikam.com.", allocZone)
	for _, c := range answerCases {
		t.Run(c.what, func(t *testing.T) {
			buf, q := question(t, c.name, c.qtype)
			end := len(buf)
			if n := testing.AllocsPerRun(100, func() {
				if _, r := store.Set().Answer(buf[:end], q, 1232); r.Zone == nil {
					t.Fatal("not answered")
				}
			}); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

// Neither must one from a signed zone, hashes and all.
func TestSignedAnswerAllocatesNothing(t *testing.T) {
	store := NewStore()
	for _, file := range []string{"rfc4035/section_3.1/nsec", "rfc5155/section_7.2/nsec3", "rfc5155/section_7.2/optout"} {
		archive, err := txtar.ParseFile("testdata/conformance/" + file + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		origin := strings.TrimPrefix(archive.Files[0].Name, "zone ") + "."
		loadText(t, store, origin, string(archive.Files[0].Data))
		for _, name := range []string{"host.", "nosuch.", "x.wild.", "www.plain.", "x.er.", "x.alias."} {
			buf, q := question(t, name+origin, dns.TypeA)
			q.DO = true
			end := len(buf)
			if n := testing.AllocsPerRun(100, func() {
				if _, r := store.Set().Answer(buf[:end], q, 4000); r.Zone == nil {
					t.Fatal("not answered")
				}
			}); n != 0 {
				t.Errorf("%s%s: %v allocations, want 0", name, origin, n)
			}
		}
	}
}

// An NSEC3PARAM without its chain changes nothing for a zone that has NSEC.
func TestParametersWithoutChain(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/conformance/rfc4035/section_3.1/nsec.txtar")
	if err != nil {
		t.Fatal(err)
	}
	text := string(archive.Files[0].Data)
	plain, early := NewStore(), NewStore()
	loadText(t, plain, "nsec.example.", text)
	loadText(t, early, "nsec.example.", text+"nsec.example. 300 IN NSEC3PARAM 1 0 0 -\n")
	for _, query := range []string{"nosuch A do", "host AAAA do", "x.wild A do", "plain DS do"} {
		got, want := describe(t, ask(t, early.Set(), "nsec.example.", query)), describe(t, ask(t, plain.Set(), "nsec.example.", query))
		if got != want {
			t.Errorf("%s\n got:\n%s\nwant:\n%s", query, got, want)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	store := NewStore()
	loadText(b, store, "east.cloud.fabrikam.com.", allocZone)
	for _, c := range answerCases {
		b.Run(c.what, func(b *testing.B) {
			buf, q := question(b, c.name, c.qtype)
			end := len(buf)
			for b.Loop() {
				store.Set().Answer(buf[:end], q, 1232)
			}
		})
	}
}

func BenchmarkSignedAnswer(b *testing.B) {
	origins, texts := conformanceZones(b)
	store := NewStore()
	for i, origin := range origins {
		if origin != "nsec.example." && origin != "nsec3.example." {
			continue
		}
		loadText(b, store, origin, string(texts[i]))
		for _, c := range answerCases {
			name, ok := map[string]string{
				"exact": "host.", "wildcard": "x.wild.", "nodata": "host.", "nxdomain": "nosuch.", "referral": "www.plain.",
			}[c.what]
			if !ok {
				continue
			}
			b.Run(origin+c.what, func(b *testing.B) {
				buf, q := question(b, name+origin, c.qtype)
				q.DO = true
				end := len(buf)
				for b.Loop() {
					store.Set().Answer(buf[:end], q, 4000)
				}
			})
		}
	}
}

// However little room there is, an answer is a part of the whole one, sets are
// whole, and TC tells of everything that is missing but optional records.
func TestTruncation(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		src := rrSource{"example.", generate(rng, "example.", []string{"example."})}
		b, err := Collect(src)
		if err != nil {
			t.Fatal(err)
		}
		store := NewStore()
		if err := store.Declare(b.Origin(), "test"); err != nil {
			t.Fatal(err)
		}
		store.Put(b.Compile(), 0, testTime)
		for _, rr := range src.rrs {
			req := new(dns.Msg)
			req.SetQuestion(rr.Header().Name, rr.Header().Rrtype)
			whole := exchange(t, store.Set(), req, dns.MaxMsgSize-1, false)
			for limit := 12 + len(rr.Header().Name) + 5; limit < whole.Len()+20; limit += 7 {
				part := exchange(t, store.Set(), req, limit, false)
				checkPart(t, fmt.Sprintf("seed %d, limit %d, %s", seed, limit, req.Question[0].String()), whole, part)
			}
		}
	}
}

func checkPart(t *testing.T, what string, whole, part *dns.Msg) {
	t.Helper()
	missing := false
	for i, s := range [][2][]dns.RR{{whole.Answer, part.Answer}, {whole.Ns, part.Ns}, {whole.Extra, part.Extra}} {
		for _, rr := range s[1] {
			if !slices.ContainsFunc(s[0], func(o dns.RR) bool { return canonical(o) == canonical(rr) }) {
				t.Errorf("%s: %v is not in the whole answer", what, rr)
			}
		}
		if i < 2 && len(s[1]) < len(s[0]) {
			missing = true
		}
		for _, rr := range s[1] {
			same := func(o dns.RR) bool {
				return canonicalName(o) == canonicalName(rr) && o.Header().Rrtype == rr.Header().Rrtype
			}
			if count(s[0], same) != count(s[1], same) {
				t.Errorf("%s: the RRset of %v is not whole", what, rr)
			}
		}
	}
	if missing && !part.Truncated {
		t.Errorf("%s: records are missing and TC is not set", what)
	}
	if part.Truncated && part.Len() == whole.Len() {
		t.Errorf("%s: TC is set and nothing is missing", what)
	}
}

func canonicalName(rr dns.RR) string { return dns.CanonicalName(rr.Header().Name) }

func count(rrs []dns.RR, f func(dns.RR) bool) (n int) {
	for _, rr := range rrs {
		if f(rr) {
			n++
		}
	}
	return n
}

// Names are found however many labels a question has, with few look-ups, and the
// longest name there is can be answered.
func TestLongNames(t *testing.T) {
	store := NewStore()
	loadText(t, store, "example.", "@ SOA ns h 1 2 3 4 5\n@ NS ns\n*.w TXT \"x\"\n")
	name := "w.example."
	for len(name)+2 <= 254 {
		name = "a." + name
	}
	if got := describe(t, ask(t, store.Set(), "example.", name+" TXT")); got != "NOERROR AA\nanswer: "+name+" 3600 in txt \"x\"" {
		t.Errorf("got %s", got)
	}
}

// No pointer leads past its reach, however many records there are before a name.
func TestPointersReach(t *testing.T) {
	store, text := NewStore(), "@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ MX 1 mail.example.net.\n@ MX 2 mail.example.net.\n@ MX 3 mx.example.net.\n"
	for i := range 1100 {
		text += fmt.Sprintf("@ A 10.0.%d.%d\n", i>>8, i&255)
	}
	loadText(t, store, "example.", text)
	var got []string
	for _, rr := range ask(t, store.Set(), "example.", "@ ANY tcp").Answer {
		if mx, ok := rr.(*dns.MX); ok {
			got = append(got, fmt.Sprint(mx.Preference, " ", mx.Mx))
		}
	}
	if want := []string{"1 mail.example.net.", "2 mail.example.net.", "3 mx.example.net."}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// An answer may fill the room to the last octet, and one octet less is too few.
func TestExactFit(t *testing.T) {
	store := NewStore()
	loadText(t, store, "example.", "@ SOA ns h 1 2 3 4 5\n@ NS ns\na A 192.0.2.1\nt TXT \"text\"\nal CNAME a\n")
	for _, query := range []string{"a A", "t TXT", "al A", "@ NS", "no A"} {
		whole := ask(t, store.Set(), "example.", query)
		whole.Compress = true
		fit := whole.Len()
		if m := ask(t, store.Set(), "example.", fmt.Sprintf("%s size=%d", query, fit)); m.Truncated || len(m.Answer) != len(whole.Answer) {
			t.Errorf("%s does not fit into its own %d octets", query, fit)
		}
		if m := ask(t, store.Set(), "example.", fmt.Sprintf("%s size=%d", query, fit-1)); !m.Truncated {
			t.Errorf("%s fits into %d octets, one less than its own", query, fit-1)
		}
	}
}

// Over a stream there is no larger answer to be had.
func TestTooLargeForAStream(t *testing.T) {
	store, text := NewStore(), "@ SOA ns h 1 2 3 4 5\n@ NS ns\nalias CNAME big\n"
	for i := range 5000 {
		text += fmt.Sprintf("big A 10.0.%d.%d\n", i>>8, i&255)
	}
	b, err := Collect(oracleSource{name(t, "example."), text})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Declare(b.Origin(), "test"); err != nil {
		t.Fatal(err)
	}
	store.Put(b.Compile(), 0, testTime)
	if got := describe(t, ask(t, store.Set(), "example.", "alias A tcp")); got != "SERVFAIL" {
		t.Errorf("got %s", got)
	}
}

// Sixteen aliases are followed, and not one more.
func TestChase(t *testing.T) {
	store, text := NewStore(), "@ SOA ns h 1 2 3 4 5\n@ NS ns\n"
	for i := range 20 {
		text += fmt.Sprintf("c%d CNAME c%d\n", i, i+1)
	}
	loadText(t, store, "example.", text+"c20 A 192.0.2.1\n")
	if m := ask(t, store.Set(), "example.", "c0 A"); len(m.Answer) != 16 {
		t.Errorf("%d records, want 16", len(m.Answer))
	}
	if m := ask(t, store.Set(), "example.", "c5 A"); len(m.Answer) != 16 {
		t.Errorf("%d records, want 15 aliases and an address", len(m.Answer))
	}
}

// Answers of 64 KiB hold more names than pointers can reach.
func TestPointersPastTheirReach(t *testing.T) {
	store, text := NewStore(), "@ SOA ns h 1 2 3 4 5\n@ NS ns\n"
	for i := range 2000 {
		text += fmt.Sprintf("big MX %d host%04d\nhost%04d A 192.0.2.%d\n", i, i, i, i%256)
	}
	loadText(t, store, "example.", text)
	m := ask(t, store.Set(), "example.", "big MX tcp")
	if len(m.Answer) != 2000 || m.Truncated {
		t.Errorf("%d records, TC %v; want 2000 and no TC", len(m.Answer), m.Truncated)
	}
	seen := map[string]bool{}
	for _, rr := range m.Answer {
		seen[dns.CanonicalName(rr.(*dns.MX).Mx)] = true
	}
	for i := range 2000 {
		if name := fmt.Sprintf("host%04d.example.", i); !seen[name] {
			t.Fatalf("%s is missing", name)
		}
	}
}
