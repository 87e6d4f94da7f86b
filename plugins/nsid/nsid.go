// Package nsid tells clients that ask for it which name server answered
// (RFC 5001).
package nsid

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/stampdns/stampdns/server"
)

// maxLen bounds the identifier: it takes room from the reply.
const maxLen = 128

// Plugin is the nsid directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "nsid", Usage: "nsid [DATA]", Observer: true, Setup: setup}
}

func setup(d *server.Directive) (server.Handler, error) {
	d.Next()
	args, err := d.Arguments(0, -1)
	if err != nil {
		return nil, err
	}
	h := &handler{block: d.Block, template: cmp.Or(strings.Join(args, " "), "{name}")}
	if h.host, err = os.Hostname(); err != nil {
		return nil, d.Errf("the host has no name to use: %w: give the data", err)
	}
	if err := checkTemplate(h.template); err != nil {
		return nil, d.UsageErr("%w", err)
	}
	d.OnStart(h.start)
	return h, d.End()
}

// checkTemplate looks at all that is known before the name servers are.
func checkTemplate(t string) error {
	if len(t) > maxLen {
		return fmt.Errorf("data is %d octets long: at most %d", len(t), maxLen)
	}
	known := []string{"{ns}", "{name}", "{host}"}
	for rest := t; ; {
		_, after, found := strings.Cut(rest, "{")
		word, tail, closed := strings.Cut(after, "}")
		if !found || !closed {
			return nil
		}
		switch word {
		case "ns", "name", "host":
		default:
			return fmt.Errorf("unknown placeholder {%s}%s", word, server.Suggest("{"+word+"}", known))
		}
		rest = tail
	}
}

type handler struct {
	block    *server.Block
	template string
	host     string
	data     [][]byte // by Query.NS; the first for those that come to no name server
}

// start fills the template in for each name server. A query that came to none
// of them gets the host's name for all three placeholders.
func (h *handler) start() {
	h.data = [][]byte{fill(h.template, h.host, h.host, h.host)}
	for _, ns := range h.block.NameServers {
		h.data = append(h.data, fill(h.template, ns.Label, cmp.Or(strings.TrimSuffix(ns.Name, "."), ns.Label), h.host))
	}
}

func fill(template, ns, name, host string) []byte {
	s := strings.NewReplacer("{ns}", ns, "{name}", name, "{host}", host).Replace(template)
	return []byte(s[:min(len(s), 2*maxLen)])
}

// In gives the reply its identifier; the server sends it if it was asked for.
func (h *handler) In(q *server.Query) server.Verdict {
	if ns := int(q.NS); ns < len(h.data) {
		q.NSID = h.data[ns]
	} else {
		q.NSID = h.data[0]
	}
	return server.Next
}

// Out has nothing to do.
func (h *handler) Out(*server.Query) {}
