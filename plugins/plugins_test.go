package plugins_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stampdns/stampdns/plugins"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// isPart says whether a handler is a part of another plugin and has no page.
func isPart(name string) bool { return name == "forward gate" || name == "probe answers" }

// TestList looks at the list itself.
func TestList(t *testing.T) {
	const want = "bind bufsize proxyproto reload health ready pprof state api delegation journal status dnstap prometheus log errors nsid | " +
		"acl fault stamp file auto probe probe answers authority forward gate cache forward"
	var names []string
	gate := false
	for _, p := range plugins.All("test") {
		if !p.Observer && !gate {
			gate = true
			names = append(names, "|")
		}
		if p.Observer && gate {
			t.Errorf("%s observes behind the server's own checks", p.Name)
		}
		if p.Implicit != (p.Name == "authority" || isPart(p.Name)) {
			t.Errorf("%s: implicit is %v", p.Name, p.Implicit)
		}
		if !p.Implicit && !strings.HasPrefix(p.Usage, p.Name) {
			t.Errorf("%s: usage is %q", p.Name, p.Usage)
		}
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("order\n%s, want\n%s", got, want)
	}
}

// TestPages says that each plugin has a page of the usual form, and each page a
// plugin.
func TestPages(t *testing.T) {
	pages := readmes(t)
	for _, p := range plugins.All("test") {
		if isPart(p.Name) {
			continue
		}
		page, ok := pages[p.Name]
		if !ok {
			t.Errorf("%s has no README.md", p.Name)
			continue
		}
		delete(pages, p.Name)
		if !strings.HasPrefix(page, "# "+p.Name+"\n\n## Name\n\n*"+p.Name+"* - ") {
			t.Errorf("%s: the page does not begin as pages do", p.Name)
		}
		for _, heading := range []string{"Description", "Syntax", "Metrics", "Examples", "See Also"} {
			if !strings.Contains(page, "\n## "+heading+"\n") {
				t.Errorf("%s: the page has no part %s", p.Name, heading)
			}
		}
	}
	for name := range pages {
		t.Errorf("page of %s, which is no plugin", name)
	}
}

// readmes are the pages by plugin.
func readmes(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Dir(f)] = string(text)
	}
	return pages
}

// TestExamples starts a server from each example of each page.
func TestExamples(t *testing.T) {
	fence := regexp.MustCompile("(?s)```corefile\n(.*?)```")
	for name, page := range readmes(t) {
		examples := fence.FindAllStringSubmatch(page, -1)
		if len(examples) == 0 && name != "authority" {
			t.Errorf("%s has no example", name)
		}
		for i, example := range examples {
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) {
				if !strings.Contains(example[1], name) {
					t.Errorf("the example does not show %s", name)
				}
				dir := t.TempDir()
				provide(t, dir, name)
				s, err := servertest.TryIn(t, dir, freePorts(example[1]), plugins.All("test")...)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Reload(); err != nil {
					t.Fatalf("reload: %v", err)
				}
				if err := s.Ready(); err != nil {
					t.Errorf("not ready: %v", err)
				}
				for _, to := range s.Addrs() {
					if _, err := s.TryExchange("udp", to, servertest.Question("www.example.com.", dns.TypeA), servertest.Patience); err != nil {
						t.Errorf("no answer from %s: %v", to, err)
					}
				}
			})
		}
	}
}

// freePorts has an example listen on loopback and free ports.
func freePorts(corefile string) string {
	corefile = regexp.MustCompile(`(?m)^([^\s#{}].*?):\d+ \{$`).ReplaceAllString(corefile, "$1:0 {")
	corefile = strings.ReplaceAll(corefile, "lameduck 5s", "lameduck 5ms")
	web := regexp.MustCompile(`(?m)^(\s+(?:api|prometheus|health|ready|pprof))(?: [^\s{]*:\d+)?( \{)?$`)
	return web.ReplaceAllString(corefile, "$1 127.0.0.1:0$2")
}

// provide puts the files of the plugin's examples beside the Corefile: its
// testdata as it is, and what lies in testdata/readme.
func provide(t *testing.T, dir, plugin string) {
	t.Helper()
	testdata := filepath.Join(plugin, "testdata")
	for from, to := range map[string]string{testdata: "testdata", filepath.Join(testdata, "readme"): "."} {
		if _, err := os.Stat(from); err != nil {
			continue
		}
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWholeServer has all plugins in one block, and looks at what they do
// together.
func TestWholeServer(t *testing.T) {
	dir := t.TempDir()
	zone := `@ 3600 IN SOA ns01 hostmaster 1 3600 300 2419200 300
@ 3600 IN NS ns01
ns01 3600 IN A 192.0.2.1
www 3600 IN A 192.0.2.80
`
	for _, name := range []string{"file.example", "db.auto.example"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(zone), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := servertest.Start(t, fmt.Sprintf(`.:0 {
	bind 127.0.0.1 127.0.0.2
	bufsize 1400
	reload
	health 127.0.0.1:0
	ready 127.0.0.1:0
	pprof 127.0.0.1:0
	prometheus 127.0.0.1:0
	errors
	nsid {ns}
	acl {
		block type TXT
	}
	stamp
	file %s file.example
	auto {
		directory %s
	}
}`, filepath.Join(dir, "file.example"), dir), plugins.All("1.2.3")...)
	for name, want := range map[string]string{
		"azs-ns01.east.cloud.fabrikam.com.": "192.0.2.11",
		"www.file.example.":                 "192.0.2.80",
		"www.auto.example.":                 "192.0.2.80",
	} {
		r := s.Exchange("tcp", s.Addrs()[1], servertest.Question(name, dns.TypeA))
		if len(r.Answer) != 1 || !r.Authoritative || r.Answer[0].(*dns.A).A.String() != want {
			t.Errorf("%s: want %s, got\n%v", name, want, r)
		}
	}
	if r := s.Ask("www.file.example.", dns.TypeTXT); r.Rcode != dns.RcodeRefused {
		t.Errorf("acl: %s", dns.RcodeToString[r.Rcode])
	}
	for _, path := range []string{"/health", "/ready"} {
		if status, body := s.Get("127.0.0.1:0", path); status != 200 || body != "OK" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for series, want := range map[string]string{
		`stampdns_dns_requests_total{family="1",ns="ns02",proto="tcp",server="dns://127.0.0.2:0",type="A",zone="file.example."}`: "1",
		`stampdns_zone_loaded{zone="auto.example."}`:                               "1",
		`stampdns_acl_blocked_requests_total{server="dns://127.0.0.1:0",zone="."}`: "1",
	} {
		if got := s.Metric("127.0.0.1:0", series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	_, page := s.Get("127.0.0.1:0", "/metrics")
	lint(t, page)
}

// lint checks our metrics by the rules of Prometheus.
func lint(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, server.MetricsNamespace+"_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
