package forward

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

const (
	// iterUDPSize is the largest reply over UDP that we ask for: what passes any
	// path unfragmented (RFC 9715).
	iterUDPSize = 1232
	// iterTry is how long one server has time to answer, over UDP or TCP.
	iterTry = 700 * time.Millisecond
)

var errIterQueries = errors.New("more queries than one resolution may take")

// appendQuestion makes a query of RD=0 with an OPT record, or without one.
func appendQuestion(dst []byte, id uint16, name wire.Name, rrtype uint16, edns, do bool) []byte {
	dst = append(dst, make([]byte, wire.HeaderLen)...)
	binary.BigEndian.PutUint16(dst, id)
	wire.SetCount(dst, wire.CountQD, 1)
	dst = append(dst, name...)
	dst = binary.BigEndian.AppendUint16(dst, rrtype)
	dst = binary.BigEndian.AppendUint16(dst, dns.ClassINET)
	if edns {
		wire.SetCount(dst, wire.CountAR, 1)
		dst = wire.AppendOPT(dst, iterUDPSize, 0, do, nil)
	}
	return dst
}

// isReplyTo says whether packet is a reply to question: it has the id, the QR
// flag and the question of it. An error may lack the question.
func isReplyTo(packet, question []byte) bool {
	if len(packet) < wire.HeaderLen || wire.ID(packet) != wire.ID(question) ||
		wire.Flags(packet)&wire.FlagQR == 0 || wire.Opcode(packet) != wire.Opcode(question) {
		return false
	}
	if wire.Count(packet, wire.CountQD) == 0 {
		rcode := wire.RCode(packet)
		return rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError
	}
	var got, want [wire.MaxName]byte
	g, ok := wire.ParseQuestion(packet, &got)
	w, _ := wire.ParseQuestion(question, &want)
	return ok && wire.Count(packet, wire.CountQD) == 1 && bytes.Equal(g.Name, w.Name) && g.Type == w.Type && g.Class == w.Class
}

// exchange asks the server at an address: over UDP, from a socket with a port of
// its own, then over TCP if the reply is truncated, and once more without EDNS if
// the server does not know that (RFC 6891 section 7).
func (r *iteration) exchange(ctx context.Context, at netip.Addr, name wire.Name, rrtype uint16, do bool) (*dns.Msg, error) {
	to := netip.AddrPortFrom(at, r.it.hints.port)
	for _, edns := range [...]bool{true, false} {
		question := appendQuestion(nil, dns.Id(), name, rrtype, edns, do && edns)
		m, err := r.send(ctx, "udp", to, question)
		if err == nil && m.Truncated {
			m, err = r.send(ctx, "tcp", to, question)
		}
		if err != nil || !edns || m.Rcode != dns.RcodeFormatError && m.Rcode != dns.RcodeNotImplemented || m.IsEdns0() != nil {
			return m, err
		}
	}
	return nil, errors.New("the server takes no query")
}

// send sends one query and reads the reply.
func (r *iteration) send(ctx context.Context, network string, to netip.AddrPort, question []byte) (*dns.Msg, error) {
	if r.queries == maxIterQueries {
		return nil, errIterQueries
	}
	r.queries++
	deadline := time.Now().Add(iterTry)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, to.String())
	if err != nil {
		if to.Addr().Is6() && isNoRoute(err) {
			r.it.noIPv6.Store(true)
		}
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var packet []byte
	if network == "tcp" {
		packet, err = readStream(c, question)
	} else {
		packet, err = readDatagram(c, question)
	}
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, fmt.Errorf("reply of %s: %w", to, err)
	}
	return m, nil
}

// readDatagram sends the question and waits for the reply; what else comes in is
// not for us.
func readDatagram(c net.Conn, question []byte) ([]byte, error) {
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if isReplyTo(buf[:n], question) {
			return buf[:n], nil
		}
	}
}

// readStream is readDatagram over TCP, with the two octets of length before each
// message (RFC 1035 section 4.2.2).
func readStream(c net.Conn, question []byte) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(question)), uint16(len(question)))
	if _, err := c.Write(append(framed, question...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, packet); err != nil {
		return nil, err
	}
	if !isReplyTo(packet, question) {
		return nil, errors.New("the reply is to another question")
	}
	return packet, nil
}

// Windows has error numbers of its own for what package syscall knows by the
// names of Unix.
const (
	wsaNoFamily    syscall.Errno = 10047
	wsaNoAddress   syscall.Errno = 10049
	wsaUnreachable syscall.Errno = 10051
)

// isNoRoute says whether an address cannot be reached because the host has no
// way into its family.
func isNoRoute(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, wsaNoFamily, wsaNoAddress, wsaUnreachable:
		return true
	}
	return false
}
