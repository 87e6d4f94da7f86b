package server

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"time"
)

// What stands in a PROXY header, version 2 (HAProxy's proxy-protocol.txt, section
// 2.2): the signature, version and command, family and transport, the length of
// what follows, then the addresses and further values.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = len(proxySignature) + 4
	// proxyMost is the longest header that is read over TCP. Over UDP the datagram
	// has a bound of its own.
	proxyMost = inSize

	// Version and command in one octet.
	proxyLocal = 0x20
	proxyRelay = 0x21

	// Family and transport in one octet.
	proxyUnspec       = 0x00
	proxyTCP4         = 0x11
	proxyUDP4         = 0x12
	proxyTCP6         = 0x21
	proxyUDP6         = 0x22
	proxyUnixStream   = 0x31
	proxyUnixDatagram = 0x32

	proxyCRC32C = 0x03 // PP2_TYPE_CRC32C
)

// proxyHeader is what a PROXY header says.
type proxyHeader struct {
	length int // octets, the signature's among them
	// relayed says that source and destination are those of the query at the
	// proxy; else the connection's own addresses hold.
	relayed             bool
	source, destination netip.AddrPort // IPv4 is never in mapped form
}

// proxyResult says how reading a PROXY header ended.
type proxyResult uint8

const (
	proxyRead      proxyResult = iota
	proxyShort                 // it may be one, but its end has not come yet
	proxyMissing               // it is none
	proxyMalformed             // it is one that breaks the specification, or is too long
)

// parseProxy reads the PROXY header at the beginning of b, which is as it was
// when it returns.
//
// The transport that it names need not be the one it comes by: it is that of the
// client, and dnsdist asks over UDP for clients that came over TCP or HTTPS.
func parseProxy(b []byte) (h proxyHeader, r proxyResult) {
	if n := min(len(b), len(proxySignature)); string(b[:n]) != proxySignature[:n] {
		return h, proxyMissing
	}
	if len(b) < proxyFixed {
		return h, proxyShort
	}
	h.length = proxyFixed + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case b[12] != proxyLocal && b[12] != proxyRelay || h.length > proxyMost:
		return h, proxyMalformed
	case len(b) < h.length:
		return h, proxyShort
	case b[12] == proxyLocal:
		// Its addresses and values are to be passed over, whatever they are.
		return h, proxyRead
	}
	if !h.addresses(b[13], b[proxyFixed:h.length]) {
		return h, proxyMalformed
	}
	if size := proxyAddressLen(b[13]); size > 0 && !soundValues(b[:h.length], proxyFixed+size) {
		return h, proxyMalformed
	}
	return h, proxyRead
}

// addresses reads the addresses in front of b. No address of an IP network is to be
// had from UNSPEC and from sockets of Unix; other families and transports are
// reserved.
func (h *proxyHeader) addresses(family byte, b []byte) bool {
	if len(b) < proxyAddressLen(family) {
		return false
	}
	switch family {
	case proxyUnspec, proxyUnixStream, proxyUnixDatagram:
		return true
	case proxyTCP4, proxyUDP4:
		h.source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
		h.destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[10:]))
	case proxyTCP6, proxyUDP6:
		h.source = unmap(netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), binary.BigEndian.Uint16(b[32:])))
		h.destination = unmap(netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[16:])), binary.BigEndian.Uint16(b[34:])))
	default:
		return false
	}
	h.relayed = true
	return true
}

// proxyAddressLen is the length of the two addresses of a family, with their ports.
func proxyAddressLen(family byte) int {
	switch family {
	case proxyTCP4, proxyUDP4:
		return 2*4 + 2*2
	case proxyTCP6, proxyUDP6:
		return 2*16 + 2*2
	case proxyUnixStream, proxyUnixDatagram:
		return 2 * 108
	}
	return 0
}

// soundValues walks the values of a header from the offset at on, and compares the
// checksum if there is one.
func soundValues(header []byte, at int) bool {
	for at < len(header) {
		if len(header)-at < 3 {
			return false
		}
		value := at + 3
		end := value + int(binary.BigEndian.Uint16(header[at+1:]))
		if end > len(header) {
			return false
		}
		if header[at] == proxyCRC32C && (end-value != crc32.Size || !soundSum(header, value)) {
			return false
		}
		at = end
	}
	return true
}

// soundSum compares the CRC32C of a header, which stands in it at the offset at
// and is reckoned with zeros there.
func soundSum(header []byte, at int) bool {
	place := header[at : at+crc32.Size]
	want := binary.BigEndian.Uint32(place)
	clear(place)
	sum := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(place, want)
	return sum == want
}

// proxies are the senders that must put a PROXY header before what they send to
// the listener at key; nil for none. The header comes before the question and so
// before the block is known: the blocks have their proxies together.
func (g *generation) proxies(key listenKey) Networks {
	var all Networks
	for _, b := range g.blocks {
		if b.listensAt(key) {
			all = append(all, b.block.Proxies...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return NewNetworks(all)
}

// unwrap takes the PROXY header off a datagram whose sender must send one. False
// means that the datagram is to be dropped; it has been counted.
func (l *listener) unwrap(r *router, q *Query) bool {
	if !r.proxies.Contains(q.Remote.Addr()) {
		return true
	}
	h, result := parseProxy(q.Packet)
	if result == proxyShort {
		result = proxyMalformed
	}
	l.judged(q.Worker, q.Remote, result)
	if result != proxyRead {
		return false
	}
	q.Packet = q.Packet[h.length:]
	if h.relayed {
		q.relayed, q.door = true, q.Local.Addr()
		q.Remote, q.Local = h.source, h.target(q.Local)
	}
	return true
}

// target is the address that the client asked: the proxy's, or own where the proxy
// does not say.
func (h *proxyHeader) target(own netip.AddrPort) netip.AddrPort {
	if h.destination.Addr().IsUnspecified() {
		return own
	}
	return h.destination
}

// judged counts a PROXY header, or what came in the place of one.
func (l *listener) judged(worker int, from netip.AddrPort, result proxyResult) {
	n, what := &l.counters[worker], "has none"
	switch result {
	case proxyRead:
		n.proxied.Add(1)
		return
	case proxyMissing:
		n.proxyMissing.Add(1)
	default:
		n.proxyMalformed.Add(1)
		what = "is malformed"
	}
	if l.proxyLog.allow(time.Now()) {
		l.server.log.Warn("dropped what came from a proxy: the PROXY header, version 2, that proxyproto asks for, "+what,
			"server", l.key.String(), "client", from)
	}
}

// arrival is the address of ours that a query came to, behind all proxies.
func (q *Query) arrival() netip.Addr {
	if q.relayed {
		return q.door
	}
	return q.Local.Addr()
}

// fromProxy says whether a connection from that address must begin with a PROXY
// header.
func (l *listener) fromProxy(a netip.Addr) bool {
	r := l.router.Load()
	return r.proxies != nil && r.proxies.Contains(a)
}

// header reads the PROXY header that the connection must begin with, and takes the
// client's addresses from it. The client, not the proxy, is who counts when a
// connection has to make room for another. False means that the connection ends.
func (c *tcpConn) header() bool {
	for {
		h, result := parseProxy(c.buf[:c.have])
		switch {
		case result == proxyRead:
			c.on.on.judged(c.worker, c.remote, result)
			c.have = copy(c.buf, c.buf[h.length:c.have])
			c.begun = time.Now()
			if h.relayed {
				c.relayed, c.door = true, c.local.Addr()
				c.remote, c.local = h.source, h.target(c.local)
				c.on.rename(c, clientOf(c.remote.Addr()))
			}
			return true
		case result == proxyShort && c.read():
		case result == proxyShort && c.have == 0: // it has said nothing at all
			return false
		default:
			c.on.on.judged(c.worker, c.remote, result)
			return false
		}
	}
}

// rename counts a connection for another client.
func (t *tcpListener) rename(c *tcpConn, client netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.place == nil {
		return
	}
	if t.clients[c.client]--; t.clients[c.client] == 0 {
		delete(t.clients, c.client)
	}
	c.client = client
	t.clients[client]++
}
