package dnstap

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"
)

// Wire types of Protocol Buffers.
const (
	varint  = 0
	octets  = 2
	fixed32 = 5
)

// Field numbers of dnstap.proto.
const (
	dnstapIdentity = 1
	dnstapVersion  = 2
	dnstapMessage  = 14
	dnstapType     = 15

	messageType            = 1
	messageFamily          = 2
	messageProtocol        = 3
	messageQueryAddress    = 4
	messageResponseAddress = 5
	messageQueryPort       = 6
	messageResponsePort    = 7
	messageQuerySec        = 8
	messageQueryNsec       = 9
	messageQuery           = 10
	messageZone            = 11
	messageResponseSec     = 12
	messageResponseNsec    = 13
	messageResponse        = 14
)

func appendVarint(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(append(b, byte(field<<3|varint)), v)
}

func appendFixed32(b []byte, field int, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(b, byte(field<<3|fixed32)), v)
}

func appendOctets(b []byte, field int, v []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(field<<3|octets)), uint64(len(v)))
	return append(b, v...)
}

func appendAddr(b []byte, field int, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return appendOctets(b, field, v[:])
	}
	v := a.As16()
	return appendOctets(b, field, v[:])
}

func appendTime(b []byte, sec, nsec int, nanoseconds int64) []byte {
	b = appendVarint(b, sec, uint64(nanoseconds/int64(time.Second)))
	return appendFixed32(b, nsec, uint32(nanoseconds%int64(time.Second)))
}

// encoder makes frames of records.
type encoder struct {
	frames  []byte // each with its length (Frame Streams)
	message []byte // the one being made
}

// add makes the frames of a record; zone is the wire form of the name of the zone
// that answered, empty where none did.
func (e *encoder) add(r *record, query, reply, zone []byte) {
	if kind := r.kinds & queries; kind != 0 {
		e.begin(r, kind)
		e.message = appendOctets(e.message, messageQuery, query)
		e.end(r, zone)
	}
	if kind := r.kinds & responses; kind != 0 {
		e.begin(r, kind)
		e.message = appendTime(e.message, messageResponseSec, messageResponseNsec, r.received+r.took)
		e.message = appendOctets(e.message, messageResponse, reply)
		e.end(r, zone)
	}
}

// begin starts the message of a query's or response's type with what both have.
func (e *encoder) begin(r *record, kind types) {
	family, protocol := uint64(1), uint64(1)
	if r.remote.Addr().Is6() {
		family = 2
	}
	if r.tcp {
		protocol = 2
	}
	b := appendVarint(e.message[:0], messageType, uint64(bits.TrailingZeros8(uint8(kind))))
	b = appendVarint(b, messageFamily, family)
	b = appendVarint(b, messageProtocol, protocol)
	b = appendAddr(b, messageQueryAddress, r.remote.Addr())
	if r.local.Addr().Is4() == r.remote.Addr().Is4() {
		b = appendAddr(b, messageResponseAddress, r.local.Addr())
	}
	b = appendVarint(b, messageQueryPort, uint64(r.remote.Port()))
	b = appendVarint(b, messageResponsePort, uint64(r.local.Port()))
	e.message = appendTime(b, messageQuerySec, messageQueryNsec, r.received)
}

// end wraps the message into a frame.
func (e *encoder) end(r *record, zone []byte) {
	if len(zone) > 0 {
		e.message = appendOctets(e.message, messageZone, zone)
	}
	start := len(e.frames)
	b := append(e.frames, 0, 0, 0, 0)
	b = appendOctets(b, dnstapIdentity, r.tap.names[min(int(r.ns), len(r.tap.names)-1)])
	b = append(binary.AppendUvarint(append(b, dnstapVersion<<3|octets), uint64(len(r.tap.version))), r.tap.version...)
	b = appendOctets(b, dnstapMessage, e.message)
	b = appendVarint(b, dnstapType, 1) // MESSAGE
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	e.frames = b
}
