//go:build browser

package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Who asks: each resolver sends from an address of its own.
const (
	corp    = "127.0.0.11" // Unbound with stub zones
	lab     = "127.0.0.12" // Unbound that forwards
	visitor = "127.0.0.1"
	region  = "east.cloud.fabrikam.com"
)

// process is a program that a test started.
type process struct {
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{}
}

// start runs a program until the end of the test, and shows what it wrote if that fails.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("what %s wrote:\n%s", filepath.Base(args[0]), p.log.String())
		}
	})
	return p
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// logBuffer keeps what a process writes.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// served is a running stampdns.
type served struct {
	*process
	t    *testing.T
	port int
	page string // its address, without a path
	args []string
}

// serve serves the sample stamp until the end of the test.
func serve(t *testing.T, flags ...string) *served {
	t.Helper()
	port, api := freePort(t), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	return begin(t, port, api, append([]string{"--port", fmt.Sprint(port), "--api", api,
		"--metrics", "off", "--health", "off", "--ready", "off",
		"--resolver", "corp=" + corp, "--resolver", "lab=" + lab}, flags...)...)
}

// begin runs the command serve, and waits until its API answers, if only that it wants
// a token.
func begin(t *testing.T, port int, api string, flags ...string) *served {
	t.Helper()
	s := &served{t: t, port: port, page: "http://" + api, args: append([]string{os.Getenv("STAMPDNS"), "serve"}, flags...)}
	s.again()
	return s
}

// again starts the server, which does not run, as before.
func (s *served) again() {
	s.t.Helper()
	s.process = start(s.t, s.args...)
	until(s.t, "stampdns serves", func() bool {
		response, err := http.Get(s.page + "/api/v1/status")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
	})
}

// get reads a path of the API.
func (s *served) get(path string, answer any) {
	s.t.Helper()
	response, err := http.Get(s.page + "/api/v1" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// until waits for something outside of the browser.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is not so that %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// freePort is a port that is free for TCP and UDP at the addresses of both name servers.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		free := true
		for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
			u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port))))
			if free = free && err == nil; err == nil {
				u.Close()
			}
		}
		l.Close()
		if free {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// dig asks with dig and returns what it prints.
func (s *served) dig(from, to string, args ...string) string {
	s.t.Helper()
	command := append([]string{"+time=3", "+tries=2", "-b", from, "@" + to, "-p", fmt.Sprint(s.port)}, args...)
	out, err := exec.Command("dig", command...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("dig %s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// unbound starts a resolver that sends from an address, and returns a function that
// asks it. Stub zones have it follow the stamp's servers itself; else it forwards.
func (s *served) unbound(from string, stub bool) (ask func(name, rrtype string) string) {
	s.t.Helper()
	dir := s.t.TempDir()
	port := freePort(s.t)
	kind, to := "forward-zone:", "forward-addr:"
	if stub {
		kind, to = "stub-zone:", "stub-addr:"
	}
	lines := []string{
		"server:", `  chroot: ""`, `  username: ""`, `  pidfile: ""`, "  use-syslog: no", "  do-daemonize: no", `  module-config: "iterator"`,
		fmt.Sprintf("  directory: %q", dir), fmt.Sprintf("  interface: 127.0.0.1@%d", port), "  outgoing-interface: " + from,
		"  do-ip6: no", "  do-not-query-localhost: no", "  qname-minimisation: yes", "  cache-max-ttl: 0", "remote-control:", "  control-enable: no",
	}
	for _, zone := range []string{region, "east.cloudapp.cloud.fabrikam.com"} {
		lines = append(lines, kind, fmt.Sprintf("  name: %q", zone))
		for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
			lines = append(lines, fmt.Sprintf("  %s %s@%d", to, address, s.port))
		}
	}
	conf := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	start(s.t, "unbound", "-d", "-c", conf)
	ask = func(name, rrtype string) string {
		out, _ := exec.Command("dig", "+time=2", "+tries=1", "@127.0.0.1", "-p", fmt.Sprint(port), name, rrtype).CombinedOutput()
		return string(out)
	}
	until(s.t, "Unbound answers", func() bool { return strings.Contains(ask("portal."+region, "A"), "status: NOERROR") })
	return ask
}

// upstream serves one address for any name at a loopback address, for the test to
// forward to, and counts its queries.
func upstream(t *testing.T, address, answer string) (at string) {
	t.Helper()
	packets, err := net.ListenPacket("udp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		r.RecursionAvailable = true
		if rr, err := dns.NewRR(m.Question[0].Name + " 60 IN A " + answer); err == nil && m.Question[0].Qtype == dns.TypeA {
			r.Answer = append(r.Answer, rr)
		}
		w.WriteMsg(r)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return packets.LocalAddr().String()
}

// flood sends so many queries a second until stop is closed.
func (s *served) flood(perSecond int, stop <-chan struct{}) {
	s.t.Helper()
	var conns []net.Conn
	for i, from := range []string{corp, corp, lab, visitor} {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("udp", fmt.Sprintf("127.0.0.%d:%d", 1+i%2, s.port))
		if err != nil {
			s.t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		const beats = 50
		ticker := time.NewTicker(time.Second / beats)
		defer ticker.Stop()
		for n := 0; ; {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			for range perSecond / beats {
				n++
				m := new(dns.Msg).SetQuestion(fmt.Sprintf("x%d.blob.%s.", n%997, region), dns.TypeA)
				m.RecursionDesired = n%4 >= 2
				packet, _ := m.Pack()
				conns[n%len(conns)].Write(packet)
			}
		}
	}()
	s.t.Cleanup(func() {
		<-done
		for _, conn := range conns {
			conn.Close()
		}
	})
}

// mixture has queries come as on a working day, until stop is closed: corp follows the
// delegation, lab forwards to one server alone, and somebody asks directly.
func (s *served) mixture(stop <-chan struct{}) {
	s.t.Helper()
	names := []string{"portal", "management", "login%d.adfs", "disk%d.blob", "jobs%d.queue", "keys%d.vault", "adminportal", "graph", "typo%d", "logs%d.table"}
	type way struct {
		from, to string
		rd       bool
		weight   int
	}
	var turns []way
	for _, w := range []way{{corp, "127.0.0.1", false, 9}, {corp, "127.0.0.2", false, 6}, {lab, "127.0.0.1", true, 4}, {"127.0.0.13", "127.0.0.2", true, 1}} {
		for range w.weight {
			turns = append(turns, w)
		}
	}
	conns := map[way]net.Conn{}
	for _, w := range turns {
		if conns[w] != nil {
			continue
		}
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(w.from)}}
		conn, err := d.Dial("udp", net.JoinHostPort(w.to, fmt.Sprint(s.port)))
		if err != nil {
			s.t.Fatal(err)
		}
		conns[w] = conn
	}
	go func() {
		defer func() {
			for _, conn := range conns {
				conn.Close()
			}
		}()
		ticker := time.NewTicker(time.Second / 45)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			w := turns[n*7%len(turns)]
			name := names[n*13%len(names)]
			if strings.Contains(name, "%") {
				name = fmt.Sprintf(name, n*31%89)
			}
			zone := region
			if w.from == corp && n%11 == 0 {
				name, zone = "web01", "east.cloudapp.cloud.fabrikam.com"
			}
			m := new(dns.Msg).SetQuestion(name+"."+zone+".", []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA}[n%3])
			m.RecursionDesired = w.rd
			m.SetEdns0(1232, !w.rd)
			packet, _ := m.Pack()
			conns[w].Write(packet)
		}
	}()
}
