package authority

import (
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
)

// Explain says what the zones of the block have for the name.
func (h *handler) Explain(q *server.Query) server.Step {
	e := h.store.Set().Explain(zones.Question{Name: q.Name, Type: q.Type, DO: q.EDNS.DO, Stream: q.Transport == server.TCP})
	step := server.Step{Plugin: "authority", Text: e.Text, Facts: e.Facts}
	if e.Origin == nil {
		delete(step.Facts, "rcode") // that is for handlers behind this one to say
		return step
	}
	step.Decides, step.Verdict = true, server.ExplainAnswered
	return step
}
