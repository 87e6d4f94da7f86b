package interop

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

// sections of a reply, as needed names them.
const (
	sectionNone = iota
	sectionAnswer
	sectionAuthority
	sectionAdditional
)

// limit is how many octets a reply to a question may have over UDP, besides OPT.
func (q question) limit() int {
	const opt = 11
	if q.size == 0 {
		return 512
	}
	return int(min(max(q.size, 512), 1232)) - opt
}

// needed is the section in which the first record is that is needed and does not
// fit into our reply over UDP (RFC 2181 section 9), or sectionNone: answer and
// authority section are needed, and the glue of name servers inside the
// delegation (RFC 9471 section 3.1), which we put first.
func (d *dispute) needed() int {
	whole := d.ask(d.whole())[0]
	m, limit := whole.msg, d.q.limit()
	ends := recordEnds(whole.packet)
	i := slices.IndexFunc(ends, func(end int) bool { return end > limit })
	switch {
	case i < 0:
		return sectionNone
	case i < len(m.Answer):
		return sectionAnswer
	case i < len(m.Answer)+len(m.Ns):
		return sectionAuthority
	}
	if cut := cutOf(m); cut != "" && dns.IsSubDomain(cut, dns.CanonicalName(m.Extra[i-len(m.Answer)-len(m.Ns)].Header().Name)) {
		return sectionAdditional
	}
	return sectionNone
}

// cutOf is the name of the delegation in a reply, "" if it is no referral.
func cutOf(m *dns.Msg) string {
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeNS {
			return dns.CanonicalName(rr.Header().Name)
		}
	}
	return ""
}

// recordEnds are the offsets in a packet where its records end.
func recordEnds(packet []byte) (ends []int) {
	off := 12
	skip := func() {
		for packet[off] != 0 && packet[off] < 0xC0 {
			off += 1 + int(packet[off])
		}
		if packet[off] == 0 {
			off++
		} else {
			off += 2
		}
	}
	count := func(i int) int { return int(binary.BigEndian.Uint16(packet[4+2*i:])) }
	for range count(0) {
		skip()
		off += 4
	}
	for range count(1) + count(2) + count(3) {
		skip()
		off += 10 + int(binary.BigEndian.Uint16(packet[off+8:]))
		ends = append(ends, off)
	}
	return ends
}
