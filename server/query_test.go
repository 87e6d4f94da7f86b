package server

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// bench is a chain without sockets.
type bench struct {
	server *Server
	router *router
	q      *Query
}

func newBench(t testing.TB, corefile string, change ...func(*Options)) *bench {
	t.Helper()
	l := newLab()
	s := l.newServer(t, change...)
	g, err := s.build(Corefile{Name: "Corefile", Text: []byte(corefile)})
	if err != nil {
		t.Fatal(err)
	}
	q := newQuery()
	q.Local, q.Remote = loopback(1, 53), loopback(1, 1053)
	return &bench{server: s, router: g.router(g.listenKeys()[0]), q: q}
}

// exchange gives the reply to packet, nil if there is none.
func (b *bench) exchange(packet []byte) []byte {
	q := b.q
	q.Packet = q.in[:copy(q.in, packet)]
	q.Received = time.Time{}
	if b.server.serve(b.router, q) != Answered {
		return nil
	}
	return q.Reply
}

func TestAnswerDoesNotAllocate(t *testing.T) {
	b := newBench(t, `example.org:0 {
		bind 127.0.0.1
		servers ns01 ns02
		say hello
	}`)
	for _, m := range []*dns.Msg{
		question("www.Example.org."),
		question("www.example.org.").SetEdns0(1232, true),
		question("elsewhere."),
		question("elsewhere.").SetEdns0(1232, true),
		question("www.example.org.").SetEdns0(1232, true).SetAxfr("example.org."),
	} {
		packet, _ := m.Pack()
		if n := testing.AllocsPerRun(1000, func() {
			if b.exchange(packet) == nil {
				t.Fatal("no reply")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", m.Question[0].String(), n)
		}
	}
}

// query builds a query by hand: header words, then a body in plain octets.
func rawQuery(flags, qd, an, ns, ar uint16, body string) []byte {
	b := []byte{0x12, 0x34}
	for _, w := range []uint16{flags, qd, an, ns, ar} {
		b = append(b, byte(w>>8), byte(w))
	}
	return append(b, body...)
}

// The checks of the gate, as RFC 8906 section 8 and others would have them.
func TestGate(t *testing.T) {
	const (
		q    = "\x01A\x03org\x00\x00\x10\x00\x01"
		opt  = "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"
		opt1 = "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00"
		// A version whose options we cannot know.
		opt1x = "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x03abc"
		optX  = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x03abc"
		// Option 100 of two octets (RFC 8906 section 8.2.3), flags all set.
		opt100 = "\x00\x00\x29\x04\xd0\x00\x00\xff\xff\x00\x06\x00\x64\x00\x02ab"
		sig    = "\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x21\x0bhmac-sha256\x00\x00\x00\x01\x02\x03\x04\x01\x2c\x00\x04\xc0\xff\xee\x00\x12\x34\x00\x00\x00\x00"
	)
	const none = -1
	for name, c := range map[string]struct {
		packet []byte
		rcode  int  // none: no reply
		opt    int  // of the reply: none, or its version
		echoes bool // the question
		answer bool
	}{
		"plain":                 {rawQuery(0x0000, 1, 0, 0, 0, q), dns.RcodeSuccess, none, true, true},
		"edns":                  {rawQuery(0x0000, 1, 0, 0, 1, q+opt), dns.RcodeSuccess, 0, true, true},
		"unknown option, flags": {rawQuery(0x0000, 1, 0, 0, 1, q+opt100), dns.RcodeSuccess, 0, true, true},
		"all header flags":      {rawQuery(0x07F0, 1, 0, 0, 0, q), dns.RcodeSuccess, none, true, true},
		"rcode set":             {rawQuery(0x000F, 1, 0, 0, 0, q), dns.RcodeSuccess, none, true, true},
		"no header":             {[]byte("\x12\x34\x00\x00"), none, none, false, false},
		"empty":                 {nil, none, none, false, false},
		"reply":                 {rawQuery(0x8000, 1, 0, 0, 0, q), none, none, false, false},
		"broken reply":          {rawQuery(0x8000, 0, 0, 0, 0, ""), none, none, false, false},
		"header only":           {rawQuery(0x0000, 0, 0, 0, 0, ""), dns.RcodeFormatError, none, false, false},
		"no question, edns":     {rawQuery(0x0000, 0, 0, 0, 1, opt), dns.RcodeFormatError, 0, false, false},
		"two questions":         {rawQuery(0x0000, 2, 0, 0, 0, q+q), dns.RcodeFormatError, none, false, false},
		"question missing":      {rawQuery(0x0000, 1, 0, 0, 0, ""), dns.RcodeFormatError, none, false, false},
		"question cut":          {rawQuery(0x0000, 1, 0, 0, 0, q[:len(q)-1]), dns.RcodeFormatError, none, false, false},
		"pointer":               {rawQuery(0x0000, 1, 0, 0, 0, "\xc0\x0c\x00\x10\x00\x01"), dns.RcodeFormatError, none, false, false},
		"trailing octets":       {rawQuery(0x0000, 1, 0, 0, 0, q+"x"), dns.RcodeFormatError, none, true, false},
		"record missing":        {rawQuery(0x0000, 1, 0, 0, 1, q), dns.RcodeFormatError, none, true, false},
		"answer":                {rawQuery(0x0000, 1, 1, 0, 0, q+"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"), dns.RcodeFormatError, none, true, false},
		"authority":             {rawQuery(0x0000, 1, 0, 1, 0, q+"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"), dns.RcodeFormatError, none, true, false},
		"tsig":                  {rawQuery(0x0000, 1, 0, 0, 1, q+sig), dns.RcodeNotAuth, none, true, false},
		"tsig, edns":            {rawQuery(0x0000, 1, 0, 0, 2, q+opt+sig), dns.RcodeNotAuth, 0, true, false},
		"tsig, axfr":            {rawQuery(0x0000, 1, 0, 0, 1, "\x03org\x00\x00\xfc\x00\x01"+sig), dns.RcodeNotAuth, none, true, false},
		"tsig, version 1":       {rawQuery(0x0000, 1, 0, 0, 2, q+opt1+sig), dns.RcodeBadVers, 0, true, false},
		"tsig, notify":          {rawQuery(4<<11, 1, 0, 0, 1, q+sig), dns.RcodeNotAuth, none, true, false},
		"tsig, update":          {rawQuery(5<<11, 1, 0, 1, 2, q+"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"+opt+sig), dns.RcodeNotAuth, 0, true, false},
		"tsig, opcode 15":       {rawQuery(15<<11, 1, 0, 0, 1, q+sig), dns.RcodeNotImplemented, none, true, false},
		"tsig before opt":       {rawQuery(0x0000, 1, 0, 0, 2, q+sig+opt), dns.RcodeFormatError, none, true, false},
		"two tsigs":             {rawQuery(0x0000, 1, 0, 0, 2, q+sig+sig), dns.RcodeFormatError, none, true, false},
		"two opts":              {rawQuery(0x0000, 1, 0, 0, 2, q+opt+opt), dns.RcodeFormatError, none, true, false},
		"opt not at root":       {rawQuery(0x0000, 1, 0, 0, 1, q+"\x01a"+opt), dns.RcodeFormatError, none, true, false},
		"options broken":        {rawQuery(0x0000, 1, 0, 0, 1, q+optX), dns.RcodeFormatError, none, true, false},
		"version 1":             {rawQuery(0x0000, 1, 0, 0, 1, q+opt1), dns.RcodeBadVers, 0, true, false},
		"version 1, options":    {rawQuery(0x0000, 1, 0, 0, 1, q+opt1x), dns.RcodeBadVers, 0, true, false},
		"notify":                {rawQuery(4<<11, 1, 0, 0, 0, q), dns.RcodeNotImplemented, none, true, false},
		"update":                {rawQuery(5<<11, 1, 0, 1, 1, q+"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"+opt), dns.RcodeNotImplemented, 0, true, false},
		"dso":                   {rawQuery(6<<11, 0, 0, 0, 0, ""), dns.RcodeNotImplemented, none, false, false},
		"opcode 15":             {rawQuery(15<<11, 1, 0, 0, 0, "\xff"), dns.RcodeNotImplemented, none, false, false},
		"axfr":                  {rawQuery(0x0000, 1, 0, 0, 0, "\x03org\x00\x00\xfc\x00\x01"), dns.RcodeRefused, none, true, false},
		"ixfr with soa":         {rawQuery(0x0000, 1, 0, 1, 0, "\x03org\x00\x00\xfb\x00\x01\x00\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00"), dns.RcodeRefused, none, true, false},
		"type opt":              {rawQuery(0x0000, 1, 0, 0, 0, "\x00\x00\x29\x00\x01"), dns.RcodeFormatError, none, true, false},
		"type tsig":             {rawQuery(0x0000, 1, 0, 0, 0, "\x00\x00\xfa\x00\x01"), dns.RcodeFormatError, none, true, false},
		"type tkey":             {rawQuery(0x0000, 1, 0, 0, 0, "\x00\x00\xf9\x00\x01"), dns.RcodeFormatError, none, true, false},
		"class ch":              {rawQuery(0x0000, 1, 0, 0, 0, "\x00\x00\x10\x00\x03"), dns.RcodeRefused, none, true, false},
		"class any, edns":       {rawQuery(0x0000, 1, 0, 0, 1, "\x00\x00\x10\x00\xff"+opt), dns.RcodeRefused, 0, true, false},
	} {
		b := newBench(t, ".:0 {\n watch\n say hello\n}\n")
		raw := b.exchange(c.packet)
		if c.rcode == none {
			if raw != nil {
				t.Errorf("%s: got % x", name, raw)
			}
			continue
		}
		r := new(dns.Msg)
		if err := r.Unpack(raw); err != nil {
			t.Errorf("%s: %v: % x", name, err, raw)
			continue
		}
		flags := wire.Flags(raw) & (wire.FlagTC | wire.FlagRA | wire.FlagZ | wire.FlagAD | wire.FlagCD)
		if r.Rcode != c.rcode || r.Id != 0x1234 || flags != 0 || r.Opcode != int(wire.Opcode(c.packet)) ||
			r.RecursionDesired != (wire.Flags(c.packet)&wire.FlagRD != 0) || (len(r.Question) == 1) != c.echoes {
			t.Errorf("%s: want %s, got\n%s", name, dns.RcodeToString[c.rcode], r)
		}
		if c.echoes && string(raw[wire.HeaderLen:b.q.QuestionEnd]) != string(c.packet[wire.HeaderLen:b.q.QuestionEnd]) {
			t.Errorf("%s: question not echoed: % x", name, raw)
		}
		if o := r.IsEdns0(); (o != nil) != (c.opt >= 0) {
			t.Errorf("%s: OPT record: got\n%s", name, r)
		} else if o != nil && (int(o.Version()) != c.opt || o.UDPSize() != DefaultUDPSize || o.Do() != b.q.EDNS.DO || o.Hdr.Ttl&0x7FFF != 0) {
			t.Errorf("%s: OPT record: got %s", name, o)
		}
		if sig := r.IsTsig(); (sig != nil) != (c.rcode == dns.RcodeNotAuth) {
			t.Errorf("%s: TSIG record: got\n%s", name, r)
		}
		if (len(r.Answer) > 0) != c.answer {
			t.Errorf("%s: got\n%s", name, r)
		}
	}
}

func TestSetMsgKeepsWhatIsTheServers(t *testing.T) {
	l := newLab()
	var sent *dns.Msg
	o := Options{Plugins: append(l.plugins(), Plugin{Name: "other", Setup: func(d *Directive) (Handler, error) {
		return handler{in: func(q *Query) Verdict {
			if err := q.SetMsg(sent); err != nil {
				q.Fail(err)
			}
			return Answered
		}}, nil
	}})}
	s := New(o)
	g, err := s.build(Corefile{Text: []byte(".:0 {\n other\n}\n")})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{server: s, router: g.router(g.listenKeys()[0]), q: newQuery()}
	b.q.Local, b.q.Remote = netip.AddrPort{}, loopback(1, 1053)
	rr, _ := dns.NewRR("www.example.org. 60 IN MX 10 mail.example.org.")
	sent = &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: 7, Opcode: dns.OpcodeUpdate, Authoritative: true, RecursionAvailable: true, Rcode: dns.RcodeNameError},
		Question: []dns.Question{{Name: "wrong.", Qtype: dns.TypeA, Qclass: dns.ClassCHAOS}},
		Answer:   []dns.RR{rr},
	}
	sent.SetEdns0(512, false)
	before := sent.String()
	for _, edns := range []bool{false, true} {
		m := question(`WWW.Example\.x.org.`)
		if edns {
			m.SetEdns0(4096, true)
		}
		packet, _ := m.Pack()
		raw := b.exchange(packet)
		r := new(dns.Msg)
		if err := r.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if r.Id != m.Id || r.Opcode != dns.OpcodeQuery || !r.Response || !r.Authoritative || !r.RecursionAvailable ||
			r.Rcode != dns.RcodeNameError || r.Question[0] != m.Question[0] || r.Answer[0].String() != rr.String() {
			t.Errorf("got\n%s", r)
		}
		if o := r.IsEdns0(); (o != nil) != edns || edns && (len(r.Extra) != 1 || !o.Do() || o.UDPSize() != DefaultUDPSize) {
			t.Errorf("got\n%s", r)
		}
	}
	if sent.String() != before {
		t.Errorf("the handler's message was changed:\n%s", sent)
	}
	if got, err := b.q.Msg(); err != nil || got.Rcode != dns.RcodeNameError || b.q.RCode() != RCodeNameError {
		t.Errorf("Msg: %v %v", got, err)
	}
	sent.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: "no dot"}}}
	packet, _ := question("a.").Pack()
	b.exchange(packet)
	if b.q.RCode() != RCodeServerFailure || b.q.Fault() == nil {
		t.Errorf("a message that cannot be encoded: %d %v", b.q.RCode(), b.q.Fault())
	}
}

// NSID (RFC 5001) is sent to those who ask; extended errors to those with EDNS;
// all of it within the client's size.
func TestReplyOptions(t *testing.T) {
	name := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + ".example."
	for _, c := range []struct {
		ask   bool
		nsid  int
		text  int
		size  uint16
		nsids int
		edes  int
	}{
		{ask: true, nsid: 4, text: 10, size: 1232, nsids: 1, edes: 1},
		{ask: false, nsid: 4, text: 10, size: 1232, edes: 1},
		{ask: true, nsid: 0, text: 0, size: 1232, edes: 1},
		{ask: true, nsid: 100, text: 400, size: 512, edes: 0},
		{ask: true, nsid: 200, text: 200, size: 512, edes: 1},
		{ask: true, nsid: 100, text: 2000, size: 512, nsids: 1, edes: 1},
	} {
		b := newBench(t, ".:0 {\n watch\n}\n")
		r := b.router.fallback.chain
		b.router.zones["\x00"] = route{chain: &chain{gen: r.gen, block: r.block, handlers: []Handler{handler{in: func(q *Query) Verdict {
			q.NSID = []byte(strings.Repeat("n", c.nsid))
			q.Refuse(EDEProhibited, strings.Repeat("t", c.text))
			return Answered
		}}}}}
		m := question(name).SetEdns0(c.size, false)
		if c.ask {
			o := m.IsEdns0()
			o.Option = append(o.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		}
		packet, _ := m.Pack()
		raw := b.exchange(packet)
		got := new(dns.Msg)
		if err := got.Unpack(raw); err != nil || len(raw) > int(c.size) || got.Rcode != dns.RcodeRefused {
			t.Errorf("%+v: %v: %d octets:\n%s", c, err, len(raw), got)
			continue
		}
		var nsids, edes int
		for _, o := range got.IsEdns0().Option {
			switch o := o.(type) {
			case *dns.EDNS0_NSID:
				nsids++
				if o.Nsid != strings.Repeat("6e", c.nsid) {
					t.Errorf("%+v: NSID %s", c, o.Nsid)
				}
			case *dns.EDNS0_EDE:
				edes++
			}
		}
		if nsids != c.nsids || edes != c.edes {
			t.Errorf("%+v: %d NSIDs, %d extended errors in %d octets", c, nsids, edes, len(raw))
		}
	}
}

// The order of In and Out, and where a query turns back.
func TestChainOrder(t *testing.T) {
	var log []string
	mark := func(name string, observer bool, v Verdict) Plugin {
		return Plugin{Name: name, Observer: observer, Setup: func(*Directive) (Handler, error) {
			return handler{
				in:  func(*Query) Verdict { log = append(log, "+"+name); return v },
				out: func(q *Query) { log = append(log, fmt.Sprintf("-%s/%d", name, q.Verdict())) },
			}, nil
		}}
	}
	none := Plugin{Name: "none", Setup: func(*Directive) (Handler, error) { return nil, nil }}
	implicit := mark("implicit", false, Next)
	implicit.Implicit = true
	s := New(Options{Plugins: []Plugin{
		mark("first", false, Next), implicit, none, mark("observer", true, Next), mark("answer", false, Answered),
		mark("drop", false, Dropped), mark("last", false, Next),
	}})
	good, _ := question("a.").Pack()
	for _, c := range []struct{ directives, packet, want string }{
		{"first none last observer answer drop", string(good), "+observer +first +implicit +answer -answer/1 -implicit/1 -first/1 -observer/1"},
		{"last drop observer", string(good), "+observer +implicit +drop -drop/2 -implicit/2 -observer/2"},
		{"last observer", string(good), "+observer +implicit +last -last/1 -implicit/1 -observer/1"},
		{"last observer", string(rawQuery(4<<11, 0, 0, 0, 0, "")), "+observer -observer/1"},
		{"last", string(rawQuery(0, 0, 0, 0, 0, "")), ""},
	} {
		g, err := s.build(Corefile{Text: []byte(".:0 {\n" + strings.ReplaceAll(c.directives, " ", "\n") + "\n}\n")})
		if err != nil {
			t.Fatal(err)
		}
		log = nil
		b := &bench{server: s, router: g.router(g.listenKeys()[0]), q: newQuery()}
		b.exchange([]byte(c.packet))
		if got := strings.Join(log, " "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.directives, got, c.want)
		}
	}
}

// What a handler changes in Out still gets its OPT record; observers see it.
func TestOutChangesReply(t *testing.T) {
	var seen []byte
	s := New(Options{Plugins: []Plugin{
		{Name: "observer", Observer: true, Setup: func(*Directive) (Handler, error) {
			return handler{out: func(q *Query) { seen = append(seen[:0], q.Reply...) }}, nil
		}},
		{Name: "change", Setup: func(*Directive) (Handler, error) {
			return handler{in: func(*Query) Verdict { return Answered }, out: func(q *Query) {
				q.SetRCode(RCodeNameError)
			}}, nil
		}},
	}})
	g, err := s.build(Corefile{Text: []byte(".:0 {\nobserver\nchange\n}\n")})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{server: s, router: g.router(g.listenKeys()[0]), q: newQuery()}
	packet, _ := question("a.").SetEdns0(1232, true).Pack()
	raw := b.exchange(packet)
	r := new(dns.Msg)
	if err := r.Unpack(raw); err != nil || r.Rcode != dns.RcodeNameError || r.IsEdns0() == nil {
		t.Errorf("%v: got\n%s", err, r)
	}
	if string(seen) != string(raw) {
		t.Errorf("the observer saw % x, % x went out", seen, raw)
	}
}

func BenchmarkAnswer(b *testing.B) {
	bench := newBench(b, "example.org:0 {\n say hello\n}\n")
	packet, _ := question("www.example.org.").SetEdns0(1232, true).Pack()
	b.ReportAllocs()
	for b.Loop() {
		bench.exchange(packet)
	}
}
