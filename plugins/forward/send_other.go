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

// full says that nothing is gathered: there is no way to send many at once.
func (*sender) full() bool { return true }

func (*sender) gather([]byte, uint16) bool { return false }

func (*sender) sendGathered() ([]uint16, error) { return nil, nil }
