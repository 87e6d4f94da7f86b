package plugins_test

import (
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// slow are metrics that are there after ten seconds at the earliest, or only under more
// load than a test has.
func slow(name string) bool {
	return name == "stampdns_delegation_tc_unretried_total" || name == "stampdns_delegation_refetch_skipped_total"
}

// observedServer is a server in which every plugin has something to count: ns01 and
// ns02 of a stamp with all observers, a proxy before them, a forwarder behind them, and
// a fault on ns02.
const observedServer = `.:0 {
	bind 127.0.0.1 127.0.0.2
	bufsize 1232
	proxyproto 198.51.100.1
	reload
	health 127.0.0.1:0
	ready 127.0.0.1:0
	prometheus 127.0.0.1:0
	api 127.0.0.1:0
	state state.db
	delegation {
		resolver corp 127.0.0.0/8
		learn 8
	}
	journal
	dnstap out.tap
	log
	errors
	nsid {ns}
	acl {
		block type HINFO
		filter type NAPTR
		drop type GPOS
		allow
	}
	fault {
		servfail ns ns02 name adminportal.east.cloud.fabrikam.com
		truncate name long.blob.east.cloud.fabrikam.com
	}
	stamp {
		domain cloud.fabrikam.com
	}
	file file.example file.example
	auto {
		directory zones
	}
	probe
	cache
	forward . FORWARDER {
		max_concurrent 10
	}
}`

const delegatingZone = `@ 3600 IN SOA ns01 hostmaster 1 3600 300 2419200 300
@ 3600 IN NS ns01
ns01 3600 IN A 192.0.2.1
team 3600 IN NS ns1.team
ns1.team 3600 IN A 192.0.2.9
`

// TestDocumentedMetrics holds docs/metrics.md, and the parts of the plugins' pages
// about metrics, against a scrape: names and labels.
func TestDocumentedMetrics(t *testing.T) {
	documented := documentedMetrics(t)
	forwarder := servertest.Start(t, ".:0 {\n bind 127.0.0.1\n forward . 127.0.0.1:1\n}", plugins.All("test")...)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "zones"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file.example", "zones/db.auto.example"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(delegatingZone), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := servertest.TryIn(t, dir, strings.ReplaceAll(observedServer, "FORWARDER", forwarder.Addrs()[0].String()), plugins.All("test")...)
	if err != nil {
		t.Fatal(err)
	}
	observe(t, s)
	_, page := s.Get("127.0.0.1:0", "/metrics")
	// The last one is a record type, no unit.
	lint(t, strings.ReplaceAll(page, "apex_ns_queries", "apex_queries"))
	scraped := scrapedMetrics(page)
	for name, labels := range scraped {
		if want, ok := documented[name]; !ok {
			t.Errorf("docs/metrics.md does not know %s{%s}", name, labels)
		} else if labels != want {
			t.Errorf("docs/metrics.md says %s{%s}, there is %s{%s}", name, want, name, labels)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if _, ok := scraped[name]; !ok && !slow(name) {
			t.Errorf("docs/metrics.md has %s, which no scrape has", name)
		}
	}
	for plugin, text := range readmes(t) {
		_, text, _ = strings.Cut(text, "\n## Metrics\n")
		text, _, _ = strings.Cut(text, "\n## ")
		for _, found := range regexp.MustCompile("`(stampdns_)?([a-z_]+)(\\{([a-z, ]*)\\})?`").FindAllStringSubmatch(text, -1) {
			prefix := found[1]
			if plugin == "delegation" && prefix == "" {
				prefix = "stampdns_delegation_"
			}
			name, labels := prefix+found[2], sortedLabels(found[4])
			if prefix == "" || strings.HasSuffix(name, "_") {
				continue
			}
			want, ok := documented[name]
			if plugin == "prometheus" {
				// Which has the label ns on all of them, and says so once.
				labels, want = sortedLabels(strings.ReplaceAll(labels, "ns", "")), sortedLabels(strings.ReplaceAll(want, "ns", ""))
			}
			if !ok || found[3] != "" && labels != want {
				t.Errorf("%s: the page says %s{%s}, docs/metrics.md %s{%s}", plugin, name, labels, name, want)
			}
		}
	}
}

// documentedMetrics are the labels, by name, of the tables of docs/metrics.md.
func documentedMetrics(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := make(map[string]string)
	prefix, table := "", false
	for line := range strings.Lines(string(text)) {
		switch cells := strings.Split(line, "|"); {
		case strings.HasPrefix(line, "#"):
			prefix = ""
		case strings.HasPrefix(line, "All names begin with `"):
			prefix = strings.Split(line, "`")[1]
		case !strings.HasPrefix(line, "|"):
			table = false
		case strings.HasPrefix(line, "| metric |"):
			table = true
		case table && strings.HasPrefix(line, "| `"):
			name := prefix + strings.Trim(cells[1], " `")
			if _, twice := metrics[name]; twice {
				t.Errorf("docs/metrics.md has %s twice", name)
			}
			metrics[name] = sortedLabels(cells[2])
		}
	}
	return metrics
}

// scrapedMetrics are the labels of our metrics, by name.
func scrapedMetrics(page string) map[string]string {
	metrics, histograms := make(map[string]string), make(map[string]bool)
	series := regexp.MustCompile(`^(` + server.MetricsNamespace + `_[a-z_]+)(?:\{(.*)\})? \S+$`)
	value := regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if words := strings.Fields(line); len(words) == 4 && words[1] == "TYPE" && words[3] == "histogram" {
			histograms[words[2]] = true
		}
		found := series.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		name := found[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); histograms[base] {
				name = base
			}
		}
		var labels []string
		for _, l := range value.FindAllStringSubmatch(found[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		metrics[name] = sortedLabels(strings.Join(labels, ","))
	}
	return metrics
}

// sortedLabels are names of labels in one order.
func sortedLabels(text string) string {
	labels := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(labels)
	return strings.Join(labels, ",")
}

// observe sends one query or more for each thing that is counted.
func observe(t *testing.T, s *servertest.Server) {
	t.Helper()
	ns01, ns02 := s.Addrs()[0], s.Addrs()[1]
	ask := func(network string, to netip.AddrPort, name string, rrtype uint16, change func(*dns.Msg)) {
		m := servertest.Question(name, rrtype)
		if change != nil {
			change(m)
		}
		s.Exchange(network, to, m)
	}
	iterative := func(m *dns.Msg) {
		m.RecursionDesired, m.CheckingDisabled = false, true
		m.IsEdns0().SetDo()
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
	}
	const nonce, zone = "k3v9x2m7q1", "east.cloud.fabrikam.com."
	for _, to := range []netip.AddrPort{ns01, ns02} {
		for _, rrtype := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeDS, dns.TypeDNSKEY, dns.TypeHINFO, dns.TypeNAPTR} {
			ask("udp", to, zone, rrtype, iterative)
		}
		ask("udp", to, "azs-ns01."+zone, dns.TypeA, iterative)
	}
	for range 2 {
		ask("udp", ns01, "PoRtAl.eAsT.cLoUd."+"fabrikam.com.", dns.TypeA, iterative)
	}
	ask("udp", ns01, "blob."+zone, dns.TypeA, iterative)
	ask("udp", ns01, "x.blob."+zone, dns.TypeA, iterative)
	ask("udp", ns02, "adminportal."+zone, dns.TypeA, iterative)
	ask("udp", ns01, "adminportal."+zone, dns.TypeA, iterative)
	ask("udp", ns01, "long.blob."+zone, dns.TypeA, iterative)
	ask("tcp", ns01, "long.blob."+zone, dns.TypeA, iterative)
	ask("tcp", ns01, "portal."+zone, dns.TypeA, nil)
	ask("udp", ns01, "www.team.file.example.", dns.TypeA, nil)
	ask("udp", ns01, "fabrikam.com.", dns.TypeNS, iterative)
	ask("udp", ns01, nonce+".probe."+zone, dns.TypeTXT, nil)
	confirm(t, s, nonce)
	ask("udp", ns01, "www.example.net.", dns.TypeA, nil)
	s.Wait("the last query, which is forwarded, is counted", func() bool {
		_, page := s.Get("127.0.0.1:0", "/metrics")
		return strings.Contains(page, "stampdns_proxy_request_duration_seconds_count")
	})
}

// confirm tells the API that a probe came back.
func confirm(t *testing.T, s *servertest.Server, nonce string) {
	t.Helper()
	body := `{"result":"confirmed","resolver_address":"192.0.2.53","answer_source":"192.0.2.53:53","rcode":"NOERROR","ns":"ns01","latency_ms":1}`
	r, err := http.Post(s.APIAddrs()[0].URL()+"/api/v1/probes/"+nonce+"/confirm", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("confirming a probe: %s", r.Status)
	}
}
