package forward

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Bounds of one resolution, so that no answer makes it long: queries to servers,
// names of name servers whose addresses are looked up and how deep such look-ups
// nest, aliases, and time.
const (
	maxIterQueries = 64
	maxIterServers = 32
	maxIterDepth   = 10
	maxAliases     = 11
	iterPatience   = 10 * time.Second
)

// maxIterations bounds the resolutions under way.
const maxIterations = 64

var (
	errIterBusy    = fmt.Errorf("%d resolutions are under way already", maxIterations)
	errIterAliases = errors.New("the aliases of the name are a loop, or too many")
)

// iterator resolves names from the root down (RFC 1034 section 5.3.3): the last
// resort when no forwarder answers. It is for many goroutines at once. It does
// not validate, does not prime the root and keeps nothing but zone cuts: a cache
// stands before it.
type iterator struct {
	hints *hints
	cuts  *cutCache
	slots chan struct{}
	// noIPv6 is set once the host turned out to have no route for IPv6.
	noIPv6 atomic.Bool
}

// newIterator makes an iterator that starts from h. now is the clock of what it
// remembers.
func newIterator(h *hints, now func() time.Time) *iterator {
	return &iterator{hints: h, cuts: newCutCache(now), slots: make(chan struct{}, maxIterations)}
}

// resolve asks the name servers of the world for the records of a name. It blocks
// until the answer is there, which takes many round trips, or ctx ends.
//
// The message has the question, QR, RD and RA, the RCODE NOERROR, NXDOMAIN or
// YXDOMAIN, the aliases and records as its answer, and as its authority the SOA
// of a negative answer, with do the records of DNSSEC too. It may be larger than
// a message can be. The error says which zone's servers gave no answer to use.
func (it *iterator) resolve(ctx context.Context, name wire.Name, rrtype uint16, do bool) (*dns.Msg, error) {
	select {
	case it.slots <- struct{}{}:
		defer func() { <-it.slots }()
	default:
		return nil, errIterBusy
	}
	ctx, cancel := context.WithTimeout(ctx, iterPatience)
	defer cancel()
	r := iteration{it: it, servers: make(map[string][]netip.Addr)}
	m, err := r.resolve(ctx, name, rrtype, do)
	if err != nil {
		return nil, fmt.Errorf("resolve %s %s from the root: %w", name, dns.Type(rrtype), err)
	}
	return m, nil
}

// iteration is one resolution.
type iteration struct {
	it      *iterator
	queries int
	// servers are the addresses of name servers that were looked up: none while
	// that is under way, or where it was in vain. So no loop is followed.
	servers map[string][]netip.Addr
}

// resolve follows aliases from zone to zone.
func (r *iteration) resolve(ctx context.Context, name wire.Name, rrtype uint16, do bool) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.Response, m.RecursionDesired, m.RecursionAvailable = true, true, true
	m.Question = []dns.Question{{Name: name.String(), Qtype: rrtype, Qclass: dns.ClassINET}}
	aliases := 0
	for {
		reply, err := r.lookup(ctx, name, rrtype, do, 0)
		if err != nil {
			return nil, err
		}
		m.Answer = append(m.Answer, reply.answer...)
		m.Ns = append(m.Ns, reply.authority...)
		aliases += count(reply.answer, dns.TypeCNAME)
		switch reply.kind {
		case iterAlias:
			if aliases > maxAliases || isOwner(m.Answer, reply.target) {
				return nil, errIterAliases
			}
			name = reply.target
			continue
		case iterNameError:
			m.Rcode = dns.RcodeNameError
		case iterTooLong:
			m.Rcode = dns.RcodeYXDomain
		}
		return m, nil
	}
}

// count is how many records are of a type.
func count(rrs []dns.RR, rrtype uint16) (n int) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == rrtype {
			n++
		}
	}
	return n
}

// isOwner says whether an alias of that name is among the records.
func isOwner(rrs []dns.RR, name wire.Name) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool {
		owner, err := wire.ParseName(rr.Header().Name)
		return rr.Header().Rrtype == dns.TypeCNAME && err == nil && string(owner) == string(name)
	})
}

// lookup goes from the lowest cut that is known down to the zone of the name, and
// returns what its servers say: no referral.
func (r *iteration) lookup(ctx context.Context, name wire.Name, rrtype uint16, do bool, depth int) (iterReply, error) {
	remembered := true
	cut := r.start(name, rrtype)
	for {
		reply, err := r.ask(ctx, cut, name, rrtype, do, depth)
		switch {
		case err == nil && reply.kind != iterReferral:
			return reply, nil
		case err == nil:
			cut, remembered = reply.cut, false
			cut.expires = r.it.cuts.now().Add(min(time.Duration(cut.ttl)*time.Second, maxCutTTL))
			r.it.cuts.put(cut)
		case r.isOver(ctx, err) || !remembered || len(cut.zone) == 1:
			return iterReply{}, err
		default:
			// The delegation may have changed since: once more from above.
			r.it.cuts.drop(cut.zone)
			cut, remembered = r.start(name, rrtype), false
		}
	}
}

// start is the lowest known cut for a question.
func (r *iteration) start(name wire.Name, rrtype uint16) *zoneCut {
	if cut := r.it.cuts.find(name, rrtype == dns.TypeDS); cut != nil {
		return cut
	}
	return r.it.hints.root()
}

// isOver says whether err ends the whole resolution.
func (r *iteration) isOver(ctx context.Context, err error) bool {
	return errors.Is(err, errIterQueries) || ctx.Err() != nil
}

// ask asks the servers of a zone in turn until one says something useful: those
// with addresses first, then the others as their addresses are found.
func (r *iteration) ask(ctx context.Context, cut *zoneCut, name wire.Name, rrtype uint16, do bool, depth int) (iterReply, error) {
	last := fmt.Errorf("no name server of %s has an address that can be asked", cut.zone)
	for _, addr := range r.it.order(cut.addrs()) {
		reply, err := r.query(ctx, cut, addr, name, rrtype, do)
		if err == nil || r.isOver(ctx, err) {
			return reply, err
		}
		last = err
	}
	for _, i := range rand.Perm(len(cut.servers)) {
		s := cut.servers[i]
		// Who could give the address of a server in its own zone has no glue
		// for it.
		if len(s.addrs) > 0 || s.name.Within(cut.zone) {
			continue
		}
		addrs, err := r.addresses(ctx, s.name, depth+1)
		if err != nil && r.isOver(ctx, err) {
			return iterReply{}, err
		}
		if len(addrs) > 0 {
			cut = cut.with(s.name, addrs)
			r.it.cuts.put(cut)
		}
		for _, addr := range r.it.order(addrs) {
			reply, err := r.query(ctx, cut, addr, name, rrtype, do)
			if err == nil || r.isOver(ctx, err) {
				return reply, err
			}
			last = err
		}
	}
	return iterReply{}, last
}

// order is the addresses in the order in which to ask, without those that cannot
// be reached.
func (it *iterator) order(addrs []netip.Addr) []netip.Addr {
	ordered := it.cuts.order(addrs)
	return slices.DeleteFunc(ordered, func(a netip.Addr) bool { return a.Is6() && it.noIPv6.Load() })
}

// query asks one server of a zone.
func (r *iteration) query(ctx context.Context, cut *zoneCut, addr netip.Addr, name wire.Name, rrtype uint16, do bool) (iterReply, error) {
	m, err := r.exchange(ctx, addr, name, rrtype, do)
	if err != nil {
		if !r.isOver(ctx, err) {
			r.it.cuts.trouble(addr)
		}
		return iterReply{}, fmt.Errorf("name server %s of %s: %w", addr, cut.zone, err)
	}
	reply := classify(m, name, rrtype, cut.zone, do)
	if reply.kind == iterUseless {
		return iterReply{}, fmt.Errorf("name server %s of %s: no answer to use, with RCODE %s", addr, cut.zone, dns.RcodeToString[m.Rcode])
	}
	return reply, nil
}

// addresses looks the addresses of a name server up. Its name is no alias (RFC
// 2181 section 10.3).
func (r *iteration) addresses(ctx context.Context, name wire.Name, depth int) ([]netip.Addr, error) {
	if known, ok := r.servers[string(name)]; ok {
		return known, nil
	}
	if depth > maxIterDepth || len(r.servers) == maxIterServers {
		return nil, nil
	}
	r.servers[string(name)] = nil
	for _, rrtype := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
		if rrtype == dns.TypeAAAA && r.it.noIPv6.Load() {
			break
		}
		reply, err := r.lookup(ctx, name, rrtype, false, depth)
		if err != nil {
			return nil, err
		}
		if reply.kind != iterAnswer || count(reply.answer, rrtype) != len(reply.answer) {
			continue
		}
		var addrs []netip.Addr
		for _, rr := range reply.answer {
			if addr, ok := addressOf(rr); ok && len(addrs) < maxServerAddrs {
				addrs = append(addrs, addr)
			}
		}
		if len(addrs) > 0 {
			r.servers[string(name)] = addrs
			return addrs, nil
		}
	}
	return nil, nil
}
