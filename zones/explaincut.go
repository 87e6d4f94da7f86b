package zones

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// maxShown is how many name servers of a delegation a sentence names.
const maxShown = 4

// signing explains the DS of the delegation at node i: it is the parent's.
func (e *explaining) signing(i uint32) bool {
	e.facts["match"], e.facts["cut"] = "delegation", e.zone.name(i).String()
	return e.of(i, fmt.Sprintf("%s is delegated from zone %s, which keeps its DS", e.shown(), e.zoneShown()))
}

// referral explains a name at or below the delegation at node cut.
func (e *explaining) referral(cut uint32) bool {
	e.facts["match"], e.facts["cut"] = "delegation", e.zone.name(cut).String()
	var servers, glue, missing, words []string
	e.targets(cut, func(target []byte) {
		name := lowered(target)
		servers = append(servers, name.String())
		word := shown(name)
		addrs := e.glue(target)
		for _, a := range addrs {
			glue = append(glue, fmt.Sprintf("%s %s", name, a))
		}
		switch {
		case len(addrs) > 0:
			word += fmt.Sprintf(" (glue %s)", addrs[0])
		case name.Within(e.zone.name(cut)):
			// Nobody can find its address but by asking it.
			missing = append(missing, name.String())
			word += " (which lacks its glue)"
		}
		words = append(words, word)
	})
	e.facts["name_servers"] = strings.Join(servers, ", ")
	e.facts["glue"] = strings.Join(glue, ", ")
	if len(missing) > 0 {
		e.facts["glue_missing"] = strings.Join(missing, ", ")
	}
	if len(words) > maxShown {
		words = append(words[:maxShown], fmt.Sprintf("%d more", len(servers)-maxShown))
	}
	where := "below"
	if int(e.zone.nodes[cut].nameLen) == e.name.len {
		where = "at"
	}
	return e.end(OutcomeReferral, dns.RcodeSuccess, "%s is %s the delegation of %s in zone %s: the answer is a referral to %s",
		e.shown(), where, shown(e.zone.name(cut)), e.zoneShown(), strings.Join(words, ", "))
}

// targets calls f for each name server of the delegation at node cut.
func (e *explaining) targets(cut uint32, f func(target []byte)) {
	set := e.zone.find(cut, dns.TypeNS)
	rest := e.zone.arena[set.data:]
	for range set.count {
		var data []byte
		data, rest = nextRData(rest)
		f(data)
	}
}

// glue is the addresses of a name server that come with a referral.
func (e *explaining) glue(target []byte) (addrs []netip.Addr) {
	var s suffixes
	s.set(target)
	if !s.whole().Within(e.zone.origin) {
		return nil
	}
	p := s.path()
	i, ok := e.zone.node(&p, s.n)
	if _, what, covered := e.zone.covered(i); !ok || covered && what == foundDNAME {
		return nil
	}
	for _, set := range e.zone.setsOf(i) {
		if set.rrtype != dns.TypeA && set.rrtype != dns.TypeAAAA {
			continue
		}
		rest := e.zone.arena[set.data:]
		for range set.count {
			n := int(binary.BigEndian.Uint16(rest[rrHeader-2:]))
			if a, ok := netip.AddrFromSlice(rest[rrHeader : rrHeader+n]); ok {
				addrs = append(addrs, a)
			}
			rest = rest[rrHeader+n:]
		}
	}
	return addrs
}
