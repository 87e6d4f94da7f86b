//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

// TestPrintedZones has the zone checkers of BIND, NSD and Knot read what
// "stampdns zone print" writes: the stamp's zones, and each hand-made zone
// printed back.
func TestPrintedZones(t *testing.T) {
	printed := stampZones(t)
	dir := t.TempDir()
	for _, z := range handMade(t) {
		text := output(t, stampdns(t), "zone", "print", z.origin, "--file", z.file)
		printed = append(printed, zone{z.origin, write(t, dir, z.origin+"zone", text)})
	}
	for _, z := range printed {
		for _, checker := range [][]string{
			{"named-checkzone", "-i", "local", "-k", "ignore", "-r", "fail", "-S", "ignore", z.origin, z.file},
			{"nsd-checkzone", z.origin, z.file},
			{"kzonecheck", "-o", z.origin, z.file},
		} {
			if out, err := exec.Command(checker[0], checker[1:]...).CombinedOutput(); err != nil {
				text, _ := os.ReadFile(z.file)
				t.Errorf("%s does not accept %s: %v\n%s\n%s", checker[0], z.origin, err, out, text)
			}
		}
		output(t, stampdns(t), "zone", "check", "--origin", z.origin, z.file)
	}
}

// TestUserZones follows a folder of zone files: a file that is there, one that
// comes, one that changes, one that breaks and one that goes.
func TestUserZones(t *testing.T) {
	lab := newLab(t)
	client, ns01 := lab.host("client", "198.51.100.9"), lab.host("ns01", "192.0.2.11")
	dir := t.TempDir()
	put := func(name string, lines ...string) {
		// A file appears whole or not at all, as a careful tool writes it.
		if err := os.Rename(write(t, t.TempDir(), name, lines...), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	contoso := func(serial, address string) []string {
		return []string{
			"$ORIGIN contoso.com.", "$TTL 60",
			"@ SOA azs-ns01." + stampZone + " hostmaster " + serial + " 3600 300 2419200 60",
			"@ NS azs-ns01." + stampZone, "www A " + address,
		}
	}
	put("db.contoso.com", contoso("1", "203.0.113.1")...)
	p := startStamp(t, ns01, "--zones", dir)

	until := func(name string, rcode int, address string) {
		t.Helper()
		p.ready(func() error {
			return client.expect(ns01.addr, question{name: name, typ: dns.TypeA}, rcode, address)
		})
	}
	until("www.contoso.com.", dns.RcodeSuccess, "203.0.113.1")
	put("db.example.com", "$ORIGIN example.com.", "$TTL 60",
		"@ SOA ns hostmaster 1 3600 300 2419200 60", "@ NS ns", "ns A 203.0.113.9", "* A 203.0.113.2")
	until("any.example.com.", dns.RcodeSuccess, "203.0.113.2")
	put("db.contoso.com", contoso("2", "203.0.113.3")...)
	until("www.contoso.com.", dns.RcodeSuccess, "203.0.113.3")
	// The broken file is read in the same round as the removal, which shows.
	put("db.contoso.com", append(contoso("3", "203.0.113.4"), "broken A not-an-address")...)
	if err := os.Remove(filepath.Join(dir, "db.example.com")); err != nil {
		t.Fatal(err)
	}
	until("any.example.com.", dns.RcodeRefused, "")
	until("www.contoso.com.", dns.RcodeSuccess, "203.0.113.3")
	put("db.contoso.com", contoso("4", "203.0.113.5")...)
	until("www.contoso.com.", dns.RcodeSuccess, "203.0.113.5")
	until("azs-ns01."+stampZone, dns.RcodeSuccess, "192.0.2.11")
}
