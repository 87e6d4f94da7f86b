//go:build !linux

package forward

import "net"

// receiver reads datagrams.
type receiver struct {
	conn *net.UDPConn
	n    int
	buf  [receiveSize]byte
}

func newReceiver(conn *net.UDPConn) (*receiver, error) { return &receiver{conn: conn}, nil }

// read waits for datagrams and returns how many have come.
func (r *receiver) read() (int, error) {
	n, err := r.conn.Read(r.buf[:])
	r.n = n
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// message is the n-th datagram of those read.
func (r *receiver) message(int) []byte { return r.buf[:r.n] }
