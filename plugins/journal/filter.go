package journal

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// filter says which entries are wanted. What is not set lets all pass.
type filter struct {
	resolver, ns, fault *string
	name                *server.NamePattern
	qtype               *uint16
	path                *server.Path
	transport           *server.Transport
	rcode               *string
	source              netip.Prefix
	since               int64 // nanoseconds since 1970

	text []byte // of a name; used again and again
}

// anyFault is the filter for entries with any fault.
const anyFault = "any"

// maxFilter is the longest value of a filter: the longest name in presentation form
// is four characters an octet.
const maxFilter = 4 * wire.MaxName

// filterNames are the parameters that parseFilter reads.
func filterNames() []string {
	return []string{"resolver", "ns", "name", "type", "path", "transport", "rcode", "source", "fault", "since"}
}

// parseFilter reads the parameters of a request. Besides the filters it allows those
// in more. Its errors say what is allowed.
func parseFilter(values url.Values, now time.Time, more ...string) (*filter, error) {
	known := append(filterNames(), more...)
	f := &filter{text: make([]byte, 0, maxFilter)}
	for key, all := range values {
		switch {
		case !slices.Contains(known, key):
			return nil, fmt.Errorf("there is no filter %q: use %s%s", key, strings.Join(known, ", "), server.Suggest(key, known))
		case len(all) != 1:
			return nil, fmt.Errorf("%s is given %d times: give it once", key, len(all))
		case all[0] == "":
			return nil, fmt.Errorf("%s is empty: leave it out", key)
		case len(all[0]) > maxFilter:
			return nil, fmt.Errorf("%s is longer than %d characters", key, maxFilter)
		}
		if err := f.set(key, all[0], now); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// set reads one filter.
func (f *filter) set(key, value string, now time.Time) (err error) {
	switch key {
	case "resolver":
		f.resolver = &value
	case "ns":
		f.ns = &value
	case "fault":
		f.fault = &value
	case "name":
		var p server.NamePattern
		p, err = server.ParseNamePattern(value)
		f.name = &p
	case "type":
		var t uint16
		t, err = server.ParseType(value)
		f.qtype = &t
	case "path":
		f.path, err = parsePath(value)
	case "transport":
		f.transport, err = parseTransport(value)
	case "rcode":
		f.rcode, err = parseRCode(value)
	case "source":
		f.source, err = parseSource(value)
	case "since":
		f.since, err = parseSince(value, now)
	}
	return err
}

func parsePath(text string) (*server.Path, error) {
	all := []server.Path{server.PathIterative, server.PathForwarded, server.PathDirect}
	known := []string{}
	for _, p := range all {
		if strings.EqualFold(text, p.String()) {
			return &p, nil
		}
		known = append(known, p.String())
	}
	return nil, fmt.Errorf("path %q is none of %s%s", text, strings.Join(known, ", "), server.Suggest(text, known))
}

func parseTransport(text string) (*server.Transport, error) {
	for _, t := range []server.Transport{server.UDP, server.TCP} {
		if strings.EqualFold(text, t.String()) {
			return &t, nil
		}
	}
	return nil, fmt.Errorf("transport %q is neither udp nor tcp", text)
}

// parseRCode reads a response code as rcodeName writes it; dropped is none.
func parseRCode(text string) (*string, error) {
	if strings.EqualFold(text, dropped) {
		none := ""
		return &none, nil
	}
	upper := strings.ToUpper(text)
	if _, ok := dns.StringToRcode[upper]; ok || upper == "BADVERS" {
		return &upper, nil
	}
	if code, ok := strings.CutPrefix(upper, "RCODE"); ok {
		if n, err := strconv.ParseUint(code, 10, 12); err == nil {
			s := slot{answered: true, rcode: uint16(n)}
			name := s.rcodeName()
			return &name, nil
		}
	}
	known := []string{"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", dropped}
	return nil, fmt.Errorf("rcode %q is unknown: write a response code such as %s%s", text, strings.Join(known, ", "), server.Suggest(upper, known))
}

func parseSource(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("source %q is neither an address nor a network: write one such as 192.0.2.53 or 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}

// parseSince reads a time, or how long ago it is.
func parseSince(text string, now time.Time) (int64, error) {
	if d, err := time.ParseDuration(text); err == nil {
		if d < 0 {
			return 0, fmt.Errorf("since %q is in the future: write how long ago, such as 30s", text)
		}
		return now.Add(-d).UnixNano(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return 0, fmt.Errorf("since %q is neither a duration such as 30s nor a time such as 2006-01-02T15:04:05Z", text)
	}
	return t.UnixNano(), nil
}

// match says whether the entry is wanted.
func (f *filter) match(s *slot) bool {
	switch {
	case s.received < f.since,
		f.resolver != nil && s.resolverName() != *f.resolver,
		f.ns != nil && s.ns != *f.ns,
		f.path != nil && s.path != *f.path,
		f.transport != nil && s.transport != *f.transport,
		f.qtype != nil && (s.nameLen == 0 || s.qtype != *f.qtype),
		f.rcode != nil && s.rcodeName() != *f.rcode,
		f.source.IsValid() && !f.source.Contains(s.source.Addr().WithZone("")):
		return false
	}
	if f.fault != nil && (s.fault == nil || *f.fault != anyFault && *f.fault != s.fault.Rule) {
		return false
	}
	return f.name == nil || f.matchName(s)
}

func (f *filter) matchName(s *slot) bool {
	if s.nameLen == 0 {
		return false
	}
	var buf [wire.MaxName]byte
	n := copy(buf[:], s.asked())
	wire.Lower(buf[:n])
	f.text = wire.AppendText(f.text[:0], buf[:n])
	return f.name.Match(f.text)
}
