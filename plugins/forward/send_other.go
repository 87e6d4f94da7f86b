//go:build !linux

package forward

import (
	"net"
	"time"
)

// sender writes datagrams.
type sender struct{ conn *net.UDPConn }

func (s *sender) init(conn *net.UDPConn) error {
	s.conn = conn
	return nil
}

// sendWait is how long a full socket may hold up whoever sends.
const sendWait = time.Millisecond

// write sends m.
func (s *sender) write(m []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
		return err
	}
	_, err := s.conn.Write(m)
	return err
}
