package errors_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/errors"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// failing fails every query whose name begins with f, with the rest of the label
// as text.
func failing() server.Plugin {
	return servertest.Answer(func(q *server.Query) server.Verdict {
		if q.Name[1] == 'f' {
			q.Fail(fmt.Errorf("failed: %s\x1b", string(q.Name[2:1+q.Name[0]])))
		}
		return server.Answered
	})
}

func start(t *testing.T, directive string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, ".:0 {\n "+directive+"\n answer\n}", errors.Plugin(), failing())
}

func TestLogsFaults(t *testing.T) {
	s := start(t, "errors")
	if r := s.Ask("fupstream.example.org.", dns.TypeAAAA); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("RCODE %s", dns.RcodeToString[r.Rcode])
	}
	s.WaitLog(`msg="query failed"`)
	for _, part := range []string{"level=ERROR", "plugin=errors", "name=fupstream.example.org.", "type=AAAA", "client=127.0.0.1:", `failed: upstream\x1b`} {
		if !strings.Contains(s.Log(), part) {
			t.Errorf("no %s in the log:\n%s", part, s.Log())
		}
	}
	if strings.Contains(s.Log(), "\x1b") {
		t.Error("an escape character is in the log")
	}
	s.Ask("good.example.org.", dns.TypeA)
	s.Stop()
	if strings.Contains(s.Log(), "name=good") {
		t.Error("a good query is in the log")
	}
}

func TestConsolidate(t *testing.T) {
	s := start(t, `errors {
		consolidate 20ms "^failed: one" warning
		consolidate 1h "^failed: (one|two)"
	}`)
	for range 3 {
		s.Ask("fone.example.org.", dns.TypeA)
	}
	s.WaitLog("level=WARN")
	s.Wait("all of the first kind", func() bool {
		n := 0
		for _, m := range regexp.MustCompile(`errors=(\d+) like="\^failed: one"`).FindAllStringSubmatch(s.Log(), -1) {
			var k int
			if _, err := fmt.Sscan(m[1], &k); err != nil {
				t.Fatal(err)
			}
			n += k
		}
		return n == 3
	})
	for range 2 {
		s.Ask("ftwo.example.org.", dns.TypeA)
	}
	s.Ask("fthree.example.org.", dns.TypeA)
	s.WaitLog("failed: three")
	s.Stop()
	if !strings.Contains(s.Log(), `errors=2 like="^failed: (one|two)" within=1h0m0s`) {
		t.Errorf("the second kind is not summed at the end:\n%s", s.Log())
	}
	if n := strings.Count(s.Log(), `msg="query failed"`); n != 1 {
		t.Errorf("%d errors logged one by one, want 1", n)
	}
}

// TestTakenWords says that what CoreDNS has and we need not is taken.
func TestTakenWords(t *testing.T) {
	servertest.Start(t, ".:0 {\n errors stdout {\n stacktrace\n }\n}", errors.Plugin())
}

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"errors /var/log/dns", `"/var/log/dns" is no place to log to: errors go to the server's log, remove the word (usage: errors [stdout] {`},
		{"errors stdout stdout", "errors takes at most one argument, not 2"},
		{"errors {\n stacktrace on\n }", "stacktrace takes no arguments, not 1"},
		{"errors {\n stacktrac\n }", `unknown property "stacktrac"; did you mean "stacktrace"?`},
		{"errors {\n consolidate 5m\n }", "consolidate takes at least 2 arguments, not 1"},
		{"errors {\n consolidate 5m x error more\n }", "consolidate takes 2 to 3 arguments, not 4"},
		{"errors {\n consolidate 5m x show_first\n }", "consolidate: CoreDNS has show_first, stampdns does not"},
		{"errors {\n consolidate 5m x error show_first\n }", "CoreDNS has show_first"},
		{"errors {\n consolidate soon x\n }", `"soon" is no duration`},
		{"errors {\n consolidate 5m (\n }", "missing closing )"},
		{"errors {\n consolidate 5m x warn\n }", `unknown level "warn"`},
		{"errors\n errors", "stands twice"},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", errors.Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
	}
}
