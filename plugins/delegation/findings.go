package delegation

import (
	"fmt"
	"slices"
	"strings"
)

// finding is what the counts say about the integration, for people: what it means
// and what to do about it. What they cannot prove, it says with "may".
type finding struct {
	ID       string `json:"id"`
	Level    string `json:"level"`
	Resolver string `json:"resolver,omitempty"`
	Zone     string `json:"zone,omitempty"`
	Text     string `json:"text"`
}

// Levels of findings.
const (
	levelInfo    = "info"
	levelWarning = "warning"
)

// What it takes to say something.
const (
	// plenty queries make what is not among them worth telling.
	plenty = 20
	// some queries show which path a resolver uses.
	some = 5
	// twice is more than a slip of somebody with dig.
	twice = 2
)

// view is what findings are made from.
type view struct {
	*totals
	servers []int    // numbers of the configuration's name servers
	labels  []string // of all numbers
	zones   []string // that are counted for each resolver, "" for one that is gone
	found   []finding
}

func (v *view) add(id, level, resolver, zone, format string, args ...any) {
	v.found = append(v.found, finding{id, level, resolver, zone, fmt.Sprintf(format, args...)})
}

// findings are those of all resolvers, the warnings first.
func (v *view) findings() []finding {
	v.found = []finding{}
	all := new(resolverCounts)
	for _, r := range v.resolvers {
		all.add(r.resolverCounts)
		if r.slot == otherSlot {
			continue
		}
		v.path(r)
		v.reach(r)
		v.transport(r)
		v.cut(r)
		v.cloudapp(r.Name, r.resolverCounts)
	}
	v.cloudapp("", all)
	slices.SortStableFunc(v.found, func(a, b finding) int { return strings.Compare(b.Level, a.Level) })
	return v.found
}

// path says by which way a resolver comes.
func (v *view) path(r resolverTotals) {
	paths := byPath(r.resolverCounts)
	asked, forwarded := paths[0], paths[1]
	switch {
	case r.total() == 0:
		v.add("resolver-silent", levelInfo, r.Name, "", "%s has not asked yet. If it should have: nothing may lead from it to these name servers. "+
			"Ask it for a name of the stamp, then look at the delegation or the conditional forwarder; a forwarder below a zone that it hosts itself is never used.", r.Name)
	case asked >= plenty/2 && forwarded >= plenty/2:
		v.add("mixed-paths", levelInfo, r.Name, "", "%s asks both ways: %d queries came without RD, as a delegation or a stub zone makes them, and %d with RD, as a forwarder sends them. "+
			"It may have a forwarder besides the delegation, or several servers may share its network: keep one way.", r.Name, asked, forwarded)
	case asked >= some && forwarded < asked/10+1:
		v.add("path-iterative", levelInfo, r.Name, "", "%d of the %d queries of %s came without RD: it follows a delegation, or has the zone as a stub zone.", asked, r.total(), r.Name)
	case forwarded >= some && asked < forwarded/10+1:
		v.add("path-forwarded", levelInfo, r.Name, "", "%d of the %d queries of %s came with RD: it forwards them here, or the clients behind it ask directly. No delegation seems to be in use from there.", forwarded, r.total(), r.Name)
	}
}

// reach says which name servers a resolver does not use.
func (v *view) reach(r resolverTotals) {
	for _, silent := range v.servers {
		if sum(r.queries[silent][:]) > 0 {
			continue
		}
		for _, busy := range v.servers {
			n := sum(r.queries[busy][:])
			if n < plenty {
				continue
			}
			from, to := v.labels[busy], v.labels[silent]
			switch {
			case r.glue[silent] > 0:
				v.add("stale-glue", levelWarning, r.Name, "", "%s has sent %d queries to %s and none to %s, though it asked for the address of %s. "+
					"The glue of %s at the parent may be stale, or %s is not reachable from there: compare the parent's address records with the stamp's, and ask %s from that resolver.",
					r.Name, n, from, to, to, to, to, to)
			case byPath(r.resolverCounts)[0] > 0:
				v.add("one-server", levelWarning, r.Name, "", "%s has sent %d queries to %s and none to %s. The parent may list only %s, its glue for %s may be missing or stale, or %s is not reachable from there. "+
					"Look at NS and address records at the parent, and ask %s from that resolver.", r.Name, n, from, to, from, to, to, to)
			default:
				v.add("one-server", levelWarning, r.Name, "", "%s has sent %d queries to %s and none to %s. Its forwarder may list only one address, or use the second one only when the first fails. "+
					"Give it both addresses, and ask %s from that resolver.", r.Name, n, from, to, to)
			}
			break
		}
	}
}

// transport says what seems to be lost on the way.
func (v *view) transport(r resolverTotals) {
	if r.unretried >= twice && r.tcpAfterTC == 0 {
		v.add("tcp-blocked", levelWarning, r.Name, "", "%s got %d truncated replies and never came over TCP. TCP port 53 may be blocked between it and the name servers: long answers do not arrive. Open TCP as well as UDP.", r.Name, r.unretried)
	}
	if total := r.total(); total >= plenty && r.noEDNS == total {
		v.add("edns-stripped", levelWarning, r.Name, "", "None of the %d queries of %s has EDNS. A firewall may strip it, or the resolver has it off: replies are cut at 512 octets. Let OPT records pass.", total, r.Name)
	}
	if r.dsAtChild >= twice {
		v.add("ds-at-child", levelWarning, r.Name, "", "%s asked for the DS records of a zone at the zone's own name servers, which do not have them: the parent does. "+
			"It validates, and may reach the zone by a forwarder or a stub zone: exempt the zone from validation there, or delegate it.", r.Name)
	}
}

// cut says whether something leads here that should not.
func (v *view) cut(r resolverTotals) {
	asked := r.outsideAsked[outsideParent] + r.outsideAsked[outsideSibling]
	if asked >= twice {
		v.add("wrong-cut", levelWarning, r.Name, "", "%s asked %d times without RD for names above or beside the stamp's zones, and was refused. The parent may delegate too high a name to the stamp: delegate the stamp's zones themselves%s.", r.Name, asked, v.zoneList())
	}
	if forwarded := r.outside[outsideParent] + r.outside[outsideSibling] - asked; forwarded >= twice {
		v.add("forward-too-wide", levelWarning, r.Name, "", "%s sent %d queries with RD for names above or beside the stamp's zones, and was refused. Its conditional forwarder may stand at too high a name: forward the stamp's zones themselves%s.", r.Name, forwarded, v.zoneList())
	}
	if r.belowCut >= twice {
		v.add("below-cut", levelWarning, r.Name, "", "%s sent %d queries with RD for names that the stamp delegates to other servers, and got a referral, which a forwarder cannot follow: its clients get no answer. Use a delegation or a stub zone in place of the forwarder.", r.Name, r.belowCut)
	}
}

// zoneList names the zones, in brackets.
func (v *view) zoneList() string {
	var names []string
	for _, z := range v.zones {
		if z != "" {
			names = append(names, strings.TrimSuffix(z, "."))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// cloudapp says whether the second of a stamp's zones is forgotten. Name is empty
// for all resolvers together.
func (v *view) cloudapp(name string, r *resolverCounts) {
	for i, zone := range v.zones {
		region := regionOf(zone)
		j := slices.Index(v.zones, region)
		if region == "" || j < 0 || r.zones[i] > 0 || r.zones[j] < plenty {
			continue
		}
		zone, region := strings.TrimSuffix(zone, "."), strings.TrimSuffix(region, ".")
		text := fmt.Sprintf("%s has sent %d queries for %s and none for %s.", name, r.zones[j], region, zone)
		if name == "" {
			text = fmt.Sprintf("Nobody has asked for %s, and %s had %d queries.", zone, region, r.zones[j])
		}
		v.add("cloudapp-missing", levelWarning, name, v.zones[i], "%s It may not be integrated: a stamp has two zones, and both have to be delegated or forwarded.", text)
	}
}

// regionOf is the name of a stamp's first zone, by that of the second, "" if zone
// is not such a one.
func regionOf(zone string) string {
	region, domain, ok := strings.Cut(zone, ".cloudapp.")
	if !ok || strings.Contains(region, ".") {
		return ""
	}
	return region + "." + domain
}

// byPath are the queries of a resolver by path.
func byPath(r *resolverCounts) (paths [pathCount]uint64) {
	for ns := range r.queries {
		addAll(paths[:], r.queries[ns][:])
	}
	return paths
}

func sum(all []uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}
