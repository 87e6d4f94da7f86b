//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

const (
	typeA  = dns.TypeA
	typeMX = dns.TypeMX
)

// The stamp that all servers serve: the sample stamp, its name servers on
// loopback, and so many labels of users in the cloudapp zone.
const (
	externalZone = "east.cloud.fabrikam.com."
	cloudappZone = "east.cloudapp.cloud.fabrikam.com."
	stampNS01    = "127.0.0.1"
	stampNS02    = "127.0.0.2"
	stampLabels  = 20
)

// wildcardLabels is how many names the load asks for below each wildcard.
const wildcardLabels = 20_000

// stampLabel is the i-th label and its address.
func stampLabel(i int) (name, addr string) {
	return fmt.Sprintf("web%02d", i), fmt.Sprintf("192.0.2.%d", 90+i)
}

// newStamp has stampdns print its zones into dir, and reads from them what there
// is to ask for.
func newStamp(dir, stampdns string) (*dataset, error) {
	var labels []string
	for i := range stampLabels {
		name, addr := stampLabel(i)
		labels = append(labels, name+"="+addr)
	}
	d := &dataset{name: "stamp"}
	var names stampNames
	for _, origin := range []string{externalZone, cloudappZone} {
		print := exec.Command(stampdns, "zone", "print", origin, "--ns01", stampNS01, "--ns02", stampNS02,
			"--label", strings.Join(labels, ","))
		text, err := print.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, exit.Stderr)
			}
			return nil, fmt.Errorf("print zone %s: %w", origin, err)
		}
		path := filepath.Join(dir, "db."+strings.TrimSuffix(origin, "."))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
		d.stamp = append(d.stamp, zoneFile{origin, path})
		if err := names.read(string(text), origin); err != nil {
			return nil, err
		}
	}
	d.draw = names.draw
	return d, nil
}

// stampNames are what can be asked of a stamp.
type stampNames struct {
	endpoints []owner // with an address of their own
	wildcards []owner
	apexes    []apex
}

// owner is a name, or the name below which a wildcard is, and its address.
type owner struct{ name, zone, addr string }

// apex is a zone with the records at its top.
type apex struct {
	zone    string
	soa, ns []string
}

// read adds the names of a zone.
func (s *stampNames) read(text, origin string) error {
	top := apex{zone: origin}
	parser := dns.NewZoneParser(strings.NewReader(text), origin, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := rr.Header().Name
		switch rr := rr.(type) {
		case *dns.SOA:
			top.soa = append(top.soa, flat(rr.String()))
		case *dns.NS:
			top.ns = append(top.ns, flat(rr.String()))
		case *dns.A:
			o := owner{name: name, zone: origin, addr: rr.A.String()}
			if below, ok := strings.CutPrefix(name, "*."); ok {
				o.name = below
				s.wildcards = append(s.wildcards, o)
			} else {
				s.endpoints = append(s.endpoints, o)
			}
		}
	}
	s.apexes = append(s.apexes, top)
	return parser.Err()
}

// draw makes a question as a stamp gets them: 35% the address of an endpoint,
// 45% that of a name below a wildcard, 8% AAAA, which there is none of, 4% SOA
// or NS, 8% a name that does not exist.
func (s *stampNames) draw(r *rand.Rand) question {
	kind := r.IntN(100)
	endpoint := s.endpoints[r.IntN(len(s.endpoints))]
	wild := s.wildcards[r.IntN(len(s.wildcards))]
	wild.name = fmt.Sprintf("account%05d.%s", r.IntN(wildcardLabels), wild.name)
	top := s.apexes[r.IntN(len(s.apexes))]
	switch {
	case kind < 35:
		return hosts(endpoint.name, endpoint.addr)
	case kind < 80:
		return hosts(wild.name, wild.addr)
	case kind < 84:
		return noData(endpoint.name, endpoint.zone)
	case kind < 88:
		return noData(wild.name, wild.zone)
	case kind < 90:
		return question{name: top.zone, qtype: dns.TypeSOA, want: answer{records: top.soa}}
	case kind < 92:
		return question{name: top.zone, qtype: dns.TypeNS, want: answer{records: top.ns}}
	}
	return noName(fmt.Sprintf("nosuchname%05d.%s", r.IntN(wildcardLabels), top.zone), top.zone)
}

// hosts asks for the one address of a name.
func hosts(name, addr string) question {
	return question{name: name, qtype: typeA, want: answer{records: []string{record(name, 3600, "A", addr)}}}
}

// noData asks for an IPv6 address of a name that has none.
func noData(name, zone string) question {
	return question{name: name, qtype: dns.TypeAAAA, want: answer{zone: zone}}
}

// noName asks for a name that does not exist.
func noName(name, zone string) question {
	return question{name: name, qtype: typeA, want: answer{rcode: dns.RcodeNameError, zone: zone}}
}
