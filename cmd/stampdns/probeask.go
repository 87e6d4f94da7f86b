package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// nonceLen is the length of the nonces that probes have.
const nonceLen = 12

// probeTry is one probe and what came of it.
type probeTry struct {
	Nonce   string `json:"nonce"`
	Name    string `json:"name"`
	Reached bool   `json:"reached"`
	// Text is what came, in a sentence.
	Text string `json:"text"`
	// Way is the way in words, where the stamp was reached.
	Way       string   `json:"way,omitempty"`
	Path      string   `json:"path,omitempty"`
	NS        string   `json:"ns,omitempty"`
	Source    string   `json:"source,omitempty"`
	Resolver  string   `json:"resolver,omitempty"`
	RD        string   `json:"rd,omitempty"`
	Transport string   `json:"transport,omitempty"`
	EDNS      string   `json:"edns,omitempty"`
	Case      string   `json:"case,omitempty"`
	Time      string   `json:"time,omitempty"`
	RCode     string   `json:"rcode,omitempty"`
	TTL       uint32   `json:"ttl"`
	Latency   float64  `json:"latency_ms"`
	Notes     []string `json:"notes,omitempty"`
	// Seen says, of a probe that was not answered, whether the stamp saw it; nil where
	// nobody knows.
	Seen      *bool           `json:"seen_by_stamp,omitempty"`
	Sightings []probeSighting `json:"sightings,omitempty"`

	// answered is set where an answer came, of whatever kind.
	answered bool
}

// newNonce is a label that nobody has asked for before.
func newNonce() string {
	const digits = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, nonceLen)
	rand.Read(b)
	for i := range b {
		b[i] = digits[int(b[i])%len(digits)]
	}
	return string(b)
}

// probeName is the name to ask for.
func probeName(nonce string, z wire.Name) string {
	return nonce + ".probe." + strings.TrimPrefix(z.String(), ".")
}

// probeAsker asks one resolver.
type probeAsker struct {
	to      netip.AddrPort
	tcp     bool
	timeout time.Duration
}

// ask sends one probe, over TCP too where UDP has no room for the answer.
func (a *probeAsker) ask(ctx context.Context, z wire.Name) *probeTry {
	try := &probeTry{Nonce: newNonce()}
	try.Name = probeName(try.Nonce, z)
	m := new(dns.Msg).SetQuestion(try.Name, dns.TypeTXT).SetEdns0(1232, false)
	network := "udp"
	if a.tcp {
		network = "tcp"
	}
	r, from, took, err := a.exchange(ctx, network, m)
	if err == nil && r.Truncated && network == "udp" {
		try.note("the answer was truncated over UDP and asked for again over TCP")
		r, from, took, err = a.exchange(ctx, "tcp", m)
	}
	if err != nil {
		try.Text = a.unanswered(err)
		return try
	}
	try.answered = true
	try.Latency = float64(took.Microseconds()) / 1000
	try.RCode = rcodeName(r)
	try.judge(m, r, z, from)
	return try
}

// exchange sends m and returns the answer, and the address that it was sent from.
func (a *probeAsker) exchange(ctx context.Context, network string, m *dns.Msg) (*dns.Msg, netip.AddrPort, time.Duration, error) {
	client := dns.Client{Net: network, Timeout: a.timeout}
	conn, err := client.DialContext(ctx, a.to.String())
	if err != nil {
		return nil, netip.AddrPort{}, 0, err
	}
	defer conn.Close()
	// The error is that of an address that is none, and then none matches it.
	from, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	r, took, err := client.ExchangeWithConnContext(ctx, m, conn)
	return r, from, took, err
}

// unanswered says why no answer came.
func (a *probeAsker) unanswered(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer from %s within %s", a.to, a.timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s", a.to)
	}
	return fmt.Sprintf("no answer from %s: %s", a.to, printable(err.Error()))
}

func rcodeName(r *dns.Msg) string {
	if name, ok := dns.RcodeToString[r.Rcode]; ok {
		return name
	}
	return "RCODE" + strconv.Itoa(r.Rcode)
}

func (t *probeTry) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// judge says whether an answer is the stamp's.
func (t *probeTry) judge(m, r *dns.Msg, z wire.Name, from netip.AddrPort) {
	if len(r.Question) != 1 || !strings.EqualFold(r.Question[0].Name, m.Question[0].Name) || r.Question[0].Qtype != dns.TypeTXT {
		t.Text = "the answer is to another question: forged, or of a broken resolver"
		return
	}
	if r.Rcode != dns.RcodeSuccess {
		t.Text = refusedText(r, z) + extended(r)
		return
	}
	txt := txtOf(r)
	switch facts := parseFacts(txt); {
	case r.Truncated:
		t.Text = "the answer is truncated over TCP, too"
	case txt == nil:
		t.Text = emptyText(r, z)
	case facts["v"] == "":
		t.Text = "there is a TXT record that is not the stamp's: another server has the zone, or a wildcard in it"
	case !strings.EqualFold(facts["nonce"], t.Nonce):
		t.Text = fmt.Sprintf("the answer is to another probe, %s: it comes from a cache, or is forged", printable(facts["nonce"]))
	default:
		t.reached(r, txt, facts, from)
	}
}

// reached takes what the stamp says.
func (t *probeTry) reached(r *dns.Msg, txt *dns.TXT, facts map[string]string, from netip.AddrPort) {
	t.Reached = true
	t.TTL = txt.Hdr.Ttl
	for key, to := range map[string]*string{
		"path": &t.Path, "ns": &t.NS, "source": &t.Source, "resolver": &t.Resolver, "rd": &t.RD,
		"transport": &t.Transport, "edns": &t.EDNS, "case": &t.Case, "time": &t.Time,
	} {
		*to = printable(facts[key])
	}
	// What resolves for others says so (RA), whether or not it passes AA on; only
	// CoreDNS passes on all flags as they are, and has no RA.
	own := t.Source == from.String()
	asIs := r.Authoritative && !r.RecursionAvailable && t.TTL == 0 && t.Path == "direct"
	switch {
	case own:
		t.Way = "the stamp itself, with no resolver between"
	case asIs:
		t.Way = "the stamp itself through a translated address, or a forwarder that passes flags on as CoreDNS does"
	case t.Path == "iterative":
		t.Way = "delegation (or a stub zone)"
	default:
		t.Way = "forwarding"
	}
	if t.Path == "direct" && !own && !asIs {
		t.note("the stamp has no name for this resolver: a resolver line in its delegation directive gives one")
	}
	if t.TTL > 0 {
		t.note("the answer has TTL %d where the stamp gave 0: the resolver keeps answers for longer than it is told", t.TTL)
	}
	if r.Authoritative && !own && !asIs {
		t.note("the answer is marked as authoritative: the resolver passes on what it is told, as dnsmasq does")
	}
	t.Text = "reached: " + t.Way
}

// txtOf is the TXT record of an answer, nil where there is none.
func txtOf(r *dns.Msg) *dns.TXT {
	for _, rr := range r.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			return txt
		}
	}
	return nil
}

// parseFacts are the strings KEY=VALUE of a record, in presentation form no more.
func parseFacts(txt *dns.TXT) map[string]string {
	facts := map[string]string{}
	if txt == nil {
		return facts
	}
	for _, s := range txt.Txt {
		if key, value, ok := strings.Cut(s, "="); ok {
			facts[key] = value
		}
	}
	return facts
}

// refusedText is what an answer means that is no success.
func refusedText(r *dns.Msg, z wire.Name) string {
	zone := bare(z.String())
	switch r.Rcode {
	case dns.RcodeNameError:
		soa := soaOf(r)
		if soa == nil {
			return "NXDOMAIN, and it does not say of which zone: the resolver knows no way to " + zone
		}
		by := fmt.Sprintf("NXDOMAIN of zone %s, whose name server is %s", shownZone(soa.Hdr.Name), printable(bare(soa.Ns)))
		if owner, err := wire.ParseName(soa.Hdr.Name); err == nil && owner.Within(z) {
			return by + ": it has no probes (turned off, or the zone is signed or has data there), or is not the stamp"
		}
		return fmt.Sprintf("%s: %s is not delegated there, and the resolver has no other way to it", by, zone)
	case dns.RcodeServerFailure:
		return "SERVFAIL: the resolver got no answer from the name servers that it knows for " + zone + ", or did not believe it"
	case dns.RcodeRefused:
		if r.RecursionAvailable {
			return "REFUSED: the resolver does not serve this client, or not this name"
		}
		return "REFUSED: what answers is no resolver for this client, and has no zone " + zone
	}
	return rcodeName(r)
}

// emptyText is what an answer means that succeeds and has no TXT record.
func emptyText(r *dns.Msg, z wire.Name) string {
	soa := soaOf(r)
	switch {
	case slices.ContainsFunc(r.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeCNAME }):
		return "the name is an alias of another: another server has the zone, or a wildcard in it"
	case soa != nil:
		return fmt.Sprintf("no TXT record, says zone %s, whose name server is %s: it is not the stamp, or has no probes", shownZone(soa.Hdr.Name), printable(bare(soa.Ns)))
	case len(r.Ns) > 0 && !r.RecursionAvailable:
		return fmt.Sprintf("a referral to the name servers of %s: what answers is a name server above it, not a resolver", shownZone(r.Ns[0].Header().Name))
	}
	return "an empty answer, which nobody signs for"
}

// shownZone is a zone's name from outside, in a sentence.
func shownZone(name string) string {
	if name == "." {
		return "the root"
	}
	return printable(bare(name))
}

// soaOf is the SOA record of a negative answer, nil where there is none.
func soaOf(r *dns.Msg) *dns.SOA {
	for _, rr := range r.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

// extended is the extended error of an answer (RFC 8914), empty where there is none.
func extended(r *dns.Msg) string {
	opt := r.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		if ede, ok := o.(*dns.EDNS0_EDE); ok {
			text := dns.ExtendedErrorCodeToString[ede.InfoCode]
			if text == "" {
				text = fmt.Sprintf("error %d", ede.InfoCode)
			}
			if ede.ExtraText != "" {
				text += ": " + printable(ede.ExtraText)
			}
			return fmt.Sprintf(" (%s)", text)
		}
	}
	return ""
}
