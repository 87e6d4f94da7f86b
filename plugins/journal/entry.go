package journal

import (
	"bytes"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// entry is an entry as the API shows it. Names are in presentation form with all
// but printable ASCII escaped.
type entry struct {
	ID        uint64    `json:"id"`
	Time      time.Time `json:"time"`
	NS        string    `json:"ns"`
	Source    string    `json:"source"`
	Resolver  string    `json:"resolver"`
	Name      string    `json:"name"`
	Asked     string    `json:"asked,omitempty"`
	Type      string    `json:"type"`
	Class     string    `json:"class,omitempty"`
	Opcode    string    `json:"opcode,omitempty"`
	Zone      string    `json:"zone"`
	RD        bool      `json:"rd"`
	Flags     []string  `json:"flags"`
	EDNS      *edns     `json:"edns"`
	Transport string    `json:"transport"`
	RCode     string    `json:"rcode"`
	AA        bool      `json:"aa"`
	TC        bool      `json:"tc"`
	Path      string    `json:"path"`
	Took      float64   `json:"took_us"`
	Size      uint16    `json:"size"`
	Answers   uint16    `json:"answers"`
	Fault     *fault    `json:"fault,omitempty"`
	OneIn     uint32    `json:"one_in,omitempty"`
}

// edns is what the query's OPT record said.
type edns struct {
	Version uint8    `json:"version"`
	Size    uint16   `json:"size"`
	DO      bool     `json:"do"`
	Options []string `json:"options"`
}

// fault is what was done to the reply on purpose.
type fault struct {
	Rule string `json:"rule"`
	Kind string `json:"kind"`
}

// entry is the slot in words.
func (j *journal) entry(s *slot) entry {
	e := entry{
		ID: s.id, Time: time.Unix(0, s.received).UTC(), NS: s.ns, Source: s.source.String(), Resolver: s.resolverName(),
		Type: s.typeName(), RD: s.query&wire.FlagRD != 0, Flags: s.flags(), Transport: s.transport.String(),
		RCode: s.rcodeName(), AA: s.reply&wire.FlagAA != 0, TC: s.reply&wire.FlagTC != 0, Path: s.path.String(),
		Took: float64(s.took) / float64(time.Microsecond), Size: s.size, Answers: s.answers,
	}
	if s.zone != 0 {
		e.Zone = j.zoneName(s.zone)
	}
	if s.nameLen > 0 {
		asked := s.asked()
		lower := bytes.Clone(asked)
		wire.Lower(lower)
		e.Name = wire.Name(lower).String()
		if !bytes.Equal(asked, lower) {
			e.Asked = wire.Name(asked).String()
		}
		if s.class != dns.ClassINET {
			e.Class = dns.Class(s.class).String()
		}
	}
	if opcode := int(s.query >> 11 & 0xF); opcode != dns.OpcodeQuery {
		e.Opcode = opcodeName(opcode)
	}
	if s.edns {
		e.EDNS = &edns{s.ednsVersion, s.ednsSize, s.do, optionNames(s.options)}
	}
	if s.fault != nil {
		e.Fault = &fault{s.fault.Rule, s.fault.Kind}
	}
	if s.oneIn > 1 {
		e.OneIn = s.oneIn
	}
	return e
}

func (s *slot) resolverName() string {
	if s.resolver == nil {
		return ""
	}
	return s.resolver.Name
}

// typeName is "" where no question could be read.
func (s *slot) typeName() string {
	if s.nameLen == 0 {
		return ""
	}
	return dns.Type(s.qtype).String()
}

// dropped stands in filters for the response code of queries without a reply.
const dropped = "dropped"

// rcodeName is "" where there was no reply.
func (s *slot) rcodeName() string {
	switch {
	case !s.answered:
		return ""
	case s.rcode == server.RCodeBadVers:
		return "BADVERS"
	}
	if name, ok := dns.RcodeToString[int(s.rcode)]; ok {
		return name
	}
	return "RCODE" + strconv.Itoa(int(s.rcode))
}

func opcodeName(opcode int) string {
	if name, ok := dns.OpcodeToString[opcode]; ok {
		return name
	}
	return "OPCODE" + strconv.Itoa(opcode)
}

// flags are those that the query had, the usual ones first.
func (s *slot) flags() []string {
	flags := []string{}
	for _, f := range [...]struct {
		set  bool
		name string
	}{
		{s.query&wire.FlagRD != 0, "rd"}, {s.query&wire.FlagCD != 0, "cd"}, {s.query&wire.FlagAD != 0, "ad"}, {s.do, "do"},
		{s.query&wire.FlagAA != 0, "aa"}, {s.query&wire.FlagTC != 0, "tc"}, {s.query&wire.FlagRA != 0, "ra"}, {s.query&wire.FlagZ != 0, "z"},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return flags
}

// optionNames are the EDNS options of a set, by code. Those without a short name are
// "option" and their code; all beyond the set are "other".
func optionNames(set uint64) []string {
	names := []string{}
	for code := range uint16(64) {
		if set&(1<<code) == 0 {
			continue
		}
		names = append(names, optionName(code))
	}
	return names
}

// optionName follows the IANA registry of DNS EDNS0 option codes.
func optionName(code uint16) string {
	switch code {
	case 1:
		return "llq"
	case 2:
		return "update-lease"
	case 3:
		return "nsid"
	case 5:
		return "dau"
	case 6:
		return "dhu"
	case 7:
		return "n3u"
	case 8:
		return "client-subnet"
	case 9:
		return "expire"
	case 10:
		return "cookie"
	case 11:
		return "tcp-keepalive"
	case 12:
		return "padding"
	case 13:
		return "chain"
	case 14:
		return "key-tag"
	case 15:
		return "ede"
	case 16:
		return "client-tag"
	case 17:
		return "server-tag"
	case 18:
		return "report-channel"
	case 19:
		return "zoneversion"
	case otherOptions:
		return "other"
	}
	return "option" + strconv.Itoa(int(code))
}
