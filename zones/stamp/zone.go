package stamp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// Resource record types (RFC 1035 section 3.2.2, RFC 3596 section 2.1).
const (
	typeA    = 1
	typeNS   = 2
	typeSOA  = 6
	typeAAAA = 28
)

// Zones are the stamp's two zones: External first, then Cloudapp. The name
// servers of both lie in the first.
func (s *Stamp) Zones() ([]zones.Source, error) {
	addrs, err := s.assign()
	if err != nil {
		return nil, err
	}
	ns := s.NameServers()
	external := builder{stamp: s, zone: s.External()}
	external.apex()
	for _, n := range ns {
		external.host(n.Name, n.Addrs)
	}
	if len(s.ApexWildcard) > 0 {
		external.host("*."+external.zone, s.ApexWildcard)
	}
	for i := range catalogue {
		if has, _ := s.has(&catalogue[i]); has {
			external.host(catalogue[i].host+"."+external.zone, addrs[i])
		}
	}
	cloudapp := builder{stamp: s, zone: s.Cloudapp()}
	cloudapp.apex()
	for _, l := range s.Labels {
		cloudapp.host(l.Name+"."+cloudapp.zone, l.Addrs)
	}
	var out []zones.Source
	for _, b := range []*builder{&external, &cloudapp} {
		origin, err := wire.ParseName(b.zone)
		if err != nil {
			return nil, err
		}
		if b.err != nil {
			return nil, fmt.Errorf("zone %s: %w", b.zone, b.err)
		}
		out = append(out, &source{origin, b.records})
	}
	return out, nil
}

// source is a zone whose records are made.
type source struct {
	origin  wire.Name
	records []zones.Record
}

func (s *source) Origin() wire.Name { return s.origin }

func (s *source) Records(add func(zones.Record) error) error {
	for _, r := range s.records {
		if err := add(r); err != nil {
			return err
		}
	}
	return nil
}

// builder makes the records of one zone. Its first error ends it.
type builder struct {
	stamp   *Stamp
	zone    string
	records []zones.Record
	err     error
}

func (b *builder) name(dst []byte, name string) []byte {
	if b.err != nil {
		return dst
	}
	dst, b.err = wire.AppendParsed(dst, name, nil)
	return dst
}

func (b *builder) add(owner string, typ uint16, data []byte) {
	b.records = append(b.records, zones.Record{Owner: b.name(nil, owner), Type: typ, TTL: b.stamp.TTL, Data: data})
}

// apex adds SOA and NS records. MNAME is ns01, and of ns01's zone in both.
func (b *builder) apex() {
	s := b.stamp
	ns := s.NameServers()
	soa := b.name(nil, ns[0].Name)
	soa = b.name(soa, "hostmaster."+s.External())
	for _, n := range []uint32{max(1, s.Serial), s.SOA.Refresh, s.SOA.Retry, s.SOA.Expire, s.SOA.Minimum} {
		soa = binary.BigEndian.AppendUint32(soa, n)
	}
	b.add(b.zone, typeSOA, soa)
	for _, n := range ns {
		b.add(b.zone, typeNS, b.name(nil, n.Name))
	}
}

func (b *builder) host(owner string, addrs []netip.Addr) {
	for _, a := range addrs {
		typ := uint16(typeA)
		if a.Is6() {
			typ = typeAAAA
		}
		b.add(owner, typ, a.AsSlice())
	}
}
