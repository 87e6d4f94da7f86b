package zones

import (
	"bytes"
	"fmt"
	"testing"
)

// bigZone is the text of a zone of n records and a few: hosts with A, AAAA, MX,
// CNAME and TXT in turn.
func bigZone(n int) []byte {
	var b bytes.Buffer
	b.WriteString("$TTL 3600\n@ SOA ns1 hostmaster 1 3600 600 604800 300\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\nns2 A 192.0.2.2\n")
	for i := range n {
		switch i % 5 {
		case 0, 1:
			fmt.Fprintf(&b, "host%d\tIN\tA\t10.%d.%d.%d\n", i, i>>16&255, i>>8&255, i&255)
		case 2:
			fmt.Fprintf(&b, "host%d 300 IN AAAA 2001:db8::%x:%x\n", i, i>>16, i&0xFFFF)
		case 3:
			fmt.Fprintf(&b, "host%d IN MX 10 ns1.example.\n", i)
		case 4:
			fmt.Fprintf(&b, "host%d IN TXT \"text %d\"\n", i, i)
		}
	}
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	const n = 200_000
	text := bigZone(n)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		if err := TextSource("z", text, testOrigin()).Records(func(Record) error { count++; return nil }); err != nil || count < n {
			b.Fatal(count, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

func BenchmarkCheck(b *testing.B) {
	const n = 200_000
	builder, err := Collect(TextSource("z", bigZone(n), testOrigin()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if f := builder.Check(); len(f) > 0 {
			b.Fatal(f[0])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// TestScanAllocs holds the scanner to what a big zone needs: common records
// allocate nothing.
func TestScanAllocs(t *testing.T) {
	small, big := bigZone(10), bigZone(2010)
	allocs := func(text []byte) float64 {
		return testing.AllocsPerRun(5, func() {
			if err := TextSource("z", text, testOrigin()).Records(func(Record) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	// The reused buffers may grow a few times.
	if few, many := allocs(small), allocs(big); many > few+3 {
		t.Errorf("%v allocations for 2000 records more, want none", many-few)
	}
}
