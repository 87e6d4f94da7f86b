package forward

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/server/servertest"
)

// upstream end the last ones that wait there.
func TestRetiredSocketFails(t *testing.T) {
	var made server.Handler
	s := servertest.Start(t, ".:0 {\n bind 127.0.0.1\n prometheus 127.0.0.1:0\n forward . "+mute(t).String()+"\n}",
		bind.Plugin(), prometheus.Plugin("test"), Gate(), servertest.Capture(Plugin(), &made))
	go s.TryExchange("udp", s.Addrs()[0], servertest.Question("www.example", dns.TypeA), time.Second)
	u := made.(*handler).engine.all()[0]
	var waits *socket
	s.Wait("a query to wait", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		for i, c := range u.sockets {
			if c == nil {
				continue
			}
			c.mu.Lock()
			n := len(c.waiting)
			c.mu.Unlock()
			if n > 0 {
				waits, u.sockets[i] = c, nil
				return true
			}
		}
		return false
	})
	waits.retire()
	waits.fail(syscall.ECONNREFUSED)
	if err := waits.conn.SetWriteDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open, and its reader would keep the server from stopping: %v", err)
		waits.conn.Close()
	}
}
