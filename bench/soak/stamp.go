//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"
)

// The zones of the stamp, whose options the Corefile changes. Both are of one
// configuration and change together.
const (
	externalZone = "east.cloud.fabrikam.com."
	cloudappZone = "east.cloudapp.cloud.fabrikam.com."
)

// stampOptions are the lines of the Corefile that make a version of the stamp.
func stampOptions(v uint32) []string {
	a := address(v)
	return []string{
		"ns01 127.0.0.1", "ns02 127.0.0.2",
		fmt.Sprintf("serial %d", v), "endpoint portal " + a, "endpoint blob " + a, "endpoint sso.appservice " + a,
		"with sso", "label soak " + a,
	}
}

func stampSOA(zone string, v uint32, ttl int) string {
	return flat(fmt.Sprintf("%s %d IN SOA azs-ns01.%s hostmaster.%s %d 3600 300 2419200 300",
		zone, ttl, externalZone, externalZone, v))
}

func stampNegative(zone string, rcode int) func(uint32) want {
	return func(v uint32) want {
		return want{rcode: rcode, aa: true, authority: []string{stampSOA(zone, v, 300)}}
	}
}

// stampShapes are what is asked of the stamp.
func stampShapes(r *rand.Rand) []shape {
	one := func(owner string) shape {
		return shape{owner, dns.TypeA, func(v uint32) want {
			return want{aa: true, answer: []string{rr(owner, "A", address(v))}}
		}}
	}
	label := func() string { return fmt.Sprintf("account%05d.", r.IntN(20_000)) }
	soak := "soak." + cloudappZone
	out := []shape{
		one("portal." + externalZone), one("sso.appservice." + externalZone), one(soak),
		{"portal." + externalZone, dns.TypeAAAA, stampNegative(externalZone, dns.RcodeSuccess)},
		{label() + externalZone, dns.TypeA, stampNegative(externalZone, dns.RcodeNameError)},
		{label() + cloudappZone, dns.TypeA, stampNegative(cloudappZone, dns.RcodeNameError)},
	}
	for range 6 {
		out = append(out, one(label()+"blob."+externalZone))
	}
	for _, zone := range []string{externalZone, cloudappZone} {
		out = append(out, shape{zone, dns.TypeSOA, func(v uint32) want {
			return want{aa: true, answer: []string{stampSOA(zone, v, 3600)}}
		}})
	}
	return out
}
