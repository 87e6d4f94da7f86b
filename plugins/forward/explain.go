package forward

import (
	"fmt"
	"strings"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Explain says whom the gate would turn away.
func (g *gate) Explain(q *server.Query) server.Step {
	step := server.Step{Plugin: "forward gate"}
	t := g.table.Load()
	allows := g.allows(q.Remote.Addr())
	switch {
	case len(t.route(q)) == 0:
		step.Text = "there is no forwarder for the name"
	case !allows:
		step.Decides, step.Verdict = true, server.ExplainRefused
		step.Text = fmt.Sprintf("%s is not in a network that is forwarded for: it gets REFUSED (allow in the Corefile says which are)", q.Remote.Addr())
	case g.engine.loops(q):
		step.Decides, step.Verdict = true, server.ExplainAnswered
		step.Text = "a forwarder asks this server what it was just asked: SERVFAIL, to break the loop"
	default:
		step.Text = fmt.Sprintf("%s may have names forwarded", q.Remote.Addr())
	}
	return step
}

// Explain says which forwarder would be asked, and in which state they are.
func (h *handler) Explain(q *server.Query) server.Step {
	step := server.Step{Plugin: "forward"}
	candidates := h.table.Load().route(q)
	if len(candidates) == 0 {
		step.Text = "there is no forwarder for the name"
		return step
	}
	g := candidates[0]
	step.Decides, step.Verdict = true, server.ExplainForwarded
	step.Facts = map[string]string{"domain": g.from.String(), "source": g.source, "policy": g.options.policy.String()}
	var list []string
	usable := 0
	for _, u := range g.upstreams {
		step.Facts["state "+u.address.String()] = u.status().String()
		list = append(list, fmt.Sprintf("%s (%s)", u.address, u.status()))
		if u.status() != down {
			usable++
		}
	}
	what := "the forwarders of " + bare(g.from)
	if len(g.from) == 1 {
		what = "the DNS forwarders"
	}
	if g.source == runtimeSource {
		what += ", set at run time"
	} else {
		what += ", from " + g.source
	}
	switch {
	case usable > 0:
		step.Text = fmt.Sprintf("%s, are asked: %s", what, strings.Join(list, ", "))
	case h.engine.iterator.Load() != nil && string(g.from) == string(wire.Root()):
		step.Text = "no forwarder is up, so the name is resolved from the root hints"
	default:
		step.Verdict = server.ExplainAnswered
		step.Text = fmt.Sprintf("%s, are all down: SERVFAIL (%s)", what, strings.Join(list, ", "))
	}
	return step
}
