package cache

import (
	"encoding/binary"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// kind is what an entry holds; 0 is no kind.
type kind uint8

const (
	success kind = iota + 1 // an answer
	denial                  // no such name or no such data (RFC 2308)
	failure                 // that there was no answer (RFC 9520)
)

// group is the kind by which entries are counted and bounded: failures are with
// the denials, as in CoreDNS.
func (k kind) group() int {
	if k == success {
		return 0
	}
	return 1
}

// ticks are tenths of a second since the store was made.
type ticks uint32

const perSecond = 10

// since is the time from then to now, 0 if then is later: queries that are read
// together have one time, and some may be answered meanwhile.
func (now ticks) since(then ticks) ticks {
	if then > now {
		return 0
	}
	return now - then
}

// entry is one answer, as the octets that it takes in a chunk:
//
//	 0  hash, low half      20  hits               35  bits, kind
//	 4  when it was stored  22  size, in 8 octets  36  RCODE
//	 8  how long it lives   24  type               37  name
//	12  no refresh before   26  length of body     ..  offset of each TTL in body
//	16  when last asked     28  section counts     ..  body: the sections
//	                        34  length of name
//
// Times are ticks. The body is what stood behind the question, so its compression
// pointers hold for every query with the same name.
type entry []byte

const (
	atHash   = 0
	atStored = 4
	atLife   = 8
	atRetry  = 12
	atAsked  = 16
	atHits   = 20
	atSize   = 22
	atType   = 24
	atBody   = 26
	atCounts = 28
	atName   = 34
	atBits   = 35
	atRCode  = 36
	headLen  = 37
)

// Bits of an entry; the first two are part of its key. The kind is in the highest
// two.
const (
	bitDO   = 1 << iota
	bitCD   // checking disabled
	bitAD   // authentic data
	bitUsed // asked for since the last round for room
	bitDead // not in the index any more
	kindAt  = 6
	keyBits = bitDO | bitCD
)

// align is what entries' sizes and places are multiples of.
const align = 8

// entrySize is the room that an entry takes.
func entrySize(name, records, body int) int {
	return (headLen + name + 2*records + body + align - 1) &^ (align - 1)
}

func (e entry) u16(at int) uint16      { return binary.LittleEndian.Uint16(e[at:]) }
func (e entry) u32(at int) uint32      { return binary.LittleEndian.Uint32(e[at:]) }
func (e entry) set16(at int, v uint16) { binary.LittleEndian.PutUint16(e[at:], v) }
func (e entry) set32(at int, v uint32) { binary.LittleEndian.PutUint32(e[at:], v) }
func (e entry) hash() uint32           { return e.u32(atHash) }
func (e entry) size() int              { return int(e.u16(atSize)) * align }
func (e entry) kind() kind             { return kind(e[atBits] >> kindAt) }
func (e entry) has(bit uint8) bool     { return e[atBits]&bit != 0 }
func (e entry) mark(bit uint8)         { e[atBits] |= bit }
func (e entry) unmark(bit uint8)       { e[atBits] &^= bit }
func (e entry) name() wire.Name        { return wire.Name(e[headLen : headLen+int(e[atName])]) }
func (e entry) age(now ticks) ticks    { return now.since(ticks(e.u32(atStored))) }
func (e entry) life() ticks            { return ticks(e.u32(atLife)) }
func (e entry) left(now ticks) ticks   { return e.life() - min(e.life(), e.age(now)) }
func (e entry) resting(now ticks) bool { return now < ticks(e.u32(atRetry)) }
func (e entry) rest(until ticks)       { e.set32(atRetry, uint32(until)) }
func (e entry) count(section int) int  { return int(e.u16(atCounts + section - wire.CountAN)) }
func (e entry) is(k *key) bool {
	return e.u16(atType) == k.qtype && e[atBits]&keyBits == k.bits && string(e.name()) == string(k.name)
}

func (e entry) records() int {
	return e.count(wire.CountAN) + e.count(wire.CountNS) + e.count(wire.CountAR)
}

// body is the sections and the offsets of their TTLs.
func (e entry) body() (offsets, body []byte) {
	at := headLen + int(e[atName])
	n := 2 * e.records()
	return e[at : at+n], e[at+n : at+n+int(e.u16(atBody))]
}

// write fills e, which is as long as entrySize says, with an answer to k. message
// is the reply that it is in, whose question ends at end.
func (e entry) write(k *key, a *answer, message []byte, end int, now ticks) {
	clear(e[:headLen])
	e.set32(atHash, uint32(k.hash))
	e.set32(atStored, uint32(now))
	e.set32(atLife, uint32(a.life))
	e.set32(atAsked, uint32(now))
	e.set16(atSize, uint16(len(e)/align))
	e.set16(atType, k.qtype)
	e[atName], e[atBits], e[atRCode] = uint8(len(k.name)), k.bits|uint8(a.kind)<<kindAt, a.rcode
	if a.ad {
		e.mark(bitAD)
	}
	at := headLen + copy(e[headLen:], k.name)
	if a.kind == failure {
		return
	}
	for section := wire.CountAN; section <= wire.CountAR; section += 2 {
		e.set16(atCounts+section-wire.CountAN, wire.Count(message, section))
	}
	e.set16(atBody, uint16(len(message)-end))
	for r := readRecords(message, end); r.next(); at += 2 {
		e.set16(at, uint16(r.ttlAt-end))
	}
	copy(e[at:], message[end:])
}

// ask counts a query for the entry: those that come no later than gap after one
// another add up.
func (e entry) ask(now, gap ticks) (hits int) {
	n := e.u16(atHits)
	if now.since(ticks(e.u32(atAsked))) >= gap {
		n = 0
	}
	n = min(n, 0xFFFE) + 1
	e.set16(atHits, n)
	e.set32(atAsked, uint32(now))
	return int(n)
}

// inherit takes over how often the entry that e replaces was asked for.
func (e entry) inherit(hits uint16, asked uint32) {
	e.set16(atHits, hits)
	e.set32(atAsked, asked)
}

// staleTTL is the TTL of records that have expired, in seconds (RFC 8767 section 4).
const staleTTL = 30

// reply makes q's reply what the entry says. AA is never set: what answers is a
// copy (RFC 1035 section 4.1.1).
func (e entry) reply(q *server.Query, now ticks, s state, keep bool) {
	offsets, body := e.body()
	q.SetRCode(uint16(e[atRCode]))
	end := len(q.Reply)
	q.Reply = append(q.Reply, body...)
	for section := wire.CountAN; section <= wire.CountAR; section += 2 {
		wire.SetCount(q.Reply, section, uint16(e.count(section)))
	}
	setFlags(q, e.has(bitAD) && s != stale) // signatures may have expired meanwhile
	age := uint32(e.age(now) / perSecond)
	for ; len(offsets) > 0; offsets = offsets[2:] {
		ttl := q.Reply[end+int(binary.LittleEndian.Uint16(offsets)):][:4]
		switch {
		case s == stale:
			binary.BigEndian.PutUint32(ttl, staleTTL)
		case !keep:
			v := binary.BigEndian.Uint32(ttl)
			binary.BigEndian.PutUint32(ttl, v-min(v, age))
		}
	}
}

// remark is the extended error that goes with a reply from the entry (RFC 8914
// sections 4.4, 4.14 and 4.20).
func (e entry) remark(s state) server.EDE {
	switch {
	case e.kind() == failure:
		return server.EDECachedError
	case s != stale:
		return server.EDENone
	case e[atRCode] == server.RCodeNameError:
		return server.EDEStaleNXDomain
	}
	return server.EDEStaleAnswer
}

// copyReply makes q's reply the one to another query of the same key, without its
// header: rcode and sections of it, whose question ends at end.
func copyReply(q *server.Query, rcode uint16, message []byte, end int) {
	q.SetRCode(rcode)
	q.Reply = append(q.Reply, message[end:]...)
	copy(q.Reply[wire.CountAN:wire.HeaderLen], message[wire.CountAN:])
	setFlags(q, wire.Flags(message)&wire.FlagAD != 0)
}

// setFlags sets the flags of a reply that has its RCODE: RA, CD as in the query
// (RFC 4035 section 3.2.2), and AD for those who understand it (RFC 6840 section
// 5.8).
func setFlags(q *server.Query, ad bool) {
	asked := wire.Flags(q.Packet)
	f := wire.FlagQR | wire.FlagRA | asked&(wire.FlagRD|wire.FlagCD) | uint16(wire.RCode(q.Reply))
	if ad && (q.EDNS.DO || asked&wire.FlagAD != 0) {
		f |= wire.FlagAD
	}
	wire.SetFlags(q.Reply, f)
}
