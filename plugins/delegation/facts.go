package delegation

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// facts is what a query and its reply show, worked out before any lock is taken.
type facts struct {
	src     source
	now     int64 // when the query was received, in nanoseconds since 1970
	ns      uint8
	zone    uint32 // label, maxZones for "other"
	path    uint8  // pathIndex: 0 is iterative
	tcp     uint8
	six     uint8
	flags   uint8
	edns    uint8
	options uint16
	caps    uint8
	cookie  uint64 // the client's, 0 for none
	reply   replyKind
	ttl     uint32 // of the answer, 0 where it has none
	probe   uint8  // 1 + signal, where the question may stand for a longer name

	rare     rare
	outside  uint8 // where rare says so
	glue     uint8 // number of the name server
	belowCut bool
}

// rare are things that few queries do, as bits.
type rare uint8

const (
	rareCase rare = 1 << iota
	rareDSAtChild
	rareApexNS
	rareGlue
	rareOutside
	rareBelowCut
)

// replyKind is what a reply means to who sent the query.
type replyKind uint8

const (
	replyOK    replyKind = iota
	replyCut             // TC over UDP
	replyFault           // a reason to ask another server
)

// countRare counts the things that few queries do.
func (r *resolverCounts) countRare(f *facts) {
	if f.rare&rareCase != 0 {
		r.caseRandom++
	}
	if f.rare&rareDSAtChild != 0 {
		r.dsAtChild++
	}
	if f.rare&rareApexNS != 0 {
		r.apexNS++
	}
	if f.rare&rareGlue != 0 {
		r.glue[f.glue]++
	}
	if f.rare&rareOutside != 0 {
		r.outside[f.outside]++
		if f.path == 0 {
			r.outsideAsked[f.outside]++
		}
	}
	if f.rare&rareBelowCut != 0 {
		r.belowCut++
	}
}

// read fills in f, which is zero.
func (h *handler) read(q *server.Query, f *facts) {
	remote := q.Remote.Addr()
	f.src, f.now = sourceOf(remote), q.Received.UnixNano()
	f.ns, f.zone = h.ns[min(int(q.NS), len(h.ns)-1)], h.zoneLabel(q)
	f.path, f.tcp = uint8(pathIndex(q.Path)), uint8(q.Transport)&1
	if f.tcp != 0 {
		f.caps |= capTCP
	}
	if remote.Is6() {
		f.six, f.caps = 1, f.caps|capIPv6
	}
	header := wire.Flags(q.Packet)
	f.flags = headerFlags(header)
	if q.EDNS.Present {
		f.readEDNS(q)
	}
	if question := q.Packet[wire.HeaderLen:q.QuestionEnd]; len(question) > len(q.Name) && !bytes.Equal(question[:len(q.Name)], q.Name) && mixedCase(question[:len(q.Name)]) {
		f.rare, f.caps = f.rare|rareCase, f.caps|capCase
	}
	f.readReply(q, header)
	if q.QuestionEnd > wire.HeaderLen && q.Class == dns.ClassINET && wire.Opcode(q.Packet) == dns.OpcodeQuery {
		h.readQuestion(q, f)
	}
}

// headerFlags are the header's flags as bits of facts.flags.
func headerFlags(header uint16) (flags uint8) {
	const cd, ad, z = 1 << 4, 1 << 5, 1 << 6
	flags = uint8(header>>8&1) << flagRD
	if header&(cd|ad|z|wire.FlagTC) == 0 {
		return flags
	}
	return flags | uint8(header/cd&1)<<flagCD | uint8(header/ad&1)<<flagAD |
		uint8(header/wire.FlagTC&1)<<flagTC | uint8(header/z&1)<<flagZ
}

// readEDNS looks at the OPT record, whose options are known to be whole.
func (f *facts) readEDNS(q *server.Query) {
	f.edns, f.caps = ednsZero, f.caps|capEDNS
	if q.EDNS.Version != 0 {
		f.edns = ednsOther
	}
	if q.EDNS.DO {
		f.options, f.caps = 1<<optionDO, f.caps|capDO
	}
	for o := q.EDNS.Options; len(o) >= 4; {
		code, n := binary.BigEndian.Uint16(o), int(binary.BigEndian.Uint16(o[2:]))
		if len(o) < 4+n {
			return
		}
		f.options |= 1 << optionIndex(code)
		if code == dns.EDNS0COOKIE && n >= 8 {
			f.cookie, f.caps = binary.BigEndian.Uint64(o[4:])|1, f.caps|capCookie
		}
		o = o[4+n:]
	}
}

// mixedCase says whether the letters of a name in wire form seem to have a case
// at random: an upper-case letter stands inside a label, and there are lower-case
// ones. A capital at the start of a label is how people write.
func mixedCase(name []byte) bool {
	upper, lower := false, false
	for i := 0; i < len(name) && name[i] != 0; {
		end := min(i+1+int(name[i]), len(name))
		for j, c := range name[i+1 : end] {
			upper = upper || j > 0 && 'A' <= c && c <= 'Z'
			lower = lower || 'a' <= c && c <= 'z'
		}
		i = end
	}
	return upper && lower
}

// readReply looks at what is sent.
func (f *facts) readReply(q *server.Query, header uint16) {
	if q.Verdict() != server.Answered || len(q.Reply) < wire.HeaderLen {
		f.reply = replyFault
		return
	}
	flags := wire.Flags(q.Reply)
	switch rcode := q.RCode(); {
	case flags&wire.FlagTC != 0 && q.Transport == server.UDP: // on purpose, too
		f.reply = replyCut
	case q.Injected != nil, rcode == server.RCodeServerFailure:
		f.reply = replyFault
	case rcode == server.RCodeSuccess:
		if wire.Count(q.Reply, wire.CountAN) > 0 {
			f.ttl = firstTTL(q.Reply, q.QuestionEnd)
			return
		}
		f.belowCut = q.Zone != 0 && flags&wire.FlagAA == 0 && wire.Count(q.Reply, wire.CountNS) > 0 && header&wire.FlagRD != 0
		if f.belowCut {
			f.rare |= rareBelowCut
		}
	}
}

// firstTTL is the TTL of a reply's first record if its owner is a pointer, as our
// own replies have it, else 0.
func firstTTL(reply []byte, at int) uint32 {
	if at < wire.HeaderLen || at > len(reply)-12 || reply[at] < 0xC0 {
		return 0
	}
	return binary.BigEndian.Uint32(reply[at+6:])
}

// readQuestion looks at what is asked, and whether it is asked in the right place.
func (h *handler) readQuestion(q *server.Query, f *facts) {
	c := h.config.cuts.Load()
	switch q.Type {
	case dns.TypeNS:
		if c.kind(q.Name) == nameApex {
			f.rare |= rareApexNS
		}
	case dns.TypeDS:
		if c.kind(q.Name) == nameApex && !c.below(q.Name) {
			f.rare |= rareDSAtChild
		}
	case dns.TypeA, dns.TypeAAAA:
		for i := range h.hosts {
			if bytes.Equal(h.hosts[i].name, q.Name) {
				f.rare, f.glue = f.rare|rareGlue, h.hosts[i].ns
			}
		}
	}
	// DS is asked for above the zones, too, by validators that forward: no sign of
	// a cut in the wrong place.
	if q.Zone == 0 && q.Type != dns.TypeDS && q.Injected == nil && q.Verdict() == server.Answered {
		refused := q.RCode() == server.RCodeRefused
		if kind, outside := uint8(0), false; refused || f.path == 0 {
			if kind, outside = c.outside(q.Name); outside {
				f.rare, f.outside = f.rare|rareOutside, kind
			} else if refused {
				f.reply = replyFault
			}
		}
	}
	if f.path == 0 {
		readProbe(q, c, f)
	}
}

// readProbe looks whether the question may stand for a longer name.
func readProbe(q *server.Query, c *cuts, f *facts) {
	switch {
	case f.rare&rareApexNS != 0:
		f.probe = 1 + signalApex
	case len(q.Name) > 1 && q.Name[0] == 1 && q.Name[1] == '_':
		f.probe = 1 + signalUnderscore
	case q.Type != dns.TypeA && q.Type != dns.TypeNS:
	case q.Zone == 0 || f.reply != replyOK || q.RCode() != server.RCodeSuccess || wire.Count(q.Reply, wire.CountAN) > 0:
	case c.kind(q.Name) == nameApex:
		f.probe = 1 + signalApex
	default:
		f.probe = 1 + signalCut
	}
}
