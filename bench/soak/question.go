//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// want is what an answer must say, records as flat makes them.
type want struct {
	rcode                    int
	aa, tc                   bool
	answer, authority, extra []string
}

// String is what two answers must share to be the same: order within a section
// says nothing, but that aliases stand before what they lead to.
func (w want) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s aa=%t tc=%t", dns.RcodeToString[w.rcode], w.aa, w.tc)
	for i, section := range [][]string{w.answer, w.authority, w.extra} {
		fmt.Fprintf(&b, " %s: %s", [...]string{"answer", "authority", "additional"}[i],
			strings.Join(slices.Sorted(slices.Values(section)), " | "))
	}
	return b.String()
}

// flat is a record as text with single spaces, in lower case.
func flat(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// shape is a question with the answers to it, by version of the zone.
type shape struct {
	name  string
	qtype uint16
	want  func(version uint32) want
}

// question is a shape as one flow asks it, with the answers that it got lately.
type question struct {
	shape
	history *history
	tcp     bool
	edns    bool
	do      bool
	size    uint16
	packet  []byte // ID 0
	end     int    // of the question in it

	// known are answers that were looked at in full. What has the same octets
	// behind its ID is the same answer.
	known [4]knownReply
	next  int
}

type knownReply struct {
	content content
	octets  []byte // from the flags on
}

// newQuestion packs a shape: with or without EDNS, in mixed case.
func newQuestion(s shape, h *history, tcp bool, r *rand.Rand) (*question, error) {
	q := &question{shape: s, history: h, tcp: tcp}
	m := new(dns.Msg)
	m.SetQuestion(mixCase(s.name, r), s.qtype)
	m.Id, m.RecursionDesired = 0, r.IntN(2) == 0
	if q.edns = r.IntN(2) == 0; q.edns {
		q.do, q.size = r.IntN(3) == 0, []uint16{512, 1232, 4096}[r.IntN(3)]
		m.SetEdns0(q.size, q.do)
		if r.IntN(3) == 0 {
			opt := m.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("soak")})
		}
	}
	var err error
	if q.packet, err = m.Pack(); err != nil {
		return nil, fmt.Errorf("%s: %w", q, err)
	}
	q.end = 12 + bytes.IndexByte(q.packet[12:], 0) + 5
	return q, nil
}

// mixCase is a name as clients that mix its case to tell forgeries ask for it.
func mixCase(name string, r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && r.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func (q *question) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// limit is the most octets of a reply.
func (q *question) limit() int {
	switch {
	case q.tcp:
		return dns.MaxMsgSize
	case q.edns:
		return int(max(dns.MinMsgSize, min(q.size, 1232)))
	}
	return dns.MinMsgSize
}

// expect is the answer for a content of the zone.
func (q *question) expect(c content) want {
	switch c.kind {
	case absent:
		return want{rcode: dns.RcodeRefused}
	case failed:
		return want{rcode: dns.RcodeServerFailure}
	}
	w := q.want(c.version)
	if strings.HasPrefix(q.name, "big.") && q.limit() == dns.MinMsgSize {
		return want{rcode: w.rcode, aa: w.aa, tc: true}
	}
	return w
}

// identify says what the zone was when it gave a reply, with version 0 where an
// answer that was cut off does not tell. The error says what no state of the zone
// makes right.
func (q *question) identify(reply []byte) (content, error) {
	for i := range q.known {
		if bytes.Equal(q.known[i].octets, reply[2:]) {
			return q.known[i].content, nil
		}
	}
	got, err := q.read(reply)
	if err != nil {
		return content{}, err
	}
	text := got.String()
	for _, c := range q.history.recent() {
		if text != q.expect(c).String() {
			continue
		}
		if got.tc {
			return content{kind: c.kind}, nil
		}
		q.known[q.next] = knownReply{c, bytes.Clone(reply[2:])}
		q.next = (q.next + 1) % len(q.known)
		return c, nil
	}
	return content{}, fmt.Errorf("no state of the zone has this answer: %s; the last state has %s",
		text, q.expect(q.history.last().content))
}

// read decodes a reply and checks all that does not depend on the zone.
func (q *question) read(reply []byte) (want, error) {
	if len(reply) > q.limit() {
		return want{}, fmt.Errorf("the reply has %d octets, %d are wanted at most", len(reply), q.limit())
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		return want{}, fmt.Errorf("the reply %x cannot be read: %w", reply, err)
	}
	if !exact(reply) {
		return want{}, fmt.Errorf("the counts of the reply %x are not those of its records", reply)
	}
	switch {
	case !m.Response || m.Opcode != dns.OpcodeQuery:
		return want{}, errors.New("not a reply to a query")
	case len(reply) < q.end || !bytes.Equal(reply[12:q.end], q.packet[12:q.end]) || len(m.Question) != 1:
		return want{}, fmt.Errorf("the reply has another question: %v", m.Question)
	case m.RecursionDesired != (q.packet[2]&1 != 0):
		return want{}, errors.New("the bit RD is not that of the query")
	case m.RecursionAvailable || m.Zero || m.AuthenticatedData || m.CheckingDisabled:
		return want{}, errors.New("a flag is set that must not be")
	}
	opt := m.IsEdns0()
	switch {
	case (opt != nil) != q.edns:
		return want{}, errors.New("OPT record and query do not agree")
	case opt != nil && (opt.Version() != 0 || opt.UDPSize() != 1232 || opt.Do() != q.do):
		return want{}, fmt.Errorf("wrong OPT record: %s", opt)
	}
	got := want{rcode: m.Rcode, aa: m.Authoritative, tc: m.Truncated}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			to := []*[]string{&got.answer, &got.authority, &got.extra}[i]
			*to = append(*to, flat(rr.String()))
		}
	}
	return got, nil
}

// exact says whether the counts in a message's header are those of what follows,
// to the last octet. Package dns takes less and more.
func exact(message []byte) bool {
	at := 12
	name := func() {
		for at < len(message) && message[at] != 0 && message[at] < 0xC0 {
			at += 1 + int(message[at])
		}
		if at < len(message) && message[at] >= 0xC0 {
			at++
		}
		at++
	}
	count := func(section int) int { return int(binary.BigEndian.Uint16(message[4+2*section:])) }
	for range count(0) {
		name()
		at += 4
	}
	for range count(1) + count(2) + count(3) {
		name()
		if at+10 > len(message) {
			return false
		}
		at += 10 + int(binary.BigEndian.Uint16(message[at+8:]))
	}
	return at == len(message)
}

// pool is what one flow asks.
type pool struct{ stamp, users []*question }

// newPool packs questions for a flow: all shapes of all zones, several times
// over, with labels, cases and EDNS of its own.
func (s *soak) newPool(tcp bool, r *rand.Rand) (*pool, error) {
	p := new(pool)
	add := func(to *[]*question, h *history, shapes ...shape) error {
		for _, sh := range shapes {
			q, err := newQuestion(sh, h, tcp, r)
			if err != nil {
				return err
			}
			*to = append(*to, q)
		}
		return nil
	}
	nowhere := newHistory(0, s.now, content{kind: absent})
	for range 4 {
		if err := add(&p.stamp, s.stamp, stampShapes(r)...); err != nil {
			return nil, err
		}
	}
	for range 2 {
		for _, z := range s.zones {
			shapes := z.shapes(r)
			if tcp {
				shapes = append(shapes, z.whole())
			}
			if err := add(&p.users, z.history, shapes...); err != nil {
				return nil, err
			}
		}
		outside := shape{fmt.Sprintf("x%d.outside.example.", r.IntN(1000)), dns.TypeA, nil}
		if err := add(&p.users, nowhere, outside); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *pool) draw(r *rand.Rand) *question {
	if r.IntN(2) == 0 {
		return p.stamp[r.IntN(len(p.stamp))]
	}
	return p.users[r.IntN(len(p.users))]
}
