// Package probe answers questions for NONCE.probe.ZONE with what the server sees of
// them, so that whoever asks through a resolver can tell by which way the question came
// here, and to which name server.
//
//	asker ── NONCE.probe.ZONE? ──► resolver ──► stamp: "path=iterative ns=ns02 …"
//	  │                                           │
//	  └── POST …/probes/NONCE/confirm ──► record ◄┘ sightings
//
// The record keeps the last nonces, so that both sides can be joined.
package probe

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// label is the label below a zone that probes are asked for below, in wire form.
const label = "\x05probe"

// Plugin is the probe directive.
func Plugin() server.Plugin {
	return server.Plugin{Name: "probe", Usage: "probe [off]", Setup: setup}
}

// Answers is what answers probes. It is there in every block that serves a stamp, and
// where the directive asks for it.
func Answers() server.Plugin {
	return server.Plugin{Name: "probe answers", Implicit: true, Setup: setupAnswers}
}

// choice is what the directive says in one block.
type choice struct{ on bool }

func setup(d *server.Directive) (server.Handler, error) {
	d.Next()
	args, err := d.Arguments(0, 1)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 && args[0] != "off" {
		return nil, d.UsageErr("%q is neither nothing nor off%s", args[0], server.Suggest(args[0], []string{"off"}))
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	server.Share(d, func() *choice { return &choice{on: len(args) == 0} })
	return nil, nil
}

func setupAnswers(d *server.Directive) (server.Handler, error) {
	store, served := server.Shared[*zones.Store](d)
	choice, chosen := server.Shared[*choice](d)
	switch {
	case chosen && choice.on && !served:
		return nil, d.Errf("probe: the server block has no zones to be asked for in: add stamp, file or auto, or take probe out")
	case !served, chosen && !choice.on, !chosen && len(d.Block.NameServers) == 0:
		return nil, nil
	}
	r := server.Keep(d, "", newRecord)
	var err error
	server.ShareAll(d, func() *mounted {
		if err = mount(d, r); err == nil {
			err = d.Register(r)
		}
		return new(mounted)
	})
	return &handler{store: store, record: r, log: d.Logger()}, err
}

// mounted says that the API and the metrics of this configuration are there.
type mounted struct{}

type handler struct {
	store  *zones.Store
	record *record
	log    *slog.Logger
	told   refusals
}

// In answers the names that are probes; a few steps over the labels tell that a name is
// none.
func (h *handler) In(q *server.Query) server.Verdict {
	if !mayProbe(q.Name) {
		return server.Next
	}
	p := h.find(q.Name)
	if p.zone == nil {
		return server.Next
	}
	if p.refusal != "" {
		h.told.tell(h.log, p)
		return server.Next
	}
	h.answer(q, p)
	return server.Answered
}

// Out has nothing to do.
func (h *handler) Out(*server.Query) {}

// mayProbe says whether one of the labels of a name is that of probes. It is all that
// other names have to pass.
func mayProbe(name wire.Name) bool {
	for i := 0; ; {
		n := int(name[i])
		if n == 0 {
			return false
		}
		if n == len(label)-1 && string(name[i:i+len(label)]) == label {
			return true
		}
		i += n + 1
	}
}

// place is where a name stands that is a probe.
type place struct {
	zone   *zones.Zone // nil where the name is no probe
	number uint32      // the zone's label
	root   wire.Name   // probe.ZONE, a part of the name
	// refusal says why the zone has no probes, empty where it has.
	refusal string
}

// find says whether a name is a probe.
func (h *handler) find(name wire.Name) place {
	zone, number := h.store.Set().Find(name)
	if zone == nil {
		return place{}
	}
	at := len(name) - len(zone.Origin()) - len(label)
	if at < 0 || string(name[at:at+len(label)]) != label || !name.Within(name[at:]) {
		return place{}
	}
	p := place{zone: zone, number: number, root: name[at:]}
	switch {
	case zone.Signed():
		p.refusal = "the zone is signed, and an answer that is not would be bogus"
	case !zone.Vacant(p.root):
		p.refusal = "the zone has data there, or cedes the name"
	}
	return p
}

// maxTold bounds the zones that the log has been told of.
const maxTold = 1024

// refusals are the zones that the log knows to have no probes.
type refusals struct {
	mu   sync.Mutex
	told map[string]string // why, by the name that probes would be below
}

// tell logs once, for a zone and a reason, that it is not probed. It allocates nothing
// where the log knows already: anybody can ask.
func (r *refusals) tell(log *slog.Logger, p place) {
	r.mu.Lock()
	why, known := r.told[string(p.root)]
	if why == p.refusal || !known && len(r.told) >= maxTold {
		r.mu.Unlock()
		return
	}
	if r.told == nil {
		r.told = make(map[string]string)
	}
	r.told[string(p.root)] = p.refusal
	r.mu.Unlock()
	log.Warn(fmt.Sprintf("probes below %s are not answered: %s", p.root, p.refusal))
}
