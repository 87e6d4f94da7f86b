package dnstap

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// tapped is a message of dnstap as the tests read it.
type tapped struct {
	identity, version            string
	kind, family, protocol       uint64
	query, response              netip.AddrPort
	queryTime, responseTime      time.Time
	queryMessage, replyMessage   []byte
	zone                         []byte
	queryPort, responsePort      uint64
	queryAddress, answerAddress  []byte
	querySec, responseSec        uint64
	queryNsec, responseNsec      uint64
	hasQueryTime, hasReplyTime   bool
	hasQueryBytes, hasReplyBytes bool
}

// fields calls f with each field of a Protocol Buffers message: v is its value as a
// number, b its octets.
func fields(b []byte, f func(field int, v uint64, b []byte)) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return io.ErrUnexpectedEOF
		}
		b = b[n:]
		switch key & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return io.ErrUnexpectedEOF
			}
			f(int(key>>3), v, nil)
			b = b[n:]
		case 2:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return io.ErrUnexpectedEOF
			}
			f(int(key>>3), 0, b[n:n+int(size)])
			b = b[n+int(size):]
		case 5:
			if len(b) < 4 {
				return io.ErrUnexpectedEOF
			}
			f(int(key>>3), uint64(binary.LittleEndian.Uint32(b)), nil)
			b = b[4:]
		default:
			return fmt.Errorf("wire type %d", key&7)
		}
	}
	return nil
}

// decode reads a Dnstap message.
func decode(b []byte) (tapped, error) {
	var m tapped
	var message []byte
	var kind uint64
	err := fields(b, func(field int, v uint64, b []byte) {
		switch field {
		case 1:
			m.identity = string(b)
		case 2:
			m.version = string(b)
		case 14:
			message = b
		case 15:
			kind = v
		}
	})
	if err != nil || kind != 1 {
		return m, fmt.Errorf("type %d: %v", kind, err)
	}
	err = fields(message, func(field int, v uint64, b []byte) {
		switch field {
		case 1:
			m.kind = v
		case 2:
			m.family = v
		case 3:
			m.protocol = v
		case 4:
			m.queryAddress = b
		case 5:
			m.answerAddress = b
		case 6:
			m.queryPort = v
		case 7:
			m.responsePort = v
		case 8:
			m.querySec = v
		case 9:
			m.queryNsec, m.hasQueryTime = v, true
		case 10:
			m.queryMessage, m.hasQueryBytes = b, true
		case 11:
			m.zone = b
		case 12:
			m.responseSec = v
		case 13:
			m.responseNsec, m.hasReplyTime = v, true
		case 14:
			m.replyMessage, m.hasReplyBytes = b, true
		}
	})
	address := func(b []byte, port uint64) netip.AddrPort {
		a, _ := netip.AddrFromSlice(b)
		return netip.AddrPortFrom(a, uint16(port))
	}
	m.query, m.response = address(m.queryAddress, m.queryPort), address(m.answerAddress, m.responsePort)
	m.queryTime = time.Unix(int64(m.querySec), int64(m.queryNsec))
	m.responseTime = time.Unix(int64(m.responseSec), int64(m.responseNsec))
	return m, err
}

// readFrame reads a frame; control is its type where it is a control frame.
func readFrame(r io.Reader) (data []byte, control uint32, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	size := binary.BigEndian.Uint32(head[:])
	escaped := size == 0
	if escaped {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, 0, err
		}
		size = binary.BigEndian.Uint32(head[:])
	}
	if size > 1<<20 {
		return nil, 0, fmt.Errorf("frame of %d octets", size)
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, 0, err
	}
	if escaped {
		return data[4:], binary.BigEndian.Uint32(data), nil
	}
	return data, 0, nil
}
