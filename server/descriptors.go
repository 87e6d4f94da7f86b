package server

import (
	"errors"
	"slices"
	"syscall"
)

// spareDescriptors are those that connections leave for zone files, the log,
// and what else a program opens.
const spareDescriptors = 32

// noDescriptors says whether the process, or the machine, has no file
// descriptor left.
func noDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// shares divides the descriptors that remain beside the server's own sockets
// among the connections of dns listeners over TCP and web ones over HTTP, which
// get a quarter of them together. No share is less than one.
func shares(limit uint64, sockets, dns, web int) (perDNS, perWeb int) {
	free := int(min(limit, 1<<30)) - sockets - spareDescriptors
	if web > 0 {
		perWeb = max(1, free/4/web)
		free -= perWeb * web
	}
	return max(1, free/max(1, dns)), perWeb
}

// apportion bounds the connections of the listeners in use, so that those to
// one of them leave descriptors to the others; s.mu is held.
func (s *Server) apportion() {
	limit, limited := descriptorLimit()
	if !limited {
		return
	}
	dns, web := len(s.listeners), len(s.http)
	sockets := dns*(s.socketsPerAddress()+1) + web
	perDNS, perWeb := shares(limit, sockets, dns, web)
	for _, l := range s.listeners {
		l.tcp.allow(min(perDNS, s.tcp.conns))
	}
	for _, h := range s.http {
		h.conns.allow(min(perWeb, maxHTTPConns))
	}
	if perDNS < s.tcp.conns && dns > 0 {
		s.log.Warn("few open files are allowed, and so fewer TCP connections: raise the limit (ulimit -Hn, or LimitNOFILE of systemd)",
			"open files", limit, "connections per address", perDNS, "wanted", s.tcp.conns)
	}
}

// shed closes one connection of any listener, since descriptors are lacking to
// all of them: one of the listener that has the most connections, if it can.
func (s *Server) shed() {
	type holder struct {
		open int
		shed func() bool
	}
	var holders []holder
	s.mu.Lock()
	for _, l := range s.listeners {
		open, _ := l.tcp.count()
		holders = append(holders, holder{open, l.tcp.shedOne})
	}
	for _, h := range s.http {
		holders = append(holders, holder{h.conns.count(), h.conns.shedOne})
	}
	s.mu.Unlock()
	slices.SortFunc(holders, func(a, b holder) int { return b.open - a.open })
	for _, h := range holders {
		if h.shed() {
			return
		}
	}
}
