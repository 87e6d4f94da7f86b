//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/bench/process"
)

// resolver is what forwarders forward to: this program again, with an answer to
// everything. A name has the one address that the number in its first label
// stands for, see address; one that begins with "nx" does not exist, and no name
// has another type. What is above the first label is the zone.
type resolver struct {
	asked uint64 // questions of class IN
}

// serveResolver resolves at addr until the process is killed. A question of class
// CHAOS asks for the number of the others, which is a TXT record.
func serveResolver(addr string) error { return serveDatagrams(addr, new(resolver).answer) }

const (
	headerSize    = 12
	flagsQR       = 0x80 // of the first octet of flags
	flagsOpcode   = 0x78
	flagsRD       = 0x01
	flagsRA       = 0x80 // of the second
	flagsCD       = 0x10
	optSize       = 11 // without options
	resolverTTL   = 3600
	resolverSize  = 1232
	pointerToName = 0xc000 | headerSize
)

// answer makes a query its reply. What is no query with one question has none.
func (r *resolver) answer(packet []byte, n int) int {
	q, ok := readAsked(packet[:n])
	if !ok {
		return 0
	}
	out := packet[:q.end]
	clear(out[4:headerSize])
	out[2] = flagsQR | packet[2]&flagsRD
	out[3] = flagsRA | packet[3]&flagsCD
	out[5] = 1 // QDCOUNT
	answers, authorities := &out[7], &out[9]
	switch {
	case q.class == dns.ClassCHAOS:
		*answers = 1
		text := strconv.FormatUint(r.asked, 10)
		out = appendHead(out, pointerToName, dns.TypeTXT, dns.ClassCHAOS, 0, 1+len(text))
		out = append(append(out, byte(len(text))), text...)
	case q.class != dns.ClassINET:
		out[3] |= dns.RcodeRefused
	case q.qtype == dns.TypeA && !q.absent:
		r.asked++
		*answers = 1
		out = appendHead(out, pointerToName, dns.TypeA, dns.ClassINET, resolverTTL, 4)
		out = append(out, 198, byte(18+q.number>>16&1), byte(q.number>>8), byte(q.number))
	default:
		r.asked++
		*authorities = 1
		if q.absent {
			out[3] |= dns.RcodeNameError
		}
		out = appendSOA(out, q.zone)
	}
	if q.edns {
		out[11] = 1 // ARCOUNT
		out = append(out, 0, 0, byte(dns.TypeOPT), resolverSize>>8, resolverSize&0xff, 0, 0, q.do, 0, 0, 0)
	}
	return len(out)
}

// asked is the question of a query.
type asked struct {
	end          int // of the question
	zone         int // where the name's second label begins
	number       int // in its first label
	absent       bool
	qtype, class uint16
	edns         bool
	do           byte // 0x80 where the DO bit is set
}

// readAsked reads a query: a header, one question, and in the additional section
// nothing or an OPT record first.
func readAsked(query []byte) (q asked, ok bool) {
	if len(query) < headerSize || query[2]&(flagsQR|flagsOpcode) != 0 ||
		!bytes.Equal(query[4:10], []byte{0, 1, 0, 0, 0, 0}) {
		return q, false
	}
	at := headerSize
	for at < len(query) && query[at] != 0 {
		length := int(query[at])
		if length > 63 || at+1+length >= len(query) {
			return q, false
		}
		if at == headerSize {
			q.readLabel(query[at+1 : at+1+length])
			q.zone = at + 1 + length
		}
		at += 1 + length
	}
	q.end = at + 5
	if q.end > len(query) || at-headerSize > 254 {
		return q, false
	}
	q.zone = max(q.zone, headerSize)
	q.qtype, q.class = binary.BigEndian.Uint16(query[at+1:]), binary.BigEndian.Uint16(query[at+3:])
	opt := query[q.end:]
	q.edns = len(opt) >= optSize && opt[0] == 0 && binary.BigEndian.Uint16(opt[1:]) == dns.TypeOPT
	if q.edns {
		q.do = opt[7] & 0x80
	}
	return q, true
}

// readLabel reads what the first label of a name says of it.
func (q *asked) readLabel(label []byte) {
	q.absent = len(label) > 2 && label[0]|0x20 == 'n' && label[1]|0x20 == 'x'
	for _, c := range label {
		if c >= '0' && c <= '9' {
			q.number = (10*q.number + int(c-'0')) & 0xffffff
		}
	}
}

// appendHead appends a record up to its RDATA.
func appendHead(out []byte, owner, rrtype, class uint16, ttl uint32, rdlength int) []byte {
	out = binary.BigEndian.AppendUint16(out, owner)
	out = binary.BigEndian.AppendUint16(out, rrtype)
	out = binary.BigEndian.AppendUint16(out, class)
	out = binary.BigEndian.AppendUint32(out, ttl)
	return binary.BigEndian.AppendUint16(out, uint16(rdlength))
}

// appendSOA appends the SOA record of the zone whose name is at an offset. It may
// be cached as long as an address (RFC 2308 section 5).
func appendSOA(out []byte, zone int) []byte {
	owner := 0xc000 | uint16(zone)
	out = appendHead(out, owner, dns.TypeSOA, dns.ClassINET, resolverTTL, 2+2+5*4)
	out = binary.BigEndian.AppendUint16(out, owner) // MNAME
	out = binary.BigEndian.AppendUint16(out, owner) // RNAME
	for _, n := range [...]uint32{1, 3600, 300, 2419200, resolverTTL} {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return out
}

// upstream is a resolver in a process of its own, on the load's core: what it
// costs is none of a forwarder's cost.
type upstream struct {
	addr    netip.AddrPort
	process *process.Process
}

// startUpstream starts the resolver of the run, if it does not run yet.
func (b *bench) startUpstream(ctx context.Context) error {
	if b.upstream != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	u := new(upstream)
	if u.addr, err = process.FreePort(ctx); err != nil {
		return err
	}
	command := process.Pin(b.loadCore, []string{self, "-upstream", u.addr.String()})
	if u.process, err = b.spawner.Start("upstream", b.dir, command, []string{"GOMAXPROCS=1"}); err != nil {
		return err
	}
	b.upstream = u
	_, err = u.count(ctx)
	return err
}

// count is how many questions have reached the resolver.
func (u *upstream) count(ctx context.Context) (int64, error) {
	const tries = 50
	m := new(dns.Msg)
	m.Question = []dns.Question{{Name: "asked.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS}}
	client := dns.Client{Timeout: 200 * time.Millisecond}
	var err error
	for range tries {
		m.Id = dns.Id()
		var reply *dns.Msg
		reply, _, err = client.ExchangeContext(ctx, m, u.addr.String())
		if err == nil {
			return readCount(reply)
		}
		select {
		case <-u.process.Done:
			return 0, u.process.Failure(errors.New("the upstream has ended"))
		case <-time.After(10 * time.Millisecond): // nobody listens yet
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("the upstream does not say how often it was asked: %w", err)
}

func readCount(reply *dns.Msg) (int64, error) {
	if len(reply.Answer) == 1 {
		if txt, ok := reply.Answer[0].(*dns.TXT); ok && len(txt.Txt) == 1 {
			return strconv.ParseInt(txt.Txt[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no count of questions: %v", reply)
}
