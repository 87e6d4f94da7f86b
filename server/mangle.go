package server

import (
	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Mangling is what Query.Mangle does to a reply: faults on purpose that only the
// server can make, as it closes and sends the reply.
type Mangling uint8

// The manglings. They may be combined.
const (
	// WrongID gives the reply another ID than the query's.
	WrongID Mangling = 1 << iota
	// WrongCase changes the case of each letter of the question in the reply.
	WrongCase
	// NoEDNS answers as a server that has never heard of EDNS: without an OPT
	// record, and over UDP with 512 octets at most.
	NoEDNS
	// Oversized lets a reply over UDP be longer than the client takes.
	Oversized
	// HangUp resets a TCP connection in the place of the reply. It does nothing to
	// queries over UDP.
	HangUp
)

// Mangle has the server send the reply wrong in the given ways. It is called from In,
// before the reply grows, by a handler behind the server's own checks.
func (q *Query) Mangle(m Mangling) { q.mangling |= m }

// Unmangle takes back what Mangle has said, before the reply is closed.
func (q *Query) Unmangle(m Mangling) { q.mangling &^= m }

// Mangled are the ways in which the reply is sent wrong.
func (q *Query) Mangled() Mangling { return q.mangling }

// mangle makes the closed reply wrong.
func (q *Query) mangle() {
	if q.mangling&WrongID != 0 {
		q.Reply[0] ^= 0x55
		q.Reply[1] ^= 0xAA
	}
	if q.mangling&WrongCase == 0 {
		return
	}
	for off := wire.HeaderLen; off < q.QuestionEnd && q.Reply[off] != 0; {
		end := off + 1 + int(q.Reply[off])
		for i := off + 1; i < end; i++ {
			if c := q.Reply[i] | 0x20; 'a' <= c && c <= 'z' {
				q.Reply[i] ^= 0x20
			}
		}
		off = end
	}
}

// udpLimit is the longest reply over UDP.
func (q *Query) udpLimit() int {
	switch {
	case q.mangling&Oversized != 0:
		return dns.MaxMsgSize
	case !q.speaksEDNS():
		return dns.MinMsgSize
	}
	return max(dns.MinMsgSize, min(int(q.EDNS.Size), q.chain.block.UDPSize))
}

// speaksEDNS says whether the reply has an OPT record.
func (q *Query) speaksEDNS() bool { return q.EDNS.Present && q.mangling&NoEDNS == 0 }
