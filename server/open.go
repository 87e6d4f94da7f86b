package server

import "errors"

// openAll opens the sockets and the state file of g that are not open yet, all or
// none.
func (s *Server) openAll(g *generation) (fresh map[listenKey]*listener, freshHTTP map[string]*httpServer, err error) {
	if err := s.states.open(g.state); err != nil {
		return nil, nil, err
	}
	if fresh, err = s.openDNS(g); err == nil {
		freshHTTP, err = s.openHTTP(g)
	}
	if err == nil {
		err = s.states.adopt(g.state)
	}
	if err == nil {
		return fresh, freshHTTP, nil
	}
	for _, l := range fresh {
		l.close()
	}
	for _, h := range freshHTTP {
		h.listener.Close()
	}
	return nil, nil, errors.Join(err, s.states.release(g.state))
}
