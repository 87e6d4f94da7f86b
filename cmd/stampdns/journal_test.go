package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// watched is a server with a journal, to which queries with RD clear come from
// resolver corp by delegation, and others from nobody known.
type watched struct {
	*servertest.Server
	t   *testing.T
	env []string
}

func watch(t *testing.T, directive string) *watched {
	t.Helper()
	corp, other := &server.Resolver{Name: "corp"}, &server.Resolver{Name: "other"}
	senders := servertest.Probe(true, func(q *server.Query) {
		q.Resolver, q.Path = other, server.PathDirect
		if q.Packet[2]&1 == 0 {
			q.Resolver, q.Path = corp, server.PathIterative
		}
	}, nil)
	senders.Name, senders.Usage = "senders", "senders"
	s := servertest.Start(t, ".:0 {\n bind 127.0.0.1 127.0.0.2\n api 127.0.0.1:0\n senders\n "+directive+"\n stamp\n}",
		append([]server.Plugin{senders}, plugins.All("test")...)...)
	return &watched{s, t, []string{"STAMPDNS_API=" + s.APIAddrs()[0].URL()}}
}

// ask sends a question to ns01 or ns02.
func (w *watched) ask(ns int, name string, rd bool) {
	w.t.Helper()
	m := servertest.Question(name, dns.TypeA)
	m.RecursionDesired = rd
	w.Exchange("udp", w.Addrs()[ns-1], m)
}

// run runs a command line, split at blanks.
func (w *watched) run(line string) (code int, stdout, stderr string) {
	return runAgainst(w.env, strings.Fields(line)...)
}

// want runs a command line that must end so.
func (w *watched) want(line string, code int, texts ...string) {
	w.t.Helper()
	got, stdout, stderr := w.run(line)
	if got != code {
		w.t.Errorf("%s: exit code %d, want %d\n%s%s", line, got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !regexp.MustCompile("(?m)" + text).MatchString(stdout + stderr) {
			w.t.Errorf("%s: want %s in\n%s%s", line, text, stdout, stderr)
		}
	}
}

// control finds what a terminal could take for an order.
var control = regexp.MustCompile(`[^\n\x20-\x7eµ]`)

func TestJournalOfAServer(t *testing.T) {
	w := watch(t, "journal")
	w.want("journal", exitOK, "^TIME +NS .*FAULT$")
	w.ask(1, "portal.east.cloud.fabrikam.com.", true)
	w.ask(2, `x\027[2J\200\".blob.east.cloud.fabrikam.com.`, false)
	w.want("journal", exitOK,
		`^\S+Z  ns01  127\.0\.0\.1:\d+  other     direct     udp    rd  A     portal\.east\.cloud\.fabrikam\.com\. +NOERROR  \S+s +-$`,
		`^\S+Z  ns02  127\.0\.0\.1:\d+  corp      iterative  udp    -   A     x\\027\[2j\\200\\"\.blob\.east\.cloud\.fabrikam\.com\.  NOERROR  \S+s +-$`)
	for _, line := range []string{"journal", "journal -o json", "journal expect --never --within 10ms", "journal expect --never -o json --within 10ms"} {
		if _, stdout, stderr := w.run(line); control.MatchString(stdout + stderr) {
			t.Errorf("%s prints control characters: %q", line, stdout+stderr)
		}
	}
	_, stdout, _ := w.run("journal -o json --resolver corp")
	var entry journalEntry
	if err := json.Unmarshal([]byte(stdout), &entry); err != nil || entry.NS != "ns02" || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%s: %v", stdout, err)
	}
	w.want("journal --rcode NOEROR", exitUsage, `stampdns: rcode "NOEROR" is unknown`)
}

// TestJournalFollow: following goes on over a reload of the server, and shows every
// query once, until Ctrl-C.
func TestJournalFollow(t *testing.T) {
	for _, form := range []string{"", "-o json"} {
		w := watch(t, "journal")
		for i := range 12 {
			w.ask(1, fmt.Sprintf("before%d.example.", i), true)
		}
		stdout, stderr, exit := new(safeBuffer), new(safeBuffer), make(chan int, 1)
		go func() {
			c := &command{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, env: newEnvironment(w.env), loopback: loopback()}
			exit <- c.run(append([]string{"journal", "--follow"}, strings.Fields(form)...))
		}()
		w.Wait("what was there", func() bool { return strings.Contains(stdout.String(), "before11.example.") })
		for i := range 6 {
			w.ask(1+i%2, fmt.Sprintf("then%d.example.", i), true)
			if i%3 == 1 {
				if err := w.Reload(); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.Wait("what came", func() bool { return strings.Contains(stdout.String(), "then5.example.") })
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if err := self.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := <-exit; code != exitOK {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		if stderr.String() != "" {
			t.Errorf("stderr: %s", stderr)
		}
		got := strings.Join(regexp.MustCompile(`(before|then)\d+`).FindAllString(stdout.String(), -1), " ")
		if want := "before2 before3 before4 before5 before6 before7 before8 before9 before10 before11 then0 then1 then2 then3 then4 then5"; got != want {
			t.Errorf("shown are %s, want %s", got, want)
		}
	}
}

// TestJournalFollowSaysWhatIsMissing: what --max leaves out is said on stderr.
func TestJournalFollowSaysWhatIsMissing(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := &command{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: environment{}}
	j := &journalFlags{max: 5}
	j.command = c
	for reason, want := range map[string]string{
		"rate": "stampdns: 7 queries are not shown, as more came than 5 a second", "sampled": "stampdns: 7 queries are not recorded",
		"overwritten": "stampdns: 7 queries are lost", "x\x1b": "stampdns: 7 queries are left out: x?",
	} {
		stderr.Reset()
		s := &stream{show: j.show, skipped: j.noteSkipped}
		text := fmt.Sprintf(`{"count":7,"reason":%q}`, reason)
		if reason == "x\x1b" {
			text = `{"count":7,"reason":"x\u001b"}`
		}
		if err := s.event("skipped", text); err != nil || !strings.HasPrefix(stderr.String(), want) {
			t.Errorf("%s: %s %v", reason, stderr.String(), err)
		}
	}
}

// TestJournalFollowLosesItsServer: it is said once, and not an end.
func TestJournalFollowLosesItsServer(t *testing.T) {
	w := watch(t, "journal")
	stderr, exit := new(safeBuffer), make(chan int, 1)
	stdout := new(safeBuffer)
	go func() {
		c := &command{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, env: newEnvironment(w.env), loopback: loopback()}
		exit <- c.run([]string{"journal", "--follow"})
	}()
	w.Wait("the header", func() bool { return stdout.String() != "" })
	w.Stop()
	w.Wait("the news", func() bool { return strings.Contains(stderr.String(), "; connecting again") })
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := <-exit; code != exitOK || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestJournalExpect(t *testing.T) {
	w := watch(t, "journal")
	const blob = "--resolver corp --name *.blob.* --path iterative "
	// What came before the start counts.
	w.ask(1, "x.blob.east.cloud.fabrikam.com.", false)
	w.ask(1, "y.blob.east.cloud.fabrikam.com.", false)
	start := time.Now()
	w.want("journal expect "+blob+"--ns ns01 --within 1m", exitOK,
		`^ok: 2 queries by corp for \*\.blob\.\* on path iterative to ns01, from 1m0s before the start to 0s after it$`)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s though enough had come", took)
	}
	// What comes later counts.
	type result struct {
		code           int
		stdout, stderr string
	}
	done := make(chan result, 1)
	go func() {
		code, stdout, stderr := w.run("journal expect --ns ns02 --type A --within 1m --at-least 2")
		done <- result{code, stdout, stderr}
	}()
	for ended := false; !ended; {
		w.ask(2, "later.example.", true)
		select {
		case r := <-done:
			if ended = true; r.code != exitOK || !strings.HasPrefix(r.stdout, "ok: ") {
				t.Errorf("%+v", r)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	// What fails says what came instead.
	soon := " --since 1m --within 20ms"
	w.want("journal expect "+blob+"--ns ns02"+soon, exitFailed,
		`^failed: no query by corp for \*\.blob\.\* on path iterative to ns02, expected 1 or more, from 1m0s before the start to `,
		`^  2 queries by corp for \*\.blob\.\* on path iterative, but to ns01 \(2\)$`)
	w.want("journal expect --resolver corp --path forwarded --ns ns02"+soon, exitFailed,
		`^  2 queries by corp, but on path iterative to ns01 \(2\)$`, `^  \d+ queries to ns02, but by other on path direct \(\d+\)$`)
	w.want("journal expect --resolver nobody --name nothing.example --type TXT --ns ns03"+soon, exitFailed,
		`^  \d+ queries, but by other for later\.example\. of type A to ns02 \(\d+\), by corp for x\.blob\.`)
	w.want("journal expect --at-least 3 "+blob+soon, exitFailed, `^failed: 2 queries by corp .*, expected 3 or more`)
	w.want("journal expect --count 2 "+blob+soon, exitOK, `^ok: 2 queries by corp .*, expected 2,`)
	w.want("journal expect --count 1 "+blob+soon, exitFailed, `^failed: 2 queries by corp .*, expected 1,`, `^  \S+Z  ns01 .* x\.blob\.`)
	w.want("journal expect --at-most 2 "+blob+soon, exitOK, `expected 2 at most`)
	w.want("journal expect --at-least 1 --at-most 1 "+blob+soon, exitFailed, `expected 1,`)
	w.want("journal expect --at-least 1 --at-most 3 "+blob+soon, exitOK, `expected 1 to 3`)
	w.want("journal expect --never --path forwarded"+soon, exitOK, `^ok: no query on path forwarded, expected none`)
	start = time.Now()
	w.want("journal expect --never --since 1m --within 1m "+blob, exitFailed, `^failed: 2 queries .*, expected none`)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s though too many had come", took)
	}
	w.want("journal expect --rcode nonsense", exitUsage, `^stampdns: rcode "nonsense" is unknown`)
	w.want("journal expect --since 0s --within 20ms", exitFailed, `^failed: no query, expected 1 or more`, `^  no query of any kind is in the journal for this time$`)
}

// TestJournalExpectJSON: the result for programs says the same.
func TestJournalExpectJSON(t *testing.T) {
	w := watch(t, "journal")
	w.ask(1, "x.blob.east.cloud.fabrikam.com.", false)
	code, stdout, _ := w.run("journal expect --ns ns02 -o json --within 20ms --since 1m")
	var r expectResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitFailed || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%d %s: %v", code, stdout, err)
	}
	if r.OK || r.Count != 0 || r.AtLeast != 1 || r.AtMost != nil || r.Filters["ns"] != "ns02" || len(r.Entries) != 0 || r.Sampled ||
		len(r.Instead) != 1 || r.Instead[0].Count != 1 || r.Instead[0].Groups[0].Values["ns"] != "ns01" {
		t.Errorf("%s", stdout)
	}
	code, stdout, _ = w.run("journal expect --ns ns01 -o json --count 1 --within 20ms --since 1m")
	r = expectResult{}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || !r.OK || r.Count != 1 || *r.AtMost != 1 || len(r.Entries) != 1 || len(r.Instead) != 0 {
		t.Errorf("%d %s: %v", code, stdout, err)
	}
}

// TestJournalExpectDoubts: where not every query is in the journal, a failure says so.
func TestJournalExpectDoubts(t *testing.T) {
	w := watch(t, "journal 16 {\n rate 100\n }")
	conn, err := net.Dial("udp", w.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	w.Wait("a sampled query", func() bool {
		for range 100 {
			if err := c.WriteMsg(servertest.Question("a.example.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ReadMsg(); err != nil {
				t.Fatal(err)
			}
		}
		_, stdout, _ := w.run("journal expect --ns ns02 --within 1ms --since 1m")
		return strings.Contains(stdout, "not every query was recorded")
	})
	w.want("journal expect --ns ns02 --within 1ms --since 1m", exitFailed, `^failed: `, `entries are lost, as newer ones took their place`)
	w.want("journal expect --never --ns ns02 --within 1ms --since 1m", exitOK, `^ok: `, `such queries may have come all the same`)
}
