//go:build linux

package process

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime is processor time that was taken, in user mode and in the kernel.
type CPUTime struct{ User, System time.Duration }

// Sum is all of it.
func (c CPUTime) Sum() time.Duration { return c.User + c.System }

// CPUReading is what the kernel's clocks of a process, or of a tree of them, say.
// Only differences of two readings mean something.
//
// The kernel knows two things. What a process took in all it measures, to the
// nanosecond, whenever it puts a process on a core or takes it off. In which mode
// that was it guesses (unless built with VIRT_CPU_ACCOUNTING): each tick, of
// which there are 100 to 1000 a second, counts whole for the mode it finds.
type CPUReading struct {
	exact        time.Duration
	user, system time.Duration // by samples
}

// Sub is what was taken between d and c: the exact sum, in the shares of the
// samples between them.
func (c CPUReading) Sub(d CPUReading) CPUTime {
	exact := c.exact - d.exact
	user, system := float64(c.user-d.user), float64(c.system-d.system)
	if user+system <= 0 {
		return CPUTime{System: exact}
	}
	t := CPUTime{User: time.Duration(float64(exact) * user / (user + system))}
	t.System = exact - t.User
	return t
}

func (c CPUReading) add(d CPUReading) CPUReading {
	return CPUReading{c.exact + d.exact, c.user + d.user, c.system + d.system}
}

// The kinds of a process's clock (clock_getcpuclockid(3), and the kernel's
// posix-timers.h): samples of both modes, samples of user mode, the exact sum.
const (
	clockBoth = iota
	clockUser
	clockExact
)

// readClocks reads the clocks of all threads of a process, those that have ended
// included.
func readClocks(pid int) (CPUReading, error) {
	var t [3]time.Duration
	for kind := range t {
		var now unix.Timespec
		if err := unix.ClockGettime(^int32(pid)<<3|int32(kind), &now); err != nil {
			return CPUReading{}, fmt.Errorf("read the clock of process %d: %w", pid, err)
		}
		t[kind] = time.Duration(now.Nano())
	}
	return CPUReading{exact: t[clockExact], user: t[clockUser], system: t[clockBoth] - t[clockUser]}, nil
}
