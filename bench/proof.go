//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// proof is what a reply from a signed zone must prove to who asks with DO (RFC
// 4035 section 3.1), beyond the signatures of all that is in it.
type proof int

const (
	proofNone     proof = iota // not of a signed zone
	proofPositive              // nothing more
	proofWildcard              // that the name does not exist
	proofNoData                // that the name has no such type
	proofNoName                // that neither name nor wildcard exists
	proofSecure                // the DS records of a delegation
	proofInsecure              // that a delegation has none
)

// withoutSignatures leaves the RRSIG records out of a section.
func withoutSignatures(section []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(section), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
}

// checkProof says what the reply m lacks to prove what it says.
func (q question) checkProof(m *dns.Msg) error {
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		if err := q.checkSignatures(section); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	lacks := func(what string) error { return fmt.Errorf("%s: no proof %s (RFC 4035 section 3.1)", q, what) }
	zone := strings.ToLower(q.want.zone)
	switch q.want.proof {
	case proofWildcard:
		if !covered(m.Ns, q.name) {
			return lacks("that the name itself does not exist")
		}
	case proofNoData:
		if nsec := nsecAt(m.Ns, q.name); nsec == nil || slices.Contains(nsec.TypeBitMap, q.qtype) {
			return lacks("that the name has no such type")
		}
	case proofNoName:
		if !covered(m.Ns, q.name) {
			return lacks("that the name does not exist")
		}
		if !covered(m.Ns, "*."+zone) {
			return lacks("that no wildcard exists")
		}
	case proofSecure:
		if len(texts(m.Ns, dns.TypeDS)) == 0 {
			return lacks("of the delegation: no DS record")
		}
	case proofInsecure:
		_, cut, _ := strings.Cut(q.name, ".")
		nsec := nsecAt(m.Ns, cut)
		if nsec == nil || !slices.Contains(nsec.TypeBitMap, dns.TypeNS) || slices.Contains(nsec.TypeBitMap, dns.TypeDS) {
			return lacks("that the delegation has no DS record")
		}
	}
	return nil
}

// checkSignatures verifies a signature of each RRset of a section but for the NS
// records of a delegation, which have none.
func (q question) checkSignatures(section []dns.RR) error {
	sets := make(map[string][]dns.RR)
	for _, rr := range withoutSignatures(section) {
		h := rr.Header()
		if h.Rrtype == dns.TypeNS && len(q.want.cut) > 0 {
			continue
		}
		id := fmt.Sprint(strings.ToLower(h.Name), " ", dns.TypeToString[h.Rrtype])
		sets[id] = append(sets[id], rr)
	}
	for id, set := range sets {
		if !slices.ContainsFunc(section, func(rr dns.RR) bool { return q.verifies(rr, set) }) {
			return fmt.Errorf("%s: no signature that is right (RFC 4035 section 3.1.1)", id)
		}
	}
	return nil
}

// verifies says whether rr is a signature of the set by one of the zone's keys.
func (q question) verifies(rr dns.RR, set []dns.RR) bool {
	sig, ok := rr.(*dns.RRSIG)
	if !ok || sig.TypeCovered != set[0].Header().Rrtype || !strings.EqualFold(sig.Hdr.Name, set[0].Header().Name) ||
		!sig.ValidityPeriod(time.Now()) {
		return false
	}
	return slices.ContainsFunc(q.want.keys, func(key *dns.DNSKEY) bool {
		return key.KeyTag() == sig.KeyTag && sig.Verify(key, set) == nil
	})
}

func nsecAt(section []dns.RR, owner string) *dns.NSEC {
	for _, rr := range section {
		if nsec, ok := rr.(*dns.NSEC); ok && strings.EqualFold(nsec.Hdr.Name, owner) {
			return nsec
		}
	}
	return nil
}

// covered says whether an NSEC record proves that name does not exist.
func covered(section []dns.RR, name string) bool {
	return slices.ContainsFunc(section, func(rr dns.RR) bool {
		nsec, ok := rr.(*dns.NSEC)
		if !ok {
			return false
		}
		owner, next, at := canonical(nsec.Hdr.Name), canonical(nsec.NextDomain), canonical(name)
		// The last one of a zone points to its first name.
		last := slices.Compare(next, owner) <= 0
		return slices.Compare(owner, at) < 0 && (last || slices.Compare(at, next) < 0)
	})
}

// canonical are the labels of a name such that slices.Compare has the order of
// RFC 4034 section 6.1. Our names have no escapes.
func canonical(name string) []string {
	labels := dns.SplitDomainName(strings.ToLower(name))
	slices.Reverse(labels)
	return labels
}
