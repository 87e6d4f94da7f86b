package zones

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Most answers are known when a zone is compiled, to the last octet behind the
// question. Records of a flat type stand in the arena as they are sent. What else
// can be known is a template: the sections behind the question, with the pointers
// that move as the question gets longer, all by the same distance. A template
// comes from the general way (resolution), and what does not fit one goes the
// general way still: aliases, and what is too long.

// A template in Zone.templates: its header of octet pairs, the offsets of the
// pointers to move, the sections. In a signed zone, the one for clients that take
// DNSSEC records follows.
const (
	templateLen      = 0 // of the sections; 0 if there is no such answer
	templateCounts   = 2 // of the three sections
	templateFlags    = 8
	templatePointers = 10 // how many there are to move
	templateHeader   = 12
)

// maxTemplate bounds the sections of a template: what is longer is rare, and
// truncated for most.
const maxTemplate = 4096

// templateSize is the length of the template that t begins with.
func templateSize(t []byte) int {
	return templateHeader + 2*int(binary.BigEndian.Uint16(t[templatePointers:])) + int(binary.BigEndian.Uint16(t[templateLen:]))
}

// templates makes the templates of a zone.
type templates struct {
	zone    *Zone
	out     []byte // templates
	message []byte // the answer in hand
	moving  []uint16
	r       resolution // of the answer in hand
}

// compile makes a template of the negative answer, of each referral, and of each
// set that is not flat. What an alias leads to is no matter of one zone, so a CNAME
// has none.
func (t *templates) compile(z *Zone) {
	if z.soa.count == 0 {
		return
	}
	t.zone, t.out = z, append(t.out[:0], 0) // offset 0 stands for none
	z.negative = t.make(0, z.labels, func(r *resolution) { r.soa() })
	for i := range z.nodes {
		n := &z.nodes[i]
		cut := n.cover == uint32(i)+1
		if n.cover != 0 && !cut {
			continue
		}
		labels := z.name(uint32(i)).Labels()
		wild := isWild(z.name(uint32(i)))
		if wild {
			labels--
		}
		sets := z.setsOf(uint32(i))
		for j := range sets {
			set := &sets[j]
			switch {
			case flat(set.rrtype) || set.rrtype == dns.TypeCNAME || cut && (wild || set.rrtype != dns.TypeNS):
			case cut:
				set.ready = t.make(uint32(i), labels, func(r *resolution) { r.refer(uint32(i)) })
			default:
				set.ready = t.make(uint32(i), labels, func(r *resolution) { r.positive(uint32(i), foundName, set) })
			}
		}
	}
	z.templates = slices.Clone(t.out)
	t.zone, t.r = nil, resolution{}
}

// make makes the templates of one kind of answer, as resolve gives it for the
// name of node i, and returns their offset, 0 if there are none. Names in it may
// point to the last labels of the question, so many, that all questions for it
// share.
func (t *templates) make(i uint32, shared int, resolve func(*resolution)) uint32 {
	z, r, at := t.zone, &t.r, len(t.out)
	if uint64(at)+2*maxTemplate > math.MaxUint32 {
		return 0
	}
	var header [wire.HeaderLen]byte
	for _, do := range [...]bool{false, true} {
		if do && z.denial == nil {
			break
		}
		*r = resolution{}
		r.zone, r.q.DO, r.off, r.flags, r.shared = z, do, wire.HeaderLen, wire.FlagAA, shared
		r.name.set(z.name(i))
		t.message = append(append(t.message[:0], header[:]...), r.name.whole()...)
		t.message = append(t.message, 0, 0, 0, 0) // type and class
		start := len(t.message)
		t.moving = t.moving[:0]
		r.w.buf, r.w.limit, r.w.moving = t.message, dns.MaxMsgSize, &t.moving
		resolve(r)
		fits := r.writeProofs() && r.flags&wire.FlagTC == 0 && len(r.w.buf)-start <= maxTemplate
		if t.message = r.w.buf; fits {
			t.add(start)
			continue
		}
		if !do {
			return 0
		}
		t.out = append(t.out, make([]byte, templateHeader)...)
	}
	return uint32(at)
}

// add appends the template of what is resolved, behind start.
func (t *templates) add(start int) {
	b, r := t.out, &t.r
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.w.buf)-start))
	for _, n := range r.w.count {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = binary.BigEndian.AppendUint16(b, r.flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(t.moving)))
	for _, off := range t.moving {
		b = binary.BigEndian.AppendUint16(b, off-uint16(start))
	}
	t.out = append(b, r.w.buf[start:]...)
}

// isWild says whether a name is a wildcard (RFC 4592 section 2.1.1).
func isWild(name wire.Name) bool { return name[0] == 1 && name[1] == '*' }
