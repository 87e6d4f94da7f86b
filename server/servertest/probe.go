package servertest

import (
	"testing"

	"github.com/stampdns/stampdns/server"
)

// Capture is p; the handler that it makes is stored in h as well.
func Capture(p server.Plugin, h *server.Handler) server.Plugin {
	setup := p.Setup
	p.Setup = func(d *server.Directive) (server.Handler, error) {
		made, err := setup(d)
		*h = made
		return made, err
	}
	return p
}

// Probe is a plugin that has in and out called, where they are not nil, with
// each query on its way. It needs the directive "probe".
func Probe(observer bool, in, out func(q *server.Query)) server.Plugin {
	return server.Plugin{Name: "probe", Usage: "probe", Observer: observer,
		Setup: func(*server.Directive) (server.Handler, error) { return probe{in, out}, nil }}
}

type probe struct {
	in, out func(q *server.Query)
}

func (p probe) In(q *server.Query) server.Verdict {
	if p.in != nil {
		p.in(q)
	}
	return server.Next
}

func (p probe) Out(q *server.Query) {
	if p.out != nil {
		p.out(q)
	}
}

// Allocs is how often f allocates on average.
func Allocs(f func()) float64 { return testing.AllocsPerRun(200, f) }
