package server

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// TCPGuard decides on the TCP connections to the addresses that a block listens on,
// before a query is read from them. Connections that are open are not its business.
//
// Both methods are called from any goroutine, must not block, and may be called
// still while the configuration goes out of use.
type TCPGuard interface {
	// Refuses says whether nobody is to connect to local. It is asked about an
	// address of the server's own, not about wildcards: there the kernel then
	// answers as if nobody listened. Where the system cannot do that, connections
	// are made, and Accepts has to turn them away.
	Refuses(local netip.AddrPort) bool
	// Accepts says whether a connection is served that was made from remote; it is
	// reset at once otherwise.
	Accepts(local, remote netip.AddrPort) bool
}

// GuardTCP has g decide on the TCP connections to the block's addresses. Other
// blocks at the same address have no say. changed has the server ask Refuses again;
// it may be called from OnStart on, also once the configuration is out of use, and
// not from g's own methods.
func (d *Directive) GuardTCP(g TCPGuard) (changed func()) {
	d.gen.guards = append(d.gen.guards, blockGuard{d.Block, g})
	return d.gen.server.reviewGuards
}

// blockGuard is the guard of one block.
type blockGuard struct {
	block *Block
	guard TCPGuard
}

// guardsOf are the guards of a block.
func (g *generation) guardsOf(b *Block) (guards []TCPGuard) {
	for _, of := range g.guards {
		if of.block == b {
			guards = append(guards, of.guard)
		}
	}
	return guards
}

// refuses says whether a guard wants nobody to connect to the listener's address.
func (r *router) refuses(local netip.AddrPort) bool {
	if r.wildcard {
		return false
	}
	for _, g := range r.guards {
		if g.Refuses(local) {
			return true
		}
	}
	return false
}

// reviewGuards closes and opens addresses as the guards of the configuration in use
// want it.
func (s *Server) reviewGuards() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reviewGuardsLocked()
}

func (s *Server) reviewGuardsLocked() {
	for _, l := range s.listeners {
		if err := l.tcp.refuse(l.router.Load().refuses(l.bound)); err != nil {
			s.log.Error("refuse TCP connections, or take them again", "address", l.bound, "error", err)
		}
	}
}

// refuse has the kernel refuse connections, or take them again. It does nothing
// where the system has no way to.
//
// On Linux shutdown turns a listening socket into one that is bound and no more, and
// listen turns it back; its address is never another's. Connections that wait to be
// accepted are reset.
func (t *tcpListener) refuse(refuse bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || refuse == (t.refused != nil) || !canRefuse {
		return nil
	}
	raw, err := t.listener.SyscallConn()
	if err != nil {
		return err
	}
	t.turns.Add(1)
	if refuse {
		// In this order: accept finds out why it fails.
		t.refused = make(chan struct{})
		ctl := raw.Control(func(fd uintptr) { err = stopListening(fd) })
		if err = errors.Join(ctl, err); err == nil {
			return nil
		}
	} else {
		ctl := raw.Control(func(fd uintptr) { err = listenAgain(fd) })
		if err = errors.Join(ctl, err); err != nil {
			return err
		}
	}
	close(t.refused)
	t.refused = nil
	return err
}

// rest waits, after accept failed, while the address is refused; turns is from before
// accept. False means that accept failed for another reason, or that it is over.
func (t *tcpListener) rest(turns uint64) bool {
	t.mu.Lock()
	refused := t.refused
	t.mu.Unlock()
	if refused == nil {
		return turns != t.turns.Load() // it was refused, and is not any more
	}
	select {
	case <-refused:
		return true
	case <-t.closing:
		return false
	}
}

// welcome asks the guards about a new connection, and resets it if one does not want
// it.
func (t *tcpListener) welcome(conn *net.TCPConn) bool {
	r := t.on.router.Load()
	if len(r.guards) == 0 {
		return true
	}
	local, remote := unmap(addrPort(conn.LocalAddr())), unmap(addrPort(conn.RemoteAddr()))
	for _, g := range r.guards {
		if !t.asks(g, local, remote) {
			conn.SetLinger(0)
			conn.Close()
			return false
		}
	}
	return true
}

// asks is Accepts; a guard that panics keeps nobody out.
func (t *tcpListener) asks(g TCPGuard, local, remote netip.AddrPort) (accepts bool) {
	defer func() {
		if fault := recover(); fault != nil {
			s := t.on.server
			s.panics.Add(1)
			if s.panicLog.allow(time.Now()) {
				s.log.Error("a guard of TCP connections panicked", "panic", fault, "client", remote)
			}
			accepts = true
		}
	}()
	return g.Accepts(local, remote)
}
