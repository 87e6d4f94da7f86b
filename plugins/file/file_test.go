package file_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

func plugins() []server.Plugin {
	return []server.Plugin{prometheus.Plugin("test"), file.Plugin(), authority.Plugin()}
}

// zoneText is a zone with one address.
func zoneText(serial int, address string) string {
	return fmt.Sprintf(`@ 3600 IN SOA ns01 hostmaster %d 3600 300 2419200 300
@ 3600 IN NS ns01
ns01 3600 IN A 192.0.2.1
www 3600 IN A %s
`, serial, address)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// address is the one that www.ZONE has.
func address(t *testing.T, s *servertest.Server, zone string) string {
	t.Helper()
	r := s.Ask("www."+zone, dns.TypeA)
	if len(r.Answer) != 1 {
		return dns.RcodeToString[r.Rcode]
	}
	return r.Answer[0].(*dns.A).A.String()
}

func TestServesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.example.org")
	write(t, path, zoneText(7, "192.0.2.80"))
	s := servertest.Start(t, fmt.Sprintf("example.org:0 example.net:0 {\n prometheus 127.0.0.1:0\n file %s\n}", path), plugins()...)
	for _, zone := range []string{"example.org.", "example.net."} {
		if got := address(t, s, zone); got != "192.0.2.80" {
			t.Errorf("www.%s: %s", zone, got)
		}
		if got := s.Metric("127.0.0.1:0", `stampdns_zone_serial{zone="`+zone+`"}`); got != "7" {
			t.Errorf("serial of %s in metrics: %q", zone, got)
		}
	}
	r := s.Ask("www.example.org.", dns.TypeA)
	if !r.Authoritative || r.Rcode != dns.RcodeSuccess {
		t.Errorf("not authoritative:\n%v", r)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestNamedZones(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone")
	write(t, path, zoneText(1, "192.0.2.80"))
	s := servertest.Start(t, fmt.Sprintf(".:0 {\n file %s example.org a.example.com\n}", path), plugins()...)
	if got := address(t, s, "a.example.com."); got != "192.0.2.80" {
		t.Errorf("www.a.example.com.: %s", got)
	}
	if r := s.Ask("www.example.com.", dns.TypeA); r.Rcode != dns.RcodeRefused {
		t.Errorf("name in no zone: %s", dns.RcodeToString[r.Rcode])
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.example.org")
	write(t, path, zoneText(10, "192.0.2.10"))
	s := servertest.Start(t, fmt.Sprintf("example.org:0 {\n prometheus 127.0.0.1:0\n file %s {\n  reload 10ms\n }\n}", path), plugins()...)
	has := func(want string) func() bool { return func() bool { return address(t, s, "example.org.") == want } }

	write(t, path, zoneText(11, "192.0.2.11"))
	s.Wait("the new address", has("192.0.2.11"))
	s.WaitLog(`msg="zone reloaded" plugin=file zone=example.org. serial=11`)

	write(t, path, zoneText(12, "not-an-address"))
	s.WaitLog(path + ":4")
	if !has("192.0.2.11")() {
		t.Errorf("a broken file took the last good zone away")
	}
	const state = `{zone="example.org."}`
	for name, want := range map[string]string{"serial": "11", "loaded": "1", "last_load_successful": "0"} {
		if got := s.Metric("127.0.0.1:0", "stampdns_zone_"+name+state); got != want {
			t.Errorf("%s after a failed load: %q, want %s", name, got, want)
		}
	}
	if got := s.Metric("127.0.0.1:0", "stampdns_zone_load_failed_total"+state); got == "0" || got == "" {
		t.Errorf("failed loads counted: %q", got)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("not ready although the last good zone is served: %v", err)
	}

	write(t, path, zoneText(11, "192.0.2.12"))
	s.Wait("the same serial's new address", has("192.0.2.12"))
	s.WaitLog("its serial is the old one")
	if got := s.Metric("127.0.0.1:0", "stampdns_zone_last_load_successful"+state); got != "1" {
		t.Errorf("last load after recovery: %q", got)
	}

	write(t, path, zoneText(9, "192.0.2.13"))
	s.Wait("the lower serial's address", has("192.0.2.13"))
	s.WaitLog("its serial went back")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.WaitLog("no such file")
	if !has("192.0.2.13")() {
		t.Errorf("a removed file took the last good zone away")
	}
}

// TestPolling takes a change up without news from the system.
func TestPolling(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.example.org")
	write(t, path, zoneText(1, "192.0.2.10"))
	s := servertest.StartPolling(t, fmt.Sprintf("example.org:0 {\n file %s {\n  reload 10ms\n }\n}", path), plugins()...)
	write(t, path, zoneText(2, "192.0.2.11"))
	s.Wait("the new address", func() bool { return address(t, s, "example.org.") == "192.0.2.11" })
}

// TestNews takes changes up that nobody looks for in an hour: of the file, and of
// one that it includes.
func TestNews(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("only Linux tells")
		return
	}
	dir := t.TempDir()
	path, part := filepath.Join(dir, "db.example.org"), filepath.Join(dir, "part")
	write(t, part, "www 3600 IN A 192.0.2.20\n")
	write(t, path, zoneText(1, "192.0.2.10"))
	s := servertest.Start(t, fmt.Sprintf("example.org:0 {\n file %s {\n  reload 1h\n }\n}", path), plugins()...)
	serial := 1
	s.Wait("the new address", func() bool {
		// Again and again, as the server may not listen yet.
		serial++
		write(t, path, zoneText(serial, "192.0.2.11"))
		return address(t, s, "example.org.") == "192.0.2.11"
	})
	serial++
	write(t, path, strings.Replace(zoneText(serial, "192.0.2.12"), "www", "$INCLUDE part\nwww2", 1))
	s.Wait("the included address", func() bool { return address(t, s, "example.org.") == "192.0.2.20" })
	s.Wait("the included file's change", func() bool {
		write(t, part, "www 3600 IN A 192.0.2.21\n")
		return address(t, s, "example.org.") == "192.0.2.21"
	})
}

// TestTakenOut says that a zone that a Corefile no longer has is not remembered.
func TestTakenOut(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	write(t, one, zoneText(1, "192.0.2.1"))
	write(t, other, zoneText(1, "192.0.2.2"))
	both := fmt.Sprintf(".:0 {\n file %s example.org\n file %s example.net\n}", one, other)
	s := servertest.Start(t, both, plugins()...)
	s.Rewrite(fmt.Sprintf(".:0 {\n file %s example.org\n}", one))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	write(t, other, "broken")
	s.Rewrite(both)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("a broken file: %v", err)
	}
}

// TestCorefileReloadKeepsZone says that a file that is broken while the Corefile
// is taken up anew costs nothing either.
func TestCorefileReloadKeepsZone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.example.org")
	write(t, path, zoneText(1, "192.0.2.10"))
	corefile := fmt.Sprintf("example.org:0 {\n file %s {\n  reload 0s\n }\n}", path)
	s := servertest.Start(t, corefile, plugins()...)
	write(t, path, "broken")
	if err := s.Reload(); err != nil {
		t.Fatalf("reload: %v", err)
	}
	if got := address(t, s, "example.org."); got != "192.0.2.10" {
		t.Errorf("after the reload: %s", got)
	}
	s.WaitLog("the last good zone stays in service")
}

// TestFailedStartIsQuiet says that what is wrong at the start is in the error,
// and nowhere else.
func TestFailedStartIsQuiet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad")
	write(t, path, zoneText(1, "192.0.2.80")+"x IN CNAME y\nx IN A 192.0.2.1\ny IN CNAME z\ny IN A 192.0.2.1\n")
	for _, file := range []string{path, path + ".none"} {
		var log strings.Builder
		s := server.New(server.Options{Plugins: plugins(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		err := s.Start(server.Corefile{Text: []byte("example.org:0 {\n file " + file + "\n}")})
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("error %v does not name %s", err, file)
		}
		if log.Len() > 0 {
			t.Errorf("logged besides the error:\n%s", &log)
		}
	}
}

func TestWrongConfiguration(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	write(t, good, zoneText(1, "192.0.2.80"))
	write(t, bad, zoneText(1, "192.0.2.80")+"x IN CNAME y\nx IN A 192.0.2.1\n")
	for _, tc := range []struct{ name, key, directive, want string }{
		{"no file named", "example.org:0", "file", "Corefile:2: file: file takes at least one argument, not 0 (usage: file DBFILE"},
		{"no such file", "example.org:0", "file " + dir + "/none", dir + "/none: no such file"},
		{"directory", "example.org:0", "file " + dir, "not a regular file"},
		{"broken", "example.org:0", "file " + bad, bad + ":"},
		{"broken, in the Corefile", "example.org:0", "file " + bad, "Corefile:2: file: zone example.org."},
		{"twice", "example.org:0", "file " + good + "\n file " + bad, "Corefile:3: file: zone example.org. comes from file"},
		{"unreachable", "example.org:0", "file " + good + " example.net", "no query for zone example.net. comes here"},
		{"bad zone", ".:0", "file " + good + " a..b", "empty label"},
		{"bad duration", "example.org:0", "file " + good + " {\n reload soon\n }", `"soon" is no duration`},
		{"negative duration", "example.org:0", "file " + good + " {\n reload -1s\n }", "too short"},
		{"no duration", "example.org:0", "file " + good + " {\n reload\n }", "reload takes one argument, not 0"},
		{"near miss", "example.org:0", "file " + good + " {\n relaod 1s\n }", `unknown property "relaod"`},
		{"transfer", "example.org:0", "file " + good + " {\n transfer to *\n }", "transfer is not supported"},
		{"fallthrough", "example.org:0", "file " + good + " {\n fallthrough\n }", "fallthrough is not supported"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := servertest.Try(t, tc.key+" {\n "+tc.directive+"\n}", plugins()...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want …%s…", err, tc.want)
			}
		})
	}
}
