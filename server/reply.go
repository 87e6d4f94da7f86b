package server

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// EDE is an extended DNS error's info code (RFC 8914 section 4).
type EDE uint16

// The extended errors we send.
const (
	EDENone             EDE = 0xFFFF
	EDEOther            EDE = 0
	EDEStaleAnswer      EDE = 3
	EDECachedError      EDE = 13
	EDENotReady         EDE = 14
	EDEProhibited       EDE = 18
	EDEStaleNXDomain    EDE = 19
	EDENotAuthoritative EDE = 20
	EDENoReachable      EDE = 22 // no reachable authority
	EDENetworkError     EDE = 23
)

// Response codes (RFC 1035 section 4.1.1, RFC 6891 section 9).
const (
	RCodeSuccess        = 0
	RCodeFormatError    = 1
	RCodeServerFailure  = 2
	RCodeNameError      = 3
	RCodeNotImplemented = 4
	RCodeRefused        = 5
	RCodeNotAuth        = 9 // RFC 8945 section 3
	RCodeBadVers        = 16
)

// DefaultUDPSize is the largest UDP reply sent unless a block says otherwise:
// it passes any path of IPv6's least MTU unfragmented (RFC 9715).
const DefaultUDPSize = 1232

// maxOptions is the room kept for the EDNS options of a reply.
const maxOptions = 512

var (
	errTooBig     = errors.New("reply does not fit a DNS message")
	errShortReply = errors.New("reply lost its header or question")
)

// restart makes Reply the header and question of an empty NOERROR reply. RD is
// copied (RFC 1035 section 4.1.1); AD and CD are clear in an authoritative
// answer (RFC 4035 section 3.1.6).
func (q *Query) restart() {
	r := append(q.out[:0], q.Packet[:q.QuestionEnd]...)
	wire.SetFlags(r, wire.FlagQR|wire.Flags(q.Packet)&(wire.FlagRD|0xF<<11))
	questions := uint16(1)
	if q.QuestionEnd == wire.HeaderLen {
		questions = 0
	}
	wire.SetCount(r, wire.CountQD, questions)
	wire.SetCount(r, wire.CountAN, 0)
	wire.SetCount(r, wire.CountNS, 0)
	wire.SetCount(r, wire.CountAR, 0)
	q.Reply, q.rcode = r, 0
}

// Limit is the most octets Reply may grow to: what the client takes and the
// block allows (RFC 6891 section 6.2.5), less the room of the records that the
// server appends, OPT and TSIG.
func (q *Query) Limit() int {
	limit := dns.MaxMsgSize
	if q.Transport == UDP {
		limit = q.udpLimit()
	}
	return limit - q.optLen() - q.tsigLen()
}

// optLen is the length of the OPT record that the server will append.
func (q *Query) optLen() int {
	if !q.speaksEDNS() {
		return 0
	}
	n := wire.OPTLen + len(q.options)
	if q.wantsNSID() {
		n += 4 + len(q.NSID)
	}
	return n
}

// tsigLen is the length of the TSIG record that the server will append.
func (q *Query) tsigLen() int {
	if !q.tsig.Present {
		return 0
	}
	return q.tsig.ErrorLen()
}

// RCode is the reply's response code, the upper bits included.
func (q *Query) RCode() uint16 {
	if q.rcode > 0xF {
		return q.rcode
	}
	return uint16(wire.RCode(q.Reply))
}

// SetRCode makes the reply an empty one with the given response code.
func (q *Query) SetRCode(rcode uint16) {
	q.restart()
	q.rcode = rcode
	wire.SetRCode(q.Reply, uint8(rcode&0xF))
}

// Refuse makes the reply REFUSED, with an extended error unless that is EDENone.
func (q *Query) Refuse(code EDE, text string) {
	q.SetRCode(RCodeRefused)
	if code != EDENone {
		q.AddEDE(code, text)
	}
}

// AddEDE adds an extended error to the reply; it is sent only to clients that
// speak EDNS (RFC 8914 section 3). Text that finds no room is left out.
func (q *Query) AddEDE(code EDE, text string) {
	if len(q.options)+6+len(text) > maxOptions {
		text = ""
	}
	if len(q.options)+6 > maxOptions {
		return
	}
	n := 2 + len(text)
	q.options = append(q.options, 0, byte(wire.OptionEDE), byte(n>>8), byte(n), byte(code>>8), byte(code))
	q.options = append(q.options, text...)
}

// CopyErrors makes the extended errors of the reply those of another one's.
func (q *Query) CopyErrors(from *Query) { q.options = append(q.options[:0], from.options...) }

// Fail records a fault and makes the reply SERVFAIL.
func (q *Query) Fail(err error) {
	q.fault = err
	q.SetRCode(RCodeServerFailure)
}

// Msg decodes the reply, for handlers off the fast way.
func (q *Query) Msg() (*dns.Msg, error) {
	m := new(dns.Msg)
	return m, m.Unpack(q.Reply)
}

// SetMsg encodes m as the reply, also beyond Limit: the server truncates. ID,
// opcode, question and OPT record stay the server's, whatever m says; flags,
// response code and records are m's, which is not changed.
func (q *Query) SetMsg(m *dns.Msg) error {
	c := *m
	c.Response, c.Compress, c.Rcode = true, true, m.Rcode&0xF
	c.Question, c.Extra = nil, nil
	if q.QuestionEnd > wire.HeaderLen {
		c.Question = []dns.Question{{Name: q.Name.String(), Qtype: q.Type, Qclass: q.Class}}
	}
	for _, rr := range m.Extra {
		if rr.Header().Rrtype != dns.TypeOPT {
			c.Extra = append(c.Extra, rr)
		}
	}
	b, err := c.PackBuffer(q.out[:cap(q.out)])
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	if len(b) > dns.MaxMsgSize {
		return errTooBig
	}
	copy(b[:2], q.Packet)
	copy(b[wire.HeaderLen:], q.Packet[wire.HeaderLen:q.QuestionEnd])
	const opcode = 0xF << 11
	wire.SetFlags(b, wire.Flags(b)&^opcode|wire.Flags(q.Packet)&opcode)
	q.Reply, q.rcode = b, uint16(m.Rcode)
	return nil
}

// close makes the reply what goes out: no longer than the client takes, with an
// OPT record if the query had one, and a TSIG record if that is what is wrong.
func (q *Query) close() {
	if len(q.Reply) < q.QuestionEnd {
		q.Fail(errShortReply)
	}
	if len(q.Reply) > q.Limit() {
		q.cut()
	}
	q.appendOPT()
	q.appendTSIG()
	if q.mangling != 0 {
		q.mangle()
	}
}

// cut empties a reply that is too long and sets TC, so that the client asks
// again over TCP (RFC 2181 section 9). Options that find no room beside the
// question go as well, and last the TSIG record: long names can make it so long.
func (q *Query) cut() {
	if q.Transport != UDP && len(q.Reply) > dns.MaxMsgSize {
		q.Fail(errTooBig)
	} else if len(q.Reply) > q.QuestionEnd {
		flags, rcode := wire.Flags(q.Reply), q.rcode
		q.restart()
		wire.SetFlags(q.Reply, flags|wire.FlagTC)
		q.rcode = rcode
	}
	if len(q.Reply) > q.Limit() {
		q.NSID = nil
	}
	if len(q.Reply) > q.Limit() {
		q.options = q.options[:0]
	}
	if len(q.Reply) > q.Limit() {
		q.tsig = wire.TSIG{}
		wire.SetFlags(q.Reply, wire.Flags(q.Reply)|wire.FlagTC)
	}
}

func (q *Query) wantsNSID() bool {
	if len(q.NSID) == 0 || !q.EDNS.Present {
		return false
	}
	_, asked := q.EDNS.Option(wire.OptionNSID)
	return asked
}

// appendOPT closes the reply with an OPT record if the query had one (RFC 6891
// section 6.1.1, and 6.1.3 for the version: always ours, 0).
func (q *Query) appendOPT() {
	if !q.speaksEDNS() {
		return
	}
	options := q.options
	if q.wantsNSID() {
		options = wire.AppendOption(options, wire.OptionNSID, q.NSID)
	}
	size := uint16(q.chain.block.UDPSize)
	q.Reply = wire.AppendOPT(q.Reply, size, uint8(q.rcode>>4), q.EDNS.DO, options)
	wire.SetCount(q.Reply, wire.CountAR, wire.Count(q.Reply, wire.CountAR)+1)
}

// appendTSIG says that the query's key is not known, behind all other records (RFC
// 8945 section 5.1).
func (q *Query) appendTSIG() {
	if !q.tsig.Present {
		return
	}
	q.Reply = q.tsig.AppendError(q.Reply, q.Packet, wire.TSIGBadKey)
	wire.SetCount(q.Reply, wire.CountAR, wire.Count(q.Reply, wire.CountAR)+1)
}
