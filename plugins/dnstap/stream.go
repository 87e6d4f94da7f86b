package dnstap

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// contentType is what the frames hold.
const contentType = "protobuf:dnstap.Dnstap"

// Frame Streams' control frames (fstrm's control.h): each has an escape of four
// zeros, its length, its type, and fields.
const (
	controlAccept = 1
	controlStart  = 2
	controlStop   = 3
	controlReady  = 4
	controlFinish = 5

	fieldContentType = 1
	maxControl       = 512
)

// Time-outs of a collector.
const (
	dialTime  = 5 * time.Second
	shakeTime = 5 * time.Second
	writeTime = 5 * time.Second
	leaveTime = time.Second // for what is left, and the farewell
)

// control is a control frame; typed ones say the content type.
func control(kind uint32, typed bool) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 8, 64), kind)
	if typed {
		b = binary.BigEndian.AppendUint32(b, fieldContentType)
		b = binary.BigEndian.AppendUint32(b, uint32(len(contentType)))
		b = append(b, contentType...)
	}
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

var (
	errNoControl = errors.New("the collector does not speak Frame Streams")
	errType      = errors.New("the collector does not take " + contentType)
)

// readControl reads a control frame of the given kind, and says whether it names our
// content type, or none at all.
func readControl(r io.Reader, kind uint32) (ours bool, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	n := binary.BigEndian.Uint32(head[4:])
	if binary.BigEndian.Uint32(head[:]) != 0 || n < 4 || n > maxControl {
		return false, errNoControl
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return false, err
	}
	if got := binary.BigEndian.Uint32(b); got != kind {
		return false, fmt.Errorf("%w: control frame %d, want %d", errNoControl, got, kind)
	}
	ours = len(b) == 4
	for b = b[4:]; len(b) > 0; {
		if len(b) < 8 {
			return false, errNoControl
		}
		field, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if b = b[8:]; uint64(size) > uint64(len(b)) {
			return false, errNoControl
		}
		ours = ours || field == fieldContentType && string(b[:size]) == contentType
		b = b[size:]
	}
	return ours, nil
}

// stream is an open output.
type stream interface {
	io.Writer
	// gone is closed when the other side has gone; nil for none.
	gone() <-chan struct{}
	// stale says that the output should be opened anew.
	stale() bool
	// leave ends the stream in good order, as far as time allows; abort does it at
	// once.
	leave()
	abort()
}

// open opens a target. With ctx, what is being opened is given up, and what is being
// written has little time left.
func (t target) open(ctx context.Context) (stream, error) {
	if t.network == "file" {
		return openFile(t.address)
	}
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, t.network, t.address)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, closed: make(chan struct{})}
	s.idle = context.AfterFunc(ctx, s.hurry)
	if err := s.shake(); err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

// socket is a bidirectional stream to a collector.
type socket struct {
	conn    net.Conn
	closed  chan struct{}
	hurried atomic.Bool
	idle    func() bool // ends that hurry will be called
}

// hurry leaves the collector little time for what is being written and all further.
func (s *socket) hurry() {
	s.hurried.Store(true)
	s.conn.SetDeadline(time.Now().Add(leaveTime))
}

// shake agrees on the content type, and has the end of the connection watched.
func (s *socket) shake() error {
	s.conn.SetDeadline(time.Now().Add(shakeTime))
	if _, err := s.conn.Write(control(controlReady, true)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(s.conn, maxControl)
	ours, err := readControl(r, controlAccept)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if !ours {
		return errType
	}
	if _, err := s.conn.Write(control(controlStart, true)); err != nil {
		return err
	}
	if s.hurried.Load() {
		return context.Canceled
	}
	s.conn.SetReadDeadline(time.Time{})
	go func() {
		// All that may come is FINISH, which is the end as well.
		readControl(r, controlFinish)
		close(s.closed)
	}()
	return nil
}

// Write gives the collector some time to take b.
func (s *socket) Write(b []byte) (int, error) {
	if !s.hurried.Load() {
		s.conn.SetWriteDeadline(time.Now().Add(writeTime))
	}
	return s.conn.Write(b)
}

func (s *socket) gone() <-chan struct{} { return s.closed }

func (s *socket) stale() bool { return false }

// leave says STOP, and waits until the collector has said FINISH.
func (s *socket) leave() {
	s.conn.SetDeadline(time.Now().Add(leaveTime))
	if _, err := s.conn.Write(control(controlStop, false)); err == nil {
		<-s.closed
	}
	s.abort()
}

func (s *socket) abort() {
	s.idle()
	s.conn.Close()
}

// file is a unidirectional stream.
type file struct {
	*os.File
}

// openFile begins a new file. A stream cannot be appended to, as readers stop at its
// end: what is there already is kept under another name.
func openFile(path string) (stream, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is no file", path)
		}
		if err := os.Rename(path, asideName(path, info.ModTime())); err != nil {
			return nil, fmt.Errorf("put the file before aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(control(controlStart, true)); err != nil {
		f.Close()
		return nil, err
	}
	return file{f}, nil
}

// asideName is a free name for a file last written at t.
func asideName(path string, t time.Time) string {
	name := path + "." + t.UTC().Format("20060102T150405Z")
	for n, free := 1, name; ; n++ {
		if _, err := os.Lstat(free); errors.Is(err, os.ErrNotExist) {
			return free
		}
		free = fmt.Sprintf("%s.%d", name, n)
	}
}

func (f file) gone() <-chan struct{} { return nil }

// stale says whether the file was renamed or removed.
func (f file) stale() bool {
	mine, err := f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(f.Name())
	return err != nil || !os.SameFile(mine, there)
}

func (f file) leave() {
	f.Write(control(controlStop, false))
	f.Close()
}

func (f file) abort() { f.leave() }
