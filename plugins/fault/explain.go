package fault

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Explain says which fault would be put into the query. What chance and counting
// decide is left open: a rule that is about some queries only is said to be so.
func (b *block) Explain(q *server.Query) server.Step {
	step := server.Step{Plugin: "fault"}
	what := fmt.Sprintf("%s %s from %s", q.Name, dns.Type(q.Type), q.Remote.Addr())
	t := b.table.Load()
	if t == nil {
		step.Text = "No fault is in use."
		return step
	}
	name := wire.AppendText(nil, q.Name)
	var maybe []string
	for _, r := range t.queries {
		if !r.about(q, b.labels[q.NS], name) || r.count > 0 && r.left.Load() <= 0 {
			continue
		}
		if r.sometimes() {
			maybe = append(maybe, r.name)
			continue
		}
		return b.explain(step, r, what, maybe)
	}
	if maybe == nil {
		step.Text = fmt.Sprintf("No fault is about %s.", what)
		return step
	}
	step.Text = fmt.Sprintf("Some queries like %s get a fault: %s.", what, strings.Join(maybe, ", "))
	step.Facts = map[string]string{"sometimes": strings.Join(maybe, " ")}
	return step
}

// sometimes says that the rule acts on some only of the queries that it is about.
func (r *rule) sometimes() bool { return r.probability < 1 || r.every > 1 }

// explain describes what a rule does.
func (b *block) explain(step server.Step, r *rule, what string, maybe []string) server.Step {
	step.Facts = map[string]string{"rule": r.name, "kind": r.kind.String(), "fault": r.text(), "source": r.source}
	if maybe != nil {
		step.Facts["sometimes"] = strings.Join(maybe, " ")
	}
	so := "the reply is made wrong on its way out"
	rcode, answers := r.kind.rcode()
	switch {
	case r.kind.silent():
		step.Decides, step.Verdict = true, server.ExplainDropped
		so = "there is no answer"
	case answers:
		step.Decides, step.Verdict = true, server.ExplainAnswered
		if r.kind == refused {
			step.Verdict = server.ExplainRefused
		}
		so = fmt.Sprintf("the answer is %s and nothing else", dns.RcodeToString[int(rcode)])
		step.Facts["rcode"] = dns.RcodeToString[int(rcode)]
	case r.kind == delay:
		so = "the reply is held back"
	}
	if r.delay > 0 {
		so += ", after " + durationText(r.delay)
	}
	step.Text = fmt.Sprintf("The fault %s (%s) is put into %s on purpose: %s.", r.name, r.text(), what, so)
	return step
}
