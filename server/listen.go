package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// listenKey is an address to listen on, as the Corefile asks for it. Without an
// address it is all of them; port 0 takes any free port.
type listenKey struct {
	addr netip.Addr
	port uint16
}

// String is the key as the server label of metrics has it.
func (k listenKey) String() string { return "dns://" + k.hostPort(k.port) }

// hostPort is the key as package net takes it, with the given port.
func (k listenKey) hostPort(port uint16) string {
	host := ""
	if k.addr.IsValid() {
		host = k.addr.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// network is the network of package net: "udp" and "tcp" alone let a listener
// on all addresses take IPv4 and IPv6.
func (k listenKey) network(proto string) string {
	switch {
	case !k.addr.IsValid():
		return proto
	case k.addr.Is4():
		return proto + "4"
	}
	return proto + "6"
}

// wildcard says whether queries to many addresses come in.
func (k listenKey) wildcard() bool { return !k.addr.IsValid() || k.addr.IsUnspecified() }

// overlaps says whether the kernel would let one socket keep the other's
// address from it.
func (k listenKey) overlaps(other listenKey) bool {
	return k.port == other.port && k.port != 0 && (k.wildcard() || other.wildcard())
}

// ListenError is an address that could not be opened. errors.Is finds the
// system's error number in it, such as syscall.EADDRNOTAVAIL.
type ListenError struct {
	Network string // udp or tcp
	Addr    string // host:port
	Err     error
}

// Error says what to do about it where that is known.
func (e *ListenError) Error() string {
	what := e.Err.Error()
	var errno syscall.Errno
	if errors.As(e.Err, &errno) {
		what = errno.Error()
	}
	return fmt.Sprintf("listen %s %s: %s%s", e.Network, e.Addr, what, e.remedy())
}

// Unwrap gives the error of package net.
func (e *ListenError) Unwrap() error { return e.Err }

// Windows has error numbers of its own for what package syscall knows by the
// names of Unix.
const (
	wsaAccess       syscall.Errno = 10013
	wsaInUse        syscall.Errno = 10048
	wsaNotAvailable syscall.Errno = 10049
)

func (e *ListenError) remedy() string {
	_, portText, _ := net.SplitHostPort(e.Addr)
	port, _ := strconv.Atoi(portText)
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE) || errors.Is(e.Err, wsaInUse):
		return fmt.Sprintf(": stop the program that uses it (%s), or choose another port", whoListens(e.Network, port))
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL) || errors.Is(e.Err, wsaNotAvailable):
		return ": this address is not on this machine: add it to an interface, or choose another one"
	case errors.Is(e.Err, syscall.EACCES) || errors.Is(e.Err, syscall.EPERM) || errors.Is(e.Err, wsaAccess):
		if port >= 1024 {
			return ""
		}
		return fmt.Sprintf(": ports below 1024 need a privilege: choose a higher one, or give the program "+
			"the right (setcap 'cap_net_bind_service=+ep'), or everybody (sysctl net.ipv4.ip_unprivileged_port_start=%d)", port)
	}
	return ""
}

// whoListens is the command that shows who has a port.
func whoListens(network string, port int) string {
	switch runtime.GOOS {
	case "linux":
		return fmt.Sprintf("ss -l%cnp 'sport = :%d'", network[0], port)
	case "windows":
		return fmt.Sprintf("netstat -ano -p %s | findstr :%d", network, port)
	}
	return fmt.Sprintf("lsof -nP -i%s:%d", network, port)
}

// listener is all sockets of one address: UDP, one a worker, and TCP.
type listener struct {
	server   *Server
	key      listenKey
	bound    netip.AddrPort
	router   atomic.Pointer[router]
	udp      []*udpSocket
	tcp      *tcpListener
	counters []counters // by worker
	proxyLog throttle
	reading  sync.WaitGroup
}

// enter takes the router in use and counts n queries of a worker as under way
// in its generation. A router that is replaced meanwhile is let go again, so
// that a generation gets no query after its drain began.
func (l *listener) enter(worker, n int) *router {
	for {
		r := l.router.Load()
		r.gen.enter(worker, n)
		if l.router.Load() == r {
			return r
		}
		r.gen.leave(worker, n)
	}
}

// probe finds out whether an address is free. SO_REUSEPORT, which the real
// sockets have, would let a second server of the same user share the port
// silently, each taking a part of the queries; a socket without it gets the
// error that the operator needs to see.
func (k listenKey) probe() error {
	if k.port == 0 {
		return nil
	}
	var plain net.ListenConfig
	addr := k.hostPort(k.port)
	u, err := plain.ListenPacket(context.Background(), k.network("udp"), addr)
	if err != nil {
		return &ListenError{Network: "udp", Addr: addr, Err: err}
	}
	u.Close()
	t, err := plain.Listen(context.Background(), k.network("tcp"), addr)
	if err != nil {
		return &ListenError{Network: "tcp", Addr: addr, Err: err}
	}
	t.Close()
	return nil
}

// portTries is how often another free port is tried for port 0, where UDP got
// one that TCP cannot have.
const portTries = 16

// listen opens the sockets at key; on error none is held.
func (s *Server) listen(key listenKey) (*listener, error) {
	for try := 1; ; try++ {
		l, err := s.listenOnce(key)
		if err == nil {
			return l, nil
		}
		if key.port != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, wsaInUse) {
			return nil, err
		}
	}
}

func (s *Server) listenOnce(key listenKey) (_ *listener, err error) {
	l := &listener{server: s, key: key, counters: make([]counters, s.workers)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	config := net.ListenConfig{Control: shareable}
	config.SetMultipathTCP(false)
	port := key.port
	if port == 0 {
		if port, err = key.freePort(); err != nil {
			return nil, err
		}
	}
	for worker := range s.socketsPerAddress() {
		addr := key.hostPort(port)
		c, err := config.ListenPacket(context.Background(), key.network("udp"), addr)
		if err != nil {
			return nil, &ListenError{Network: "udp", Addr: addr, Err: err}
		}
		conn := c.(*net.UDPConn)
		l.bound = unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort())
		port = l.bound.Port()
		u, err := newUDPSocket(l, worker, conn)
		if err != nil {
			conn.Close()
			return nil, &ListenError{Network: "udp", Addr: addr, Err: err}
		}
		l.udp = append(l.udp, u)
	}
	addr := key.hostPort(port)
	t, err := config.Listen(context.Background(), key.network("tcp"), addr)
	if err != nil {
		return nil, &ListenError{Network: "tcp", Addr: addr, Err: err}
	}
	l.tcp = newTCPListener(l, t.(*net.TCPListener))
	return l, nil
}

// freePort is a port that nobody has. The kernel would also give one that another
// server of the same user has, as both sockets have SO_REUSEPORT; a socket without it
// gets none such.
func (k listenKey) freePort() (uint16, error) {
	var plain net.ListenConfig
	addr := k.hostPort(0)
	c, err := plain.ListenPacket(context.Background(), k.network("udp"), addr)
	if err != nil {
		return 0, &ListenError{Network: "udp", Addr: addr, Err: err}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

// serve starts to read; the router must be set.
func (l *listener) serve() {
	for _, u := range l.udp {
		l.reading.Go(u.loop)
	}
	l.reading.Go(l.tcp.accept)
}

// quiesce ends reading: what has arrived over UDP is answered still, and TCP
// connections end once their queries are answered, or with ctx. What comes over
// UDP meanwhile is for other sockets (turnAway), as these stay open for replies.
func (l *listener) quiesce(ctx context.Context) {
	for _, u := range l.udp {
		u.stop()
	}
	stop := context.AfterFunc(ctx, l.closeUDP)
	defer stop()
	l.tcp.drain(ctx)
	l.reading.Wait()
}

// closeUDP closes the sockets that are open still. Replies that are pending
// there are lost.
func (l *listener) closeUDP() {
	for _, u := range l.udp {
		u.conn.Close()
	}
}

// close lets the sockets go.
func (l *listener) close() {
	l.closeUDP()
	if l.tcp != nil {
		l.tcp.listener.Close()
	}
}

// unmap turns an IPv4 address in IPv6 form into plain IPv4.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
