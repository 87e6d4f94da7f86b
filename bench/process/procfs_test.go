//go:build linux

package process

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4711 (a (b) 7 8) S 17 4711 4711 0 -1 4194560 1 2 3 4 150 50 25 5 20 0 6 0 300 1000 200\n"
	got, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	want := procStat{pid: 4711, parent: 17, children: CPUReading{300 * time.Millisecond, 250 * time.Millisecond, 50 * time.Millisecond}}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 2", "x (x) S 1 1 1 0 -1 0 1 2 3 4 1 1 1 1 20", "1 (x) S 1 1 1 0 -1 0 1 2 3 4 1 1 one 1 20"} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}

func TestDescendants(t *testing.T) {
	all := []procStat{{pid: 5, parent: 3}, {pid: 1}, {pid: 3, parent: 2}, {pid: 2, parent: 1}, {pid: 4, parent: 1}, {pid: 6, parent: 5}}
	var pids []int
	for _, s := range descendants(all, 2) {
		pids = append(pids, s.pid)
	}
	if want := []int{2, 3, 5, 6}; !slices.Equal(pids, want) {
		t.Errorf("below 2 are %v, want %v", pids, want)
	}
	if tree := descendants(all, 99); tree != nil {
		t.Errorf("below a process that has ended are %v", tree)
	}
}

// TestReadTree reads what the kernel says of a tree that we made.
func TestReadTree(t *testing.T) {
	child := exec.Command("sh", "-c", "sleep 60 & echo started; wait")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 16))
	tree, err := readTree(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) != 2 || tree[0].pid != child.Process.Pid || tree[1].parent != child.Process.Pid {
		t.Errorf("a shell with one child is %+v", tree)
	}
	if pss, err := readPSS(tree); err != nil || pss <= 0 {
		t.Errorf("its memory is %d octets, %v", pss, err)
	}
	for _, member := range tree {
		p, _ := os.FindProcess(member.pid)
		p.Kill()
	}
	child.Wait()
	if tree, err := readTree(child.Process.Pid); err == nil {
		t.Errorf("a shell that was killed is %+v", tree)
	}
}

func TestParsePSS(t *testing.T) {
	const text = "555 - 7ffe ---p 00000000 00:00 0 [rollup]\nRss:      900 kB\nPss:          321 kB\nPss_Dirty:  20 kB\n"
	if got, err := parsePSS([]byte(text)); err != nil || got != 321<<10 {
		t.Errorf("PSS is %d, %v, want %d", got, err, 321<<10)
	}
	for _, bad := range []string{"", "Pss_Dirty: 5 kB\n", "Pss: many kB\n"} {
		if got, err := parsePSS([]byte(bad)); err == nil {
			t.Errorf("%q is read as %d", bad, got)
		}
	}
}

func TestMachine(t *testing.T) {
	m := ReadMachine()
	if m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" {
		t.Errorf("this machine is %+v", m)
	}
}

// TestCPU: what a process takes is seen at once, and no more than the time that
// passed.
func TestCPU(t *testing.T) {
	s := NewSpawner()
	start := time.Now()
	p, err := s.Start("sh", t.TempDir(), []string{"sh", "-c", "while :; do :; done"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	var took CPUTime
	for deadline := start.Add(time.Minute); took.Sum() < 20*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatalf("a process that spins took %v in a minute", took)
		}
		now, err := p.CPU()
		if err != nil {
			t.Fatal(err)
		}
		took = now.Sub(CPUReading{})
	}
	if passed := time.Since(start); took.Sum() > passed {
		t.Errorf("one thread took %v in %v", took.Sum(), passed)
	}
	if took.User < 0 || took.System < 0 || took.User+took.System != took.Sum() {
		t.Errorf("%+v", took)
	}
	p.Kill()
	if c, err := p.CPU(); err == nil {
		t.Errorf("a process that was killed took %+v", c)
	}
}

func TestCPUReading(t *testing.T) {
	const ms = time.Millisecond
	from := CPUReading{exact: 1000 * ms, user: 900 * ms, system: 120 * ms}
	to := CPUReading{exact: 1500 * ms, user: 1000 * ms, system: 420 * ms}
	if got, want := to.Sub(from), (CPUTime{125 * ms, 375 * ms}); got != want {
		t.Errorf("500 ms of which a quarter of the samples was user time: %v, want %v", got, want)
	}
	if got := (CPUReading{exact: 3 * ms}).Sub(CPUReading{}); got.Sum() != 3*ms {
		t.Errorf("3 ms without any sample: %v", got)
	}
}
