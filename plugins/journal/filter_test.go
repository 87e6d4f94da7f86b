package journal

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// FuzzFilter: whatever the parameters, they are read or refused, and then entries
// can be held against them.
func FuzzFilter(f *testing.F) {
	f.Add("resolver=corp&name=*.x&type=A&path=direct&transport=udp&rcode=NOERROR&source=192.0.2.0/24&since=1s&fault=any&ns=ns01")
	f.Add("source=::ffff:192.0.2.1&rcode=RCODE4095&type=TYPE65535&since=2026-01-02T15:04:05Z")
	f.Add("limit=1&order=newest&after=x-1&before=2")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := parseFilter(values, began, "limit", "order", "after", "before")
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
				t.Errorf("the error has control characters: %q", err)
			}
			return
		}
		if _, err := parsePage(values); err != nil {
			return
		}
		var s slot
		filter.match(&s)
		s.nameLen = uint8(copy(s.name[:], "\x01a\x07example\x00"))
		filter.match(&s)
	})
}

// TestFilters holds entries against filters.
func TestFilters(t *testing.T) {
	base := func() *slot {
		s := &slot{
			received: began.UnixNano(), ns: "ns01", resolver: &server.Resolver{Name: "corp"}, fault: &server.Injection{Rule: "r1", Kind: "drop"},
			source: netip.MustParseAddrPort("192.0.2.53:4242"), qtype: 28, path: server.PathIterative, transport: server.TCP, answered: true, rcode: 3,
		}
		s.nameLen = uint8(copy(s.name[:], "\x01X\x04BloB\x07example\x00"))
		return s
	}
	bare := &slot{received: began.UnixNano(), source: netip.MustParseAddrPort("[2001:db8::1%eth0]:53")}
	for _, tc := range []struct {
		filter     string
		base, bare bool
	}{
		{"", true, true},
		{"resolver=corp", true, false},
		{"resolver=other", false, false},
		{"ns=ns01", true, false},
		{"ns=ns02", false, false},
		{"name=*.blob.*", true, false},
		{"name=x.blob.EXAMPLE.", true, false},
		{"name=*", true, false},
		{"type=aaaa", true, false},
		{"type=TYPE28", true, false},
		{"type=A", false, false},
		{"path=iterative", true, false},
		{"path=forwarded", false, false},
		{"transport=tcp", true, false},
		{"transport=UDP", false, true},
		{"rcode=nxdomain", true, false},
		{"rcode=RCODE3", true, false},
		{"rcode=NOERROR", false, false},
		{"rcode=dropped", false, true},
		{"source=192.0.2.53", true, false},
		{"source=::ffff:192.0.2.53", true, false},
		{"source=192.0.2.0/24", true, false},
		{"source=192.0.2.77/24", true, false},
		{"source=198.51.100.0/24", false, false},
		{"source=2001:db8::1", false, true},
		{"source=0.0.0.0/0", true, false},
		{"fault=any", true, false},
		{"fault=r1", true, false},
		{"fault=r2", false, false},
		{"since=0s", true, true},
		{"since=1h", true, true},
		{"since=2023-11-14T22:13:20Z", true, true},
		{"since=2023-11-14T22:13:20.000000001Z", false, false},
		{"resolver=corp&ns=ns01&name=*.blob.*&path=iterative&fault=any", true, false},
		{"resolver=corp&ns=ns02", false, false},
	} {
		values, err := url.ParseQuery(tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFilter(values, began)
		if err != nil {
			t.Errorf("%s: %v", tc.filter, err)
			continue
		}
		if got := f.match(base()); got != tc.base {
			t.Errorf("%s: %v for the full entry", tc.filter, got)
		}
		if got := f.match(bare); got != tc.bare {
			t.Errorf("%s: %v for the empty entry", tc.filter, got)
		}
	}
}

// TestFilterErrors: what is wrong is told with what is allowed.
func TestFilterErrors(t *testing.T) {
	for query, want := range map[string]string{
		"resolvr=x":                  `there is no filter "resolvr": use resolver, ns, name, type, path, transport, rcode, source, fault, since; did you mean "resolver"?`,
		"ns=a&ns=b":                  "ns is given 2 times: give it once",
		"ns=":                        "ns is empty: leave it out",
		"name=a%20b":                 "has more than printable ASCII",
		"name=" + long(1021):         "longer than 1020 characters",
		"type=XYZ":                   `unknown query type "XYZ"`,
		"type=TYPE65536":             `unknown query type "TYPE65536"`,
		"path=iterativ":              `path "iterativ" is none of iterative, forwarded, direct; did you mean "iterative"?`,
		"transport=tls":              `transport "tls" is neither udp nor tcp`,
		"rcode=NXDOMIAN":             `rcode "NXDOMIAN" is unknown: write a response code such as NOERROR, NXDOMAIN, SERVFAIL, REFUSED, FORMERR, NOTIMP, dropped; did you mean "NXDOMAIN"?`,
		"source=example.org":         `source "example.org" is neither an address nor a network`,
		"source=192.0.2.0/33":        "neither an address nor a network",
		"since=soon":                 `since "soon" is neither a duration such as 30s nor a time such as`,
		"since=-1s":                  "is in the future",
		"since=9999-01-01T00:00:00Z": "neither a duration",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseFilter(values, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

// TestOptionNames: the options of a query are told by name, each once.
func TestOptionNames(t *testing.T) {
	options := wire.AppendOption(nil, 10, make([]byte, 8))
	options = wire.AppendOption(options, 3)
	options = wire.AppendOption(options, 10)
	options = wire.AppendOption(options, 40)
	options = wire.AppendOption(options, 65001)
	if got := strings.Join(optionNames(optionBits(options)), " "); got != "nsid cookie option40 other" {
		t.Errorf("options are %s", got)
	}
	for n := range len(options) {
		optionBits(options[:n]) // an option that is cut does no harm
	}
	if got := optionNames(0); got == nil || len(got) != 0 {
		t.Errorf("no options are %v", got)
	}
}
