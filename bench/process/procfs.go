//go:build linux

package process

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ, which is 100 on every
// architecture that Go knows, whatever the kernel's own HZ.
const tick = 10 * time.Millisecond

// procStat is what we read of /proc/PID/stat.
type procStat struct {
	pid, parent int
	children    CPUReading // those that have ended and were waited for
}

// parseStat reads a line of /proc/PID/stat (proc_pid_stat(5)). The command's
// name is in parentheses and may hold spaces and parentheses itself.
func parseStat(line string) (procStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("proc stat: no command in %q", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 15 {
		return procStat{}, fmt.Errorf("proc stat: %d fields behind the command in %q, want 15 or more", len(fields), line)
	}
	var bad error
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil && bad == nil {
			bad = fmt.Errorf("proc stat: %w", err)
		}
		return n
	}
	// Behind the command: state, ppid, …; cutime and cstime are the fields 16 and 17
	// of the line.
	s := procStat{pid: number(strings.TrimSpace(line[:open])), parent: number(fields[1])}
	s.children.user = time.Duration(number(fields[13])) * tick
	s.children.system = time.Duration(number(fields[14])) * tick
	s.children.exact = s.children.user + s.children.system
	return s, bad
}

// readTree reads the states of the process root and of all that descend from
// it, root first.
func readTree(root int) ([]procStat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []procStat
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		s, err := parseStat(string(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	tree := descendants(all, root)
	if len(tree) == 0 {
		return nil, fmt.Errorf("process %d has ended", root)
	}
	return tree, nil
}

// descendants picks root, first, and what descends from it.
func descendants(all []procStat, root int) []procStat {
	children := make(map[int][]procStat)
	var tree []procStat
	for _, s := range all {
		if s.pid == root {
			tree = append(tree, s)
		} else {
			children[s.parent] = append(children[s.parent], s)
		}
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree
}

// parsePSS finds the proportional set size, in bytes, in a
// /proc/PID/smaps_rollup.
func parsePSS(text []byte) (int64, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "Pss:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("smaps_rollup: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("smaps_rollup: no line Pss")
}

// readPSS is the proportional set size of a tree of processes, in bytes: what
// they share with each other counts once.
func readPSS(tree []procStat) (int64, error) {
	var sum int64
	for _, s := range tree {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid))
		if err != nil {
			return 0, err
		}
		n, err := parsePSS(text)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Machine is what the numbers were measured on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Kernel string `json:"kernel"`
	System string `json:"system"`
	Guest  bool   `json:"virtual_machine"`
}

// ReadMachine reads what /proc says of this machine.
func ReadMachine() Machine {
	info, _ := os.ReadFile("/proc/cpuinfo")
	m := Machine{
		CPU:    field(info, "model name"),
		Cores:  strings.Count("\n"+string(info), "\nprocessor"),
		Guest:  strings.Contains(" "+field(info, "flags")+" ", " hypervisor "),
		System: "unknown",
	}
	if memory, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _ := strconv.ParseInt(strings.TrimSuffix(field(memory, "MemTotal"), " kB"), 10, 64)
		m.Memory = kib << 10
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if release, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(release)) {
			if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				m.System = strings.Trim(strings.TrimSpace(name), `"`)
			}
		}
	}
	return m
}

// field is the value of the first line "name : value" of a file in /proc.
func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
