// Package dnstap tells collectors of all queries and replies, in the format of
// dnstap.info.
//
// A query costs a copy into a buffer of its worker. One goroutine an output encodes
// and writes what the buffers hold; where it is too slow, or the collector gone, what
// finds no room is counted and left out.
package dnstap

import (
	"cmp"
	"os"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the dnstap directive. version is what messages say unless the directive
// says otherwise.
func Plugin(version string) server.Plugin {
	return server.Plugin{
		Name:     "dnstap",
		Usage:    "dnstap tcp://HOST:PORT|unix:///PATH|FILE [full] { identity TEXT; version TEXT; message_types TYPE... }",
		Observer: true,
		Setup:    func(d *server.Directive) (server.Handler, error) { return setup(d, version) },
	}
}

func setup(d *server.Directive, version string) (server.Handler, error) {
	options, err := parse(d)
	if err != nil {
		return nil, err
	}
	h := &handler{block: d.Block}
	log, zones := d.Logger(), d.ZoneLabels()
	all := server.ShareAll(d, func() *collector {
		c := &collector{outputs: make(map[string]*output)}
		err = d.Register(c)
		return c
	})
	if err != nil {
		return nil, err
	}
	for _, o := range options {
		out := server.Keep(d, o.target.String(), func() *output { return newOutput(o.target, d.Workers(), zones) })
		all.outputs[o.target.String()] = out
		t := &tap{out: out, types: o.types, identity: o.identity, version: cmp.Or(o.version, "stampdns "+version)}
		h.taps = append(h.taps, t)
		d.OnStart(func() {
			t.name(h.block)
			out.start(log)
		})
		d.OnStop(out.stop)
	}
	return h, nil
}

// handler has each query of a block told to the outputs of the block.
type handler struct {
	block *server.Block
	taps  []*tap
}

// tap is one directive: an output, and what goes there. It is read-only once the
// server has started.
type tap struct {
	out      *output
	types    types
	identity string
	version  string
	names    [][]byte // identities by Query.NS
}

// name settles who says it, as far as the directive does not: the name server that was
// asked, by its label, or the host.
func (t *tap) name(b *server.Block) {
	host, _ := os.Hostname()
	for i := range b.NSLabels() {
		who := host
		if i > 0 && i <= len(b.NameServers) {
			who = b.NameServers[i-1].Label
		}
		t.names = append(t.names, []byte(cmp.Or(t.identity, who)))
	}
}

// In has nothing to do: what is told of a query is known at its end.
func (h *handler) In(*server.Query) server.Verdict { return server.Next }

// Out keeps copies of query and reply for the outputs.
func (h *handler) Out(q *server.Query) {
	r := record{
		received: q.Received.UnixNano(), took: int64(q.Took()),
		local: q.Local, remote: q.Remote, tcp: q.Transport == server.TCP, ns: q.NS, zone: q.Zone,
	}
	var reply []byte
	kinds := authQuery
	if q.Verdict() == server.Answered {
		reply = q.Reply
		kinds = authQuery | authResponse
		// Replies that other servers' answers are made of have RA set.
		if wire.Flags(reply)&wire.FlagRA != 0 {
			kinds = clientQuery | clientResponse
		}
	}
	for _, t := range h.taps {
		if r.kinds = kinds & t.types; r.kinds != 0 {
			r.tap = t
			t.out.lanes[q.Worker].put(r, q.Packet, reply)
		}
	}
}
