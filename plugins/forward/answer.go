package forward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// maxChain is how many aliases an answer may follow; no resolver gives more.
const maxChain = 16

var (
	errMalformed = errors.New("malformed answer")
	errReferral  = errors.New("a referral in place of an answer: it does not resolve names for us")
)

// errDisorder says that records to be left out stand before others, so that the
// octets cannot be copied as they are.
var errDisorder = errors.New("records in another order than that of the aliases")

// answer makes the reply to q from an upstream's answer m, whose question is q's and
// ends at questionEnd. A client gets what it asked for and no more: the records
// of the name and of the aliases it leads to; to a negative answer the SOA; and for
// DNSSEC the proofs. Whatever else stands in m might be about names that are not
// the upstream's to tell of (RFC 2181 section 5.4.1), and is left out.
func answer(q *server.Query, m []byte, questionEnd int, from wire.Name) error {
	if wire.Count(m, wire.CountQD) == 0 {
		q.SetRCode(uint16(wire.RCode(m)))
		recursed(q, 0)
		return nil
	}
	w := walk{msg: m, at: questionEnd, qtype: q.Type, do: q.EDNS.DO, from: from}
	w.current = w.buf[0][:copy(w.buf[0][:], q.Name)]
	err := w.sections(q)
	if errors.Is(err, errDisorder) {
		if err := whole(m, questionEnd); err != nil {
			return err
		}
		return reorder(q, m, from)
	}
	if err != nil {
		return err
	}
	// What is kept is copied as it is: compression pointers stay right, as the
	// question is as long as it was and nothing before them is left out.
	q.SetRCode(uint16(wire.RCode(m)))
	q.Reply = append(q.Reply, m[questionEnd:w.end]...)
	wire.SetCount(q.Reply, wire.CountAN, uint16(w.numAnswers))
	wire.SetCount(q.Reply, wire.CountNS, uint16(w.numAuthorities))
	for _, e := range w.extended[:w.numExtended] {
		q.AddEDE(e.code, e.text)
	}
	recursed(q, wire.Flags(m))
	return nil
}

// sections walks through all of the answer.
func (w *walk) sections(q *server.Query) error {
	if err := w.answers(int(wire.Count(w.msg, wire.CountAN))); err != nil {
		return err
	}
	rcode := wire.RCode(w.msg)
	negative := !w.found && (rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError)
	if err := w.authorities(int(wire.Count(w.msg, wire.CountNS)), negative); err != nil {
		return err
	}
	if isReferral(negative && w.numAnswers == 0, rcode, w.soa, w.ns) {
		return errReferral
	}
	return w.additional(int(wire.Count(w.msg, wire.CountAR)))
}

// whole makes sure that all records of m can be read: what decodes it next takes
// some liberties with the counts of the header.
func whole(m []byte, questionEnd int) error {
	w := walk{msg: m, at: questionEnd}
	for range int(wire.Count(m, wire.CountAN)) + int(wire.Count(m, wire.CountNS)) + int(wire.Count(m, wire.CountAR)) {
		var owner [wire.MaxName]byte
		if _, err := w.next(&owner); err != nil {
			return err
		}
	}
	return nil
}

// isReferral says whether an answer without records, as empty says, sends us on to
// other servers: whoever forwards asks servers that go there themselves.
func isReferral(empty bool, rcode uint8, soa, ns bool) bool {
	return empty && rcode == dns.RcodeSuccess && ns && !soa
}

// recursed sets the flags of a reply that was resolved for the client: RA, and AD
// where the upstream has it and the client wants to know (RFC 6840 section 5.8).
func recursed(q *server.Query, upstream uint16) {
	flags := wire.Flags(q.Reply) | wire.FlagRA | wire.Flags(q.Packet)&wire.FlagCD
	if q.EDNS.DO || wire.Flags(q.Packet)&wire.FlagAD != 0 {
		flags |= upstream & wire.FlagAD
	}
	wire.SetFlags(q.Reply, flags)
}

// walk goes through the records of an answer, the names of which it follows.
type walk struct {
	msg   []byte
	at    int
	qtype uint16
	do    bool
	from  wire.Name // the domain that the upstream answers for

	// current is the name that records are to be of: the question's, or what an
	// alias leads to. before are the names that led there, for their signatures.
	current wire.Name
	before  [2]wire.Name
	buf     [4][wire.MaxName]byte
	turn    int
	aliases int
	found   bool // records of the type asked for

	// end is where the part of msg ends that the reply gets.
	end                        int
	numAnswers, numAuthorities int
	soa, ns                    bool // in the authority section
	extended                   [maxExtended]extendedError
	numExtended                int
}

// extendedError is one that the upstream sent along.
type extendedError struct {
	code server.EDE
	text string
}

// maxExtended is how many extended errors are passed on.
const maxExtended = 2

// record is one record of the answer.
type record struct {
	owner  wire.Name
	rrtype uint16
	start  int
	data   int // offset of the rdata
	end    int
}

// next reads the record at w.at into buf.
func (w *walk) next(buf *[wire.MaxName]byte) (r record, err error) {
	m := w.msg
	owner, off, ok := wire.ExpandName(buf, m, w.at)
	if !ok || off+10 > len(m) {
		return r, errMalformed
	}
	wire.Lower(owner)
	r = record{owner: owner, rrtype: binary.BigEndian.Uint16(m[off:]), start: w.at, data: off + 10}
	r.end = r.data + int(binary.BigEndian.Uint16(m[off+8:]))
	if r.end > len(m) {
		return r, errMalformed
	}
	if class := binary.BigEndian.Uint16(m[off+2:]); class != dns.ClassINET && r.rrtype != dns.TypeOPT {
		return r, errMalformed
	}
	w.at = r.end
	return r, w.checkData(&r)
}

// checkData makes sure of the names and lengths in the rdata of types that clients
// are bound to look into.
func (w *walk) checkData(r *record) error {
	size := r.end - r.data
	names, before, behind := 0, 0, 0
	switch r.rrtype {
	case dns.TypeA:
		if size != 4 {
			return errMalformed
		}
	case dns.TypeAAAA:
		if size != 16 {
			return errMalformed
		}
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeDNAME:
		names = 1
	case dns.TypeMX:
		names, before = 1, 2
	case dns.TypeSRV:
		names, before = 1, 6
	case dns.TypeSOA:
		names, behind = 2, 20
	}
	if names == 0 {
		return nil
	}
	off := r.data + before
	for range names {
		var buf [wire.MaxName]byte
		_, end, ok := wire.ExpandName(&buf, w.msg, off)
		if !ok {
			return errMalformed
		}
		off = end
	}
	if off+behind != r.end {
		return errMalformed
	}
	return nil
}

// answers reads the answer section, all of which is kept.
func (w *walk) answers(n int) error {
	for range n {
		var owner [wire.MaxName]byte
		r, err := w.next(&owner)
		if err != nil {
			return err
		}
		if err := w.follow(&r); err != nil {
			return err
		}
	}
	w.end, w.numAnswers = w.at, n
	return nil
}

// follow takes one record of the answer section, which must be about the current
// name.
func (w *walk) follow(r *record) error {
	own := string(r.owner) == string(w.current)
	switch {
	case own && (r.rrtype == w.qtype || w.qtype == dns.TypeANY):
		w.found = true
		return nil
	case own && r.rrtype == dns.TypeCNAME:
		return w.alias(r)
	case r.rrtype == dns.TypeDNAME && !own && w.current.Within(r.owner):
		w.remember(r.owner)
		return nil
	case r.rrtype == dns.TypeRRSIG && (own || w.remembered(r.owner)):
		return nil
	}
	return errDisorder
}

// alias makes the target of a CNAME the current name.
func (w *walk) alias(r *record) error {
	if w.aliases++; w.aliases > maxChain {
		return fmt.Errorf("%w: more than %d aliases", errMalformed, maxChain)
	}
	w.remember(w.current)
	w.turn = (w.turn + 1) % 2
	target, _, _ := wire.ExpandName(&w.buf[w.turn], w.msg, r.data)
	wire.Lower(target)
	w.current = target
	return nil
}

// remember keeps a name whose signatures may be still to come.
func (w *walk) remember(name wire.Name) {
	to := &w.buf[2]
	if len(w.before[0]) > 0 && &w.before[0][0] == &to[0] {
		to = &w.buf[3]
	}
	w.before[1] = w.before[0]
	w.before[0] = to[:copy(to[:], name)]
}

func (w *walk) remembered(name wire.Name) bool {
	return string(name) == string(w.before[0]) || string(name) == string(w.before[1])
}

// authorities reads the authority section. Of a negative answer its SOA is kept, and
// for clients that take DNSSEC records the proofs.
func (w *walk) authorities(n int, negative bool) error {
	for i := range n {
		var owner [wire.MaxName]byte
		r, err := w.next(&owner)
		if err != nil {
			return err
		}
		w.soa = w.soa || r.rrtype == dns.TypeSOA
		w.ns = w.ns || r.rrtype == dns.TypeNS
		switch {
		case !wanted(r.owner, r.rrtype, w.current, w.from, negative, w.do):
		case w.numAuthorities < i:
			return errDisorder
		default:
			w.end, w.numAuthorities = r.end, i+1
		}
	}
	return nil
}

// wanted says whether a record of the authority section is kept, in an answer about
// name from an upstream for the names within from.
func wanted(owner wire.Name, rrtype uint16, name, from wire.Name, negative, do bool) bool {
	switch rrtype {
	case dns.TypeSOA:
		return negative && name.Within(owner)
	case dns.TypeNSEC, dns.TypeNSEC3, dns.TypeRRSIG:
		return do && (owner.Within(from) || name.Within(owner))
	}
	return false
}

// additional reads the additional section, of which nothing is kept, for the upper
// bits of the RCODE and for extended errors, which are passed on (RFC 8914 section 3).
func (w *walk) additional(n int) error {
	for range n {
		var owner [wire.MaxName]byte
		r, err := w.next(&owner)
		if err != nil {
			return err
		}
		if r.rrtype != dns.TypeOPT {
			continue
		}
		if bits := w.msg[r.data-6]; bits != 0 {
			return fmt.Errorf("rcode %d", uint16(bits)<<4|uint16(wire.RCode(w.msg)))
		}
		e := wire.EDNS{Options: w.msg[r.data:r.end]}
		if data, ok := e.Option(wire.OptionEDE); ok && len(data) >= 2 && w.numExtended < maxExtended {
			w.extended[w.numExtended] = extendedError{server.EDE(binary.BigEndian.Uint16(data)), printable(data[2:])}
			w.numExtended++
		}
	}
	return nil
}

// reasons are the extended errors of an upstream's failure m.
func reasons(m []byte, questionEnd int) []extendedError {
	if wire.Count(m, wire.CountQD) == 0 {
		questionEnd = wire.HeaderLen
	}
	w := walk{msg: m, at: questionEnd}
	for range int(wire.Count(m, wire.CountAN)) + int(wire.Count(m, wire.CountNS)) {
		var owner [wire.MaxName]byte
		if _, err := w.next(&owner); err != nil {
			return nil
		}
	}
	if w.additional(int(wire.Count(m, wire.CountAR))) != nil {
		return nil
	}
	return slices.Clone(w.extended[:w.numExtended])
}

// maxText bounds the text of an extended error that is passed on.
const maxText = 128

// printable is text without what a terminal or a log could take ill.
func printable(text []byte) string {
	text = text[:min(len(text), maxText)]
	if slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c > '~' }) {
		return ""
	}
	return string(text)
}
