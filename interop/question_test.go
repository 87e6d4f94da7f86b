package interop

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// question is one query as a test means it.
type question struct {
	name string
	typ  uint16
	size uint16 // of EDNS; 0 means no EDNS
	do   bool
	rd   bool
	tcp  bool // for the oracle, which picks the socket by it
}

func (q question) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", q.name, dns.Type(q.typ))
	if q.size > 0 {
		fmt.Fprintf(&b, " +bufsize=%d", q.size)
	}
	if q.do {
		b.WriteString(" +do")
	}
	if q.rd {
		b.WriteString(" +rd")
	}
	if q.tcp {
		b.WriteString(" +tcp")
	}
	return b.String()
}

// message is the question's packet.
func (q question) message() *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.name), q.typ)
	m.RecursionDesired = q.rd
	if q.size > 0 {
		m.SetEdns0(q.size, q.do)
	}
	return m
}
