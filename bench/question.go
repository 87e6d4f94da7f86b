//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// question is a query of the load, and the answer that is right.
type question struct {
	name  string // absolute
	qtype uint16
	want  answer
}

// answer is what a reply must say. It comes from the zone data and the rules of
// RFC 1034 section 4.3.2, not from any of the servers.
type answer struct {
	rcode   int
	records []string // the answer section, each as flat makes it, in any order
	// zone is the owner of the SOA record in the authority section of NODATA and
	// NXDOMAIN.
	zone string
	// cut are the NS records in the authority section of a referral, as flat
	// makes them.
	cut []string
	// proof is what a signed zone proves to who asks with DO, and keys are those
	// that it is signed with.
	proof proof
	keys  []*dns.DNSKEY
	// forwarded is true where the answer is not the server's own, and age by how
	// many seconds its cache may have lowered the TTLs.
	forwarded bool
	age       int
}

func (q question) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// message is the query. With do it has EDNS and the DO bit.
func (q question) message(do bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.RecursionDesired = q.want.forwarded
	if do {
		m.SetEdns0(1232, true)
	}
	return m
}

// flat is a record as text with single spaces, in lower case.
func flat(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// record is a record as flat makes it.
func record(owner string, ttl int, rrtype, rdata string) string {
	return flat(fmt.Sprintf("%s %d IN %s %s", owner, ttl, rrtype, rdata))
}

// check says what is wrong with the reply m to q, nil if nothing is.
func (q question) check(m *dns.Msg, do bool) error {
	authoritative := len(q.want.cut) == 0 && !q.want.forwarded
	switch {
	case !m.Response || m.Opcode != dns.OpcodeQuery:
		return fmt.Errorf("%s: not a reply to a query", q)
	case len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.name) || m.Question[0].Qtype != q.qtype:
		return fmt.Errorf("%s: the reply is to another question: %v", q, m.Question)
	case m.Truncated:
		return fmt.Errorf("%s: truncated", q)
	case m.Rcode != q.want.rcode:
		return fmt.Errorf("%s: rcode %s, want %s", q, dns.RcodeToString[m.Rcode], dns.RcodeToString[q.want.rcode])
	case m.Authoritative != authoritative:
		return fmt.Errorf("%s: AA is %t, want %t", q, m.Authoritative, authoritative)
	case q.want.forwarded && !m.RecursionAvailable:
		return fmt.Errorf("%s: RA is not set", q)
	case do && m.IsEdns0() == nil:
		return fmt.Errorf("%s: no OPT record in the reply (RFC 6891 section 6.1.1)", q)
	}
	given := m.Answer
	if do {
		given = withoutSignatures(given)
	}
	if q.want.forwarded {
		given = q.unaged(given)
	}
	if got := texts(given, dns.TypeANY); !same(got, q.want.records) {
		return fmt.Errorf("%s: answer section %q, want %q", q, got, q.want.records)
	}
	if got := texts(m.Ns, dns.TypeNS); len(q.want.cut) > 0 && !same(got, q.want.cut) {
		return fmt.Errorf("%s: referral to %q, want %q", q, got, q.want.cut)
	}
	if q.want.zone != "" && !slices.ContainsFunc(m.Ns, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeSOA && strings.EqualFold(rr.Header().Name, q.want.zone)
	}) {
		return fmt.Errorf("%s: no SOA record of %s in the authority section (RFC 2308 section 3)", q, q.want.zone)
	}
	if do && q.want.proof != proofNone {
		return q.checkProof(m)
	}
	return nil
}

// texts are the records of one type, or of all types for ANY, as flat makes them.
func texts(section []dns.RR, rrtype uint16) []string {
	var out []string
	for _, rr := range section {
		if rrtype == dns.TypeANY || rr.Header().Rrtype == rrtype {
			out = append(out, flat(rr.String()))
		}
	}
	return out
}

// same says whether two lists hold the same, in any order.
func same(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// writeQueries writes n drawn questions as dnsperf reads them, and returns the
// first keep of them.
func writeQueries(path string, n, keep int, seed uint64, draw func(*rand.Rand) question) ([]question, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	r := newRand(seed)
	var kept []question
	for i := range n {
		q := draw(r)
		if i < keep {
			kept = append(kept, q)
		}
		q.write(w)
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return kept, file.Close()
}

// write writes a question as dnsperf reads it.
func (q question) write(w *bufio.Writer) {
	w.WriteString(q.name)
	w.WriteByte(' ')
	w.WriteString(dns.TypeToString[q.qtype])
	w.WriteByte('\n')
}

// newRand is a source of numbers that are the same in every run.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5d0)) }
