//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

// zone is a zone of users, with what its file says in each version. The number of
// the version is in every record, so that an answer made from two versions, or
// from half a file, shows.
type zone struct {
	origin  string // absolute
	history *history
	// version is that written last. The goroutine that changes the zone owns it.
	version uint32
}

// fillers is how many names a zone has beside those with a purpose: a file is to
// take some time to be written, and read.
const fillers = 60

// address has a version in it: 17 bits in 198.18.0.0/15, which RFC 2544 section
// C.2.2 sets aside for benchmarks.
func address(v uint32) string { return fmt.Sprintf("198.%d.%d.%d", 18+v>>16&1, v>>8&255, v&255) }

// text is the master file. The SOA record is the last one, and a parenthesis its
// end: a file of which the end is missing is no zone.
func (z *zone) text(v uint32) string {
	a := address(v)
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL 3600\n", z.origin)
	fmt.Fprintf(&b, "@ IN NS ns1\n@ IN NS ns2\nns1 IN A %s\nns2 IN A %s\n", a, a)
	fmt.Fprintf(&b, "@ IN MX %d mail\nmail IN A %s\n", v&0xFFFF, a)
	fmt.Fprintf(&b, "www IN A %s\nwww IN TXT \"version %d\"\nwww IN TXT \"again %d\"\n", a, v, v)
	fmt.Fprintf(&b, "alias IN CNAME target-%d\ntarget-%d IN A %s\n", v, v, a)
	fmt.Fprintf(&b, "*.wild IN A %s\n", a)
	fmt.Fprintf(&b, "cut IN NS ns-%d.cut\nns-%d.cut IN A %s\n", v, v, a)
	fmt.Fprintf(&b, "old IN DNAME new-%d\nhost.new-%d IN A %s\n", v, v, a)
	for i := range bigStrings {
		fmt.Fprintf(&b, "big IN TXT \"%s\"\n", bigString(v, i))
	}
	for i := range fillers {
		fmt.Fprintf(&b, "host%02d IN A %s\n", i, a)
	}
	fmt.Fprintf(&b, "@ IN SOA ns1 hostmaster ( %d 3600 300 2419200 300 )\n", v)
	return b.String()
}

// bigStrings make an answer that is too long for UDP without EDNS, and not for
// UDP with it.
const bigStrings = 8

func bigString(v uint32, i int) string { return fmt.Sprintf("%d %s %d", i, strings.Repeat("-", 60), v) }

// broken is a file in which no zone is, in one of the ways that files break. What
// is wrong comes before the SOA record, so that half of it is not whole either.
func (z *zone) broken(r *rand.Rand) string {
	whole := z.text(z.version)
	head, tail, _ := strings.Cut(whole, "@ IN NS ns2\n")
	bad := [...]string{
		"www IN A 192.0.2.256\n",
		"www IN NOSUCHTYPE x\n",
		"other IN CNAME www\nother IN A 192.0.2.1\n",
		"( ; is never closed\n",
		"www IN TXT \"is never closed\n",
		"outside.invalid. IN A 192.0.2.1\n",
		"toolong." + strings.Repeat("x", 64) + " IN A 192.0.2.1\n",
	}
	switch n := r.IntN(len(bad) + 3); n {
	case len(bad):
		return ""
	case len(bad) + 1:
		return head + "@ IN NS ns2\n" // no SOA
	case len(bad) + 2:
		return string([]byte{0, 1, 2, 0xff, 0xfe, '\n'}) + whole
	default:
		return head + bad[n] + tail
	}
}

// rr is a record as flat makes it.
func rr(owner, rrtype, rdata string) string { return flat(owner + " 3600 IN " + rrtype + " " + rdata) }

// soa is the SOA record; negative answers have it with the TTL of its last field
// (RFC 2308 section 3).
func (z *zone) soa(v uint32, ttl int) string {
	return flat(fmt.Sprintf("%s %d IN SOA ns1.%s hostmaster.%s %d 3600 300 2419200 300", z.origin, ttl, z.origin, z.origin, v))
}

func (z *zone) negative(rcode int) func(uint32) want {
	return func(v uint32) want { return want{rcode: rcode, aa: true, authority: []string{z.soa(v, 300)}} }
}

// one is the shape of an answer with one address.
func (z *zone) one(owner string) func(uint32) want {
	return func(v uint32) want { return want{aa: true, answer: []string{rr(owner, "A", address(v))}} }
}

// shapes are what is asked of the zone over UDP and TCP, with random labels where
// they do not matter.
func (z *zone) shapes(r *rand.Rand) []shape {
	o := z.origin
	www, alias, cut, old := "www."+o, "alias."+o, "cut."+o, "old."+o
	label := func() string { return fmt.Sprintf("x%05d.", r.IntN(100_000)) }
	wild, filler := label()+"wild."+o, fmt.Sprintf("host%02d.%s", r.IntN(fillers), o)
	return []shape{
		{www, dns.TypeA, z.one(www)},
		{wild, dns.TypeA, z.one(wild)},
		{filler, dns.TypeA, z.one(filler)},
		{www, dns.TypeAAAA, z.negative(dns.RcodeSuccess)},
		{label() + o, dns.TypeA, z.negative(dns.RcodeNameError)},
		{www, dns.TypeTXT, func(v uint32) want {
			return want{aa: true, answer: []string{
				rr(www, "TXT", fmt.Sprintf(`"version %d"`, v)), rr(www, "TXT", fmt.Sprintf(`"again %d"`, v))}}
		}},
		{alias, dns.TypeA, func(v uint32) want {
			target := fmt.Sprintf("target-%d.%s", v, o)
			return want{aa: true, answer: []string{rr(alias, "CNAME", target), rr(target, "A", address(v))}}
		}},
		{label() + cut, dns.TypeA, func(v uint32) want {
			ns := fmt.Sprintf("ns-%d.%s", v, cut)
			return want{authority: []string{rr(cut, "NS", ns)}, extra: []string{rr(ns, "A", address(v))}}
		}},
		{"host." + old, dns.TypeA, func(v uint32) want {
			tree := fmt.Sprintf("new-%d.%s", v, o)
			return want{aa: true, answer: []string{
				rr(old, "DNAME", tree), rr("host."+old, "CNAME", "host."+tree), rr("host."+tree, "A", address(v))}}
		}},
		{o, dns.TypeSOA, func(v uint32) want { return want{aa: true, answer: []string{z.soa(v, 3600)}} }},
		{o, dns.TypeNS, func(v uint32) want {
			return want{aa: true, answer: z.nameServers(), extra: []string{
				rr("ns1."+o, "A", address(v)), rr("ns2."+o, "A", address(v))}}
		}},
		{o, dns.TypeMX, func(v uint32) want {
			return want{aa: true, answer: []string{z.mail(v)}, extra: []string{rr("mail."+o, "A", address(v))}}
		}},
		{"big." + o, dns.TypeTXT, func(v uint32) want {
			w := want{aa: true}
			for i := range bigStrings {
				w.answer = append(w.answer, rr("big."+o, "TXT", `"`+bigString(v, i)+`"`))
			}
			return w
		}},
	}
}

// whole asks for all records at the top, which only TCP gets.
func (z *zone) whole() shape {
	return shape{z.origin, dns.TypeANY, func(v uint32) want {
		return want{aa: true, answer: append(z.nameServers(), z.soa(v, 3600), z.mail(v))}
	}}
}

func (z *zone) nameServers() []string {
	return []string{rr(z.origin, "NS", "ns1."+z.origin), rr(z.origin, "NS", "ns2."+z.origin)}
}

func (z *zone) mail(v uint32) string {
	return rr(z.origin, "MX", fmt.Sprintf("%d mail.%s", v&0xFFFF, z.origin))
}
