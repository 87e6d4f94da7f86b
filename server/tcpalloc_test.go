//go:build !race

package server

import (
	"io"
	"testing"
	"time"
)

// A query over TCP that is answered at once allocates nothing. Not so under the
// race detector, with which a sync.Pool loses what it is given now and then.
func TestTCPAnswerDoesNotAllocate(t *testing.T) {
	s := newLab().start(t, `.:0 {
		bind 127.0.0.1
		say hello
	}`)
	c := dialTCP(t, s.Addrs()[0])
	c.SetDeadline(time.Now().Add(time.Minute))
	for _, edns := range []bool{false, true} {
		m := question("www.example.org.")
		if edns {
			m.SetEdns0(1232, true)
		}
		one := framed(t, m)
		for what, packet := range map[string][]byte{"one": one, "three at once": framed(t, m, m, m)} {
			buf := make([]byte, largeBuffer)
			exchange := func() {
				if _, err := c.Write(packet); err != nil {
					t.Fatal(err)
				}
				for range len(packet) / len(one) {
					if _, err := io.ReadFull(c, buf[:2]); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(c, buf[:int(buf[0])<<8|int(buf[1])]); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := testing.AllocsPerRun(1000, exchange); n != 0 {
				t.Errorf("%s, EDNS %t: %v allocations", what, edns, n)
			}
		}
	}
}
