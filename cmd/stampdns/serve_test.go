package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// free are the flags that keep a test off all fixed ports.
var free = []string{"--port", "0", "--metrics", "127.0.0.1:0", "--health", "127.0.0.1:0", "--ready", "127.0.0.1:0", "--api", "127.0.0.1:0"}

// running is a serve command in this process.
type running struct {
	t      *testing.T
	stdout string // the summary
	stderr *safeBuffer
	exit   chan int
}

// safeBuffer is written by the server while the test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve runs "stampdns serve" until the test ends; it returns when the summary
// is out.
func serve(t *testing.T, loopback []netip.Addr, args ...string) *running {
	t.Helper()
	r := &running{t: t, stderr: new(safeBuffer), exit: make(chan int, 1)}
	reader, stdout := io.Pipe()
	c := &command{stdin: strings.NewReader(""), stdout: stdout, stderr: r.stderr, env: environment{}, loopback: loopback}
	go func() {
		r.exit <- c.run(append([]string{"serve"}, args...))
		stdout.Close()
	}()
	lines := bufio.NewScanner(reader)
	for tries := 0; tries < 2 && lines.Scan(); {
		r.stdout += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "  dig ") {
			tries++
		}
	}
	if r.stdout == "" {
		t.Fatalf("serve ended with %d: %s", <-r.exit, r.stderr)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stdout: %s\nstderr: %s", r.stdout, r.stderr)
		}
	})
	return r
}

// signal sends this process a signal.
func (r *running) signal(s os.Signal) {
	r.t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(s)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// stop ends the server and checks that it ends well.
func (r *running) stop() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	select {
	case code := <-r.exit:
		if code != 0 {
			r.t.Errorf("exit code %d, want 0", code)
		}
	case <-time.After(patience):
		r.t.Fatal("serve did not end")
	}
}

// dig asks what a line of the summary asks.
func (r *running) dig(line string) *dns.Msg {
	r.t.Helper()
	client := &dns.Client{Timeout: patience}
	server, port, qtype, name := "", "53", dns.TypeA, ""
	words := strings.Fields(line)[1:]
	for i, word := range words {
		switch {
		case word[0] == '@':
			server = word[1:]
		case word == "-p":
			port = words[i+1]
		case word == "+tcp":
			client.Net = "tcp"
		case i > 0 && words[i-1] == "-p":
		case name == "":
			name = dns.Fqdn(word)
		default:
			qtype = dns.StringToType[word]
		}
	}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, qtype), server+":"+port)
	if err != nil {
		r.t.Fatalf("%s: %v", line, err)
	}
	return reply
}

func (r *running) digLines() []string {
	var lines []string
	for line := range strings.Lines(r.stdout) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "dig ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestServeThePage: the summary says where the page is, and it is there.
func TestServeThePage(t *testing.T) {
	r := serve(t, loopback(), free...)
	url := regexp.MustCompile(`(?m)^  page +(http://127\.0\.0\.1:\d+/)$`).FindStringSubmatch(r.stdout)
	if url == nil {
		t.Fatal("the summary has no page")
	}
	response, err := http.Get(url[1])
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), "<title>azs east – stampdns</title>") {
		t.Errorf("%s: %s, %v", url[1], response.Status, err)
	}
	r.stop()
	r = serve(t, loopback(), append([]string{"--status", "off"}, free...)...)
	if strings.Contains(r.stdout, "\n  page ") {
		t.Error("there is a page though it is off")
	}
	r.stop()
}

func TestServeTheSampleStamp(t *testing.T) {
	r := serve(t, loopback(), free...)
	for _, want := range []string{
		"stamp azs, region east of cloud.fabrikam.com",
		`east\.cloud\.fabrikam\.com +25 records +serial 1`,
		`east\.cloudapp\.cloud\.fabrikam\.com +3 records +serial 1`,
		`azs-ns01\.east\.cloud\.fabrikam\.com +127\.0\.0\.1 port \d+, UDP and TCP`,
		`azs-ns02\.east\.cloud\.fabrikam\.com +127\.0\.0\.2 port \d+, UDP and TCP`,
	} {
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("summary lacks %q:\n%s", want, r.stdout)
		}
	}
	lines := r.digLines()
	if len(lines) != 2 {
		t.Fatalf("want two dig lines: %q", lines)
	}
	a := r.dig(lines[0])
	if len(a.Answer) != 1 || !a.Authoritative || a.Answer[0].(*dns.A).A.String() != "192.0.2.37" {
		t.Errorf("%s answers\n%v", lines[0], a)
	}
	ns := r.dig(lines[1])
	if len(ns.Answer) != 2 || !ns.Authoritative {
		t.Errorf("%s answers\n%v", lines[1], ns)
	}
	for _, path := range []string{"metrics", "health", "ready"} {
		url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/` + path).FindString(r.stdout)
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, response.Status)
		}
		if path == "metrics" && !strings.Contains(string(body), `stampdns_zone_loaded{zone="east.cloud.fabrikam.com."} 1`) {
			t.Errorf("metrics lack the zone:\n%s", body)
		}
		if path == "ready" {
			var stdout, stderr bytes.Buffer
			if code := run([]string{"healthcheck", "--url", url}, nil, &stdout, &stderr, nil); code != 0 || stderr.Len() > 0 {
				t.Errorf("healthcheck: exit code %d: %s", code, &stderr)
			}
			env := []string{"STAMPDNS_READY=" + strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/ready")}
			if code := run([]string{"healthcheck"}, nil, &stdout, &stderr, env); code != 0 {
				t.Errorf("healthcheck by environment: exit code %d: %s", code, &stderr)
			}
		}
	}
	r.stop()
}

func TestServeFromOneAddress(t *testing.T) {
	// An address that no machine has stands for 127.0.0.2 on macOS.
	usual := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.77")}
	r := serve(t, usual, free...)
	defer r.stop()
	if want := "stampdns: 192.0.2.77 does not exist on this machine: both name servers answer at 127.0.0.1"; !strings.Contains(r.stderr.String(), want) {
		t.Errorf("stderr lacks %q", want)
	}
	if n := strings.Count(r.stdout, "127.0.0.1 port "); n != 2 {
		t.Errorf("%d name servers at 127.0.0.1, want 2", n)
	}
	for _, line := range r.digLines() {
		if reply := r.dig(line); len(reply.Answer) == 0 {
			t.Errorf("%s answers\n%v", line, reply)
		}
	}
}

func TestServeDoesNotChangeChosenAddresses(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(append([]string{"serve", "--listen", "127.0.0.1,192.0.2.77"}, free...), nil, &stdout, &stderr, nil)
	if code != exitFailed || !strings.HasPrefix(stderr.String(), "stampdns: --listen: listen ") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}

func TestServePortInUse(t *testing.T) {
	r := serve(t, loopback(), free...)
	defer r.stop()
	port := regexp.MustCompile(`127\.0\.0\.1 port (\d+)`).FindStringSubmatch(r.stdout)[1]
	var stdout, stderr bytes.Buffer
	args := append([]string{"serve", "--listen", "127.0.0.1"}, free...)
	code := run(append(args, "--port", port), nil, &stdout, &stderr, nil)
	if code != exitFailed || strings.Count(stderr.String(), "\n") != 1 ||
		!strings.Contains(stderr.String(), "127.0.0.1:"+port+": address already in use: ") {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}

func TestServeHTTPPortInUse(t *testing.T) {
	r := serve(t, loopback(), free...)
	defer r.stop()
	at := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(r.stdout)
	var stdout, stderr bytes.Buffer
	code := run(append([]string{"serve"}, append(slices.Clone(free), "--metrics", at)...), nil, &stdout, &stderr, nil)
	if code != exitFailed || !strings.HasPrefix(stderr.String(), "stampdns: --metrics: listen tcp "+at+": address already in use: ") {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}

func TestReloadBySignal(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "Corefile")
	write := func(label string) {
		text := ".:0 {\n bind 127.0.0.1\n stamp {\n label " + label + " 192.0.2.90\n }\n}\n"
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("web01")
	r := serve(t, nil, "--conf", conf)
	defer r.stop()
	ask := func(label string) int {
		at := strings.Fields(r.digLines()[0])
		line := strings.Join(append(slices.Clone(at[:4]), label+".east.cloudapp.cloud.fabrikam.com"), " ")
		return len(r.dig(line).Answer)
	}
	if ask("web01") != 1 || ask("web02") != 0 {
		t.Fatal("web01 is not served, or web02 is")
	}
	write("web02")
	r.signal(syscall.SIGHUP)
	for deadline := time.Now().Add(patience); ask("web02") != 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("web02 is not served after SIGHUP")
		}
	}
	if ask("web01") != 0 {
		t.Error("web01 is still served after SIGHUP")
	}
	if !strings.Contains(r.stderr.String(), "reloaded") {
		t.Error("the reload is not logged")
	}
}

func TestSummaryAsJSON(t *testing.T) {
	r := &running{t: t, stderr: new(safeBuffer), exit: make(chan int, 1)}
	go func() {
		r.exit <- run(append([]string{"serve", "--log-format", "json"}, free...), nil, io.Discard, r.stderr, nil)
	}()
	for deadline := time.Now().Add(patience); !strings.Contains(r.stderr.String(), "\n"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no log")
		}
	}
	r.stop()
	line, _, _ := strings.Cut(r.stderr.String(), "\n")
	var record struct {
		Zones       []struct{ Zone string }
		NameServers []struct{ Name, Address string } `json:"name_servers"`
		Ready       string
	}
	if err := json.Unmarshal([]byte(line), &record); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if len(record.Zones) != 2 || record.Zones[0].Zone != "east.cloud.fabrikam.com" || len(record.NameServers) != 2 ||
		!strings.HasSuffix(record.Ready, "/ready") {
		t.Errorf("log line %s", line)
	}
}
