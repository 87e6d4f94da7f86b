package zones

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// maxFindings is how many findings of each severity Check returns.
const maxFindings = 100

// maxGathered bounds what is gathered before it is put in order, for a big zone
// in which everything is wrong.
const maxGathered = 10 * maxFindings

// linter finds what is wrong with the records of a Builder. It goes over all
// nodes twice: first to learn what each is, then to judge; both are linear in the
// number of records, but for the sorting of an owner's records.
type linter struct {
	b     *Builder
	nodes []lintNode
	found [2][]Finding // by severity
	total [2]int
	recs  []Record // of the node in hand, malformed ones left out
	// Scratch of find, of targets and of loop.
	names  suffixes
	target wire.Name
	walked []int32
}

// lintNode is what the first pass learns about a node of the Builder.
type lintNode struct {
	cut   int32 // nearest node at or above that is delegated, -1 for none
	dname int32 // nearest node above that has a DNAME, -1 for none
	has   lintFlags
	seen  uint8 // state of the search for CNAME loops
}

type lintFlags uint8

const (
	hasAddress lintFlags = 1 << iota
	hasCNAME
	hasDNAME
	hasNS
	isGlue // an NS record at a cut names it
)

// Check finds what is wrong with the zone: Errors, which keep it from being
// loaded, and Warnings. They come in the order of files and lines, at most a
// hundred of each severity, and one that says how many more there are. It is run
// once, before Compile.
//
// docs/zonefile.md lists the codes.
func (b *Builder) Check() []Finding { return new(linter).check(b) }

// check is Check, in the memory of the zone before.
func (l *linter) check(b *Builder) []Finding {
	*l = linter{b: b, nodes: slices.Grow(l.nodes[:0], len(b.nodes))[:len(b.nodes)], recs: l.recs, target: l.target, walked: l.walked}
	clear(l.nodes)
	for _, r := range b.outside {
		l.errorf(&r, "out-of-zone", "%s lies outside the zone %s: remove it, or look for a wrong $ORIGIN or a missing dot",
			wire.Name(r.Owner), b.origin)
	}
	for _, r := range b.longTTL {
		l.warnf(&r, "ttl-too-large", "%s %s: TTL %d is above %d, and counts as 0 (RFC 2181 section 8)",
			r.ownerText(), typeName(r.Type), r.TTL, uint32(maxTTL))
	}
	l.survey()
	for i := range b.nodes {
		l.node(int32(i))
	}
	l.apex()
	return l.findings()
}

// survey fills nodes. Parents stand before their children in a Builder.
func (l *linter) survey() {
	b := l.b
	for i := range b.nodes {
		n := &l.nodes[i]
		n.cut, n.dname = -1, -1
		if i > 0 {
			parent := b.nodes[i].parent
			up := &l.nodes[parent]
			n.cut, n.dname = up.cut, up.dname
			if n.dname < 0 && up.has&hasDNAME != 0 {
				n.dname = parent
			}
		}
		for r := b.nodes[i].first; r >= 0; r = b.recs[r].next {
			n.has |= flagOf(b.recs[r].rrtype)
		}
		if i > 0 && n.cut < 0 && n.has&hasNS != 0 {
			n.cut = int32(i)
		}
	}
	for i := range b.nodes {
		if l.nodes[i].cut == int32(i) {
			l.markGlue(int32(i))
		}
	}
}

func flagOf(rrtype uint16) lintFlags {
	switch rrtype {
	case dns.TypeA, dns.TypeAAAA:
		return hasAddress
	case dns.TypeCNAME:
		return hasCNAME
	case dns.TypeDNAME:
		return hasDNAME
	case dns.TypeNS:
		return hasNS
	}
	return 0
}

// markGlue marks the nodes that the NS records of a cut name.
func (l *linter) markGlue(i int32) {
	b := l.b
	for r := b.nodes[i].first; r >= 0; r = b.recs[r].next {
		rec := &b.recs[r]
		data := b.data(rec)
		if rec.rrtype != dns.TypeNS || nameLen(data) != len(data) {
			continue
		}
		if to := l.find(l.lower(data)); to >= 0 {
			l.nodes[to].has |= isGlue
		}
	}
}

// find is the node of a lower-cased name, -1 if there is none.
func (l *linter) find(name wire.Name) int32 {
	if !name.Within(l.b.origin) {
		return -1
	}
	l.names.set(name)
	return l.b.find(&l.names, l.names.n)
}

// lower is the name that data begins with, lower-cased, until the next call.
func (l *linter) lower(data []byte) wire.Name {
	l.target = append(l.target[:0], data[:nameLen(data)]...)
	wire.Lower(l.target)
	return l.target
}

// node judges the records of one owner.
func (l *linter) node(i int32) {
	recs := l.b.records(l.recs[:0], i)
	n := 0
	for _, r := range recs {
		err := checkData(r.Type, r.Data)
		switch {
		case isMeta(r.Type):
			l.errorf(&r, "meta-type", "type %s belongs to messages, a zone cannot hold it", typeName(r.Type))
			continue
		case err != nil:
			l.errorf(&r, "malformed-data", "%s %s: %w", r.ownerText(), typeName(r.Type), err)
			continue
		}
		recs[n] = r
		n++
	}
	l.recs = recs
	if recs = recs[:n]; n == 0 {
		return
	}
	l.places(i, recs)
	l.singletons(recs)
	l.sets(recs)
	l.sizes(recs)
	l.targets(i, recs)
	l.loop(i)
}

// ownerText is the owner in presentation form.
func (r *Record) ownerText() string { return wire.Name(r.Owner).String() }

func (l *linter) errorf(r *Record, code, format string, args ...any) {
	l.report(Error, r.Pos, code, format, args...)
}

func (l *linter) warnf(r *Record, code, format string, args ...any) {
	l.report(Warning, r.Pos, code, format, args...)
}

func (l *linter) report(sev Severity, pos Pos, code, format string, args ...any) {
	l.total[sev]++
	if len(l.found[sev]) < maxGathered {
		l.found[sev] = append(l.found[sev], Finding{
			Pos: pos, Severity: sev, Code: code, Text: fmt.Errorf(format, args...).Error(),
		})
	}
}

// findings puts what was found in the order of files and lines, and cuts it.
func (l *linter) findings() []Finding {
	var all, more []Finding
	for _, sev := range []Severity{Error, Warning} {
		found := l.found[sev]
		l.sort(found)
		if len(found) > maxFindings {
			found = found[:maxFindings]
			more = append(more, Finding{
				Pos: found[0].Pos, Severity: sev, Code: "more",
				Text: fmt.Sprintf("and %d more of severity %s", l.total[sev]-maxFindings, sev),
			})
			more[len(more)-1].Pos.Line = 0
		}
		all = append(all, found...)
	}
	l.sort(all)
	return append(all, more...)
}

func (l *linter) sort(found []Finding) {
	if len(found) < 2 {
		return
	}
	file := make(map[string]int, len(l.b.files))
	for i, name := range l.b.files {
		file[name] = i
	}
	slices.SortStableFunc(found, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(file[x.Pos.File], file[y.Pos.File]), cmp.Compare(x.Pos.Line, y.Pos.Line))
	})
}
