package probe

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

// Explain says that a name is a probe, and of other names nothing.
func (h *handler) Explain(q *server.Query) server.Step {
	step := server.Step{Plugin: "probe"}
	if !mayProbe(q.Name) {
		return step
	}
	p := h.find(q.Name)
	if p.zone == nil {
		return step
	}
	root := strings.TrimSuffix(p.root.String(), ".")
	step.Facts = map[string]string{"zone": p.zone.Origin().String(), "root": p.root.String()}
	if p.refusal != "" {
		step.Text = fmt.Sprintf("Probes below %s are off: %s.", root, p.refusal)
		return step
	}
	step.Decides, step.Verdict, step.Facts["rcode"] = true, server.ExplainAnswered, "NOERROR"
	addr := q.Remote.Addr()
	switch {
	case nonceOf(q.Name, p.root) == nil:
		step.Text = fmt.Sprintf("%s is what probes are asked for below: the answer is NOERROR without data.", root)
	case q.Type == dns.TypeTXT || q.Type == dns.TypeANY:
		step.Text = fmt.Sprintf("%s is a probe below %s: the answer tells what the server sees of the query.", q.Name, root)
	case q.Type == dns.TypeA && addr.Is4() || q.Type == dns.TypeAAAA && addr.Is6():
		step.Text = fmt.Sprintf("%s is a probe below %s: the answer is the asker's address, %s.", q.Name, root, addr)
	default:
		step.Text = fmt.Sprintf("%s is a probe below %s, which has TXT, and A or AAAA after the asker's address: the answer is NOERROR without data.", q.Name, root)
	}
	return step
}
