package fault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/plugins/state"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// world is a server with two name servers, whose replies have what faults are made on.
type world struct {
	*servertest.Server
	t       testing.TB
	handler server.Handler
	doc     *servertest.Document
}

const web = "127.0.0.1:0"

// startWorld starts one with the lines in its block.
func startWorld(t testing.TB, lines string) *world {
	t.Helper()
	w, err := tryWorld(t, t.TempDir(), lines)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func worldFile(lines string) string {
	return ".:0 {\n bind 127.0.0.1 127.0.0.2\n api " + web + "\n delegation\n twins\n answer\n" + lines + "\n}"
}

func tryWorld(t testing.TB, dir, lines string) (*world, error) {
	t.Helper()
	w := &world{t: t}
	s, err := servertest.TryIn(t, dir, worldFile(lines), bind.Plugin(), api.Plugin(), state.Plugin(), resolvers(), twins(),
		prometheus.Plugin("test"), servertest.Capture(Plugin(), &w.handler), servertest.Answer(reply))
	if err != nil {
		return nil, err
	}
	w.Server = s
	w.doc = servertest.ReadDocument(t)
	return w, nil
}

// twins gives the block two name servers, the first at the first address.
func twins() server.Plugin {
	return server.Plugin{Name: "twins", Usage: "twins", Setup: func(d *server.Directive) (server.Handler, error) {
		d.Block.NameServers = []server.NameServer{{Label: "ns01"}, {Label: "ns02"}}
		return nil, nil
	}}
}

// resolvers stands for the plugin that tells resolvers apart: all are called corp.
func resolvers() server.Plugin {
	corp := &server.Resolver{Name: "corp"}
	p := servertest.Probe(true, func(q *server.Query) { q.Resolver = corp }, nil)
	p.Name, p.Usage = "delegation", "delegation"
	return p
}

const serial = 2026010100

// reply answers as an authority: NS and addresses for names in child, SOA for type
// SOA, an address for the rest; nothing for names in silent.
func reply(q *server.Query) server.Verdict {
	m := new(dns.Msg)
	m.Authoritative = true
	name := q.Name.String()
	add := func(to *[]dns.RR, format string, args ...any) {
		rr, err := dns.NewRR(fmt.Sprintf(format, args...))
		if err != nil {
			panic(err)
		}
		*to = append(*to, rr)
	}
	switch {
	case strings.Contains(name, "silent."):
		return server.Dropped
	case strings.Contains(name, "child."):
		m.Authoritative = false
		for i := range 2 {
			add(&m.Ns, "child.example.org. 60 IN NS ns%d.child.example.org.", i)
			add(&m.Extra, "ns%d.child.example.org. 60 IN A 192.0.2.%d", i, i)
			add(&m.Extra, "ns%d.child.example.org. 60 IN AAAA 2001:db8::%d", i, i)
		}
		if strings.Contains(name, "mixed.") {
			add(&m.Extra, "txt.ns0.child.example.org. 60 IN TXT stays")
		}
	case strings.Contains(name, "large."):
		add(&m.Answer, "%s 60 IN TXT %s", name, strings.Repeat(strings.Repeat("x", 250)+" ", 3))
	case q.Type == dns.TypeSOA:
		add(&m.Answer, "example.org. 60 IN SOA ns.example.org. mail.example.org. %d 1 1 1 1", serial)
	default:
		add(&m.Answer, "%s 60 IN A 192.0.2.80", name)
	}
	if err := q.SetMsg(m); err != nil {
		panic(err)
	}
	return server.Answered
}

// at is the address of a name server.
func (w *world) at(ns string) netip.AddrPort {
	if ns == "ns01" {
		return w.Addrs()[0]
	}
	return w.Addrs()[1]
}

// result is what a client saw of an exchange.
type result struct {
	*dns.Msg
	err   error
	asked *dns.Msg
	size  int
	took  time.Duration
}

// errNone is how a client sees that nothing came.
var errNone = errors.New("no reply")

// exchange sends m and takes what comes within wait, however wrong.
func exchange(network string, to netip.AddrPort, m *dns.Msg, wait time.Duration) (r result) {
	r.asked = m
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	packet, err := m.Pack()
	if err != nil {
		panic(err)
	}
	conn, err := net.DialTimeout(network, to.String(), servertest.Patience)
	if err != nil {
		r.err = err
		return r
	}
	defer conn.Close()
	if network == "tcp" {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	if _, r.err = conn.Write(packet); r.err != nil {
		return r
	}
	conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 65536)
	if network == "tcp" {
		if _, r.err = io.ReadFull(conn, buf[:2]); r.err == nil {
			r.size = int(binary.BigEndian.Uint16(buf))
			_, r.err = io.ReadFull(conn, buf[:r.size])
		}
	} else {
		r.size, r.err = conn.Read(buf)
	}
	if r.err == nil {
		r.Msg = new(dns.Msg)
		r.err = r.Msg.Unpack(buf[:r.size])
	}
	if timeout, ok := errors.AsType[net.Error](r.err); ok && timeout.Timeout() {
		r.err = errNone
	}
	return r
}

// ask asks a name server.
func (w *world) ask(network, ns string, m *dns.Msg) result {
	return exchange(network, w.at(ns), m, servertest.Patience)
}

// ede is the text of the extended error of a reply, "" without one.
func (r result) ede() string {
	if r.Msg == nil || r.IsEdns0() == nil {
		return ""
	}
	for _, o := range r.IsEdns0().Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok && e.InfoCode == dns.ExtendedErrorCodeOther {
			return e.ExtraText
		}
	}
	return ""
}

// isRefused says whether nobody seems to listen. Where the system has no way to refuse,
// connections are reset.
func isRefused(err error) bool {
	if runtime.GOOS != "linux" {
		return isReset(err)
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

// add adds a rule as the API does.
func (w *world) add(rule string) {
	w.t.Helper()
	status, body := w.call("POST", "/faults", `{"rule":"`+rule+`"}`)
	if status != 201 {
		w.t.Fatalf("add %s: %d %s", rule, status, body)
	}
}

// clear clears all rules.
func (w *world) clear() {
	w.t.Helper()
	if status, body := w.call("DELETE", "/faults", ""); status != 200 {
		w.t.Fatalf("clear: %d %s", status, body)
	}
}

// call makes a request of the API and returns status and answer.
func (w *world) call(method, path, body string) (int, string) {
	w.t.Helper()
	return w.doc.Call(w.Server, web, method, path, body)
}

// want makes a request that must end with a status and texts in its answer.
func (w *world) want(method, path, body string, status int, texts ...string) {
	w.t.Helper()
	got, answer := w.call(method, path, body)
	if got != status {
		w.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, got, answer, status)
	}
	for _, text := range texts {
		if !strings.Contains(answer, text) {
			w.t.Errorf("%s %s %s: %s, want %s in it", method, path, body, answer, text)
		}
	}
}
