//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// handMade are the zones of testdata, each file named after its apex.
func handMade(t *testing.T) []zone {
	t.Helper()
	files, err := filepath.Glob("testdata/*.zone")
	if err != nil || len(files) == 0 {
		t.Fatalf("no zones in testdata: %v", err)
	}
	var zones []zone
	for _, file := range files {
		abs, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone{strings.TrimSuffix(filepath.Base(file), ".zone") + ".", abs})
	}
	return zones
}

// bigZone writes a zone of RRsets that do not fit into replies of 512, 1232 and
// 4096 bytes, and referrals and additional data that do not fit either.
func bigZone(t *testing.T) zone {
	t.Helper()
	lines := []string{
		"$ORIGIN big.example.", "$TTL 60",
		"@ SOA ns1 hostmaster 3 3600 300 2419200 60",
		"@ NS ns1", "@ NS ns2", "ns1 A 192.0.2.1", "ns2 A 192.0.2.2",
	}
	each := func(n int, formats ...string) {
		for i := 1; i <= n; i++ {
			for _, format := range formats {
				lines = append(lines, strings.ReplaceAll(format, "$", fmt.Sprint(i)))
			}
		}
	}
	each(28, "a28 A 198.51.100.$")
	each(40, "a40 A 198.51.100.$")
	each(90, "a90 A 198.51.100.$")
	each(20, `txt20 TXT "record $ of twenty, each with some forty bytes of text"`)
	each(99, `txt99 TXT "record $ of many, each with some forty bytes of text"`)
	each(60, `*.wild TXT "record $ of sixty, each with some forty bytes of text"`)
	each(13, "glue13 NS ns$.glue13", "ns$.glue13 A 198.51.100.$", "ns$.glue13 AAAA 2001:db8::$")
	each(40, "glue40 NS ns$.glue40", "ns$.glue40 A 198.51.100.$", "ns$.glue40 AAAA 2001:db8::$")
	each(6, "mx6 MX $ mx$.targets")
	each(24, "mx24 MX $ mx$.targets", "mx$.targets A 198.51.100.$", "mx$.targets AAAA 2001:db8::$")
	lines = append(lines, "toa40 CNAME a40", "totxt99 CNAME txt99", "tomx24 CNAME mx24")
	return zone{"big.example.", write(t, t.TempDir(), "big.example.zone", lines...)}
}

// stampZones are the zones of the lab's stamp, as stampdns prints them.
func stampZones(t *testing.T) []zone {
	t.Helper()
	dir := t.TempDir()
	var zones []zone
	for _, origin := range []string{stampZone, cloudappZone} {
		args := append([]string{"zone", "print", origin}, stampFlags...)
		file := write(t, dir, origin+"zone", output(t, stampdns(t), args...))
		zones = append(zones, zone{origin, file})
	}
	return zones
}

// queriedTypes are asked of every name.
var queriedTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeCNAME,
	dns.TypeDNAME, dns.TypeDS, dns.TypeSRV, dns.TypeANY, dns.TypeRRSIG, dns.TypeNSEC, 65280,
}

// forms is the number of forms in which each name and type is asked.
const forms = 4

// records are what a zone's file holds.
func (z zone) records(t *testing.T) []dns.RR {
	t.Helper()
	file, err := os.Open(z.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var records []dns.RR
	parser := dns.NewZoneParser(file, z.origin, z.file)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records = append(records, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

// questions are the questions about a zone: each owner, the name below it, one
// beside it and the one above it, in every type, with and without EDNS, and over
// TCP.
func questions(t *testing.T, z zone) []question {
	t.Helper()
	names := map[string]bool{"outside-of-all-zones.test.": true}
	types := map[string][]uint16{}
	for _, rr := range z.records(t) {
		owner := rr.Header().Name
		if !slices.Contains(types[owner], rr.Header().Rrtype) {
			types[owner] = append(types[owner], rr.Header().Rrtype)
		}
		names[owner] = true
		names["zz."+owner] = true
		names["yy.zz."+owner] = true
		names["*."+owner] = true
		if labels := dns.Split(owner); len(labels) > 1 && dns.IsSubDomain(z.origin, owner[labels[1]:]) {
			parent := owner[labels[1]:]
			names[parent] = true
			names["zz."+parent] = true
		}
	}
	var all []question
	for name := range names {
		if _, ok := dns.IsDomainName(name); !ok {
			continue
		}
		asked := append(slices.Clone(queriedTypes), types[name]...)
		slices.Sort(asked)
		for _, typ := range slices.Compact(asked) {
			all = append(all,
				question{name: name, typ: typ},
				question{name: name, typ: typ, size: 1232, rd: true},
				question{name: name, typ: typ, size: 4096, do: true},
				question{name: name, typ: typ, tcp: true})
		}
	}
	slices.SortFunc(all, func(a, b question) int { return strings.Compare(a.String(), b.String()) })
	return all
}
