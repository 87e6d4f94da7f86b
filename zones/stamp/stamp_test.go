package stamp

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/tools/txtar"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// zoneText is a zone in presentation form, a record a line, fields separated by
// one blank.
func zoneText(t *testing.T, src zones.Source) string {
	t.Helper()
	var b strings.Builder
	err := src.Records(func(r zones.Record) error {
		msg := append([]byte{}, r.Owner...)
		msg = append(msg, byte(r.Type>>8), byte(r.Type), 0, 1)
		msg = append(msg, byte(r.TTL>>24), byte(r.TTL>>16), byte(r.TTL>>8), byte(r.TTL))
		msg = append(msg, byte(len(r.Data)>>8), byte(len(r.Data)))
		rr, end, err := dns.UnpackRR(append(msg, r.Data...), 0)
		if err != nil {
			return err
		}
		if end != len(msg)+len(r.Data) {
			t.Errorf("%s: octets are left over", rr)
		}
		owner := slices.Clone(r.Owner)
		wire.Lower(owner)
		if !wire.Name(owner).Within(src.Origin()) {
			t.Errorf("%s is not in zone %s", rr, src.Origin())
		}
		b.WriteString(strings.Join(strings.Fields(rr.String()), " ") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zonesText is both zones of a stamp.
func zonesText(t *testing.T, s *Stamp) string {
	t.Helper()
	list, err := s.Zones()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, src := range list {
		b.WriteString(zoneText(t, src))
	}
	return b.String()
}

// set makes a stamp of the default one and lines of options.
func set(lines string) (Stamp, error) {
	s := Default()
	change := Change(&s)
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := change.Set(f[0], f[1:]...); err != nil {
			return s, err
		}
	}
	return s, s.Validate()
}

func mustSet(t *testing.T, lines string) Stamp {
	t.Helper()
	s, err := set(lines)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestZones compares the two zones with those in testdata/zones: "options" is
// what is set, "zones" the records, in order.
func TestZones(t *testing.T) {
	files, err := filepath.Glob("testdata/zones/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			parts := readArchive(t, path)
			s := mustSet(t, parts["options"])
			if got := zonesText(t, &s); got != parts["zones"] {
				t.Errorf("got\n%s\nwant\n%s", got, parts["zones"])
			}
		})
	}
}

func readArchive(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := make(map[string]string)
	for _, f := range txtar.Parse(data).Files {
		parts[f.Name] = string(f.Data)
	}
	return parts
}

// TestZonesLoad compiles the zones of some stamps: no finding may be in them.
func TestZonesLoad(t *testing.T) {
	for _, options := range []string{
		"",
		"prefix AzS",
		"with sso eventhub iothub azsacr\nlabel web01 192.0.2.90 2001:db8::90",
		"apex_wildcard 192.0.2.99\nidentity entra",
		"ns01 2001:db8::11\nns02 2001:db8::12\nvips 2001:db8:1::/64",
	} {
		s := mustSet(t, options)
		list, err := s.Zones()
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range list {
			z, warnings, err := zones.Load(src)
			if err != nil {
				t.Fatalf("%q: %v", options, err)
			}
			for _, w := range warnings {
				t.Errorf("%q: zone %s: %s", options, z.Origin(), w.Text)
			}
		}
	}
}

// TestErrors has wrong options and what the error must say about them.
func TestErrors(t *testing.T) {
	for _, test := range []struct{ options, want string }{
		{"prefx azs", `unknown option "prefx": want one of prefix, region`},
		{"prefix", "prefix: want prefix NAME"},
		{"prefix a b", "prefix: wrong number of arguments: want prefix NAME"},
		{"prefix a_b", `prefix: "a_b": want letters, digits and inner hyphens`},
		{"prefix " + strings.Repeat("a", 60), "label longer than 63 octets: choose a shorter prefix"},
		{"region east.west", `region: "east.west": want letters`},
		{"region -east", `region: "-east": want letters`},
		{"region cloudapp", "region cloudapp: "},
		{"domain fabrikam..com", `domain: "fabrikam..com": label "": want 1 to 63 characters`},
		{"domain " + strings.Repeat("abcdefgh.", 27) + "com", "name longer than 255 octets: choose a shorter"},
		{"ns01 azs-ns01.east.cloud.fabrikam.com", "is no IP address: write one such as 192.0.2.11"},
		{"ns01 0.0.0.0", "0.0.0.0 is not the address of a host"},
		{"ns01 fe80::1%eth0", "is no plain IPv4 or IPv6 address"},
		{"ns01 192.0.2.1 192.0.2.1", "192.0.2.1 is given twice"},
		{"ns01 192.0.2.1\nns01 192.0.2.2", "ns01 is given twice"},
		{"vips 192.0.2.32", `"192.0.2.32" is no network: write one such as`},
		{"vips 192.0.2.40/27", "vips: 192.0.2.40/27 is not the start of a network: write 192.0.2.32/27"},
		{"vips 192.0.2.32/27 198.51.100.0/24", "one IPv4 and one IPv6 network at most"},
		{"vips 192.0.2.32/28", "vips 192.0.2.32/28 has 14 host addresses, but 20 are needed (ftp.appservice has place 20): use a /27 or larger, such as 192.0.2.32/27"},
		{"vips 192.0.2.48/28\nwith azsacr", "25 are needed (*.azsacr has place 25): use a /27 or larger, such as 192.0.2.32/27"},
		{"vips 192.0.2.32/32\nwithout appservice dbadapter", "has 0 host addresses, but 14 are needed (*.blob has place 14): use a /28"},
		{"vips 2001:db8::/124", "has 15 host addresses, but 20 are needed (ftp.appservice has place 20): use a /123"},
		{"identity aad", `identity: "aad": want adfs or entra`},
		{"endpoint portl 192.0.2.60", `unknown endpoint "portl": want one of adfs, adminportal`},
		{"endpoint portal", "want endpoint NAME ADDRESS..."},
		{"endpoint blob 192.0.2.60\nendpoint *.blob 192.0.2.61", "endpoint *.blob is given twice"},
		{"endpoint eventhub 192.0.2.60", `endpoint *.eventhub is not on this stamp: add "with eventhub"`},
		{"endpoint adfs 192.0.2.60\nidentity entra", `add "identity adfs"`},
		{"label web_1 192.0.2.90", `label: "web_1": want letters`},
		{"label Web 192.0.2.90\nlabel web 192.0.2.91", "label web is given twice"},
		{"label web", "want label NAME ADDRESS..."},
		{"with evenhub", `unknown resource provider "evenhub": want one of appservice, sql, mysql, dbadapter, sso, eventhub, iothub, azsacr`},
		{"without portal", "it is on every stamp"},
		{"without graph", "identity adfs or entra decides about it"},
		{"without api.appservice", "it comes with appservice"},
		{"with sso\nwithout appservice", "with and without both name appservice sso"},
		{"without sql\nwith dbadapter", "with and without both name sql"},
		{"ttl 1h", `ttl: "1h": want a number from 0 to 2147483647`},
		{"ttl 2147483648", "want a number from 0 to 2147483647"},
		{"soa 1 2 3", "want soa REFRESH RETRY EXPIRE MINIMUM"},
		{"serial 0", "want a number from 1 to 4294967295"},
	} {
		_, err := set(test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q in it", test.options, err, test.want)
		}
	}
}

// TestOptionError: callers can name the option as their users wrote it.
func TestOptionError(t *testing.T) {
	for options, want := range map[string]string{
		"vips 192.0.2.32/28":           "vips",
		"region cloudapp":              "region",
		"endpoint eventhub 192.0.2.60": "endpoint",
	} {
		_, err := set(options)
		var fault *OptionError
		if !errors.As(err, &fault) || fault.Option != want || err.Error() != want+" "+fault.Err.Error() {
			t.Errorf("%q: %#v, want an error of %s", options, err, want)
		}
	}
	bad := Default()
	bad.Prefix, bad.VIPs = "", []netip.Prefix{netip.MustParsePrefix("192.0.2.40/27")}
	for range 2 {
		var fault *OptionError
		if err := bad.Validate(); !errors.As(err, &fault) {
			t.Errorf("%v is of no option", err)
		}
		bad.Prefix = "azs"
	}
}

func TestWarnings(t *testing.T) {
	for options, want := range map[string]string{
		"":                                   "",
		"domain east.cloud.fabrikam.com":     "east.east.cloud.fabrikam.com has the region twice",
		"region North\ndomain NORTH.contoso": "north.north.contoso has the region twice",
		"domain eastern.fabrikam.com":        "",
		"domain azurestack.local":            "azurestack.local lies below .local",
	} {
		s := mustSet(t, options)
		got := strings.Join(s.Warnings(), "\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q: warnings %q, want %q", options, got, want)
		}
	}
}

// TestUnknownError has what callers need to suggest the right name.
func TestUnknownError(t *testing.T) {
	_, err := set("endpoint *.blub 192.0.2.60")
	var unknown *UnknownError
	if !errors.As(err, &unknown) || unknown.Name != "*.blub" || !slices.Contains(unknown.Known, "*.blob") {
		t.Errorf("error %#v", err)
	}
}

// vips are the endpoints' addresses by host.
func vips(t *testing.T, s Stamp) map[string]string {
	t.Helper()
	rows, err := s.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, r := range rows {
		var list []string
		for _, a := range r.VIPs {
			list = append(list, a.String())
		}
		out[r.Host] = strings.Join(list, " ")
	}
	return out
}

// TestVIPsAreStable changes options: only the endpoints named may move.
func TestVIPsAreStable(t *testing.T) {
	before := vips(t, mustSet(t, "with sso eventhub iothub azsacr"))
	for _, test := range []struct {
		options string
		moved   map[string]string
	}{
		{"without appservice sql mysql", nil},
		{"identity entra", nil},
		{"with azsacr", nil},
		{"label web01 192.0.2.33", nil},
		{"apex_wildcard 192.0.2.33", nil},
		{"endpoint portal 192.0.2.60", map[string]string{"portal": "192.0.2.60"}},
		{"endpoint portal 192.0.2.60 2001:db8::60", map[string]string{"portal": "192.0.2.60 2001:db8::60"}},
		{"endpoint adfs 192.0.2.33", nil},
		{"endpoint adfs 192.0.2.33\nns01 192.0.2.34", map[string]string{"azs-ns01": "192.0.2.34", "adminportal": "192.0.2.58"}},
		{"endpoint portal 192.0.2.33", map[string]string{"portal": "192.0.2.33", "adfs": "192.0.2.58"}},
		{"endpoint portal 192.0.2.33\nendpoint crl 192.0.2.58", map[string]string{"portal": "192.0.2.33", "crl": "192.0.2.58", "adfs": "192.0.2.59"}},
		{"ns01 192.0.2.34\nns02 192.0.2.36", map[string]string{
			"azs-ns01": "192.0.2.34", "azs-ns02": "192.0.2.36", "adminportal": "192.0.2.58", "adminmanagement": "192.0.2.59"}},
		{"vips 192.0.2.32/28\nwithout appservice sql mysql", nil},
		{"prefix AzS", map[string]string{"AzS-ns01": "192.0.2.11", "AzS-ns02": "192.0.2.12"}},
	} {
		for host, got := range vips(t, mustSet(t, test.options)) {
			want, ok := test.moved[host]
			if !ok {
				want = before[host]
			}
			if got != want {
				t.Errorf("%q: %s has %s, want %s", test.options, host, got, want)
			}
		}
	}
}

// TestSmallestPool has room for all there is in a /27.
func TestSmallestPool(t *testing.T) {
	got := vips(t, mustSet(t, "with sso eventhub iothub azsacr\nvips 198.51.100.224/27"))
	if got["adfs"] != "198.51.100.225" || got["*.azsacr"] != "198.51.100.249" {
		t.Errorf("first %s, last %s", got["adfs"], got["*.azsacr"])
	}
	seen := make(map[string]string)
	for host, a := range got {
		if a != "" && seen[a] != "" {
			t.Errorf("%s and %s share %s", host, seen[a], a)
		}
		seen[a] = host
	}
}

// TestSpareRunsOut: an endpoint moved off a name server's address needs an
// address behind those of the catalogue.
func TestSpareRunsOut(t *testing.T) {
	_, err := set("vips 192.0.2.0/28\nwithout appservice sql mysql")
	if err == nil || !strings.Contains(err.Error(), "(*.queue has place 27): use a /27 or larger, such as 192.0.2.0/27") {
		t.Errorf("error %v", err)
	}
}

func TestHostAddr(t *testing.T) {
	for _, test := range []struct {
		pool string
		n    int
		want string
	}{
		{"192.0.2.0/24", 0, "192.0.2.1"},
		{"192.0.2.0/24", 253, "192.0.2.254"},
		{"192.0.2.0/24", 254, "invalid IP"},
		{"198.51.0.0/16", 255, "198.51.1.0"},
		{"192.0.2.4/30", 1, "192.0.2.6"},
		{"192.0.2.4/31", 0, "invalid IP"},
		{"192.0.2.4/32", 0, "invalid IP"},
		{"2001:db8::/64", 0, "2001:db8::1"},
		{"2001:db8::/64", 255, "2001:db8::100"},
		{"2001:db8::fffe/127", 0, "2001:db8::ffff"},
		{"2001:db8::/128", 0, "invalid IP"},
		{"::/0", 0, "::1"},
	} {
		if got := hostAddr(netip.MustParsePrefix(test.pool), test.n).String(); got != test.want {
			t.Errorf("host %d of %s: %s, want %s", test.n, test.pool, got, test.want)
		}
	}
}

// TestEndpoints compares the firewall table with the network-integration
// page's, row by row.
func TestEndpoints(t *testing.T) {
	parts := readArchive(t, "testdata/endpoints.txtar")
	for name, options := range map[string]string{"sample": "", "all": "with sso eventhub iothub azsacr\nidentity entra\nprefix AzS"} {
		s := mustSet(t, options)
		rows, err := s.Endpoints()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, r := range rows {
			addrs := ""
			for _, a := range r.VIPs {
				addrs += a.String()
			}
			newer := ""
			if r.Newer {
				newer = "newer"
			}
			b.WriteString(strings.Join([]string{r.Endpoint, r.FQDN, addrs, r.Protocol, r.Ports, r.Provider, newer}, "|") + "\n")
		}
		if b.String() != parts[name] {
			t.Errorf("%s: got\n%s\nwant\n%s", name, b.String(), parts[name])
		}
	}
}

// TestRules: the rules of a row say what its columns say.
func TestRules(t *testing.T) {
	s := mustSet(t, "with sso eventhub iothub azsacr")
	rows, err := s.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		fqdn  string
		rules []Rule
	}{
		{"portal.east.cloud.fabrikam.com", []Rule{{"tcp", 443, 443}}},
		{"*.blob.east.cloud.fabrikam.com", []Rule{{"tcp", 80, 80}, {"tcp", 443, 443}}},
		{"azs-ns02.east.cloud.fabrikam.com", []Rule{{"tcp", 53, 53}, {"udp", 53, 53}}},
		{"sqladapter.dbadapter.east.cloud.fabrikam.com", []Rule{{"tcp", 44300, 44304}}},
		{"*.appservice.east.cloud.fabrikam.com", []Rule{{"tcp", 80, 80}, {"tcp", 443, 443}, {"tcp", 8172, 8172}}},
		{"ftp.appservice.east.cloud.fabrikam.com", []Rule{
			{"tcp", 21, 21}, {"tcp", 1021, 1021}, {"tcp", 10001, 10100}, {"tcp", 990, 990},
			{"udp", 21, 21}, {"udp", 1021, 1021}, {"udp", 10001, 10100}, {"udp", 990, 990}}},
		{"*.eventhub.east.cloud.fabrikam.com", []Rule{{"tcp", 443, 443}, {"tcp", 5671, 5672}, {"tcp", 9093, 9093}}},
		{"", []Rule{{"udp", 500, 500}, {"udp", 4500, 4500}, {Protocol: "esp"}}},
	} {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.FQDN == want.fqdn })
		if i < 0 || !slices.Equal(rows[i].Rules, want.rules) {
			t.Errorf("%q: rules of %+v, want %v", want.fqdn, rows[max(0, i)], want.rules)
		}
	}
	for _, r := range rows {
		for _, rule := range r.Rules {
			if rule.Protocol != "esp" && (rule.From == 0 || rule.To < rule.From) {
				t.Errorf("%s: rule %+v of %q", r.FQDN, rule, r.Ports)
			}
		}
		if len(r.Rules) == 0 {
			t.Errorf("%s has no rules", r.FQDN)
		}
	}
}

// TestOptions: what Options gives makes the same stamp.
func TestOptions(t *testing.T) {
	for _, lines := range roundTrips() {
		s := mustSet(t, lines)
		var again strings.Builder
		for _, o := range s.Options() {
			again.WriteString(strings.Join(o, " ") + "\n")
		}
		s2 := mustSet(t, again.String())
		if a, b := zonesText(t, &s), zonesText(t, &s2); a != b {
			t.Errorf("%q: options %q make\n%s\nwant\n%s", lines, again.String(), b, a)
		}
	}
}

// roundTrips are options that must outlive a way through text.
func roundTrips() []string {
	return []string{
		"",
		"prefix AzS\nregion West\ndomain Azurestack.External.",
		"ns01 192.0.2.11 2001:db8::11\nns02 2001:db8::12",
		"vips 192.0.2.32/27 2001:db8:1::/64\nidentity entra",
		"with sso eventhub iothub azsacr\nwithout sql",
		"without appservice dbadapter\nvips 198.51.100.0/28",
		"endpoint portal 192.0.2.60\nendpoint blob 192.0.2.61 2001:db8::61\nlabel Web01 192.0.2.90\nlabel db 192.0.2.91 192.0.2.92",
		"ttl 60\nsoa 1 2 3 4\nserial 7\napex_wildcard 192.0.2.99 2001:db8::99",
		"region east\ndomain east.contoso.com",
	}
}

// TestChangeLeavesCopiesAlone: copies of a Stamp share their lists.
func TestChangeLeavesCopiesAlone(t *testing.T) {
	a := mustSet(t, "label web01 192.0.2.90\nendpoint portal 192.0.2.60")
	b := a
	change := Change(&b)
	for _, o := range [][]string{{"label", "web01", "192.0.2.91"}, {"endpoint", "portal", "192.0.2.61"}} {
		if err := change.Set(o[0], o[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if a.Labels[0].Addrs[0].String() != "192.0.2.90" || a.Pins[0].Addrs[0].String() != "192.0.2.60" {
		t.Errorf("the first stamp now has %v and %v", a.Labels, a.Pins)
	}
	if b.Labels[0].Addrs[0].String() != "192.0.2.91" || len(b.Labels) != 1 {
		t.Errorf("the second stamp has %v", b.Labels)
	}
}

// TestValidate has stamps that no option makes.
func TestValidate(t *testing.T) {
	for _, test := range []struct {
		change func(s *Stamp)
		want   string
	}{
		{func(s *Stamp) { s.NS02 = nil }, "ns02 has no address"},
		{func(s *Stamp) { s.VIPs = nil }, "endpoint adfs has no address: give vips, or pin it with endpoint adfs ADDRESS"},
		{func(s *Stamp) { s.Providers = SSO }, "add with appservice"},
		{func(s *Stamp) { s.TTL = 1 << 31 }, "2147483648 seconds are too many"},
		{func(s *Stamp) { s.Labels = []Host{{"a", s.NS01}, {"A", s.NS01}} }, "label A is given twice"},
		{func(s *Stamp) { s.Pins = []Host{{"blob", s.NS01}, {"*.blob", s.NS01}} }, "endpoint *.blob is given twice"},
	} {
		s := Default()
		test.change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q in it", err, test.want)
		}
	}
}
