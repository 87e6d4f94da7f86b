package cache

import (
	"fmt"
	"time"

	"github.com/stampdns/stampdns/server"
)

// Explain says whether an entry would answer.
func (h *handler) Explain(q *server.Query) server.Step {
	step := server.Step{Plugin: "cache"}
	if !h.covers(q.Name) {
		step.Text = "the name is in none of the domains that are cached"
		return step
	}
	g := h.peek(q)
	age, left := g.age.Round(time.Second), g.left.Round(time.Second)
	switch {
	case g.state == none:
		step.Text = "there is no answer in the cache"
		if g.asking {
			step.Text += "; the same question is being asked already, and this one would wait for it"
		}
		return step
	case g.state == stale && h.verify && !g.resting:
		step.Text = fmt.Sprintf("the answer in the cache is %s old and has expired: it is given only if nothing better comes", age)
		return step
	}
	step.Decides, step.Verdict = true, server.ExplainAnswered
	step.Facts = map[string]string{"age": age.String(), "left": left.String(), "rcode": fmt.Sprint(g.rcode)}
	if g.state == stale {
		step.Text = fmt.Sprintf("an answer from the cache that has expired is given, %s old, and asked for anew", age)
	} else {
		step.Text = fmt.Sprintf("an answer from the cache is given, %s old and good for another %s", age, left)
	}
	return step
}
