//go:build !race

package server

import "testing"

// TestForkDoesNotAllocate does without the race detector, with which a sync.Pool
// loses what it is given now and then.
func TestForkDoesNotAllocate(t *testing.T) {
	b := chainOf(t, Plugin{Name: "forker", Setup: func(*Directive) (Handler, error) {
		return handler{in: func(q *Query) Verdict { q.Fork().Run(); return Next }}, nil
	}}, Plugin{Name: "behind", Setup: func(*Directive) (Handler, error) {
		return handler{in: func(q *Query) Verdict { appendTXT(q, "hello"); return Answered }}, nil
	}})
	packet, _ := question("www.example.org.").SetEdns0(1232, true).Pack()
	if n := testing.AllocsPerRun(1000, func() { b.exchange(packet) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
