package zones

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/stampdns/stampdns/zones/wire"
)

// smallZone is the text of zone number i of many with twelve records each.
func smallZone(i int) (text []byte, origin wire.Name) {
	origin = append(wire.Name{5, 's', '0' + byte(i/1000%10), '0' + byte(i/100%10), '0' + byte(i/10%10), '0' + byte(i%10)}, testOrigin()...)
	return fmt.Appendf(nil, `$ORIGIN %s
$TTL 3600
@ IN SOA ns1 hostmaster %d 3600 300 2419200 300
@ IN NS ns1
@ IN NS ns2
ns1 IN A 192.0.2.1
ns2 IN A 192.0.2.2
@ IN A 198.51.100.%d
@ IN MX 10 mail
www IN A 192.0.2.3
api IN A 192.0.2.4
*.apps IN A 192.0.2.5
mail IN A 192.0.2.6
changes IN A 192.0.2.7
`, origin, i, i%256), origin
}

// TestLoader loads zones of all sizes and faults one after the other with one
// Loader: each must be what a Loader of its own makes of it, and stay so.
func TestLoader(t *testing.T) {
	type loaded struct {
		source   Source
		zone     *Zone
		warnings []Finding
	}
	var sources []Source
	add := func(text string) { sources = append(sources, TextSource("zone", []byte(text), testOrigin())) }
	for i := range 3 {
		text, origin := smallZone(i)
		sources = append(sources, TextSource("small", text, origin))
		add(string(bigZone(1000 * (3 - i))))
		add("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\nsub NS ns\n")
		add("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\na CNAME b\nb CNAME a\nx.test. A 192.0.2.1\n") // outside
		add("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\na CNAME b\nb CNAME a\nc TXT ( one\n")         // mistake
		add("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\na CNAME b\nb CNAME a\nA TXT \"x\"\na 99999999999 TXT y\n")
		add("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\na CNAME b\nb CNAME a\nw.w.w 3000000000 TXT x\n*.w TXT y\n")
		add(string(bigZone(10*keepItems + i)))
	}
	var l Loader
	var all []loaded
	for _, source := range sources {
		zone, warnings, err := l.Load(source)
		_, _, want := Load(source)
		if !reflect.DeepEqual(err, want) {
			t.Errorf("error is %v, want %v", err, want)
		}
		all = append(all, loaded{source, zone, warnings})
	}
	for i, got := range all {
		zone, warnings, _ := Load(got.source)
		if !reflect.DeepEqual(inOrder(t, got.zone), inOrder(t, zone)) || !reflect.DeepEqual(got.warnings, warnings) {
			t.Errorf("zone %d, %s, is not what it is by itself: %v, %v", i, got.source.Origin(), got.warnings, warnings)
		}
	}
}

// inOrder is a zone, every name of which is found, with its index in an order
// that does not tell how it has grown.
func inOrder(t *testing.T, z *Zone) *Zone {
	if z == nil {
		return nil
	}
	var names suffixes
	for i := range z.nodes {
		names.set(z.name(uint32(i)))
		p := names.path()
		if at, ok := z.node(&p, names.n); !ok || at != uint32(i) {
			t.Fatalf("%s is node %d, %v, not %d", z.name(uint32(i)), at, ok, i)
		}
	}
	sorted := *z
	sorted.index.slots = slices.Clone(z.index.slots)
	slices.SortFunc(sorted.index.slots, func(a, b slot) int { return int(a.ref) - int(b.ref) })
	return &sorted
}

// TestLoaderOwn holds zones to the memory that they need.
func TestLoaderOwn(t *testing.T) {
	var l Loader
	if _, _, err := l.Load(TextSource("big", bigZone(keepItems/2), testOrigin())); err != nil {
		t.Fatal(err)
	}
	text, origin := smallZone(1)
	z, _, err := l.Load(TextSource("small", text, origin))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.nodes) != 9 || len(z.index.slots) != 16 || cap(z.nodes) != 9 || cap(z.sets) > 16 || cap(z.arena) > 512 || cap(z.templates) > 512 {
		t.Errorf("a zone of twelve records has %d nodes, %d slots, room for %d nodes, %d sets, %d octets and %d octets of templates",
			len(z.nodes), len(z.index.slots), cap(z.nodes), cap(z.sets), cap(z.arena), cap(z.templates))
	}
	if _, _, err := l.Load(TextSource("big", bigZone(2*keepItems), testOrigin())); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(l, Loader{}) {
		t.Error("the Loader keeps the memory of a large zone")
	}
}

// TestLoaderAllocs holds a Loader to what the zones themselves need.
func TestLoaderAllocs(t *testing.T) {
	var l Loader
	text, origin := smallZone(1)
	source := TextSource("small", text, origin)
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := l.Load(source); err != nil {
			t.Error(err)
		}
	})
	if most := 10.0; allocs > most {
		t.Errorf("%v allocations for a zone of twelve records, want at most %v", allocs, most)
	}
}

func BenchmarkLoadSmall(b *testing.B) {
	var l Loader
	text, origin := smallZone(1)
	for name, load := range map[string]func(Source) (*Zone, []Finding, error){"Loader": l.Load, "Load": Load} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := load(TextSource("z", text, origin)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoadLarge(b *testing.B) {
	const n = 200_000
	text := bigZone(n)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Load(TextSource("z", text, testOrigin())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// The place of each record is told, however many files a zone has.
func TestManyFiles(t *testing.T) {
	const files = 3 * fewFiles
	var src placed
	for range 2 {
		for i := range files {
			src = append(src, fmt.Sprintf("f%d", i))
		}
	}
	b, err := Collect(src)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range b.records(nil, 0) {
		got = append(got, r.Pos.File)
	}
	if !slices.Equal(got, src) || len(b.files) != files {
		t.Errorf("%d files, %q", len(b.files), got)
	}
}

// placed is a zone of one address, once for each of these files.
type placed []string

func (p placed) Origin() wire.Name { return testOrigin() }

func (p placed) Records(add func(Record) error) error {
	for _, file := range p {
		if err := add(Record{Owner: testOrigin(), Type: 1, Data: []byte{192, 0, 2, 1}, Pos: Pos{File: file, Line: 1}}); err != nil {
			return err
		}
	}
	return nil
}
