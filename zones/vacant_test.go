package zones

import "testing"

// What decides about a name is a record at it or below it, a cut, or a DNAME; a wildcard
// does not.
func TestVacant(t *testing.T) {
	const zone = `@ 3600 IN SOA ns01 hostmaster 7 3600 300 2419200 300
@ NS ns01
ns01 A 192.0.2.1
* A 192.0.2.2
a.below A 192.0.2.3
cut NS ns.example.net.
there DNAME example.net.
`
	z := load(t, zone)
	for text, want := range map[string]bool{
		"probe.example.": true, "x.probe.example.": true, "ns01.example.": false,
		"below.example.": false, "a.below.example.": false, "b.below.example.": true,
		"cut.example.": false, "probe.cut.example.": false, "x.probe.cut.example.": false,
		"there.example.": false, "probe.there.example.": false,
		"*.example.": false, "example.": false,
	} {
		if got := z.Vacant(name(t, text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	soa := z.SOA()
	if z.Signed() || soa.TTL != 3600 || string(soa.Owner) != string(z.Origin()) || soa.Data[len(soa.Data)-17] != 7 {
		t.Errorf("signed %v, SOA %+v", z.Signed(), soa)
	}
	if z := load(t, zone+"@ DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n"); !z.Signed() {
		t.Error("a zone with a key is not signed")
	}
	apex := load(t, "@ 60 IN SOA ns01 hostmaster 1 2 3 4 5\n@ 60 IN NS ns.example.net.\n@ 60 IN DNAME example.net.\n")
	if apex.Vacant(name(t, "probe.example.")) {
		t.Error("a DNAME at the apex leaves names below it vacant")
	}
}
