//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
)

// attack is a kind of packet that no honest client sends.
type attack struct {
	name string
	// make returns a message with any ID.
	make func(r *rand.Rand) []byte
	// rcode is what the reply must say, with noReply or anyReply in its place.
	rcode int
}

const (
	noReply  = -1
	anyReply = -2 // or none
)

// header is a header of a query with counts.
func header(flags, qd, an, ns, ar uint16) []byte {
	b := make([]byte, 12)
	for i, v := range []uint16{0, flags, qd, an, ns, ar} {
		binary.BigEndian.PutUint16(b[2*i:], v)
	}
	return b
}

// ask is a query for the stamp's portal.
func ask(qtype, class uint16, change func(m *dns.Msg)) func(*rand.Rand) []byte {
	return func(*rand.Rand) []byte {
		m := new(dns.Msg).SetQuestion("portal."+externalZone, qtype)
		m.Question[0].Qclass = class
		if change != nil {
			change(m)
		}
		b, err := m.Pack()
		if err != nil {
			return header(0, 0, 0, 0, 0)
		}
		return b
	}
}

// literal is a message of a header and octets.
func literal(head []byte, rest ...byte) func(*rand.Rand) []byte {
	return func(*rand.Rand) []byte { return append(bytes.Clone(head), rest...) }
}

// noise are n random octets.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func edns(version uint8, options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		opt := m.IsEdns0()
		opt.SetVersion(version)
		opt.Option = options
	}
}

// attacks are all kinds.
func attacks() []attack {
	plain := ask(dns.TypeA, dns.ClassINET, nil)
	one := header(0, 1, 0, 0, 0)
	return append(malformed(plain, one), []attack{
		{"AXFR", ask(dns.TypeAXFR, dns.ClassINET, nil), dns.RcodeRefused},
		{"IXFR", ask(dns.TypeIXFR, dns.ClassINET, nil), dns.RcodeRefused},
		{"ANY", ask(dns.TypeANY, dns.ClassINET, nil), dns.RcodeSuccess},
		{"class CH", ask(dns.TypeTXT, dns.ClassCHAOS, nil), dns.RcodeRefused},
		{"class ANY", ask(dns.TypeA, dns.ClassANY, nil), dns.RcodeRefused},
		{"type OPT", ask(dns.TypeOPT, dns.ClassINET, nil), dns.RcodeFormatError},
		{"type TSIG", ask(dns.TypeTSIG, dns.ClassINET, nil), dns.RcodeFormatError},
		{"odd opcode", func(r *rand.Rand) []byte {
			b := plain(r)
			b[2] |= byte(1+r.IntN(15)) << 3
			return b
		}, dns.RcodeNotImplemented},
		{"EDNS version", ask(dns.TypeA, dns.ClassINET, edns(7)), dns.RcodeBadVers},
		{"EDNS options", func(r *rand.Rand) []byte {
			var options []dns.EDNS0
			for range r.IntN(20) {
				options = append(options, &dns.EDNS0_LOCAL{Code: uint16(20_000 + r.IntN(40_000)), Data: noise(r, r.IntN(60))})
			}
			return ask(dns.TypeA, dns.ClassINET, edns(0, options...))(r)
		}, dns.RcodeSuccess},
		{"two OPT records", ask(dns.TypeA, dns.ClassINET, func(m *dns.Msg) { m.SetEdns0(512, false); m.SetEdns0(4096, true) }),
			dns.RcodeFormatError},
		{"giant datagram", func(r *rand.Rand) []byte { return append(plain(r), make([]byte, 5000+r.IntN(50_000))...) },
			dns.RcodeFormatError},
	}...)
}

// malformed are the kinds that cannot be read.
func malformed(plain func(*rand.Rand) []byte, one []byte) []attack {
	return []attack{
		{"garbage", func(r *rand.Rand) []byte { return noise(r, r.IntN(600)) }, anyReply},
		{"short header", func(r *rand.Rand) []byte { return noise(r, r.IntN(12)) }, noReply},
		{"a reply", func(r *rand.Rand) []byte {
			b := plain(r)
			b[2] |= 0x80
			return b
		}, noReply},
		{"no question", literal(header(0, 0, 0, 0, 0)), dns.RcodeFormatError},
		{"many questions", func(r *rand.Rand) []byte {
			b := plain(r)
			binary.BigEndian.PutUint16(b[4:], uint16(2+r.IntN(65_000)))
			return b
		}, dns.RcodeFormatError},
		{"pointer to itself", literal(one, 0xC0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
		{"pointers in a circle", literal(one, 1, 'x', 0xC0, 16, 0xC0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
		{"pointer forwards", literal(one, 0xC0, 200, 0, 1, 0, 1), dns.RcodeFormatError},
		{"label of another type", literal(one, 0x81, 'x', 0, 0, 1, 0, 1), dns.RcodeFormatError},
		{"endless name", func(*rand.Rand) []byte {
			return append(append(bytes.Clone(one), bytes.Repeat([]byte{1, 'x'}, 150)...), 0, 0, 1, 0, 1)
		}, dns.RcodeFormatError},
		{"half a question", func(r *rand.Rand) []byte {
			b := plain(r)
			return b[:13+r.IntN(len(b)-13)]
		}, dns.RcodeFormatError},
		{"records that are not there", func(r *rand.Rand) []byte {
			b := plain(r)
			binary.BigEndian.PutUint16(b[6+2*r.IntN(3):], uint16(1+r.IntN(65_000)))
			return b
		}, dns.RcodeFormatError},
		{"long RDLENGTH", func(r *rand.Rand) []byte {
			b := append(plain(r), 0, 0, 41, 4, 208, 0, 0, 0, 0, 0xFF, 0xFF)
			b[11] = 1
			return b
		}, dns.RcodeFormatError},
		{"flipped bits", func(r *rand.Rand) []byte {
			b := plain(r)
			for range 1 + r.IntN(8) {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
			return b
		}, anyReply},
	}
}

// hostileUDP sends hostile packets in batches, from any address of loopback and
// any port. Some senders are gone before the replies come; those that stay look
// at them.
func (s *soak) hostileUDP(ctx context.Context, r *rand.Rand) error {
	const batch = 16
	kinds := attacks()
	gap := time.Duration(float64(batch) / float64(s.hostile) * float64(time.Second))
	tick := time.NewTicker(max(time.Millisecond, gap))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		from := netip.AddrFrom4([4]byte{127, byte(1 + r.IntN(250)), byte(r.IntN(256)), byte(1 + r.IntN(250))})
		to := s.addrs[r.IntN(len(s.addrs))]
		conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
		if err != nil {
			return fmt.Errorf("hostile packets: %w", err)
		}
		sent := make(map[uint16]*attack)
		for range batch {
			a := &kinds[r.IntN(len(kinds))]
			b := a.make(r)
			id := uint16(r.Uint32())
			if sent[id] != nil {
				continue
			}
			if len(b) >= 2 {
				binary.BigEndian.PutUint16(b, id)
				sent[id] = a
			}
			conn.Write(b)
			s.hostilePackets.Add(1)
		}
		if r.IntN(4) > 0 {
			s.examine(conn, sent)
		}
		conn.Close()
	}
}

// examine looks at the replies to hostile packets.
func (s *soak) examine(conn *net.UDPConn, sent map[uint16]*attack) {
	b := make([]byte, 1<<16)
	conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	for {
		n, err := conn.Read(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			s.findings.addf("hostile packet", "reading the replies: %v", err)
			return
		}
		if n < 12 {
			s.findings.addf("hostile packet", "a reply of %d octets: %x", n, b[:n])
			continue
		}
		id := binary.BigEndian.Uint16(b)
		a := sent[id]
		delete(sent, id)
		if a == nil {
			s.findings.addf("hostile packet", "a reply to nothing, or the second one: %x", b[:n])
			continue
		}
		if fault := a.check(b[:n]); fault != nil {
			s.findings.addf("hostile packet", "%s: %v: %x", a.name, fault, b[:n])
		}
	}
}

// check says what is wrong with a reply to an attack.
func (a *attack) check(reply []byte) error {
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		return fmt.Errorf("the reply cannot be read: %w", err)
	}
	rcode := m.Rcode
	switch {
	case !m.Response:
		return errors.New("the reply is none")
	case a.rcode == noReply:
		return errors.New("it was answered")
	case len(reply) > 1232 || len(reply) > 512 && m.IsEdns0() == nil:
		return fmt.Errorf("the reply has %d octets", len(reply))
	case a.rcode >= 0 && rcode != a.rcode:
		return fmt.Errorf("the reply says %s, not %s", dns.RcodeToString[rcode], dns.RcodeToString[a.rcode])
	case rcode == dns.RcodeServerFailure:
		return errors.New("the server failed")
	}
	return nil
}
