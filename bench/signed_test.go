//go:build linux

package main

import (
	"crypto"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// keyed is a key of the signed zone, to sign what a test makes up.
type keyed struct {
	t      *testing.T
	key    *dns.DNSKEY
	signer crypto.Signer
}

func newKeyed(t *testing.T) *keyed {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: signedZone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 256, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return &keyed{t, key, private.(crypto.Signer)}
}

// set parses records of one RRset, and signs them; labels is that of the
// signature, 0 for all.
func (k *keyed) set(labels int, texts ...string) (out []dns.RR) {
	k.t.Helper()
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			k.t.Fatal(err)
		}
		out = append(out, rr)
	}
	now := uint32(time.Now().Unix())
	sig := &dns.RRSIG{Algorithm: k.key.Algorithm, KeyTag: k.key.KeyTag(), SignerName: signedZone, Inception: now - 3600, Expiration: now + 3600}
	sign := out
	owner := out[0].Header().Name
	if labels > 0 {
		// A wildcard's signature is over the wildcard.
		wild := dns.Copy(out[0])
		wild.Header().Name = "*." + strings.Join(dns.SplitDomainName(owner)[1:], ".") + "."
		sign = []dns.RR{wild}
	}
	if err := sig.Sign(k.signer, sign); err != nil {
		k.t.Fatal(err)
	}
	sig.Hdr.Name = owner
	return append(out, sig)
}

// replies are right replies to a question of each kind.
func (k *keyed) replies() map[proof]*dns.Msg {
	const at = "." + signedZone
	soa := k.set(0, signedZone+" 300 IN SOA ns1 hostmaster 1 2 3 4 300")
	host := func(next string) []dns.RR {
		return k.set(0, "host0000001"+at+" 300 IN NSEC "+next+at+" A RRSIG NSEC")
	}
	apex := k.set(0, signedZone+" 300 IN NSEC changes"+at+" NS SOA RRSIG NSEC DNSKEY")
	wild := k.set(0, "*.wild01"+at+" 300 IN NSEC *.wild02"+at+" A RRSIG NSEC")
	last := k.set(0, "cut00001"+at+" 300 IN NSEC cut00002"+at+" NS RRSIG NSEC")
	join := func(parts ...[]dns.RR) (all []dns.RR) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	ns := func(cut string) []dns.RR {
		rr, err := dns.NewRR(cut + at + " 3600 IN NS ns1." + cut + at)
		if err != nil {
			k.t.Fatal(err)
		}
		return []dns.RR{rr}
	}
	return map[proof]*dns.Msg{
		proofPositive: {Answer: k.set(0, "host0000001"+at+" 3600 IN A 198.18.0.1")},
		proofWildcard: {Answer: k.set(3, "account1.wild01"+at+" 3600 IN A 198.18.0.1"), Ns: wild},
		proofNoData:   {Ns: join(soa, host("host0000002"))},
		proofNoName:   {Ns: join(soa, host("host0000002"), apex)},
		proofSecure:   {Ns: join(ns("cut00000"), k.set(0, "cut00000"+at+" 3600 IN DS "+signedDS))},
		proofInsecure: {Ns: join(ns("cut00001"), last)},
	}
}

// asked are the questions that replies answers.
func (k *keyed) asked() map[proof]question {
	const at = "." + signedZone
	cut := func(name string) question {
		q := question{name: "www." + name + at, qtype: typeA}
		q.want.cut = []string{record(name+at, 3600, "NS", "ns1."+name+at)}
		return q
	}
	all := map[proof]question{
		proofPositive: hosts("host0000001"+at, "198.18.0.1"),
		proofWildcard: hosts("account1.wild01"+at, "198.18.0.1"),
		proofNoData:   noData("host0000001"+at, signedZone),
		proofNoName:   noName("host0000001x"+at, signedZone),
		proofSecure:   cut("cut00000"),
		proofInsecure: cut("cut00001"),
	}
	for kind, q := range all {
		q.want.proof, q.want.keys = kind, []*dns.DNSKEY{k.key}
		all[kind] = q
	}
	return all
}

// complete makes of sections a whole reply to q.
func complete(q question, m *dns.Msg) *dns.Msg {
	whole := new(dns.Msg)
	whole.SetReply(q.message(true))
	whole.SetEdns0(1232, true)
	whole.Rcode, whole.Authoritative = q.want.rcode, len(q.want.cut) == 0
	whole.Answer, whole.Ns = m.Answer, m.Ns
	return whole
}

// TestCheckSigned: right replies are right, and each record that is taken away,
// and each signature that is of another key, makes them wrong.
func TestCheckSigned(t *testing.T) {
	k := newKeyed(t)
	replies := k.replies()
	for kind, q := range k.asked() {
		if err := q.check(complete(q, replies[kind]), true); err != nil {
			t.Errorf("kind %d: a right reply is wrong: %v", kind, err)
		}
		for i := range replies[kind].Answer {
			m := complete(q, replies[kind])
			m.Answer = append(m.Answer[:i:i], m.Answer[i+1:]...)
			if q.check(m, true) == nil {
				t.Errorf("kind %d without %v: taken for right", kind, replies[kind].Answer[i])
			}
		}
		for i := range replies[kind].Ns {
			m := complete(q, replies[kind])
			m.Ns = append(m.Ns[:i:i], m.Ns[i+1:]...)
			if q.check(m, true) == nil {
				t.Errorf("kind %d without %v: taken for right", kind, replies[kind].Ns[i])
			}
		}
		q.want.keys = []*dns.DNSKEY{newKeyed(t).key}
		if q.check(complete(q, replies[kind]), true) == nil {
			t.Errorf("kind %d: signed by another key, and taken for right", kind)
		}
	}
}

// TestProofOfAnother: a proof of something else is none.
func TestProofOfAnother(t *testing.T) {
	k := newKeyed(t)
	replies, asked := k.replies(), k.asked()
	for kind, ns := range map[proof][]dns.RR{
		proofWildcard: replies[proofNoName].Ns[2:],
		proofNoData:   append(replies[proofNoName].Ns[:2:2], k.set(0, "host0000001."+signedZone+" 300 IN NSEC host0000002."+signedZone+" A AAAA RRSIG NSEC")...),
		proofNoName:   append(replies[proofNoName].Ns[:2:2], replies[proofWildcard].Ns...),
		proofInsecure: append(replies[proofInsecure].Ns[:1:1], k.set(0, "cut00001."+signedZone+" 300 IN NSEC cut00002."+signedZone+" NS DS RRSIG NSEC")...),
	} {
		m := complete(asked[kind], replies[kind])
		m.Ns = ns
		if asked[kind].check(m, true) == nil {
			t.Errorf("kind %d: taken for right: %v", kind, ns)
		}
	}
}

func TestCovered(t *testing.T) {
	for _, tc := range []struct {
		owner, next, name string
		want              bool
	}{
		{"a.example.", "c.example.", "b.example.", true},
		{"a.example.", "c.example.", "B.EXAMPLE.", true},
		{"a.example.", "c.example.", "x.a.example.", true},
		{"a.example.", "c.example.", "a.example.", false},
		{"a.example.", "c.example.", "c.example.", false},
		{"a.example.", "c.example.", "d.example.", false},
		{"a.example.", "c.example.", "x.c.example.", false},
		{"y.example.", "example.", "z.example.", true},
		{"y.example.", "example.", "a.example.", false},
	} {
		rr, err := dns.NewRR(tc.owner + " 300 IN NSEC " + tc.next + " A")
		if err != nil {
			t.Fatal(err)
		}
		if got := covered([]dns.RR{rr}, tc.name); got != tc.want {
			t.Errorf("from %s to %s: covers %s: %t", tc.owner, tc.next, tc.name, got)
		}
	}
}

// TestSignedDataset holds the questions against the zone before it is signed, and
// their shares against what README.md says.
func TestSignedDataset(t *testing.T) {
	copied := func(_, from, to string) ([]*dns.DNSKEY, error) { return []*dns.DNSKEY{{}}, os.Rename(from, to) }
	d, err := newSigned(t.TempDir(), 500, nil, copied)
	if err != nil {
		t.Fatal(err)
	}
	records, owners := make(map[string]bool), make(map[string]bool)
	readZone(t, d.user[0], records, owners)
	counts := make(map[proof]float64)
	r := newRand(5)
	const draws = 20_000
	for range draws {
		q := d.draw(r)
		counts[q.want.proof]++
		checkAgainst(t, q, records, owners)
		if len(q.want.keys) != 1 {
			t.Fatalf("%s: %d keys", q, len(q.want.keys))
		}
		if kind := q.want.proof; kind == proofSecure || kind == proofInsecure {
			_, cut, _ := strings.Cut(q.name, ".")
			if ds := records[record(cut, 3600, "DS", signedDS)]; ds != (kind == proofSecure) {
				t.Errorf("%s: DS at the delegation: %t", q, ds)
			}
		}
	}
	for kind, want := range map[proof]float64{
		proofPositive: 55, proofWildcard: 15, proofNoData: 8, proofNoName: 8, proofSecure: 7, proofInsecure: 7,
	} {
		if got := 100 * counts[kind] / draws; math.Abs(got-want) > 1.5 {
			t.Errorf("kind %d: %.1f%% of the questions, want %g%%", kind, got, want)
		}
	}
	bad := func(_, _, _ string) ([]*dns.DNSKEY, error) { return nil, fmt.Errorf("no tool") }
	if _, err := newSigned(t.TempDir(), 500, nil, bad); err == nil {
		t.Error("a zone that could not be signed is taken")
	}
}
