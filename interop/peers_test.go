//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// peer is one of the servers that are compared, with the sockets to ask it by.
type peer struct {
	name       string
	from, host *host
	run        func(*testing.T, *host, ...zone) *process
	clients    map[string]*client // by network
}

// newPeers makes hosts for stampdns, BIND, NSD and Knot, in this order, at
// 192.0.2.first and the three addresses behind it.
func newPeers(lab *lab, from *host, first int) []*peer {
	peers := []*peer{
		{name: "stampdns", run: startStampdns},
		{name: "bind", run: startBIND},
		{name: "nsd", run: startNSD},
		{name: "knot", run: startKnot},
	}
	for i, p := range peers {
		p.from, p.clients = from, map[string]*client{}
		p.host = lab.host(fmt.Sprintf("%s%d", p.name, first), fmt.Sprintf("192.0.2.%d", first+i))
	}
	return peers
}

// start starts the peer's server until the test ends, and waits until it answers
// for all its zones.
func (p *peer) start(t *testing.T, zones ...zone) {
	t.Helper()
	process := p.run(t, p.host, zones...)
	t.Cleanup(p.hangUp)
	for _, z := range zones {
		process.ready(func() error {
			reply, _, err := p.exchange(question{name: z.origin, typ: dns.TypeSOA})
			if err == nil && (reply.Rcode != dns.RcodeSuccess || !reply.Authoritative) {
				err = fmt.Errorf("%s: %s: is the zone loaded?", z.origin, dns.RcodeToString[reply.Rcode])
			}
			return err
		})
	}
}

// hangUp closes the peer's sockets.
func (p *peer) hangUp() {
	for network, c := range p.clients {
		c.close()
		delete(p.clients, network)
	}
}

// patience is how long a reply may take, and how often its question is asked:
// datagrams get lost, and idle connections are closed.
const (
	patience = 5 * time.Second
	attempts = 3
)

// exchange asks the peer's server and returns its reply, also as the packet it was.
func (p *peer) exchange(q question) (msg *dns.Msg, packet []byte, err error) {
	network := "udp"
	if q.tcp {
		network = "tcp"
	}
	for range attempts {
		c := p.clients[network]
		if c == nil {
			if c, err = p.from.dial(network, p.host.addr, patience); err != nil {
				return nil, nil, err
			}
			p.clients[network] = c
		}
		if msg, err = c.exchange(q.message()); err == nil {
			return msg, c.packet, nil
		}
		if q.tcp || !errors.Is(err, os.ErrDeadlineExceeded) {
			c.close()
			delete(p.clients, network)
		}
	}
	return nil, nil, err
}

// askAll asks all servers at once; answers are in the order of peers.
func askAll(t *testing.T, peers []*peer, q question) []reply {
	t.Helper()
	replies := make([]reply, len(peers))
	errs := make([]error, len(peers))
	var wait sync.WaitGroup
	for i, p := range peers {
		wait.Go(func() {
			msg, packet, err := p.exchange(q)
			if errs[i] = err; err == nil {
				replies[i] = reply{p.name, factsOf(q, msg), msg, packet}
			}
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("%s: %s: %v", peers[i].name, q, err)
		}
	}
	return replies
}
