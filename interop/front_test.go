//go:build interop

package interop

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// front stands where the stamp's two name servers are published, passes each query
// on to the stamp behind, and keeps a note of it: what resolvers really send. A name
// whose first label starts with "silent" or "servfail" finds out of order the server
// that is first asked for it.
type front struct {
	t *testing.T

	mu    sync.Mutex
	notes []asked
	bad   map[string]string // the name server that is out of order, by source and name
}

// asked is a query as it came.
type asked struct {
	at   time.Time
	ns   string
	from netip.Addr
	tcp  bool
	msg  *dns.Msg
	tc   bool // of the reply
	size int  // of the packet
}

func (a asked) name() string { return strings.ToLower(a.msg.Question[0].Name) }
func (a asked) typ() string  { return dns.TypeToString[a.msg.Question[0].Qtype] }

// start serves on port 53 of the host, which is the name server ns.
func (f *front) start(h *host, ns string) {
	f.t.Helper()
	var packets net.PacketConn
	var listener net.Listener
	err := h.inside(func() (err error) {
		if packets, err = net.ListenPacket("udp4", h.addr.String()+":53"); err != nil {
			return err
		}
		listener, err = net.Listen("tcp4", h.addr.String()+":53")
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { f.serve(h, ns, w, m) })
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler, UDPSize: dns.MaxMsgSize}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
		f.t.Cleanup(func() { server.Shutdown() })
	}
}

// behind is the port of the stamp behind the front.
const behind = 5353

func (f *front) serve(h *host, ns string, w dns.ResponseWriter, m *dns.Msg) {
	remote := netip.MustParseAddrPort(w.RemoteAddr().String())
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	note := asked{at: time.Now(), ns: ns, from: remote.Addr(), tcp: tcp, msg: m.Copy(), size: m.Len()}
	if len(m.Question) != 1 {
		return
	}
	index, trouble := f.note(note)
	switch trouble {
	case "silent":
		return
	case "servfail":
		w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
		return
	}
	network := "udp"
	if tcp {
		network = "tcp"
	}
	c, err := h.dialPort(network, netip.AddrPortFrom(h.addr, behind), 5*time.Second)
	if err != nil {
		return
	}
	defer c.close()
	reply, err := c.exchange(m)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.notes[index].tc = reply.Truncated
	f.mu.Unlock()
	w.Write(c.packet)
}

// note keeps a query, and says what is to go wrong with it.
func (f *front) note(a asked) (index int, trouble string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, a)
	for _, kind := range []string{"silent", "servfail"} {
		if strings.HasPrefix(a.name(), kind) {
			key := a.from.String() + " " + a.name()
			if f.bad[key] == "" {
				f.bad[key] = a.ns
			}
			if f.bad[key] == a.ns {
				trouble = kind
			}
		}
	}
	return len(f.notes) - 1, trouble
}

// from are the queries that a source has sent since the n-th of all.
func (f *front) from(source netip.Addr, n int) (list []asked) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.notes[n:] {
		if a.from == source {
			list = append(list, a)
		}
	}
	return list
}

// count is how many queries there were.
func (f *front) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.notes)
}
