//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// tcpFlow is a client that pipelines its queries, over one connection after the
// other.
type tcpFlow struct {
	*window
	out, in []byte
}

func (s *soak) newTCPFlow(n int) (*tcpFlow, error) {
	w, err := s.newWindow(fmt.Sprintf("TCP flow %d", n), n%listeners, true, s.random(200+n))
	return &tcpFlow{window: w, in: make([]byte, 1<<16)}, err
}

// run asks until the load is over. Whatever a connection leaves unanswered is
// lost: TCP drops nothing.
func (f *tcpFlow) run(ctx context.Context) error {
	for ctx.Err() == nil && !f.soak.loadOver() {
		err := f.connection(ctx)
		if ctx.Err() != nil {
			break // what waits for answers is given up by us
		}
		if err != nil {
			f.wrong("connection failed", "%s: at %.3fs: %v", f.name, f.soak.now().Seconds(), err)
			// A server that is gone is not to be asked in a tight loop.
			pause(ctx, 100*time.Millisecond)
		}
		f.expire(true)
	}
	return ctx.Err()
}

// connection asks so many queries, and closes: when all are answered, or its own
// side at once, which must not cost an answer.
func (f *tcpFlow) connection(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp4", f.soak.addrs[f.listener].String())
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	f.tally.connections++
	conn, in := c.(*net.TCPConn), bufio.NewReaderSize(c, 1<<16)
	for left := 1 + f.r.IntN(5000); left > 0 && !f.soak.loadOver(); {
		n, err := f.fill(conn, left)
		if err != nil {
			return err
		}
		left -= n
		if f.waiting() == 0 { // the rate is reached
			pause(ctx, time.Millisecond)
			continue
		}
		if err := f.drain(conn, in); err != nil {
			return err
		}
	}
	if f.r.IntN(2) == 0 {
		conn.CloseWrite()
	}
	for f.waiting() > 0 {
		if err := f.drain(conn, in); err != nil {
			return err
		}
	}
	return nil
}

// fill sends up to most queries with one write.
func (f *tcpFlow) fill(conn *net.TCPConn, most int) (n int, err error) {
	f.out = f.out[:0]
	for ; n < most; n++ {
		at := len(f.out)
		b := f.next(append(f.out, 0, 0))
		if b == nil {
			break
		}
		f.out = b
		binary.BigEndian.PutUint16(f.out[at:], uint16(len(f.out)-at-2))
	}
	if n == 0 {
		return 0, nil
	}
	conn.SetWriteDeadline(time.Now().Add(f.soak.patience))
	_, err = conn.Write(f.out)
	return n, err
}

// drain waits for an answer, and takes all that have been read with it.
func (f *tcpFlow) drain(conn *net.TCPConn, in *bufio.Reader) error {
	conn.SetReadDeadline(time.Now().Add(f.soak.patience))
	for {
		reply, err := readFrame(in, f.in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("no answer for %s, %d queries wait", f.soak.patience, f.waiting())
		case err != nil:
			return fmt.Errorf("%w, and %d queries wait", err, f.waiting())
		}
		f.take(reply)
		if in.Buffered() < 2 {
			return nil
		}
	}
}

// readFrame reads a message with its length into b (RFC 1035 section 4.2.2).
func readFrame(in io.Reader, b []byte) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(in, b[:n])
	return b[:n], err
}
