package acl

import (
	"fmt"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// maxPolicyText is the most of a policy's text that a sentence quotes: policies
// may name thousands of networks.
const maxPolicyText = 200

// Explain says which policy matches, or that none does.
func (h *handler) Explain(q *server.Query) server.Step {
	step := server.Step{Plugin: "acl"}
	what := fmt.Sprintf("%s %s from %s", q.Name, dns.Type(q.Type), q.Remote.Addr())
	l, z, p := h.match(q)
	if p == nil {
		step.Text = fmt.Sprintf("No policy matches %s: it passes.", what)
		return step
	}
	text := p.text
	if len(text) > maxPolicyText {
		text = text[:maxPolicyText] + "…"
	}
	step.Facts = map[string]string{
		"action": p.action.String(), "zone": l.zones[z].String(), "policy": text, "place": p.place,
	}
	so := "it passes"
	switch p.action {
	case block:
		step.Decides, step.Verdict = true, server.ExplainRefused
		so = fmt.Sprintf("it is refused (EDE %d)", server.EDEProhibited)
		step.Facts["rcode"], step.Facts["ede"] = "REFUSED", fmt.Sprint(uint16(server.EDEProhibited))
	case filter:
		step.Decides, step.Verdict = true, server.ExplainAnswered
		so = "the answer is NOERROR and empty"
		step.Facts["rcode"] = "NOERROR"
	case drop:
		step.Decides, step.Verdict = true, server.ExplainDropped
		so = "there is no answer"
	}
	step.Text = fmt.Sprintf("The policy %q for zone %s at %s matches %s: %s.", text, l.zones[z], p.place, what, so)
	return step
}
