package forward

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// world is name servers on loopback: one port, many addresses.
type world struct {
	t      testing.TB
	port   uint16
	asked  sync.Map // address -> *atomic.Int64, queries
	stream sync.Map // address -> *atomic.Int64, those over TCP
}

// newWorld starts servers at 127.0.0.N, by N.
func newWorld(t testing.TB, servers map[byte]dns.Handler) *world {
	t.Helper()
	w := &world{t: t}
	for range 50 {
		if w.listen(servers) {
			return w
		}
	}
	t.Fatal("no port is free on all addresses")
	return nil
}

// listen opens all addresses, or says that one of them is taken.
func (w *world) listen(servers map[byte]dns.Handler) bool {
	w.port = 0
	type sockets struct {
		n   byte
		udp net.PacketConn
		tcp net.Listener
	}
	var open []sockets
	for n := range servers {
		at := fmt.Sprintf("127.0.0.%d:%d", n, w.port)
		udp, err := net.ListenPacket("udp", at)
		if err == nil {
			w.port = udp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			open = append(open, sockets{n: n, udp: udp})
			open[len(open)-1].tcp, err = net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", n, w.port))
		}
		if err != nil {
			for _, s := range open {
				s.udp.Close()
				if s.tcp != nil {
					s.tcp.Close()
				}
			}
			return false
		}
	}
	for _, s := range open {
		h := w.counting(s.n, servers[s.n])
		w.start(&dns.Server{PacketConn: s.udp, Handler: h})
		w.start(&dns.Server{Listener: s.tcp, Handler: h})
	}
	return true
}

func (w *world) start(s *dns.Server) {
	up := make(chan struct{})
	s.NotifyStartedFunc = func() { close(up) }
	go s.ActivateAndServe()
	<-up
	w.t.Cleanup(func() { s.Shutdown() })
}

func (w *world) counting(n byte, h dns.Handler) dns.Handler {
	return dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
		counter(&w.asked, n).Add(1)
		if _, tcp := rw.RemoteAddr().(*net.TCPAddr); tcp {
			counter(&w.stream, n).Add(1)
		}
		if req.RecursionDesired {
			w.t.Errorf("%v came with RD", req.Question)
		}
		h.ServeDNS(rw, req)
	})
}

func counter(m *sync.Map, n byte) *atomic.Int64 {
	c, _ := m.LoadOrStore(n, new(atomic.Int64))
	return c.(*atomic.Int64)
}

// queries is how many came to 127.0.0.N.
func (w *world) queries(n byte) int64 { return counter(&w.asked, n).Load() }

// all is how many came to any server.
func (w *world) all() (n int64) {
	w.asked.Range(func(_, c any) bool { n += c.(*atomic.Int64).Load(); return true })
	return n
}

// iterator starts from the root at 127.0.0.N.
func (w *world) iterator(now func() time.Time, roots ...byte) *iterator {
	h := &hints{port: w.port}
	for i, n := range roots {
		h.servers = append(h.servers, cutServer{
			name:  mustName(w.t, fmt.Sprintf("%c.root.", 'a'+i)),
			addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, n})},
		})
	}
	return newIterator(h, now)
}

func mustName(t testing.TB, text string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serves is a server with zones: origin, text, origin, text …
func serves(t testing.TB, zonesAndTexts ...string) dns.Handler {
	t.Helper()
	store := zones.NewStore()
	for i := 0; i < len(zonesAndTexts); i += 2 {
		origin := mustName(t, zonesAndTexts[i])
		text := "$TTL 3600\n@ SOA ns.invalid. h.invalid. 1 3600 300 2419200 300\n" + zonesAndTexts[i+1]
		z, _, err := zones.Load(zones.TextSource(zonesAndTexts[i], []byte(text), origin))
		if err == nil {
			err = store.Declare(origin, "test")
		}
		if err != nil {
			t.Fatal(err)
		}
		store.Put(z, 0, time.Now())
	}
	return dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) { rw.Write(answerFrom(store, rw, req)) })
}

// answerFrom is the reply of an authoritative server.
func answerFrom(store *zones.Store, rw dns.ResponseWriter, req *dns.Msg) []byte {
	packet, err := req.Pack()
	if err != nil {
		return nil
	}
	q, _ := wire.ParseQuestion(packet, new([wire.MaxName]byte))
	wire.SetFlags(packet, wire.FlagQR)
	wire.SetCount(packet, wire.CountAR, 0)
	question := zones.Question{Name: q.Name, Type: q.Type, DO: req.IsEdns0() != nil && req.IsEdns0().Do()}
	limit := 1232
	if _, tcp := rw.RemoteAddr().(*net.TCPAddr); tcp {
		limit, question.Stream = dns.MaxMsgSize-1, true
	}
	reply, result := store.Set().Answer(packet[:q.End], question, limit)
	if result.Zone == nil {
		wire.SetRCode(reply, dns.RcodeRefused)
	}
	return reply
}

// replies is a server that says what f makes of an empty reply.
func replies(f func(m *dns.Msg)) dns.Handler {
	return dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
		m := new(dns.Msg).SetReply(req)
		f(m)
		rw.WriteMsg(m)
	})
}

// refers makes m a referral: records in authority, the rest behind "+" in
// additional.
func refers(m *dns.Msg, records ...string) {
	section := &m.Ns
	for _, text := range records {
		if glue, ok := strings.CutPrefix(text, "+"); ok {
			section, text = &m.Extra, glue
		}
		*section = append(*section, mustRecord(text))
	}
}

func mustRecord(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

// silent is a server that takes queries and says nothing.
func silent() dns.Handler { return dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {}) }

// lying sends replies of a wrong id, to wrong questions and of no form before that
// of h.
func lying(h dns.Handler) dns.Handler {
	return dns.HandlerFunc(func(rw dns.ResponseWriter, req *dns.Msg) {
		poison := func() *dns.Msg {
			m := new(dns.Msg).SetReply(req)
			m.Authoritative = true
			m.Answer = []dns.RR{mustRecord(req.Question[0].Name + " 60 A 203.0.113.66")}
			return m
		}
		wrongID, wrongName, wrongType, query := poison(), poison(), poison(), poison()
		wrongID.Id++
		wrongName.Question[0].Name = "x" + req.Question[0].Name
		wrongType.Question[0].Qtype = dns.TypeMX
		query.Response = false
		for _, m := range []*dns.Msg{wrongID, wrongName, wrongType, query} {
			rw.WriteMsg(m)
		}
		rw.Write(binary.BigEndian.AppendUint16(nil, req.Id))
		h.ServeDNS(rw, req)
	})
}
