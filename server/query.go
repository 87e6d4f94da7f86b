package server

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Transport is how a query came.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
)

// String is the transport as metrics and logs spell it.
func (t Transport) String() string {
	if t == TCP {
		return "tcp"
	}
	return "udp"
}

// Sizes of the buffers that a Query owns. A UDP datagram longer than inSize is
// no question anybody asks; a TCP message may be, and gets a buffer of its own.
const (
	inSize  = 4096
	outSize = 4096
)

// Query is one DNS exchange: the packet as it came, what it asks, where it came
// from, and the reply as it grows.
//
// A Query is owned and reused by the listener that read it; a query answered at
// once allocates nothing. Handlers may read every field and write Reply, NSID
// and Zone; no slice may outlive the handler's call (see Pending).
type Query struct {
	// Packet is the query as received.
	Packet []byte
	// Name, Type and Class are the question. Name is lower-cased wire form; the
	// case as sent is in Packet and is echoed in the reply. All are zero (Name:
	// the root) where the packet has no question that can be read.
	Name  wire.Name
	Type  uint16
	Class uint16
	// QuestionEnd is the offset behind the question in Packet and Reply alike.
	QuestionEnd int
	// EDNS is the query's OPT record.
	EDNS wire.EDNS

	Transport Transport
	// Local is the address and port the query was sent to, Remote its sender;
	// IPv4 is never in mapped form. Of a query that came by a proxy with a PROXY
	// header (Block.Proxies), they are those at the proxy.
	Local, Remote netip.AddrPort
	// NS says which name server Local is: an index into Block.NSLabels.
	NS uint8
	// Worker numbers the goroutine group that serves the query, below
	// Directive.Workers: for counters without contention.
	Worker int
	// Received is when the packet was read. See Took.
	Received time.Time

	// Reply is the reply as it grows: header and question from the start, then
	// what the answering handler appends. The OPT record is the server's.
	Reply []byte
	// Zone is the label of the zone that answered, made by Directive.ZoneLabel;
	// 0 where none did.
	Zone uint32
	// NSID is sent in the reply when it is asked for (RFC 5001).
	NSID []byte
	// Path and Resolver say how the query seems to have come, and from whom;
	// Resolver is nil where nobody looked. Injected is the fault that was put into
	// the reply on purpose, nil for none. For observers and logs: answers do not
	// depend on them.
	Path     Path
	Resolver *Resolver
	Injected *Injection

	name     [wire.MaxName]byte
	tsig     wire.TSIG // the query's, where the reply has one too
	in       []byte    // the whole buffer that Packet lies in
	out      []byte    // the whole buffer that Reply grows in
	options  []byte    // EDNS options of the reply, in wire form
	fault    error
	rcode    uint16
	state    state
	verdict  Verdict
	mangling Mangling
	took     time.Duration // as Took has said it
	depth    int           // handlers passed: those whose Out is due
	ender    int           // the handler whose In ended the query, or has it
	floor    int           // the handler that forked the query, the last whose Out is called
	forked   bool
	chain    *chain
	done     func(*Query) // sends a query that was pending
	peer     udpPeer
	clock    *batchClock // nil: time.Now
	// relayed is set where Local and Remote are from a PROXY header; door is the
	// address of ours that the proxy sent the query to.
	relayed bool
	door    netip.Addr
	// truncated is set where the datagram was longer than the buffer.
	truncated bool
	// tainted is set once a handler panicked: nobody knows who still holds the
	// Query, so it is not used again.
	tainted bool
	// turn tells who ends a query whose handler took it away and panicked then:
	// Finish, which makes it the next even number, or salvage, which makes it odd
	// for good.
	turn atomic.Uint32
}

// state is what the server found in the packet before any handler saw it.
type state uint8

const (
	stateOK state = iota
	stateFormErr
	stateNotImp
	stateBadVers
	stateRefused
	stateNotAuth
)

// newQuery makes a Query with buffers of its own.
func newQuery() *Query {
	return &Query{
		in:      make([]byte, inSize),
		out:     make([]byte, 0, outSize),
		options: make([]byte, 0, maxOptions),
	}
}

// parse reads q.Packet and prepares q.Reply. It returns false where nothing
// must be answered: no whole header, or a reply (QR set) that would start a
// loop.
func (q *Query) parse() bool {
	q.Name, q.Type, q.Class, q.QuestionEnd = nil, 0, 0, wire.HeaderLen
	q.EDNS, q.tsig = wire.EDNS{}, wire.TSIG{}
	q.NS, q.Zone, q.NSID = 0, 0, nil
	q.Path, q.Resolver, q.Injected, q.mangling, q.took = PathUnknown, nil, nil, 0, 0
	q.options, q.fault, q.rcode = q.options[:0], nil, 0
	q.state, q.verdict, q.depth, q.chain = stateOK, Next, 0, nil
	q.forked = false
	p := q.Packet
	if len(p) < wire.HeaderLen || wire.Flags(p)&wire.FlagQR != 0 {
		return false
	}
	if q.state = q.inspect(p); q.state != stateNotAuth {
		q.tsig = wire.TSIG{}
	}
	if q.Name == nil {
		q.name[0] = 0
		q.Name = wire.Name(q.name[:1])
	}
	q.restart()
	return true
}

// inspect reads question, OPT and TSIG record, and says what is wrong with them.
//
// What can be read is read even if the query is refused, so that the reply
// echoes the question and has an OPT record where the query had one (RFC 6891
// section 6.1.1).
func (q *Query) inspect(p []byte) state {
	questions := wire.Count(p, wire.CountQD)
	readable := questions == 0
	if questions == 1 {
		var question wire.Question
		if question, readable = wire.ParseQuestion(p, &q.name); readable {
			q.Name, q.Type, q.Class, q.QuestionEnd = question.Name, question.Type, question.Class, question.End
		}
	}
	if readable {
		if q.EDNS, q.tsig, readable = wire.ParseExtra(p, q.QuestionEnd); !readable {
			q.EDNS, q.tsig = wire.EDNS{}, wire.TSIG{}
		}
	}
	// What stands in a message of another opcode is not ours to judge (RFC 8906
	// section 3.1.4): NOTIFY, UPDATE and DSO end here too, but that a key of the
	// first two is looked for before all else (RFC 8945 section 5.2).
	switch opcode := wire.Opcode(p); {
	case opcode == dns.OpcodeQuery:
	case q.tsig.Present && (opcode == dns.OpcodeNotify || opcode == dns.OpcodeUpdate):
		return stateNotAuth
	default:
		return stateNotImp
	}
	// QDCOUNT is 1 in a standard query (RFC 9619 section 4); the query without
	// a question of RFC 7873 section 5.4 is for servers with cookies.
	if !readable || questions != 1 {
		return stateFormErr
	}
	return q.judge(p)
}

// judge decides on a standard query that could be read.
func (q *Query) judge(p []byte) state {
	switch {
	case q.EDNS.Version != 0:
		return stateBadVers
	case q.tsig.Present: // we have no keys (RFC 8945 section 5.2.1)
		return stateNotAuth
	case q.Type == dns.TypeAXFR || q.Type == dns.TypeIXFR:
		return stateRefused
	case wire.Count(p, wire.CountAN) != 0 || wire.Count(p, wire.CountNS) != 0:
		return stateFormErr
	case q.Type == wire.TypeOPT || q.Type == dns.TypeTSIG || q.Type == dns.TypeTKEY:
		return stateFormErr
	case q.Class != dns.ClassINET:
		return stateRefused
	}
	return stateOK
}

// admit is the gate: it answers what is no question for handlers, and returns
// false then.
func (q *Query) admit() bool {
	switch q.state {
	case stateOK:
		return true
	case stateFormErr:
		q.SetRCode(RCodeFormatError)
	case stateNotImp:
		q.SetRCode(RCodeNotImplemented)
	case stateBadVers:
		q.SetRCode(RCodeBadVers)
	case stateRefused:
		q.Refuse(EDENone, "")
	case stateNotAuth:
		q.SetRCode(RCodeNotAuth)
	}
	return false
}

// Fault is the error given to Fail, for those who report it.
func (q *Query) Fault() error { return q.fault }

// Verdict says, in Out, how the query ended: Answered or Dropped.
func (q *Query) Verdict() Verdict { return q.verdict }

// Passed says, in Out, whether the query went on behind the handler that asks:
// false means that its own In ended it.
func (q *Query) Passed() bool { return q.ender > q.depth }

// Answer makes, in Out of a handler behind the server's checks, a dropped query
// an answered one; the handler has made its Reply.
func (q *Query) Answer() { q.verdict = Answered }

// Took is the time from reading the query to now, for observers in Out. The clock
// is read a few times for all queries that were read together: the time may lack
// what up to a third of them took. A query alone is timed exactly.
// All who ask are told the same.
func (q *Query) Took() time.Duration {
	if q.took == 0 {
		if q.clock == nil {
			q.took = max(1, time.Since(q.Received))
		} else {
			q.took = max(1, q.clock.since(q.Received))
		}
	}
	return q.took
}

// Batched says, in In, that the functions of Directive.OnBatch are called as soon as
// the queries that were read with this one have been through their handlers.
func (q *Query) Batched() bool { return q.clock != nil }

// Block is the server block that serves the query.
func (q *Query) Block() *Block { return q.chain.block }

// Finish ends a query that was Pending: v is Answered or Dropped. It may be
// called from any goroutine, once, also after a reload and during shutdown; the
// Query is the server's again after it. It does nothing where the handler that
// was to return Pending panicked and the query has had its SERVFAIL.
func (q *Query) Finish(v Verdict) {
	if q.claim() {
		q.complete(v)
		q.done(q)
	}
}

// Resume has a query that was Pending go on as if the In that took it away had
// returned Next: through the handlers behind, to its end, unless one of them takes it
// away again. It stands in the place of Finish: once, from any goroutine. It calls
// handlers, so it may take as long as they do.
func (q *Query) Resume() {
	if !q.claim() {
		return
	}
	q.clock = nil
	if q.chain.gen.server.run(q, q.depth) != Pending {
		q.done(q)
	}
}

// claim says whether the caller is the one to end a pending query.
func (q *Query) claim() bool {
	turn := q.turn.Load()
	return turn%2 == 0 && q.turn.CompareAndSwap(turn, turn+2)
}

// complete brings a pending query out through its chain.
func (q *Query) complete(v Verdict) {
	q.clock = nil
	q.chain.gen.server.finish(q, v)
}
