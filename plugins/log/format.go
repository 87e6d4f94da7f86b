package log

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// The formats with a name, as CoreDNS has them.
const (
	common   = `{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}`
	combined = common + ` "{>opcode}"`
)

// entry is what a line is made of.
type entry struct {
	q        *server.Query
	took     time.Duration
	zone, ns string
}

// format makes lines.
type format interface {
	append(dst []byte, e entry) []byte
}

// field appends one value; all are free of control characters.
type field func(dst []byte, e entry) []byte

// text is a format of literals and placeholders, by turns.
type text []part

type part struct {
	literal string
	field   field // nil behind the last literal
}

func (t text) append(dst []byte, e entry) []byte {
	for i := range t {
		dst = append(dst, t[i].literal...)
		if t[i].field != nil {
			dst = t[i].field(dst, e)
		}
	}
	return dst
}

// parseText compiles a format.
func parseText(s string) (text, error) {
	s = strings.ReplaceAll(s, "{combined}", combined)
	s = strings.ReplaceAll(s, "{common}", common)
	known := fields()
	var t text
	literal := ""
	for {
		before, rest, found := strings.Cut(s, "{")
		literal += before
		name, after, closed := strings.Cut(rest, "}")
		if !found {
			break
		}
		if !closed || strings.ContainsAny(name, " {\"") {
			literal, s = literal+"{", rest
			continue
		}
		f, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("unknown placeholder {%s}%s", name, server.Suggest("{"+name+"}", braced(known)))
		}
		t = append(t, part{literal, f})
		literal, s = "", after
	}
	t = append(t, part{literal: literal})
	for _, p := range t {
		if strings.ContainsFunc(p.literal, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("the format has a control character; a line ends by itself")
		}
	}
	return t, nil
}

// braced are the placeholders as they are written.
func braced(known map[string]field) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		all = append(all, "{"+name+"}")
	}
	return all
}

// none stands for what is not there.
const none = '-'

// fields are the placeholders.
func fields() map[string]field {
	return map[string]field{
		"time":     appendTime,
		"remote":   func(b []byte, e entry) []byte { return appendAddr(b, e.q.Remote.Addr()) },
		"port":     func(b []byte, e entry) []byte { return appendInt(b, int(e.q.Remote.Port())) },
		"local":    func(b []byte, e entry) []byte { return appendAddr(b, e.q.Local.Addr()) },
		"proto":    func(b []byte, e entry) []byte { return append(b, e.q.Transport.String()...) },
		"type":     appendType,
		"class":    appendClass,
		"name":     func(b []byte, e entry) []byte { return wire.AppendText(b, e.q.Name) },
		"size":     func(b []byte, e entry) []byte { return appendInt(b, len(e.q.Packet)) },
		"rcode":    appendRCode,
		"rsize":    appendReplySize,
		"duration": appendDuration,
		"zone":     func(b []byte, e entry) []byte { return appendOr(b, e.zone, e.q.Zone != 0) },
		"ns":       func(b []byte, e entry) []byte { return appendOr(b, e.ns, e.ns != "") },
		"resolver": appendResolver,
		"path":     func(b []byte, e entry) []byte { return appendOr(b, e.q.Path.String(), e.q.Path != server.PathUnknown) },
		"fault":    appendFault,
		">id":      func(b []byte, e entry) []byte { return appendInt(b, int(wire.ID(e.q.Packet))) },
		">opcode":  func(b []byte, e entry) []byte { return appendInt(b, int(wire.Opcode(e.q.Packet))) },
		">do":      func(b []byte, e entry) []byte { return strconv.AppendBool(b, e.q.EDNS.DO) },
		">bufsize": func(b []byte, e entry) []byte { return appendInt(b, bufferSize(e.q)) },
		">rflags":  appendFlags,
	}
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

func appendOr(b []byte, s string, ok bool) []byte {
	if !ok {
		return append(b, none)
	}
	return append(b, s...)
}

// appendResolver is the sender's name as the configuration gives it. It may be any
// word there: see appendPlain.
func appendResolver(b []byte, e entry) []byte {
	if e.q.Resolver == nil {
		return append(b, none)
	}
	return appendPlain(b, e.q.Resolver.Name)
}

// appendFault is the rule and the kind of a fault that was made on purpose.
func appendFault(b []byte, e entry) []byte {
	if e.q.Injected == nil {
		return append(b, none)
	}
	return appendPlain(append(appendPlain(b, e.q.Injected.Rule), ':'), e.q.Injected.Kind)
}

// appendPlain appends s with a question mark for each octet that is not printable
// ASCII.
func appendPlain(b []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < ' ' || c >= 0x7f {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

func appendTime(b []byte, e entry) []byte {
	return e.q.Received.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// appendAddr puts IPv6 addresses in brackets (RFC 3986 section 3.2.2).
func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		return a.AppendTo(b)
	}
	return append(a.WithZone("").AppendTo(append(b, '[')), ']')
}

func appendType(b []byte, e entry) []byte {
	if e.q.QuestionEnd == wire.HeaderLen {
		return append(b, none)
	}
	if s, ok := dns.TypeToString[e.q.Type]; ok {
		return append(b, s...)
	}
	return appendInt(append(b, "TYPE"...), int(e.q.Type))
}

func appendClass(b []byte, e entry) []byte {
	if e.q.QuestionEnd == wire.HeaderLen {
		return append(b, none)
	}
	if s, ok := dns.ClassToString[e.q.Class]; ok {
		return append(b, s...)
	}
	return appendInt(append(b, "CLASS"...), int(e.q.Class))
}

func appendRCode(b []byte, e entry) []byte {
	if e.q.Verdict() != server.Answered {
		return append(b, none)
	}
	code := int(e.q.RCode())
	if code == server.RCodeBadVers {
		return append(b, "BADVERS"...)
	}
	if s, ok := dns.RcodeToString[code]; ok {
		return append(b, s...)
	}
	return appendInt(b, code)
}

func appendReplySize(b []byte, e entry) []byte {
	if e.q.Verdict() != server.Answered {
		return append(b, none)
	}
	return appendInt(b, len(e.q.Reply))
}

func appendDuration(b []byte, e entry) []byte {
	return append(strconv.AppendFloat(b, e.took.Seconds(), 'f', 9, 64), 's')
}

// bufferSize is the longest reply that the client takes (RFC 6891 section 6.2.5).
func bufferSize(q *server.Query) int {
	switch {
	case q.Transport == server.TCP:
		return dns.MaxMsgSize - 1
	case q.EDNS.Present:
		return max(int(q.EDNS.Size), dns.MinMsgSize)
	}
	return dns.MinMsgSize
}

func appendFlags(b []byte, e entry) []byte {
	if e.q.Verdict() != server.Answered {
		return append(b, none)
	}
	flags := wire.Flags(e.q.Reply)
	start := len(b)
	for _, f := range [...]struct {
		bit  uint16
		name string
	}{
		{wire.FlagQR, "qr"}, {wire.FlagAA, "aa"}, {wire.FlagTC, "tc"}, {wire.FlagRD, "rd"},
		{wire.FlagRA, "ra"}, {wire.FlagZ, "z"}, {wire.FlagAD, "ad"}, {wire.FlagCD, "cd"},
	} {
		if flags&f.bit == 0 {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, f.name...)
	}
	return b
}
