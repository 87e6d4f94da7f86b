//go:build linux

package main

// echoName is the program that shows what a query costs if nobody looks at it.
const echoName = "echo"

// echo is the floor: this program again, sending every datagram back as a reply.
func echo(self string) *program {
	return &program{
		name: echoName, command: self, udpOnly: true, floor: true,
		configure: func(s *setup) ([]string, error) { return []string{"-echo", s.addr.String()}, nil },
	}
}

// serveEcho echoes what arrives at addr, with the QR bit set, until the process
// is killed.
func serveEcho(addr string) error {
	return serveDatagrams(addr, func(packet []byte, n int) int {
		const qr = 0x80
		packet[2] |= qr
		return n
	})
}
