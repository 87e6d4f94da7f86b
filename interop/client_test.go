//go:build interop

package interop

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// client asks one server from one host, over one socket.
type client struct {
	conn    *dns.Conn
	network string
	timeout time.Duration
	packet  []byte // the last reply
}

// dial opens a client's socket on the host; network is udp or tcp.
func (h *host) dial(network string, server netip.Addr, timeout time.Duration) (*client, error) {
	return h.dialPort(network, netip.AddrPortFrom(server, 53), timeout)
}

// dialPort is dial for a server at another port.
func (h *host) dialPort(network string, server netip.AddrPort, timeout time.Duration) (*client, error) {
	c := &client{network: network, timeout: timeout}
	err := h.inside(func() error {
		conn, err := net.DialTimeout(network, server.String(), timeout)
		if err == nil {
			c.conn = &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
		}
		return err
	})
	return c, err
}

func (c *client) close() { c.conn.Close() }

// exchange sends m and returns the reply to it. No reply is an error; it is not
// asked again.
func (c *client) exchange(m *dns.Msg) (*dns.Msg, error) {
	c.conn.SetDeadline(time.Now().Add(c.timeout))
	if err := c.conn.WriteMsg(m); err != nil {
		return nil, err
	}
	for {
		packet, err := c.conn.ReadMsgHeader(nil)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(packet); err != nil {
			return nil, fmt.Errorf("reply does not decode: %w", err)
		}
		if reply.Id == m.Id {
			c.packet = packet
			return reply, nil
		}
	}
}

// ask sends one question to a server, over a socket of its own.
func (h *host) ask(network string, server netip.Addr, q question, timeout time.Duration) (*dns.Msg, error) {
	c, err := h.dial(network, server, timeout)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.exchange(q.message())
}

// mustAsk is ask that fails the test when there is no reply.
func (h *host) mustAsk(t *testing.T, network string, server netip.Addr, q question) *dns.Msg {
	t.Helper()
	reply, err := h.ask(network, server, q, 5*time.Second)
	if err != nil {
		t.Fatalf("%s of %s over %s: %v", q, server, network, err)
	}
	return reply
}

// answers is a probe for process.ready: the server at addr has an answer of the
// zone's SOA.
func (h *host) answers(addr netip.Addr, zone string) func() error {
	return func() error {
		q := question{name: zone, typ: dns.TypeSOA, rd: true}
		reply, err := h.ask("udp", addr, q, time.Second)
		if err != nil {
			return err
		}
		if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0 {
			return fmt.Errorf("%s: %s with %d answers", q, dns.RcodeToString[reply.Rcode], len(reply.Answer))
		}
		return nil
	}
}

// addresses are the addresses among records of an answer.
func addresses(records []dns.RR) []string {
	var addrs []string
	for _, rr := range records {
		switch rr := rr.(type) {
		case *dns.A:
			addrs = append(addrs, rr.A.String())
		case *dns.AAAA:
			addrs = append(addrs, rr.AAAA.String())
		}
	}
	return addrs
}

// expect is a probe for process.ready, too: it asks once, and says what is not
// as it should be. No address means that none may come.
func (h *host) expect(server netip.Addr, q question, rcode int, address string) error {
	reply, err := h.ask("udp", server, q, time.Second)
	if err != nil {
		return err
	}
	if got := strings.Join(addresses(reply.Answer), " "); reply.Rcode != rcode || got != address {
		return fmt.Errorf("%s: %s %q, want %s %q", q, dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[rcode], address)
	}
	return nil
}
