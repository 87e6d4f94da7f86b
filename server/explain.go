package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// Explainer is a Handler that can say what it would do with a query. Every
// handler that may end a query is one; those that only look on need not be.
//
// Explain changes nothing: no counter, no state, not the Query and not what a
// cache thinks of an entry. q has no client: there is no reply to write, and it
// is the server's again when Explain returns. Many goroutines may call it at
// once, and it must not block.
type Explainer interface {
	Explain(q *Query) Step
}

// Verdicts of a Step and of an Explanation: how the query would end.
const (
	ExplainAnswered  = "answered"  // a reply of our own, whatever its RCODE
	ExplainForwarded = "forwarded" // another server is asked
	ExplainRefused   = "refused"   // REFUSED
	ExplainDropped   = "dropped"   // no reply
)

// Step is what one handler would do with a query.
type Step struct {
	// Plugin is the handler's; "server" for what the server itself decides.
	Plugin string `json:"plugin"`
	// Decides says that the query goes no further; Verdict is how it ends then.
	Decides bool   `json:"decides"`
	Verdict string `json:"-"`
	// Text is one plain sentence. A step without text is left out.
	Text string `json:"text"`
	// Facts are what the sentence says, for programs: keys in lower case with
	// underscores, names in presentation form with their last dot.
	Facts map[string]string `json:"facts,omitempty"`
}

// ExplainQuestion is a question that somebody might ask.
type ExplainQuestion struct {
	// Name is in presentation form, with or without its last dot.
	Name string
	// Type is the query type; 0 is A.
	Type uint16
	// From is the client; the zero value is loopback, of the family of To.
	From netip.Addr
	// To is the address of ours that is asked. Without a port it is the first
	// that is served there; the zero value is the first address that From can
	// reach.
	To netip.AddrPort
}

// Explanation says what would become of a question, and which handlers it would
// pass.
type Explanation struct {
	Name string         `json:"name"`
	Type string         `json:"type"`
	From netip.Addr     `json:"from"`
	To   netip.AddrPort `json:"to"`
	// Block is FILE:LINE of the server block that the question goes to, empty
	// where no block serves the name.
	Block string `json:"block"`
	// Verdict is that of the last of Steps, which decides; Text is its sentence.
	Verdict string `json:"verdict"`
	Steps   []Step `json:"steps"`
	Text    string `json:"text"`
}

// serverStep is the Plugin of what the server itself decides.
const serverStep = "server"

// errExplain says that a handler panicked.
var errExplain = errors.New("explain: a handler panicked; the log says where")

// Explain says what would become of a question, asked over UDP with RD and EDNS,
// as it is configured and loaded now. It sends nothing, counts nothing and
// changes nothing. The error says what is wrong with the question, or that the
// server is not running.
func (s *Server) Explain(question ExplainQuestion) (e Explanation, err error) {
	q, err := question.query()
	if err != nil {
		return Explanation{}, err
	}
	to, r, err := s.enterFor(&question)
	if err != nil {
		return Explanation{}, err
	}
	defer r.gen.leave(0, 1)
	q.Local, q.Remote = to, netip.AddrPortFrom(question.From, 0)
	e = Explanation{
		Name: q.Name.String(), Type: dns.Type(q.Type).String(), From: question.From, To: to,
	}
	defer func() {
		if fault := recover(); fault != nil {
			s.log.Error("a handler panicked while it explained", "panic", fault,
				"name", e.Name, "type", e.Type, "stack", string(debug.Stack()))
			err = errExplain
		}
	}()
	r.route(q)
	e.Block = r.gen.place(q.chain)
	e.Steps = q.chain.explain(q, e.Block)
	last := e.Steps[len(e.Steps)-1]
	e.Verdict, e.Text = last.Verdict, last.Text
	return e, nil
}

// query is the packet that asks the question, as a listener would have read it.
func (question *ExplainQuestion) query() (*Query, error) {
	name, err := wire.ParseName(question.Name)
	if err != nil {
		return nil, err
	}
	if question.Type == 0 {
		question.Type = dns.TypeA
	}
	question.From = question.From.Unmap()
	if question.To = unmap(question.To); question.To.Addr().IsUnspecified() {
		question.To = netip.AddrPortFrom(netip.Addr{}, question.To.Port())
	}
	q := newQuery()
	p := append(q.in[:0], make([]byte, wire.HeaderLen)...)
	p = append(p, name...)
	p = binary.BigEndian.AppendUint16(p, question.Type)
	p = binary.BigEndian.AppendUint16(p, dns.ClassINET)
	p = wire.AppendOPT(p, DefaultUDPSize, 0, false, nil)
	wire.SetFlags(p, wire.FlagRD)
	wire.SetCount(p, wire.CountQD, 1)
	wire.SetCount(p, wire.CountAR, 1)
	q.Packet, q.Transport, q.Received = p, UDP, time.Now()
	q.parse()
	return q, nil
}

// enterFor finds the listener that the question comes to, fills in From, and
// counts the question as under way in the listener's generation: where there is
// no error, the caller has to leave it. The address is that which was asked;
// loopback stands for any address of a listener on all of them.
func (s *Server) enterFor(question *ExplainQuestion) (to netip.AddrPort, r *router, err error) {
	// With mu held, no listener goes out of use between finding and entering.
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return to, nil, errClosed
	case s.current == nil:
		return to, nil, errNotStarted
	}
	l := s.listenerFor(question)
	if l == nil {
		return to, nil, s.notServed(question)
	}
	addr := question.To.Addr()
	if !addr.IsValid() {
		addr = l.key.addr
	}
	if !addr.IsValid() || addr.IsUnspecified() {
		addr = loopbackLike(question.From)
	}
	if !question.From.IsValid() {
		question.From = loopbackLike(addr)
	}
	if question.From.Is4() != addr.Is4() {
		return to, nil, fmt.Errorf("no packet goes from %s to %s: give both addresses in IPv4 or both in IPv6", question.From, addr)
	}
	return netip.AddrPortFrom(addr, l.bound.Port()), l.enter(0, 1), nil
}

// listenerFor is the listener that gets the question, nil if there is none. One
// at the very address goes before one on all addresses, as the kernel has it.
func (s *Server) listenerFor(question *ExplainQuestion) *listener {
	to, from := question.To.Addr(), question.From
	var best *listener
	for _, k := range s.keys {
		l := s.listeners[k]
		switch port := question.To.Port(); {
		case port != 0 && port != l.bound.Port():
		case !to.IsValid():
			if !k.addr.IsValid() || !from.IsValid() || k.addr.Is4() == from.Is4() {
				return l
			}
		case k.addr == to:
			return l
		case !k.addr.IsValid() && best == nil, k.addr == netip.IPv4Unspecified() && to.Is4():
			best = l
		}
	}
	return best
}

// notServed is the error for an address that is none of ours.
func (s *Server) notServed(question *ExplainQuestion) error {
	var served []string
	for _, k := range s.keys {
		served = append(served, s.listeners[k].bound.String())
	}
	list := strings.Join(served, ", ")
	switch to := question.To; {
	case !to.Addr().IsValid() && to.Port() == 0:
		return fmt.Errorf("no address is served that %s can reach: served are %s", question.From, list)
	case !to.Addr().IsValid():
		return fmt.Errorf("port %d is not served: served are %s", to.Port(), list)
	case to.Port() == 0:
		return fmt.Errorf("%s is not served: served are %s", to.Addr(), list)
	default:
		return fmt.Errorf("%s is not served: served are %s", to, list)
	}
}

// loopbackLike is the loopback address of the family of a, IPv4 if a is none.
func loopbackLike(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// place is FILE:LINE of the block that a chain is of, empty where it is that of
// names that no block serves.
func (g *generation) place(c *chain) string {
	for _, b := range g.blocks {
		if b.chain == c {
			return b.keys[0].place.String()
		}
	}
	return ""
}

// explain asks the handlers in order what they would do; the last step decides.
func (c *chain) explain(q *Query, block string) []Step {
	var steps []Step
	for i := 0; ; i++ {
		if i == c.gate && q.state != stateOK {
			return append(steps, q.explainGate())
		}
		if i == len(c.handlers) {
			return append(steps, q.explainEnd(block))
		}
		h, ok := c.handlers[i].(Explainer)
		if !ok {
			continue
		}
		step := h.Explain(q)
		if step.Text == "" {
			continue
		}
		steps = append(steps, step)
		if step.Decides {
			return steps
		}
	}
}

// explainGate says what the server's own checks have against a question.
func (q *Query) explainGate() Step {
	rrtype := dns.Type(q.Type).String()
	step := Step{Plugin: serverStep, Decides: true}
	if q.state == stateRefused {
		step.Verdict = ExplainRefused
		step.Text = "The server refuses zone transfers: it has none to give."
		step.Facts = map[string]string{"rcode": "REFUSED"}
		return step
	}
	step.Verdict = ExplainAnswered
	step.Text = fmt.Sprintf("The server answers FORMERR: %s is a type that nobody can ask for.", rrtype)
	step.Facts = map[string]string{"rcode": "FORMERR"}
	return step
}

// explainEnd says what becomes of a question that no handler ends.
func (q *Query) explainEnd(block string) Step {
	step := Step{
		Plugin: serverStep, Decides: true, Verdict: ExplainRefused,
		Facts: map[string]string{"rcode": "REFUSED", "ede": fmt.Sprint(uint16(EDENotAuthoritative))},
	}
	if block == "" {
		step.Text = fmt.Sprintf("No server block at %s serves %s: it is refused as not ours (EDE %d).", q.Local, q.Name, EDENotAuthoritative)
	} else {
		step.Text = fmt.Sprintf("Nothing in the server block at %s answers %s: it is refused as not ours (EDE %d).", block, q.Name, EDENotAuthoritative)
	}
	return step
}

// Explain returns what explains questions to the server in use. It may be called
// after Setup.
func (d *Directive) Explain() func(ExplainQuestion) (Explanation, error) { return d.gen.server.Explain }
