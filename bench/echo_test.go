//go:build linux

package main

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// TestEchoAndOpenLoop has the one talk to the other over loopback.
func TestEchoAndOpenLoop(t *testing.T) {
	addr, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- serveEcho(addr.String()) }()
	conn, err := net.Dial("udp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := []byte{0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0}
	want := bytes.Clone(query)
	want[2] |= 0x80
	got := make([]byte, 512)
	deadline := time.Now().Add(10 * time.Second)
	for n := 0; n == 0; {
		select {
		case err := <-failed:
			t.Fatal(err)
		default:
		}
		conn.Write(query)
		conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, _ = conn.Read(got); n > 0 && !bytes.Equal(got[:n], want) {
			t.Errorf("echo of %x is %x, want %x", query, got[:n], want)
		}
		if time.Now().After(deadline) {
			t.Fatal("no echo")
		}
	}
	const rate, duration = 2000, 200 * time.Millisecond
	o, err := newOpenLoop(addr, []question{hosts("a.example.", "198.18.0.1")}, rate, duration, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.run(t.Context(), duration); err != nil {
		t.Fatal(err)
	}
	r, err := o.result(duration, process.CPUTime{User: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// What is sent comes from the seed; how much of it comes back in time depends
	// on what else the machine has to do.
	if o.sent < 300 || o.sent > 500 || r.Lost >= o.sent || r.P50 <= 0 || r.P99 < r.P50 || r.P999 < r.P99 {
		t.Errorf("sent %d queries of about 400: %+v", o.sent, r)
	}
}
