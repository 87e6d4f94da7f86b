//go:build interop

package interop

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// impairment is what a relay does to a good server. The zero value does nothing.
type impairment struct {
	name     string
	delay    time.Duration // of each answer
	loss     int           // each so many-th query over UDP is lost
	truncate bool          // answers over UDP have TC and no records
	lie      bool          // forged answers come before each over UDP
	dead     bool          // takes all and answers nothing
}

// forgedAddress is in each forged answer, and in no true one.
const forgedAddress = "203.0.113.66"

// liarAddress is a second address of the relay's host, from which forged answers
// come, too.
const liarAddress = "198.51.100.32"

// relay stands in front of a server, on a host and port of its own, and impairs what
// goes through.
type relay struct {
	host   *host
	at, to netip.AddrPort

	front, back *net.UDPConn // to clients, to the server
	liars       []*net.UDPConn
	listener    net.Listener

	mu sync.Mutex
	impairment
	waiting map[uint16]relayed // by the ID at the server
	queries int                // over UDP
	conns   []net.Conn
	closed  bool
}

// relayed is a query whose answer is to come.
type relayed struct {
	client netip.AddrPort
	id     uint16
}

// startRelay relays from a port of the host to a server until the test ends.
func startRelay(t *testing.T, h *host, port uint16, to netip.AddrPort, impaired impairment) *relay {
	t.Helper()
	r := &relay{
		host: h, at: netip.AddrPortFrom(h.addr, port), to: to, impairment: impaired,
		waiting: make(map[uint16]relayed),
	}
	if err := h.inside(r.open); err != nil {
		t.Fatalf("start the %s relay: %v", r.name, err)
	}
	t.Cleanup(r.close)
	go r.fromClients()
	go r.fromServer()
	go r.accept()
	return r
}

func (r *relay) open() (err error) {
	if r.front, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(r.at)); err != nil {
		return err
	}
	if r.back, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.to)); err != nil {
		return err
	}
	if r.lie {
		for _, from := range []netip.AddrPort{
			netip.AddrPortFrom(r.at.Addr(), r.at.Port()+1000),
			netip.AddrPortFrom(netip.MustParseAddr(liarAddress), r.at.Port()),
		} {
			liar, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(from))
			if err != nil {
				return err
			}
			r.liars = append(r.liars, liar)
		}
	}
	r.listener, err = net.Listen("tcp4", r.at.String())
	return err
}

func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.front.Close()
	r.back.Close()
	r.listener.Close()
	for _, liar := range r.liars {
		liar.Close()
	}
	for _, c := range r.conns {
		c.Close()
	}
}

// set makes the relay impair from now on in another way.
func (r *relay) set(impaired impairment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.impairment = impaired
}

// asked is how many queries came over UDP.
func (r *relay) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queries
}

// fromClients passes queries on to the server, each under an ID of its own.
func (r *relay) fromClients() {
	buf := make([]byte, dns.MaxMsgSize)
	for next := uint16(1); ; next++ {
		n, client, err := r.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		query := buf[:n]
		if n < 12 {
			continue
		}
		r.mu.Lock()
		r.queries++
		lost, lie := r.dead || r.loss > 0 && r.queries%r.loss == 0, r.lie
		if !lost {
			r.waiting[next] = relayed{client, binary.BigEndian.Uint16(query)}
		}
		r.mu.Unlock()
		if lost {
			continue
		}
		if lie {
			r.forge(query, client)
		}
		binary.BigEndian.PutUint16(query, next)
		r.back.Write(query)
	}
}

// fromServer passes answers back.
func (r *relay) fromServer() {
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, err := r.back.Read(buf)
		if err != nil {
			r.mu.Lock()
			closed := r.closed
			r.mu.Unlock()
			if closed {
				return
			}
			continue // the server's port is closed: it is being restarted
		}
		if n < 12 {
			continue
		}
		answer := append([]byte(nil), buf[:n]...)
		r.mu.Lock()
		to, ok := r.waiting[binary.BigEndian.Uint16(answer)]
		delete(r.waiting, binary.BigEndian.Uint16(answer))
		impaired := r.impairment
		r.mu.Unlock()
		if !ok {
			continue
		}
		binary.BigEndian.PutUint16(answer, to.id)
		if impaired.truncate {
			answer = truncated(answer)
		}
		time.AfterFunc(impaired.delay, func() { r.front.WriteToUDPAddrPort(answer, to.client) })
	}
}

// truncated is an answer with TC set, cut behind its question.
func truncated(packet []byte) []byte {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return packet
	}
	m.Truncated, m.Answer, m.Ns, m.Extra = true, nil, nil, nil
	cut, err := m.Pack()
	if err != nil {
		return packet
	}
	return cut
}

// forge sends answers to a query that are none: each is wrong in one thing.
func (r *relay) forge(query []byte, client netip.AddrPort) {
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil || len(m.Question) != 1 {
		return
	}
	forged := func(change func(*dns.Msg)) []byte {
		reply := new(dns.Msg).SetReply(m)
		reply.RecursionAvailable = true
		rr, err := dns.NewRR(fmt.Sprintf("%s 3600 A %s", m.Question[0].Name, forgedAddress))
		if err != nil {
			return nil
		}
		reply.Answer = []dns.RR{rr}
		change(reply)
		packet, err := reply.Pack()
		if err != nil {
			return nil
		}
		return packet
	}
	for _, lie := range []func(*dns.Msg){
		func(m *dns.Msg) { m.Id++ },
		func(m *dns.Msg) { m.Question[0].Name = "x" + m.Question[0].Name[1:] },
		func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		func(m *dns.Msg) { m.Response = false },
	} {
		r.front.WriteToUDPAddrPort(forged(lie), client)
	}
	right := forged(func(*dns.Msg) {})
	for _, liar := range r.liars {
		liar.WriteToUDPAddrPort(right, client)
	}
}

// accept relays TCP connections.
func (r *relay) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		if now, ok := r.hold(conn); ok && !now.dead {
			go r.connection(conn, now.delay)
		}
	}
}

// hold remembers a connection, to close it with the relay, and returns how it is
// impaired now; false says that the relay is closed.
func (r *relay) hold(conn net.Conn) (impairment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		conn.Close()
		return r.impairment, false
	}
	r.conns = append(r.conns, conn)
	return r.impairment, true
}

func (r *relay) connection(conn net.Conn, delay time.Duration) {
	defer conn.Close()
	var server net.Conn
	err := r.host.inside(func() (err error) {
		server, err = net.DialTimeout("tcp4", r.to.String(), time.Second)
		return err
	})
	if err != nil {
		return
	}
	if _, ok := r.hold(server); !ok {
		return
	}
	go func() {
		io.Copy(server, conn)
		server.Close()
	}()
	for {
		var length [2]byte
		if _, err := io.ReadFull(server, length[:]); err != nil {
			return
		}
		answer := make([]byte, 2+binary.BigEndian.Uint16(length[:]))
		copy(answer, length[:])
		if _, err := io.ReadFull(server, answer[2:]); err != nil {
			return
		}
		time.AfterFunc(delay, func() { conn.Write(answer) })
	}
}
