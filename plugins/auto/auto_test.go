package auto_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/auto"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

func plugins() []server.Plugin {
	return []server.Plugin{prometheus.Plugin(""), auto.Plugin(), authority.Plugin()}
}

func zoneText(serial int, address string) string {
	return fmt.Sprintf(`@ 3600 IN SOA ns01 hostmaster %d 3600 300 2419200 300
@ 3600 IN NS ns01
ns01 3600 IN A 192.0.2.1
www 3600 IN A %s
`, serial, address)
}

// write puts a file in place as a whole.
func write(t testing.TB, path, text string) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(path), ".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

// address is the one that www.ZONE has, or the RCODE.
func address(s *servertest.Server, zone string) string {
	r := s.Ask("www."+zone, dns.TypeA)
	if len(r.Answer) != 1 {
		return dns.RcodeToString[r.Rcode]
	}
	return r.Answer[0].(*dns.A).A.String()
}

func start(t *testing.T, dir, more string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, fmt.Sprintf(".:0 {\n prometheus 127.0.0.1:0\n auto %s\n}",
		fmt.Sprintf("{\n directory %s\n reload 10ms\n %s\n }", dir, more)), plugins()...)
}

func waitFor(s *servertest.Server, zone, want string) {
	s.Wait("www."+zone+" to be "+want, func() bool { return address(s, zone) == want })
}

func state(s *servertest.Server, dir, state string) string {
	return s.Metric("127.0.0.1:0", fmt.Sprintf(`stampdns_auto_files{directory=%q,state=%q}`, dir, state))
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	names := map[string]string{ // zone by file, "" for none
		"db.a.example.org":      "a.example.org.",
		"b.example.org.zone":    "b.example.org.",
		"c.example.org.db":      "c.example.org.",
		"db.D.Example.ORG":      "d.example.org.",
		"sub/db.e.example.org":  "e.example.org.",
		"db.f.example.org.bak":  "",
		"db.g.example.org~":     "",
		".db.h.example.org.swp": "",
		"#db.i.example.org#":    "",
		"..data/db.j.example":   "",
		"README.md":             "",
		"k.example.org":         "",
	}
	for file := range names {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, file), zoneText(1, "192.0.2.80"))
	}
	s := start(t, dir, "")
	for file, zone := range names {
		if zone == "" {
			continue
		}
		if got := address(s, zone); got != "192.0.2.80" {
			t.Errorf("%s: www.%s is %s", file, zone, got)
		}
	}
	for want, got := range map[string]string{
		"5": state(s, dir, "loaded"), "2": state(s, dir, "ignored"), "0": state(s, dir, "failed"),
	} {
		if got != want {
			t.Errorf("files by state: %s, want %s", got, want)
		}
	}
	s.WaitLog("files ignored")
	s.WaitLog(`msg="zones loaded" plugin=auto directory=` + dir + ` zones=5`)
}

func TestComeChangeGo(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "")
	if got := address(s, "example.org."); got != "REFUSED" {
		t.Errorf("before any zone: %s", got)
	}
	path := filepath.Join(dir, "db.example.org")
	write(t, path, zoneText(1, "192.0.2.1"))
	waitFor(s, "example.org.", "192.0.2.1")
	s.WaitLog(`msg="zone added" plugin=auto zone=example.org. file=` + path)

	write(t, path, zoneText(2, "192.0.2.2"))
	waitFor(s, "example.org.", "192.0.2.2")

	write(t, path, zoneText(3, "nonsense"))
	s.WaitLog(path + ":4")
	if got := address(s, "example.org."); got != "192.0.2.2" {
		t.Errorf("broken file: %s", got)
	}
	if got := s.Metric("127.0.0.1:0", `stampdns_zone_last_load_successful{zone="example.org."}`); got != "0" {
		t.Errorf("last_load_successful is %q", got)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	waitFor(s, "example.org.", "REFUSED")
	s.WaitLog("zone removed")
	if got := s.Metric("127.0.0.1:0", `stampdns_zone_loaded{zone="example.org."}`); got != "" {
		t.Errorf("a removed zone is in the metrics: %q", got)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready without the zone: %v", err)
	}
}

// TestPolling picks files up without news from the system.
func TestPolling(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db.example.org")
	s := servertest.StartPolling(t, fmt.Sprintf(".:0 {\n auto {\n directory %s\n reload 10ms\n }\n}", dir), plugins()...)
	write(t, path, zoneText(1, "192.0.2.1"))
	waitFor(s, "example.org.", "192.0.2.1")
	write(t, path, zoneText(2, "192.0.2.2"))
	waitFor(s, "example.org.", "192.0.2.2")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	waitFor(s, "example.org.", "REFUSED")
}

// TestRename says that a zone is served throughout while its file gets another
// name.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	old, renamed := filepath.Join(dir, "db.example.org"), filepath.Join(dir, "example.org.zone")
	write(t, old, zoneText(1, "192.0.2.1"))
	s := start(t, dir, "")
	if err := os.Rename(old, renamed); err != nil {
		t.Fatal(err)
	}
	s.WaitLog(`msg="zone added" plugin=auto zone=example.org. file=` + renamed)
	if strings.Contains(s.Log(), "zone not served") {
		t.Errorf("a renamed file was taken for a second one:\n%s", s.Log())
	}
	waitFor(s, "example.org.", "192.0.2.1")
}

func TestBrokenAtStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "db.good.example"), zoneText(1, "192.0.2.1"))
	bad := filepath.Join(dir, "db.bad.example")
	write(t, bad, "@ IN SOA")
	s := start(t, dir, "")
	if got := address(s, "good.example."); got != "192.0.2.1" {
		t.Errorf("the good zone: %s", got)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "zone bad.example. (auto "+bad+")") {
		t.Errorf("readiness: %v", err)
	}
	if got := state(s, dir, "failed"); got != "1" {
		t.Errorf("failed files: %q", got)
	}
	write(t, bad, zoneText(1, "192.0.2.2"))
	waitFor(s, "bad.example.", "192.0.2.2")
	s.Wait("readiness", func() bool { return s.Ready() == nil })
}

// TestBrokenLater says that a broken file that comes while the server runs costs
// its own zone, and never the server's readiness.
func TestBrokenLater(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "db.good.example"), filepath.Join(dir, "db.bad.example")
	write(t, good, zoneText(1, "192.0.2.1"))
	s := start(t, dir, "")
	check := func(when string) {
		t.Helper()
		waitFor(s, "bad.example.", "SERVFAIL")
		if err := s.Ready(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if got := s.Metric("127.0.0.1:0", `stampdns_zone_loaded{zone="bad.example."}`); got != "0" {
			t.Errorf("%s: zone_loaded is %q", when, got)
		}
		s.Wait("the file among the failed ones", func() bool { return state(s, dir, "failed") == "1" })
	}
	write(t, bad, "@ IN SOA")
	check("a broken file came")
	s.WaitLog(`msg="zone not loaded" plugin=auto zone=bad.example. file=` + bad)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	check("the Corefile was reloaded")

	// What was there at the start is waited for still, until it is removed.
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	waitFor(s, "bad.example.", "REFUSED")
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	waitFor(s, "good.example.", "REFUSED")
	write(t, good, "@ IN SOA")
	waitFor(s, "good.example.", "SERVFAIL")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("a file came back broken: %v", err)
	}
}

// TestBrokenFromTheStart says that a reload of the Corefile does not make a file
// that was broken when the server started any less wanted.
func TestBrokenFromTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "db.bad.example"), "@ IN SOA")
	s := start(t, dir, "")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "zone bad.example.") {
		t.Errorf("readiness after a reload: %v", err)
	}
}

// TestCollision says that the second source of a zone is refused, and taken when
// the first is gone.
func TestCollision(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "db.example.org"), zoneText(1, "192.0.2.1"))
	write(t, filepath.Join(dir, "example.org.zone"), zoneText(1, "192.0.2.2"))
	write(t, filepath.Join(dir, "db.taken.example"), zoneText(1, "192.0.2.3"))
	other := server.Plugin{Name: "other", Setup: func(d *server.Directive) (server.Handler, error) {
		origin, err := wire.ParseName("taken.example")
		if err != nil {
			return nil, err
		}
		store := server.Share(d, zones.NewStore)
		if err := store.Declare(origin, "the stamp"); err != nil {
			return nil, err
		}
		z, _, err := zones.Load(zones.TextSource("stamp", []byte(zoneText(1, "192.0.2.99")), origin))
		if err == nil {
			store.Put(z, 1, time.Now())
		}
		return nil, err
	}}
	s := servertest.Start(t, fmt.Sprintf(".:0 {\n prometheus 127.0.0.1:0\n other\n auto {\n directory %s\n reload 10ms\n }\n}", dir),
		append([]server.Plugin{other}, plugins()...)...)
	if got := address(s, "taken.example."); got != "192.0.2.99" {
		t.Errorf("the stamp's zone: %s", got)
	}
	if got := address(s, "example.org."); got != "192.0.2.1" {
		t.Errorf("of two files: %s", got)
	}
	if got := state(s, dir, "refused"); got != "2" {
		t.Errorf("refused files: %q", got)
	}
	if n := strings.Count(s.Log(), "zone not served"); n != 2 {
		t.Errorf("%d refusals logged, want each once:\n%s", n, s.Log())
	}
	if err := os.Remove(filepath.Join(dir, "db.example.org")); err != nil {
		t.Fatal(err)
	}
	waitFor(s, "example.org.", "192.0.2.2")
}

// TestConfigMap plays Kubernetes: files are links into ..data, which is a link
// that is moved to a new directory at each change.
func TestConfigMap(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "db.example.org"), text)
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..1", zoneText(1, "192.0.2.1"))
	if err := os.Symlink("..data/db.example.org", filepath.Join(dir, "db.example.org")); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "")
	waitFor(s, "example.org.", "192.0.2.1")
	publish("..2", zoneText(2, "192.0.2.2"))
	waitFor(s, "example.org.", "192.0.2.2")
	if got := state(s, dir, "loaded"); got != "1" {
		t.Errorf("loaded files: %q", got)
	}
}

// TestGoneAtReload says that a zone whose file went unseen until a reload is
// forgotten: it does not come back when a broken file does. Another block's auto of
// the same directory keeps its own.
func TestGoneAtReload(t *testing.T) {
	dir := t.TempDir()
	path, first, second := filepath.Join(dir, "db.example.org"), filepath.Join(dir, "db.kept.example.org"), filepath.Join(dir, "db.example.com")
	for _, p := range []string{path, first, second} {
		write(t, p, zoneText(1, "192.0.2.1"))
	}
	block := fmt.Sprintf("auto %%s {\n directory %s\n reload 0s\n }\n}\n", dir)
	s := servertest.Start(t, "example.org:0 {\n "+fmt.Sprintf(block, "example.org")+
		"example.com:0 {\n "+fmt.Sprintf(block, "example.com"), plugins()...)
	reload := func(want string) {
		t.Helper()
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := address(s, "example.org."); got != want {
			t.Errorf("the zone that went: %s, want %s", got, want)
		}
		for _, zone := range []string{"kept.example.org.", "example.com."} {
			if got := address(s, zone); got != "192.0.2.1" {
				t.Errorf("%s: %s", zone, got)
			}
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload("REFUSED")
	for _, p := range []string{path, first, second} {
		write(t, p, "broken")
	}
	reload("SERVFAIL")
}

func TestCorefileReload(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db.example.org")
	write(t, path, zoneText(1, "192.0.2.1"))
	s := servertest.Start(t, fmt.Sprintf(".:0 {\n auto {\n directory %s\n reload 0s\n }\n}", dir), plugins()...)
	write(t, path, "broken")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := address(s, "example.org."); got != "192.0.2.1" {
		t.Errorf("the last good zone after a reload: %s", got)
	}
	write(t, path, zoneText(2, "192.0.2.2"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := address(s, "example.org."); got != "192.0.2.2" {
		t.Errorf("the repaired zone after a reload: %s", got)
	}
}

// TestPattern is CoreDNS's own example of a pattern.
func TestPattern(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "www.db.example.org"), zoneText(1, "192.0.2.1"))
	write(t, filepath.Join(dir, "db.example.net"), zoneText(1, "192.0.2.1"))
	s := servertest.Start(t, fmt.Sprintf("org:0 net:0 {\n auto org {\n directory %s www\\.db\\.(.*) {1}\n }\n}", dir), plugins()...)
	if got := address(s, "example.org."); got != "192.0.2.1" {
		t.Errorf("example.org.: %s", got)
	}
	if got := address(s, "example.net."); got != "REFUSED" {
		t.Errorf("example.net. does not match the pattern: %s", got)
	}
}

func TestOutside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "db.example.net"), zoneText(1, "192.0.2.1"))
	s := servertest.Start(t, fmt.Sprintf("org:0 net:0 {\n auto org {\n directory %s\n }\n}", dir), plugins()...)
	s.WaitLog("zone example.net. is outside the zones of auto")
	if got := address(s, "example.net."); got != "REFUSED" {
		t.Errorf("example.net.: %s", got)
	}
}

// TestUnreadable says that a directory that cannot be read costs no zone.
func TestUnreadable(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "zones")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "db.example.org"), zoneText(1, "192.0.2.1"))
	s := start(t, dir, "")
	if err := os.Rename(dir, filepath.Join(parent, "away")); err != nil {
		t.Fatal(err)
	}
	s.WaitLog("directory not readable")
	if got := address(s, "example.org."); got != "192.0.2.1" {
		t.Errorf("with the directory away: %s", got)
	}
	if err := os.Rename(filepath.Join(parent, "away"), dir); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "db.example.net"), zoneText(1, "192.0.2.2"))
	waitFor(s, "example.net.", "192.0.2.2")
	waitFor(s, "example.org.", "192.0.2.1")
}

func TestManyZones(t *testing.T) {
	const n = 10000
	dir := t.TempDir()
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("db.z%d.example", i))
		if err := os.WriteFile(path, []byte(zoneText(1, "192.0.2.1")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	s := start(t, dir, "")
	took := time.Since(begin)
	t.Logf("%d zones in %s", n, took)
	if took > 30*time.Second {
		t.Errorf("%d zones took %s to load", n, took)
	}
	if got := state(s, dir, "loaded"); got != fmt.Sprint(n) {
		t.Errorf("loaded: %s", got)
	}
	waitFor(s, fmt.Sprintf("z%d.example.", n-1), "192.0.2.1")
	write(t, filepath.Join(dir, "db.z5.example"), zoneText(2, "192.0.2.5"))
	waitFor(s, "z5.example.", "192.0.2.5")
}

func TestWrongConfiguration(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ text, want string }{
		{"auto", "needs a directory"},
		{"auto {\n directory\n }", "directory takes at least one argument, not 0 (usage: auto [ZONES...]"},
		{"auto {\n directory " + dir + "/none\n }", "no such file or directory: make it, or correct the path"},
		{"auto {\n directory " + os.Args[0] + "\n }", "is not a directory"},
		{"auto {\n directory " + dir + " db\n }", "needs an origin template"},
		{"auto {\n directory " + dir + " db {1}\n }", "has no parentheses"},
		{"auto {\n directory " + dir + " (db {1}\n }", "missing closing"},
		{"auto {\n directory " + dir + " db(.*) {2}\n }", "{2}, but the pattern has only 1"},
		{"auto {\n directory " + dir + "\n reload\n }", "reload takes one argument"},
		{"auto {\n directroy " + dir + "\n }", `unknown property "directroy"`},
		{"auto a..b {\n directory " + dir + "\n }", "empty label"},
		{"auto {\n directory " + dir + "\n transfer to *\n }", "transfer is not supported: CoreDNS has it, stampdns does not: remove the line"},
		{"auto {\n directory " + dir + "\n fallthrough\n }", "fallthrough is not supported: CoreDNS has it"},
		{"auto {\n directory " + dir + "\n upstream\n }", "upstream is not supported"},
		{"auto {\n directory " + dir + "\n no_reload\n }", "write reload 0"},
		{"auto {\n directory " + dir + " db(.*) {1} 30s\n }", "30s behind the origin template: CoreDNS's TIMEOUT is not supported, write reload DURATION on a line of its own"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", plugins()...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
