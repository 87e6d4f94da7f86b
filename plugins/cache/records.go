package cache

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// records steps through the records behind the question of a message.
type records struct {
	message []byte
	left    int // in all sections
	answers int // of them in the answer section
	behind  int // of them in the additional section
	end     int // offset behind the record at hand

	// The record at hand.
	rrtype uint16
	ttlAt  int
	data   int // offset of its data
}

func readRecords(message []byte, end int) records {
	count := func(section int) int { return int(wire.Count(message, section)) }
	r := records{message: message, end: end, answers: count(wire.CountAN), behind: count(wire.CountAR)}
	r.left = r.answers + count(wire.CountNS) + r.behind
	return r
}

// next goes to the next record. It is false behind the last, and where there
// should be one that is broken: then whole is false too.
func (r *records) next() bool {
	if r.left == 0 {
		return false
	}
	at, ok := skipName(r.message, r.end)
	if !ok || at+10 > len(r.message) {
		return false
	}
	r.rrtype, r.ttlAt, r.data = binary.BigEndian.Uint16(r.message[at:]), at+4, at+10
	end := r.data + int(binary.BigEndian.Uint16(r.message[at+8:]))
	if end > len(r.message) {
		return false
	}
	r.end = end
	r.left--
	r.answers--
	return true
}

// whole says, when next was false, whether all records were there, and nothing
// behind them.
func (r *records) whole() bool { return r.left == 0 && r.end == len(r.message) }

// inAnswer and inAuthority say where the record at hand stands.
func (r *records) inAnswer() bool    { return r.answers >= 0 }
func (r *records) inAuthority() bool { return r.answers < 0 && r.left >= r.behind }

// ttl is the TTL of the record at hand, that of an SOA record in the authority
// section no more than its MINIMUM (RFC 2308 section 5). One that is out of range
// counts as 0 (RFC 2181 section 8).
func (r *records) ttl() uint32 {
	v := binary.BigEndian.Uint32(r.message[r.ttlAt:])
	if r.inAuthority() && r.rrtype == dns.TypeSOA {
		if least, ok := r.minimum(); ok {
			v = min(v, least)
		}
	}
	if v >= 1<<31 {
		return 0
	}
	return v
}

func (r *records) setTTL(ttl uint32) { binary.BigEndian.PutUint32(r.message[r.ttlAt:], ttl) }

// minimum is the last field of an SOA record (RFC 1035 section 3.3.13).
func (r *records) minimum() (uint32, bool) {
	const numbers = 20
	at, ok := skipName(r.message[:r.end], r.data)
	if ok {
		at, ok = skipName(r.message[:r.end], at)
	}
	if !ok || at+numbers != r.end {
		return 0, false
	}
	return binary.BigEndian.Uint32(r.message[r.end-4:]), true
}

// skipName is the offset behind the name at off. A compression pointer that ends
// it must point to what stands before the name.
func skipName(message []byte, off int) (int, bool) {
	for at := off; at < len(message); {
		c := int(message[at])
		switch {
		case c == 0:
			return at + 1, true
		case c >= 0xC0:
			if at+2 > len(message) {
				return 0, false
			}
			to := c&0x3F<<8 | int(message[at+1])
			return at + 2, to >= wire.HeaderLen && to < off
		case c > wire.MaxLabel:
			return 0, false
		}
		at += c + 1
	}
	return 0, false
}

// outcome is what a reply means for the entry under its key.
type outcome uint8

const (
	broken outcome = iota // is no whole reply to the question
	failed                // says nothing of the name: what was known holds
	forget                // is an answer that must not be kept: nothing is known now
	keep                  // is kept
)

// answer is what is to be known of a reply to keep it.
type answer struct {
	kind    kind
	rcode   uint8
	ad      bool
	life    ticks
	records int
}

// judge says what becomes of a reply to the question name and rrtype, which ends
// at end. Only whole replies that answer are kept: with data, or, by RFC 2308
// section 5, with the SOA record of a denial. Their TTLs are brought into the
// bounds in place, so that the clients that wait see what later ones will.
func (o *options) judge(message []byte, end int, name wire.Name, rrtype uint16) (answer, outcome) {
	if !isReply(message, end, name, rrtype) {
		return answer{}, broken
	}
	a := answer{rcode: wire.RCode(message), ad: wire.Flags(message)&wire.FlagAD != 0}
	least, ok := a.read(message, end, rrtype)
	switch {
	case !ok:
		return a, broken
	case a.rcode != server.RCodeSuccess && a.rcode != server.RCodeNameError:
		return a, failed
	case least == 0 || a.kind == 0 || o.disabled(a.kind, name):
		return a, forget
	}
	bounds := &o.bounds[a.kind.group()]
	for r := readRecords(message, end); r.next(); {
		r.setTTL(bounds.clamp(r.ttl()))
	}
	a.life = ticks(bounds.clamp(least)) * perSecond
	return a, keep
}

// isReply says whether message is a reply to the question, not a cut one.
func isReply(message []byte, end int, name wire.Name, rrtype uint16) bool {
	if len(message) < end || len(message) < wire.HeaderLen || len(message) > dns.MaxMsgSize ||
		wire.Flags(message)&(wire.FlagQR|wire.FlagTC) != wire.FlagQR || wire.Count(message, wire.CountQD) != 1 {
		return false
	}
	return asks(message, end, name, rrtype)
}

// asks says whether the question of message is the one given.
func asks(message []byte, end int, name wire.Name, rrtype uint16) bool {
	var buf [wire.MaxName]byte
	question, ok := wire.ParseQuestion(message, &buf)
	return ok && question.End == end && question.Type == rrtype && question.Class == dns.ClassINET &&
		string(question.Name) == string(name)
}

// read walks the records, finds the kind, which is 0 for no answer, and the least
// TTL. ok is false if the message is not whole.
func (a *answer) read(message []byte, end int, rrtype uint16) (least uint32, ok bool) {
	least = 1<<31 - 1
	answered, negative := false, false
	r := readRecords(message, end)
	for r.next() {
		switch {
		case r.rrtype == wire.TypeOPT || r.rrtype == wire.TypeTSIG:
			return 0, false
		case r.inAnswer():
			answered = answered || r.rrtype == rrtype || rrtype == dns.TypeANY
		case r.inAuthority() && r.rrtype == dns.TypeSOA:
			if _, ok := r.minimum(); !ok {
				return 0, false
			}
			negative = true
		}
		a.records++
		least = min(least, r.ttl())
	}
	switch {
	case a.rcode == server.RCodeNameError && negative, !answered && negative:
		a.kind = denial
	case a.rcode == server.RCodeSuccess && answered:
		a.kind = success
	}
	return least, r.whole()
}
