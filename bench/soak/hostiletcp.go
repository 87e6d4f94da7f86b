//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// frameLimit is how long the server gives a client for one message, and for the
// first octet.
const frameLimit = 5 * time.Second

// assault is one bad client over TCP. It returns what the server did wrong.
type assault struct {
	name string
	do   func(ctx context.Context, c *net.TCPConn, s *soak, r *rand.Rand) error
}

func assaults() []assault {
	return []assault{
		{"giant length", giantLength}, {"slow sender", slowSender}, {"hardly slow sender", hardlySlowSender},
		{"half-closed", halfClosed}, {"tiny length", tinyLength}, {"garbage", garbageStream},
		{"does not read", doesNotRead}, {"reset", resetMidway}, {"silent", silent}, {"silent", silent}, {"silent", silent},
	}
}

// hostileTCP keeps so many bad clients going.
func (s *soak) hostileTCP(ctx context.Context, clients int) {
	var all sync.WaitGroup
	defer all.Wait()
	kinds := assaults()
	for n := range clients {
		r := s.random(1000 + n)
		all.Go(func() {
			for ctx.Err() == nil {
				a := kinds[r.IntN(len(kinds))]
				if err := s.assault(ctx, a, r); err != nil && ctx.Err() == nil {
					s.findings.addf("hostile connection", "%s, at %.3fs: %v", a.name, s.now().Seconds(), err)
				}
				pause(ctx, time.Duration(r.Int64N(int64(200*time.Millisecond))))
			}
		})
	}
}

func (s *soak) assault(ctx context.Context, a assault, r *rand.Rand) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp4", s.addrs[r.IntN(len(s.addrs))].String())
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	s.hostileConns.Add(1)
	c.SetDeadline(time.Now().Add(frameLimit + s.patience))
	return a.do(ctx, c.(*net.TCPConn), s, r)
}

// frame is a good query with its length.
func frame(r *rand.Rand) []byte {
	q := ask(dns.TypeA, dns.ClassINET, nil)(r)
	binary.BigEndian.PutUint16(q, uint16(r.Uint32()))
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
}

// closed waits for the server to close, within the connection's deadline.
func closed(c *net.TCPConn) error {
	n, err := io.Copy(io.Discard, c)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the server does not close")
	case n > 0:
		return fmt.Errorf("the server sent %d octets", n)
	}
	return nil
}

// answered reads the answer to one query.
func answered(c *net.TCPConn) error {
	reply, err := readFrame(c, make([]byte, 1<<16))
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil || m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		return fmt.Errorf("wrong answer: %v, %v", m, err)
	}
	return nil
}

// giantLength promises the longest message, and sends a part of it at most.
func giantLength(_ context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	c.Write(append([]byte{0xFF, 0xFF}, noise(r, r.IntN(30_000))...))
	return closed(c)
}

// trickle sends octets one by one.
func trickle(ctx context.Context, c *net.TCPConn, b []byte, gap time.Duration) {
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil || ctx.Err() != nil {
			return
		}
		pause(ctx, gap)
	}
}

// slowSender takes twice as long for one query as it may.
func slowSender(ctx context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	b := frame(r)
	trickle(ctx, c, b, 2*frameLimit/time.Duration(len(b)))
	return closed(c)
}

// hardlySlowSender takes a twentieth of the time that it may.
func hardlySlowSender(ctx context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	b := frame(r)
	trickle(ctx, c, b, frameLimit/20/time.Duration(len(b)))
	return answered(c)
}

// halfClosed says at once that it will send nothing more, and gets its answer.
func halfClosed(_ context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	if _, err := c.Write(frame(r)); err != nil {
		return err
	}
	c.CloseWrite()
	if err := answered(c); err != nil {
		return err
	}
	return closed(c)
}

// tinyLength sends what cannot be a message.
func tinyLength(_ context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	n := r.IntN(12)
	c.Write(append([]byte{0, byte(n)}, noise(r, n)...))
	return closed(c)
}

func garbageStream(_ context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	c.Write(noise(r, r.IntN(10_000)))
	c.CloseWrite()
	io.Copy(io.Discard, c)
	return nil
}

// doesNotRead asks as long as the server takes it, and reads nothing.
func doesNotRead(ctx context.Context, c *net.TCPConn, s *soak, r *rand.Rand) error {
	c.SetReadBuffer(4096)
	c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	b := frame(r)
	for range 20_000 {
		if _, err := c.Write(b); err != nil {
			break
		}
	}
	pause(ctx, time.Duration(r.Int64N(int64(3*time.Second))))
	return nil
}

// resetMidway has the connection end without a goodbye, within a query.
func resetMidway(_ context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	b := frame(r)
	c.Write(append(frame(r), b[:r.IntN(len(b))]...))
	c.SetLinger(0)
	return nil
}

// silent says nothing, until it or the server has enough.
func silent(ctx context.Context, c *net.TCPConn, _ *soak, r *rand.Rand) error {
	if r.IntN(2) == 0 {
		return closed(c)
	}
	pause(ctx, time.Duration(r.Int64N(int64(3*time.Second))))
	return nil
}
