package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxHTTPConns bounds the open connections of one HTTP listener, where there are
// descriptors for them.
const maxHTTPConns = 256

// httpPatience is how long a request may be under way before its connection is
// one that may be closed in favor of another.
const httpPatience = time.Second

// httpConns are the open connections of one HTTP listener. Where a new one finds
// no room, the one between requests, or before its first, that was quiet longest
// is closed in its favor; failing that, the one whose request goes on longest.
// So idle and slow clients do not keep probes out.
type httpConns struct {
	mu    sync.Mutex
	most  int
	order list.List // of *httpConn, the one that changed last at the back
	place map[net.Conn]*list.Element
}

type httpConn struct {
	conn  net.Conn
	busy  bool // with a request
	since time.Time
}

func newHTTPConns() *httpConns {
	return &httpConns{most: maxHTTPConns, place: make(map[net.Conn]*list.Element)}
}

// note is the http.Server's ConnState.
func (h *httpConns) note(conn net.Conn, state http.ConnState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch state {
	case http.StateNew:
		for h.order.Len() >= h.most {
			if !h.shedLocked() {
				cutOff(conn)
				return
			}
		}
		h.place[conn] = h.order.PushBack(&httpConn{conn: conn, since: time.Now()})
	case http.StateActive, http.StateIdle:
		if e := h.place[conn]; e != nil {
			c := e.Value.(*httpConn)
			c.busy, c.since = state == http.StateActive, time.Now()
			h.order.MoveToBack(e)
		}
	default:
		h.forgetLocked(conn)
	}
}

func (h *httpConns) forgetLocked(conn net.Conn) {
	if e := h.place[conn]; e != nil {
		h.order.Remove(e)
		delete(h.place, conn)
	}
}

// shedOne closes one connection, if there is one that may be closed.
func (h *httpConns) shedOne() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shedLocked()
}

func (h *httpConns) shedLocked() bool {
	var victim *httpConn
	for e := h.order.Front(); e != nil; e = e.Next() {
		c := e.Value.(*httpConn)
		if !c.busy {
			victim = c
			break
		}
		if victim == nil && time.Since(c.since) >= httpPatience {
			victim = c
		}
	}
	if victim == nil {
		return false
	}
	h.forgetLocked(victim.conn)
	cutOff(victim.conn)
	return true
}

// cutOff closes a connection without a word to the client, who may not read it:
// the end of a TLS connection would wait for that.
func cutOff(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	c.Close()
}

// allow sets how many connections may be open.
func (h *httpConns) allow(most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = most
}

func (h *httpConns) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.order.Len()
}
